//! Whether paths tell tokens apart better than single experts do.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData, inference::measure_path_purity,
};

/// Purity of token ids given the path, and given the first choice at one layer.
pub(super) struct PathPurity;

impl Metric for PathPurity {
    fn about(&self) -> About {
        About {
            name: "path_purity",
            title: "Purity of tokens given path or expert",
            formula: "Σ_c max_x N(c, x) / Σ_c N(c) over clusters c that hold two tokens or more, with x the token's id; a cluster is a path (a token's first choices at all layers of the scope) for `path`, and a first choice at one layer for `expert`, which is the mean over layers",
            unit: "share of tokens that are the most frequent id of their cluster",
            range: "share of the most frequent id (clusters say nothing) to 1",
            edge_cases: "More clusters are purer by chance, and a path of two tokens is at least half pure: only the differences from the shuffled mean (`_minus_shuffled`) can be compared, and those of paths are for the tokens that share a path at all, whose part `repeated` is. A few layers (--layers 4-7) leave more of them. Refused where the trace does not say which expert is the heaviest.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label; of `_minus_shuffled` the bootstrap's spread around the corrected value. Null: ids shuffled over the counted tokens of each document, one-sided, q over labels × path and expert. No contrast: the bias depends on how much text a label has.",
            citation: "Polysemantic Experts, Monosemantic Paths, arXiv 2604.17837 (paths as units); purity: Manning, Raghavan & Schütze 2008, Introduction to Information Retrieval, section 16.3.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Group, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        measure_path_purity(data, request, &self.about(), progress)
    }
}
