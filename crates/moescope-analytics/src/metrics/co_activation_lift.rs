//! Co-activation against chance.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{CountedPairs, co_activation_lift, count_pairs},
};

/// How much more often than by chance two experts are chosen together.
pub(super) struct CoActivationLift;

impl Metric for CoActivationLift {
    fn about(&self) -> About {
        About {
            name: "co_activation_lift",
            title: "Co-activation beside chance",
            formula: "`lift` is N(i, j) N / (N(i) N(j)), over the mean of the hypergeometric null that keeps both loads; `lift_given_k` is N(i, j) over its mean among sets of exactly k experts with the same loads and otherwise as random as can be (conditional Poisson sampling); `z` is N(i, j) minus the hypergeometric mean, over its standard deviation; `phi` is the correlation of the two choices over tokens",
            unit: "ratio to chance; z in standard deviations, phi from −1 to 1",
            range: "lifts 0 upward, phi −1 to 1; an indifferent router gives lift_given_k 1, lift (k − 1) E / (k (E − 1)), phi −1 / (E − 1)",
            edge_cases: "Symmetric; NaN on the diagonal and for an expert without tokens. The plain lift and phi of most pairs are below chance for small k, only since choosing one expert leaves k − 1 places to the others: `lift_given_k` is free of that. z treats tokens as independent, which they are not within a document: it grows with the amount of text, and is here to compare with published values. A layer where every expert is always chosen has no lift_given_k.",
            uncertainty: "Percentile bootstrap over groups, or over random blocks of groups where a table per group would not fit; z has none, since it grows with the amount of text. p of lift_given_k from its standard error over groups, two-sided, for pairs expected in five tokens or more; q is the false discovery rate over layers × pairs. A contrast permutes labels over groups, q over all values.",
            citation: "Hypergeometric mean and variance: any textbook; conditional Poisson sampling: Chen, Dempster & Liu 1994, Biometrika 81, 457; the quantity compared: OLMoE, arXiv 2409.02060, equation 6.",
            inputs: &[Input::Routing, Input::Tokens],
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
        let about = self.about();
        let selection =
            Selection::new(data, request, about.name, progress)?.under_one_label(request);
        let counts = count_pairs(
            data,
            &selection,
            request,
            about.name,
            CountedPairs::All,
            progress,
        )?;
        let found = co_activation_lift(data, &selection, request, &about, &counts, progress)?;
        Ok(vec![found])
    }
}
