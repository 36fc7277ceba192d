//! How strongly label and expert are associated.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{Association, BiasScale, measure_association},
    stats::information::cramers_v,
};

/// Cramér's V of label and expert.
pub(super) struct CramersV;

impl Metric for CramersV {
    fn about(&self) -> About {
        About {
            name: "cramers_v",
            title: "Cramér's V of label and expert",
            formula: "√(χ² / (N min(L − 1, E − 1))), where χ² is that of the table of L labels × E experts of assignments and N their number; with equal prior weights (the default) every label's row is scaled to the same sum first",
            unit: "Cramér's V",
            range: "0 (the label does not matter) to 1 (the label and the expert tell each other)",
            edge_cases: "χ² is a description here, not a test: tokens of one document are alike, so the χ² distribution would find everything significant; p comes from permuting the labels of groups instead. Variant `plug_in` is the estimate as it is, biased upward; variant `minus_permutation_mean` is √(V² − mean of V² over permuted labels), 0 where that is negative: the bias adds to V² and not to V (`--bias none` leaves it out; Miller and Madow's correction is for entropies, and refused). Experts that nobody chooses do not count among the E. NaN where a label has no tokens at a layer.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label for `plug_in`; for `minus_permutation_mean` the quantiles of the resamples around their own mean, on the scale of V². Null: labels permuted over groups, one-sided, q over layers.",
            citation: "Cramér 1946, Mathematical Methods of Statistics, section 21.9.",
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
        let association = Association {
            about: &self.about(),
            value: &|mass, experts| cramers_v(mass, experts, request.prior),
            most: |_, _| 1.0,
            less_biased: None,
            bias_adds_to: BiasScale::Square,
        };
        measure_association(data, request, &association, progress)
    }
}
