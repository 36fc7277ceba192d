//! How alike the weights of two experts are.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{ComparedWeights, measure_weight_similarity},
};

/// Cosines between the matrices of experts.
pub(super) struct ExpertWeightSimilarity;

impl Metric for ExpertWeightSimilarity {
    fn about(&self) -> About {
        About {
            name: "expert_weight_similarity",
            title: "Similarity of expert weights",
            formula: "w_i · w_j / (|w_i| |w_j|), with w_i the entries of one matrix of expert i (`gate_proj`, `up_proj`, `down_proj`), or of all three (`concatenated`)",
            unit: "cosine",
            range: "−1 to 1; experts trained from independent starts have about 0, experts copied from one dense layer begin at 1",
            edge_cases: "Of the model's weights, not of a trace: needs --model, and takes from the trace only which layers and experts there are. Neurons are compared by their place: two experts that compute the same with neurons in another order have 0. Biases are left out. The diagonal is 1. Reads every expert's matrices, and large ones several times, so that few are in memory at once.",
            uncertainty: "None: weights are no sample of anything.",
            citation: "Lo et al., A Closer Look into Mixture-of-Experts, arXiv 2406.18219 (similarity of weight matrices).",
            inputs: &[Input::Weights],
            axes: &[
                AxisKind::Layer,
                AxisKind::Variant,
                AxisKind::Expert,
                AxisKind::ExpertB,
            ],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        measure_weight_similarity(
            data,
            request,
            &self.about(),
            ComparedWeights::Experts,
            progress,
        )
    }
}
