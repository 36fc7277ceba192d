//! The `moescope …` lines that give what a view shows.

mod capture;
mod generation;
mod lines;
mod pictures;
mod token_in_trace;

use std::path::Path;

use moescope_analytics::MeasureRequest;
use moescope_core::{LayerSelection, Scope};
use moescope_engine::{DeviceChoice, SamplingConfig};
use moescope_pipeline::command_words::Line;

use crate::{
    choices::{CaptureChoice, Cell},
    lives::{CellAction, LiveChoice, MeasuredEffect},
};

pub(crate) use capture::capture;
pub(crate) use lines::{compare_lines, live, token};
pub(crate) use token_in_trace::{TokenInTrace, token_in_trace};

/// `moescope measure TRACE METRIC …`
pub(crate) fn measure(trace: &Path, metric: &str, request: &MeasureRequest) -> String {
    let mut line = Line::new("measure");
    line.path(trace).word(metric);
    line.request_options(request);
    line.into_string()
}

/// `moescope compare FIRST SECOND METRIC …`
pub(crate) fn compare(
    first: &Path,
    second: &Path,
    metric: &str,
    request: &MeasureRequest,
) -> String {
    let mut line = Line::new("compare");
    line.path(first).path(second).word(metric);
    line.request_options(request);
    line.into_string()
}

/// `moescope expert TRACE LAYER:EXPERT …`
pub(crate) fn expert(
    trace: &Path,
    cell: Cell,
    request: &MeasureRequest,
    lists: [usize; 3],
) -> String {
    let mut line = Line::new("expert");
    line.path(trace).word(&cell.to_string());
    let [top, contexts, window] = lists;
    line.option("top", &top.to_string());
    line.option("contexts", &contexts.to_string());
    line.option("window", &window.to_string());
    // The layer is the expert's own, and what single metrics are told is told to none.
    let of_expert = MeasureRequest {
        scope: Scope {
            layers: LayerSelection::All,
            ..request.scope.clone()
        },
        by: request.by.clone(),
        merge: request.merge.clone(),
        match_on: request.match_on.clone(),
        resample_by: request.resample_by.clone(),
        resamples: request.resamples,
        permutations: request.permutations,
        seed: request.seed,
        level: request.level,
        ..MeasureRequest::default()
    };
    line.request_options(&of_expert);
    line.into_string()
}

/// Bytes of a word that every shell passes on; Linux takes up to 128 KiB.
const LONGEST_WORD: usize = 100_000;

/// `moescope effect MODEL --text … --intervene …`; tokens by their ids where no text gives the same ones.
pub(crate) fn effect(
    measured: &MeasuredEffect,
    device: DeviceChoice,
) -> Result<String, &'static str> {
    let (option, value) = if let Some(text) = &measured.text {
        ("text", text.clone())
    } else {
        let ids: Vec<String> = measured.ids.iter().map(ToString::to_string).collect();
        ("token-ids", ids.join(","))
    };
    if value.len() > LONGEST_WORD {
        return Err("the text is too long for a command line; measure on a shorter line");
    }
    let mut line = Line::new("effect");
    line.word(&measured.model);
    line.device(device);
    line.option(option, &value);
    for spec in &measured.effect.interventions {
        line.option("intervene", spec);
    }
    Ok(line.into_string())
}

/// `moescope ablate MODEL --data … --expert … …`; without data where the command takes the embedded texts.
pub(crate) fn ablate(
    capture: &CaptureChoice,
    choice: &LiveChoice,
    device: DeviceChoice,
    cell: Cell,
) -> Result<String, &'static str> {
    let mut line = Line::new("ablate");
    line.word(&capture.model);
    line.device(device);
    if capture.held_out().is_none() {
        if capture.files.is_empty() {
            return Err("choose the texts first");
        }
        line.word("--data");
        for file in &capture.files {
            line.path(file);
        }
        capture::column_options(&mut line, capture);
    }
    line.option("expert", &cell.to_string());
    match choice.action {
        CellAction::Mask => {}
        CellAction::Zero => {
            line.word("--zero");
        }
        CellAction::Force => {
            line.word("--force");
        }
        CellAction::Boost => line.option("boost", &choice.boost.to_string()),
        CellAction::Swap => {
            return Err("choose mask, zero, force or boost; a swap has no controls");
        }
    }
    line.option("controls", &choice.controls.to_string());
    if choice.ablate_limit > 0 {
        line.option("limit", &choice.ablate_limit.to_string());
    }
    Ok(line.into_string())
}

