//! How much the second expert of a token matters beside the first.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::DecisionNeeds,
    inference::{TokenDistribution, measure_token_distribution},
    stats::histogram::Bins,
};

/// Distribution of the second largest weight over the largest.
pub(super) struct WeightRatio;

impl Metric for WeightRatio {
    fn about(&self) -> About {
        About {
            name: "weight_ratio",
            title: "Second weight over the first",
            formula: "mean and quantiles over tokens of w_2 / w_1, where w_1 and w_2 are the largest and second largest of a token's k weights",
            unit: "fraction of the first weight",
            range: "0 (the first expert alone) to 1 (equal weights)",
            edge_cases: "Weights are ranked by value, so the order of experts in the trace does not matter. Quantiles, the median among them, are read from fixed bins 0.01 wide, linear within a bin. A token whose weights are all 0 counts for nothing. Refused for top-1 models and where the trace holds no weights.",
            uncertainty: "Percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "Lu et al., Not All Experts are Equal, arXiv 2402.14800, whose dynamic skipping drops the second expert of Mixtral below the layer's median ratio.",
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
        let about = self.about();
        if data.model().top_k < 2 {
            return Err(AnalyticsError::TooLittle {
                metric: about.name.to_owned(),
                found: "the model chooses one expert per token".to_owned(),
                help: "measure topk_mass, or selection_margin".to_owned(),
            });
        }
        let ratio = TokenDistribution {
            about,
            name: "second weight over the first",
            needs: DecisionNeeds {
                weights: true,
                ..DecisionNeeds::of(&request.scope)
            },
            bins: Bins::unit_interval(100),
            value: &|decisions, row| ratio(decisions.weights(row)),
        };
        Ok(vec![measure_token_distribution(
            data, request, ratio, progress,
        )?])
    }
}

/// The second largest weight over the largest; NaN where that is 0.
fn ratio(weights: &[f32]) -> f64 {
    let (mut first, mut second) = (0.0_f32, 0.0_f32);
    for weight in weights {
        if *weight > first {
            (first, second) = (*weight, first);
        } else {
            second = second.max(*weight);
        }
    }
    f64::from(second) / f64::from(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_ranked_by_value() {
        assert!((ratio(&[0.25, 0.5, 0.125]) - 0.5).abs() < 1e-12);
        assert!((ratio(&[0.5, 0.5]) - 1.0).abs() < 1e-12);
        assert!(ratio(&[0.0, 0.0]).is_nan());
    }
}
