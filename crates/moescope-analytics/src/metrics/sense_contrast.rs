//! Whether routing follows a word's sense.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::measure_sense_contrast,
};

/// Overlap of experts within pairs of one sense minus that within pairs of two senses.
pub(super) struct SenseContrast;

impl Metric for SenseContrast {
    fn about(&self) -> About {
        About {
            name: "sense_contrast",
            title: "Routing by sense: same minus different",
            formula: "the overlap |A ∩ B| / k of the experts of two samples' target tokens; `same` is its mean over pairs of one sense, `different` over pairs of two senses, `contrast` is same − different, and `cohens_d` is the contrast over the pooled standard deviation of the overlaps",
            unit: "share of the k experts; cohens_d in standard deviations",
            range: "same and different 0 to 1, an indifferent router gives k/E; contrast −1 to 1, 0 where sense does not matter",
            edge_cases: "Needs label columns of the samples: `pair` links two samples (as in Word-in-Context data), and `sense` holds a value that is equal within a pair exactly where the word has one sense (T and F do not: give each sample its sense, or both samples of a same-sense pair one value and those of the others two). `target`, where present, is the word, and the last counted token of its first occurrence is compared; without it the last counted token of each sample. Keep the columns when capturing (--keep-columns sense,target). Pairs of one sample, or of more than two, are left out with a note; so are samples without their target.",
            uncertainty: "Percentile bootstrap over pairs within same and different. Null of the contrast and d: same and different permuted over pairs, two-sided, q over layers × both. --by and --contrast are not used.",
            citation: "Probing semantic routing in large mixture-of-expert models, arXiv 2502.10928 (overlap of experts on Word-in-Context pairs).",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        measure_sense_contrast(data, request, &self.about(), progress)
    }
}
