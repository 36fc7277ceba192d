//! Which experts a router tells apart least.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{ComparedWeights, measure_weight_similarity},
};

/// Cosines between the router's rows.
pub(super) struct RouterSimilarity;

impl Metric for RouterSimilarity {
    fn about(&self) -> About {
        About {
            name: "router_similarity",
            title: "Similarity of router rows",
            formula: "r_i · r_j / (|r_i| |r_j|), with r_i the row of the router's weight matrix that scores expert i",
            unit: "cosine",
            range: "−1 to 1; random rows of a stream H wide have 0 ± 1/√H",
            edge_cases: "Of the model's weights, not of a trace: needs --model, and takes from the trace only which layers and experts there are. Two rows that point alike are not always chosen together: inputs also have a mean, and routers a bias, which are not part of it. The diagonal is 1.",
            uncertainty: "None: weights are no sample of anything.",
            citation: "Lo et al., A Closer Look into Mixture-of-Experts, arXiv 2406.18219 (gate embeddings).",
            inputs: &[Input::Weights],
            axes: &[AxisKind::Layer, AxisKind::Expert, AxisKind::ExpertB],
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
            ComparedWeights::Router,
            progress,
        )
    }
}
