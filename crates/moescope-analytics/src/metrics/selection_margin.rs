//! By how much the last chosen expert beats the first that is left out.

use moescope_core::{AxisKind, DecisionStats, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DecisionNeeds, DocumentDecisions},
    inference::{TokenDistribution, measure_token_distribution},
    stats::histogram::Bins,
};

/// Distribution of the margin of decisions, and of the lead of the first expert.
pub(super) struct SelectionMargin;

impl Metric for SelectionMargin {
    fn about(&self) -> About {
        About {
            name: "selection_margin",
            title: "Margin of the selection",
            formula: "mean and quantiles over tokens of s_k − s_(k+1), where s are the selection scores in falling order",
            unit: "selection score",
            range: "0 (a tie) upward; negative where an intervention forced an expert",
            edge_cases: "What the score is (logit, probability, with a bias or not) is told in the manifest (`scores.margin_of`). A second table has p_1 − p_2, the lead of the most likely expert, where the trace holds router logits; a note says where it does not. Quantiles are read from fixed bins, 15 % wide for margins (negative ones count as 0 there) and 0.01 for p_1 − p_2, linear within a bin. NaN where every expert is chosen. Refused where the trace holds no margins.",
            uncertainty: "Percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "The decision margin as in our docs/COMPARE_WEIGHTS.md: decisions with small margins flip first under rounding.",
            inputs: &[Input::Routing],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let margin = TokenDistribution {
            about: self.about(),
            name: "margin",
            needs: DecisionNeeds {
                margin: true,
                ..DecisionNeeds::of(&request.scope)
            },
            bins: Bins::octaves(-14, 6, 5),
            value: &|decisions, row| f64::from(decisions.margin[row]),
        };
        let mut margin = measure_token_distribution(data, request, margin, progress)?;
        let gating = &data.model().gating;
        let lead = TokenDistribution {
            about: About {
                title: "Lead of the most likely expert, p1 − p2",
                unit: "probability",
                ..self.about()
            },
            name: "lead of the first probability",
            needs: DecisionNeeds {
                logits: true,
                ..DecisionNeeds::of(&request.scope)
            },
            bins: Bins::unit_interval(100),
            value: &|decisions: &DocumentDecisions<'_>, row| {
                let probabilities = DecisionStats::probabilities(decisions.logits(row), gating);
                lead(&probabilities)
            },
        };
        match measure_token_distribution(data, request, lead, progress) {
            Ok(lead) => Ok(vec![margin, lead]),
            Err(AnalyticsError::MissingInput { missing, .. }) => {
                margin.protocol.notes.push(format!(
                    "p1 − p2 is left out: the trace does not hold {missing}"
                ));
                Ok(vec![margin])
            }
            Err(error) => Err(error),
        }
    }
}

/// The largest minus the second largest; NaN of a single one.
fn lead(probabilities: &[f64]) -> f64 {
    let (mut first, mut second) = (f64::NAN, f64::NAN);
    for p in probabilities {
        // Comparisons with NaN are false, so the first values enter by `max`.
        if first.is_nan() || *p > first {
            (first, second) = (*p, first);
        } else {
            second = second.max(*p);
        }
    }
    first - second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_is_between_the_two_largest() {
        assert!((lead(&[0.2, 0.5, 0.3]) - 0.2).abs() < 1e-12);
        assert!((lead(&[0.5, 0.2, 0.3]) - 0.2).abs() < 1e-12);
        assert!(lead(&[0.4, 0.4, 0.2]).abs() < 1e-12);
        assert!(lead(&[1.0]).is_nan());
    }
}