/// Which of the likely tokens are drawn from, where not from all.
fn draw_options(line: &mut Line, top_k: usize, top_p: f32) {
    let plain = SamplingConfig::default();
    if top_k != plain.top_k {
        line.option("top-k", &top_k.to_string());
    }
    if top_p < plain.top_p {
        line.option("top-p", &top_p.to_string());
    }
}

#[cfg(test)]
mod tests {
    use moescope_core::{LayerId, PhaseSelection, Weighting};
    use moescope_pipeline::{TextEffect, session::BranchId};

    use super::*;
    use crate::lives::TextOrigin;

    #[test]
    fn only_what_differs_from_the_usual_is_said() {
        let path = Path::new("my trace");
        assert_eq!(
            measure(path, "jsd", &MeasureRequest::default()),
            "moescope measure 'my trace' jsd"
        );
        let request = MeasureRequest {
            scope: Scope {
                layers: "3".parse().unwrap(),
                phase: PhaseSelection::All,
                ..Scope::default()
            },
            contrast: Some(("math".into(), "law".into())),
            resamples: 200,
            permutations: 200,
            ..MeasureRequest::default()
        };
        assert_eq!(
            measure(Path::new("t"), "assignment_share", &request),
            "moescope measure t assignment_share --contrast math:law --layers 3 --phase all --resamples 200"
        );
    }

    #[test]
    fn an_expert_is_named_by_layer_and_number() {
        let cell = Cell {
            layer: LayerId(3),
            expert: 5,
        };
        assert_eq!(
            expert(
                Path::new("t"),
                cell,
                &MeasureRequest::default(),
                [12, 12, 12]
            ),
            "moescope expert t 3:5 --top 12 --contexts 12 --window 12"
        );
        let weighted = MeasureRequest {
            scope: Scope {
                layers: "2".parse().unwrap(),
                weighting: Weighting::Document,
                ..Scope::default()
            },
            match_on: vec!["length".to_owned().into()],
            ..MeasureRequest::default()
        };
        assert_eq!(
            expert(Path::new("t"), cell, &weighted, [12, 12, 12]),
            "moescope expert t 3:5 --top 12 --contexts 12 --window 12 --weighting document --match length"
        );
    }

    #[test]
    fn an_ablation_is_a_line_of_its_own() {
        let choice = LiveChoice::default();
        let auto = DeviceChoice::Auto;
        let capture = CaptureChoice {
            files: vec!["law.jsonl".into()],
            ..CaptureChoice::default()
        };
        let cell = Cell {
            layer: LayerId(3),
            expert: 5,
        };
        assert_eq!(
            ablate(&capture, &choice, auto, cell).unwrap(),
            "moescope ablate demo --data law.jsonl --expert 3:5 --controls 7 --limit 8"
        );
        // No texts: the embedded model has its own, others have none.
        let without = CaptureChoice::default();
        assert_eq!(
            ablate(&without, &choice, auto, cell).unwrap(),
            "moescope ablate demo --expert 3:5 --controls 7 --limit 8"
        );
        let other = CaptureChoice {
            model: "my-model".into(),
            ..without
        };
        assert!(ablate(&other, &choice, auto, cell).is_err());
    }

    #[test]
    fn an_effect_is_measured_on_the_same_tokens() {
        let mut measured = MeasuredEffect {
            branch: BranchId(0),
            origin: TextOrigin::Shown,
            model: "demo".into(),
            ids: vec![1, 27, 5],
            text: Some("The enzyme".into()),
            effect: TextEffect {
                interventions: vec!["mask:3:5".into(), "boost=2:1:0".into()],
                tokens: Vec::new(),
                layers: Vec::new(),
                mean_surprisal_change: None,
                mean_kl: 0.0,
            },
            by_change: Vec::new(),
        };
        let auto = DeviceChoice::Auto;
        assert_eq!(
            effect(&measured, auto).unwrap(),
            "moescope effect demo --text 'The enzyme' --intervene mask:3:5 --intervene boost=2:1:0"
        );
        measured.text = None;
        assert_eq!(
            effect(&measured, DeviceChoice::Cpu).unwrap(),
            "moescope effect demo --device cpu --token-ids 1,27,5 --intervene mask:3:5 --intervene boost=2:1:0"
        );
        measured.text = Some("a".repeat(LONGEST_WORD + 1));
        assert!(effect(&measured, auto).is_err());
    }
}
