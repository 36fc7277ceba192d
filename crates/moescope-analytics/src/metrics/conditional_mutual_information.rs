//! How much the expert tells about the label beyond what the token tells.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::measure_conditional_dependence,
};

/// Mutual information between label and expert given the token id, or other variables.
pub(super) struct ConditionalMutualInformation;

impl Metric for ConditionalMutualInformation {
    fn about(&self) -> About {
        About {
            name: "conditional_mutual_information",
            title: "Mutual information of label and expert within equal tokens",
            formula: "I(D; e | Z) = Σ p(D, z, e) log2 (p(e | D, z) / p(e | z)), where e is an assignment, D the label with the prior of `mutual_information`, and Z what `--given` names: the token id by default; position (ranges 0–15, 16–63, … by a factor of four), length (bins of a factor of √2), any label column, or several of them jointly",
            unit: "bits",
            range: "0 (equal tokens are routed alike whatever the label) to the smaller of H(label) and log2 E; never compare with `mutual_information` without its bias subtracted from both",
            edge_cases: "Token weighting only. Values of Z that occur under one label count as 0; a note gives their share. Variant `plug_in` is strongly biased upward, since most tokens are rare; `minus_permutation_mean` (or `minus_miller_madow` with `--bias`) is the estimate. Documents without a value of Z are left out. Missing token ids are an error.",
            uncertainty: "Null: labels permuted over groups within each value of Z, one-sided, q over layers; fewer permutations than asked for where each takes long, which a note says. Interval of the corrected value: percentile bootstrap over groups within label of the sums of pointwise information, as in a linearisation.",
            citation: "Conditional mutual information: Cover and Thomas 2006, section 2.5; permutation within strata as of Birch 1965 and Mantel and Haenszel 1959; the question is OpenMoE's, arXiv 2402.01739 (routing by token id).",
            inputs: &[Input::Profiles, Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        measure_conditional_dependence(data, request, &self.about(), progress)
    }
}
