//! How much of the variance of routing goes with label, token, position, length and document.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::measure_variance_partition,
};

/// Shares of the variance of single choices that factors explain alone, in order and last.
pub(super) struct VariancePartition;

impl Metric for VariancePartition {
    fn about(&self) -> About {
        About {
            name: "variance_partition",
            title: "Share of the variance of routing by factor",
            formula: "Every token is a vector y of E indicators, k of them 1; its variance around the mean is Σ |y − ȳ|². A factor's share is the sum of squares that it explains in a least-squares fit of main effects, over that total. Factors: token id, position (ranges 0–15, 16–63, … by a factor of four), length (bins of a factor of √2), the other one of discipline and genre, the label, the document. `alone`: no other factor; `in_order`: after those before it, these sum to 1 with `residual`; `last`: after all others but the document, which determines label, genre and length",
            unit: "share of variance",
            range: "0 to 1; an indifferent router gives each factor about its number of levels over the number of tokens",
            edge_cases: "Exact for all factors but `document_in_order`, which is the variance between documents' means of what the others leave: a lower bound. Factors with one level are left out. Factors overlap, so `alone` shares do not sum to 1, and `last` is 0 where a factor follows from others. Needs token ids.",
            uncertainty: "`alone` of the label: bias-corrected percentile bootstrap over groups within label; null: labels permuted over groups, one-sided, q over layers. `beyond_the_rest`: the label's share of what all other factors leave (token id and the rest fitted once), minus its mean over labels permuted over groups, with p and a bootstrap interval; a lower bound of `last`, which has neither.",
            citation: "Anderson 2001 (PERMANOVA) and Legendre and Anderson 1999 (dbRDA) with Euclidean distances of choices; Borcard, Legendre and Drapeau 1992 for the partition; Freedman and Lane 1983 for permuting residuals.",
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
        measure_variance_partition(data, request, &self.about(), progress)
    }
}
