//! How much the expert tells about the label.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{Dependence, measure_dependence},
};

/// Mutual information between label and expert.
pub(super) struct MutualInformation;

impl Metric for MutualInformation {
    fn about(&self) -> About {
        About {
            name: "mutual_information",
            title: "Mutual information of label and expert",
            formula: "I(D; e) = H(Σ_D π(D) s_D) − Σ_D π(D) H(s_D) in bits, where s_D is the `assignment_share` of label D and π the prior over labels: equal by default, or by mass (tokens)",
            unit: "bits",
            range: "0 (the label does not matter) to the smaller of H(label) and log2 E",
            edge_cases: "Variant `plug_in` is the estimate as it is, biased upward; variant `minus_permutation_mean` subtracts the mean over permuted labels, 0 on average where the label does not matter. `--bias miller-madow` gives `minus_miller_madow` in its place (the bias of independent assignments, with each label's number of them fixed), `--bias none` neither. NaN where a label has no tokens at a layer.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label for `plug_in`; for `minus_permutation_mean` the quantiles of the resamples around their own mean. Null: labels permuted over groups, one-sided, q over layers.",
            citation: "Shannon 1948; the permutation mean as bias correction: François et al. 2006 (ESANN), and Vinh, Epps and Bailey 2010 (JMLR 11, 2837) for the adjustment for chance.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let dependence = Dependence {
            about: self.about(),
            value: |information| information.bits,
            most: |labels, experts| labels.log2().min(experts.log2()),
        };
        measure_dependence(data, request, &dependence, progress)
    }
}
