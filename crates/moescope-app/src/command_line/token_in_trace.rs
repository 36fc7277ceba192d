//! The line of the command line for a token's occurrences in a trace.

use std::path::Path;

use moescope_analytics::MeasureRequest;
use moescope_core::LayerId;
use moescope_pipeline::command_words::Line;

use crate::{
    answers::{TOKEN_CONTEXTS, TOKEN_WINDOW},
    choices::Cell,
};

/// What `moescope token` is told.
pub(crate) struct TokenInTrace<'a> {
    pub(crate) trace: &'a Path,
    /// Entry of the vocabulary.
    pub(crate) id: u32,
    /// What is counted.
    pub(crate) request: &'a MeasureRequest,
    /// The layer whose experts are shown at each occurrence.
    pub(crate) layer: Option<LayerId>,
    /// The experts that are compared with the heaviest ones there.
    pub(crate) heaviest: Vec<Cell>,
}

/// `moescope token TRACE --id N …`
pub(crate) fn token_in_trace(token: &TokenInTrace<'_>) -> String {
    let mut line = Line::new("token");
    line.path(token.trace);
    line.option("id", &token.id.to_string());
    if let Some(layer) = token.layer {
        line.option("layer", &layer.to_string());
    }
    if !token.heaviest.is_empty() {
        let cells: Vec<String> = token.heaviest.iter().map(ToString::to_string).collect();
        line.option("heaviest", &cells.join(","));
    }
    line.option("contexts", &TOKEN_CONTEXTS.to_string());
    line.option("window", &TOKEN_WINDOW.to_string());
    line.request_options(token.request);
    line.into_string()
}

#[cfg(test)]
mod tests {
    use moescope_core::{PhaseSelection, Scope};

    use super::*;

    #[test]
    fn a_token_is_named_by_its_number_with_what_it_is_compared_with() {
        let plain = TokenInTrace {
            trace: Path::new("my trace"),
            id: 450,
            request: &MeasureRequest::default(),
            layer: None,
            heaviest: Vec::new(),
        };
        assert_eq!(
            token_in_trace(&plain),
            "moescope token 'my trace' --id 450 --contexts 12 --window 8"
        );
        let request = MeasureRequest {
            by: "genre".to_owned(),
            scope: Scope {
                phase: PhaseSelection::All,
                labels: vec!["review".to_owned()],
                ..Scope::default()
            },
            seed: 7,
            ..MeasureRequest::default()
        };
        let cell = |layer, expert| Cell {
            layer: LayerId(layer),
            expert,
        };
        let compared = TokenInTrace {
            request: &request,
            layer: Some(LayerId(2)),
            heaviest: vec![cell(0, 7), cell(2, 3)],
            ..plain
        };
        assert_eq!(
            token_in_trace(&compared),
            "moescope token 'my trace' --id 450 --layer 2 --heaviest 0:7,2:3 --contexts 12 --window 8 --by genre --labels review --phase all --seed 7"
        );
    }
}
