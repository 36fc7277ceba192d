//! Which experts the tokens of one text chose, while it is being written.

use moescope_core::{Axis, AxisKind, LayerId, Measurement, Protocol};

use super::text_protocol::text_protocol;
use crate::{AnalyticsError, LabelReference, stats::number::as_f64};

/// Assignments of some tokens of one text to the experts of every layer.
///
/// [`Self::measure`] is the `assignment_share` of a trace of the same tokens; the differences are its contrasts. Units and
/// edge cases are that metric's: shares of assignments, which sum to 1 over a layer's experts, or to 0 where they are
/// differences, and NaN where there is no assignment. One text is one group, so there is no interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextAssignments {
    /// The MoE layers, in the model's numbering.
    pub layers: Vec<LayerId>,
    /// Experts per layer.
    pub num_experts: usize,
    /// Assignments, `[layers × experts]`.
    pub counts: Vec<u32>,
    /// Tokens that were counted.
    pub tokens: u64,
    /// Which tokens these are, in words: `the reply`.
    pub scope: String,
}

impl TextAssignments {
    /// c(e) / `Σ_e c(e)` for every expert of every layer, `[layers × experts]`, with c the assignments; NaN at a layer without
    /// one.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let of_layer = |counts: &[u32]| {
            let total: f64 = counts.iter().map(|n| f64::from(*n)).sum();
            let shares = counts.iter().map(|n| f64::from(*n) / total);
            shares.collect::<Vec<f64>>()
        };
        let layers = self.counts.chunks(self.num_experts.max(1));
        layers.flat_map(of_layer).collect()
    }

    /// The shares as a measurement, beside the 1/E of an indifferent router.
    #[must_use]
    pub fn measure(&self) -> Measurement {
        let even = 1.0 / as_f64(self.num_experts);
        self.measurement(self.shares(), self.scope.clone(), self.tokens, even)
    }

    /// The shares minus those of other tokens of the same text.
    ///
    /// # Errors
    /// When the other tokens went through other layers or experts.
    pub fn minus(&self, other: &Self) -> Result<Measurement, AnalyticsError> {
        self.check_routers(other)?;
        let scope = format!("{} minus {}", self.scope, other.scope);
        let tokens = self.tokens + other.tokens;
        Ok(self.measurement(self.less(&other.shares()), scope, tokens, 0.0))
    }

    /// The shares minus those of the same part of another text: whose experts the tokens of two prompts or replies choose
    /// more often. Two texts have no documents to pair.
    ///
    /// # Errors
    /// When the other text was written by a model with other layers or experts.
    pub fn minus_text(&self, other: &Self) -> Result<Measurement, AnalyticsError> {
        self.check_routers(other)?;
        let tokens = self.tokens + other.tokens;
        let scope = self.scope.clone();
        let found = self.measurement(self.less(&other.shares()), scope, tokens, 0.0);
        Ok(Measurement {
            title: format!("{}, one line minus the other", found.title),
            protocol: Protocol {
                scope: format!("{} of two lines", self.scope),
                interval_method: "no interval: each line is one text".to_owned(),
                n_documents: 2,
                n_groups: 2,
                ..found.protocol
            },
            ..found
        })
    }

    /// The shares minus those of a label's documents.
    ///
    /// # Errors
    /// When the reference is of a model with other layers or experts, or has no such label.
    pub fn minus_label(
        &self,
        reference: &LabelReference,
        label: &str,
    ) -> Result<Measurement, AnalyticsError> {
        if !reference.has_routers(&self.layers, self.num_experts) {
            return Err(AnalyticsError::Request(
                "the trace that labels are taken from has other layers or experts than this model; open a trace of this model"
                    .to_owned(),
            ));
        }
        let of_label = reference.shares(label);
        let of_label = of_label.ok_or_else(|| AnalyticsError::UnknownLabel {
            label: label.to_owned(),
            by: reference.calibration.protocol.by.clone(),
            available: reference.labels.clone(),
        })?;
        let scope = format!("{} minus documents of {label}", self.scope);
        Ok(self.measurement(self.less(&of_label), scope, self.tokens, 0.0))
    }

    /// The shares minus others, `[layers × experts]`.
    fn less(&self, others: &[f64]) -> Vec<f64> {
        let pairs = self.shares().into_iter().zip(others);
        pairs.map(|(share, other)| share - other).collect()
    }

    fn check_routers(&self, other: &Self) -> Result<(), AnalyticsError> {
        if (&self.layers, self.num_experts) == (&other.layers, other.num_experts) {
            return Ok(());
        }
        Err(AnalyticsError::Request(
            "the two lines are of models with other layers or experts; compare lines of one model"
                .to_owned(),
        ))
    }

    fn measurement(
        &self,
        values: Vec<f64>,
        scope: String,
        tokens: u64,
        reference: f64,
    ) -> Measurement {
        let (layers, experts) = (self.layers.iter(), 0..self.num_experts);
        Measurement {
            metric: "assignment_share".to_owned(),
            title: format!("Assignment share of {scope}"),
            unit: "share of assignments".to_owned(),
            axes: vec![
                Axis::new(AxisKind::Layer, layers.map(ToString::to_string).collect()),
                Axis::new(AxisKind::Expert, experts.map(|e| e.to_string()).collect()),
            ],
            values,
            intervals: None,
            nulls: None,
            reference: Some(reference),
            protocol: text_protocol(scope, tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two layers of three experts, one expert a token.
    fn assignments(counts: [u32; 6], tokens: u64, scope: &str) -> TextAssignments {
        TextAssignments {
            layers: vec![LayerId(1), LayerId(3)],
            num_experts: 3,
            counts: counts.to_vec(),
            tokens,
            scope: scope.to_owned(),
        }
    }

    fn check(found: &Measurement, expected: [f64; 6], reference: f64) {
        found.check().unwrap();
        for (found, expected) in found.values.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert!((found.reference.unwrap() - reference).abs() < 1e-12);
    }

    #[test]
    fn counts_are_shares_of_their_layer() {
        let reply = assignments([3, 1, 0, 0, 0, 4], 4, "the reply");
        let measured = reply.measure();
        check(&measured, [0.75, 0.25, 0.0, 0.0, 0.0, 1.0], 1.0 / 3.0);
        assert_eq!(measured.title, "Assignment share of the reply");
        assert_eq!(measured.axes[0].labels, ["1", "3"]);
        assert_eq!(measured.protocol.n_tokens, 4);
        let nothing = assignments([0; 6], 0, "the reply").measure();
        assert!(nothing.values.iter().all(|share| share.is_nan()));
    }

    #[test]
    fn differences_name_what_is_taken_away() {
        let reply = assignments([3, 1, 0, 0, 0, 4], 4, "the reply");
        let prompt = assignments([1, 0, 1, 1, 1, 0], 2, "the prompt");
        let values = [0.25, 0.25, -0.5, -0.5, -0.5, 1.0];
        let found = reply.minus(&prompt).unwrap();
        check(&found, values, 0.0);
        assert!(found.title.ends_with("the reply minus the prompt"));
        let sizes = |found: &Measurement| (found.protocol.n_tokens, found.protocol.n_documents);
        assert_eq!(sizes(&found), (6, 1));
        let found = reply.minus_text(&prompt).unwrap();
        check(&found, values, 0.0);
        assert!(found.title.ends_with("one line minus the other"));
        assert_eq!(sizes(&found), (6, 2));
    }

    #[test]
    fn other_routers_are_refused() {
        let reply = assignments([3, 1, 0, 0, 0, 4], 4, "the reply");
        let other = TextAssignments {
            layers: vec![LayerId(1), LayerId(2)],
            ..reply.clone()
        };
        for found in [reply.minus(&other), reply.minus_text(&other)] {
            let error = found.unwrap_err().to_string();
            assert!(error.contains("compare lines of one model"), "{error}");
        }
    }
}
