//! What of the reference counts where two traces are subtracted.

use moescope_core::{LabelFilter, PhaseSelection, PositionSelection};
use serde::{Deserialize, Serialize};

use super::MeasureRequest;
use crate::AnalyticsError;

/// What of the reference trace counts in a difference of traces, where it is not what the scope says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReferenceScope {
    /// Prefill, decode, or both; `None` is what the scope says.
    pub phase: Option<PhaseSelection>,
    /// Positions of tokens in their document; `None` is what the scope says.
    pub positions: Option<PositionSelection>,
    /// Only documents that have one of the labels of every filter, in place of the scope's filters; none is what the scope
    /// says.
    pub only: Vec<LabelFilter>,
}

impl ReferenceScope {
    /// Whether the scope says all there is to say of the reference.
    #[must_use]
    pub fn is_as_scope(&self) -> bool {
        *self == Self::default()
    }

    /// Whether other tokens of the reference count than the scope says.
    pub(crate) fn chooses_tokens(&self) -> bool {
        self.phase.is_some() || self.positions.is_some()
    }

    /// The parts that are not as the scope says, in words: `prefill, only where genre is abstract`.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut parts: Vec<String> = self.phase.iter().map(ToString::to_string).collect();
        if let Some(positions) = &self.positions {
            parts.push(format!("positions {positions}"));
        }
        if !self.only.is_empty() {
            let filters: Vec<String> = self.only.iter().map(LabelFilter::describe).collect();
            parts.push(format!("only where {}", filters.join(" and ")));
        }
        parts.join(", ")
    }
}

impl MeasureRequest {
    /// The request as it is asked of the reference.
    pub(crate) fn of_reference(&self) -> Self {
        let ReferenceScope {
            phase,
            positions,
            only,
        } = &self.reference;
        let mut request = Self {
            reference: ReferenceScope::default(),
            ..self.clone()
        };
        let scope = &mut request.scope;
        scope.phase = phase.unwrap_or(scope.phase);
        if let Some(positions) = positions {
            scope.positions.clone_from(positions);
        }
        if !only.is_empty() {
            scope.only.clone_from(only);
        }
        request
    }

    /// Refuses a scope of the reference's own where nothing is subtracted from it; `what` is what takes none.
    ///
    /// # Errors
    /// When the request has such a scope.
    pub fn refuse_reference_scope(&self, what: &str) -> Result<(), AnalyticsError> {
        if self.reference.is_as_scope() {
            return Ok(());
        }
        Err(AnalyticsError::Request(format!(
            "{what} has no scope of a reference (found {}); leave out --reference-phase, --reference-positions and --reference-only, which differences of metrics of one trace take, e.g. `moescope compare A B assignment_share`, and routing_drift",
            self.reference.describe()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_asked_by_its_own_scope_where_it_has_one() {
        let mut request = MeasureRequest::default();
        request.scope.phase = PhaseSelection::Decode;
        request.scope.positions = "4-".parse().unwrap();
        request.scope.only = vec!["genre=abstract".parse().unwrap()];
        assert_eq!(request.of_reference(), request);
        request.reference = ReferenceScope {
            phase: Some(PhaseSelection::Prefill),
            positions: Some("0-7".parse().unwrap()),
            only: vec!["discipline=chemistry,physics".parse().unwrap()],
        };
        let asked = request.of_reference();
        assert!(asked.reference.is_as_scope());
        assert_eq!(
            asked.scope.describe(),
            "prefill, positions 0-7, routed tokens, special and template tokens excluded, layers all, token weighting, only where discipline is chemistry or physics"
        );
        assert!(request.describe_scope().ends_with(
            "; reference: prefill, positions 0-7, only where discipline is chemistry or physics"
        ));
    }

    #[test]
    fn what_subtracts_nothing_refuses_it_and_says_what_takes_it() {
        let mut request = MeasureRequest::default();
        request.refuse_reference_scope("x").unwrap();
        request.reference.phase = Some(PhaseSelection::All);
        let error = request.refuse_reference_scope("x").unwrap_err().to_string();
        for words in [
            "x has no scope of a reference (found prefill and decode)",
            "--reference-phase",
            "compare A B assignment_share",
            "routing_drift",
        ] {
            assert!(error.contains(words), "'{words}' is not in: {error}");
        }
    }

    #[test]
    fn it_is_read_as_it_is_written_and_may_be_absent() {
        let old: MeasureRequest = serde_json::from_str(r#"{"by": "genre"}"#).unwrap();
        assert!(old.reference.is_as_scope());
        let text = r#"{"reference": {"phase": "decode", "positions": "16-", "only": []}}"#;
        let request: MeasureRequest = serde_json::from_str(text).unwrap();
        assert_eq!(request.reference.describe(), "decode, positions 16-");
        let again = serde_json::to_string(&request).unwrap();
        assert_eq!(
            serde_json::from_str::<MeasureRequest>(&again).unwrap(),
            request
        );
        let wrong = r#"{"reference": {"phrase": "decode"}}"#;
        assert!(serde_json::from_str::<MeasureRequest>(wrong).is_err());
    }
}
