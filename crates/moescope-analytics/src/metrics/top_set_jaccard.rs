//! How alike the leading experts of two labels are.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, LoadMass, MeasureRequest, Metric, TraceData,
    inference::{TopSets, measure_top_sets},
    stats::{count::real, ranking::shared},
};

/// Jaccard index of every two labels' top-k experts.
pub(super) struct TopSetJaccard;

impl Metric for TopSetJaccard {
    fn about(&self) -> About {
        About {
            name: "top_set_jaccard",
            title: "Jaccard index of two labels' leading experts",
            formula: "|A ∩ B| / |A ∪ B|, where A and B are the k experts of either label with the largest mean router probability at the last counted token of a document; k is the model's",
            unit: "Jaccard index",
            range: "0 (no expert in common) to 1 (the same experts); the leading experts of unrelated labels share k²/E on average",
            edge_cases: "The published protocol of the standing committee; for the experts that are chosen most over all tokens use `--mass counts`. Every value but 0 and 1 moves in steps, and equal experts go by ascending number. The last counted token is content, not a special or template token, and with `--phase prefill` the last of the given text. A note gives the mean and the least over layers and pairs. Symmetric; the diagonal is 1 and has neither interval nor null. Refused where the trace holds no router probabilities, unless `--mass counts` is asked for. NaN where a label has no tokens at a layer.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label: resampled sets are less alike than the observed ones. Null: the labels of the two sides permuted over their groups, two-sided, q over layers × pairs.",
            citation: "arXiv 2601.03425, equation 13 and table 4.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::GroupB],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let sets = TopSets {
            about: self.about(),
            mass: request.mass.unwrap_or(LoadMass::LastProbabilities),
            evaluate: &|a, b| {
                let common = shared(a, b);
                real(common) / real(a.len() + b.len() - common)
            },
            most: 1.0,
        };
        measure_top_sets(data, request, &sets, progress)
    }
}
