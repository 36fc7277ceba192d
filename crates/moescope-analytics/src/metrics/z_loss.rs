//! How large router logits are.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::DecisionNeeds,
    inference::{TokenMean, measure_token_mean},
};

/// Router z-loss of a layer, without its coefficient.
pub(super) struct ZLoss;

impl Metric for ZLoss {
    fn about(&self) -> About {
        About {
            name: "z_loss",
            title: "Router z-loss without its coefficient",
            formula: "mean over tokens of (ln Σ_e exp z(e))², where z are the router's logits",
            unit: "nats squared",
            range: "0 upward; logits of 0 give (ln E)²",
            edge_cases: "Of the logits as the router gives them, before any bias for selection. Refused where the trace does not hold ln Σ exp(z).",
            uncertainty: "Percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "Zoph et al., ST-MoE, arXiv 2202.08906, equation 5.",
            inputs: &[Input::Routing],
            axes: &[AxisKind::Layer, AxisKind::Group],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let mean = TokenMean {
            about: self.about(),
            needs: DecisionNeeds {
                logsumexp: true,
                ..DecisionNeeds::of(&request.scope)
            },
            value: &|decisions, row| f64::from(decisions.logsumexp[row]).powi(2),
            reference: None,
        };
        measure_token_mean(data, request, mean, progress)
    }
}
