//! How many paths through the layers tokens take.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::measure_path_entropy,
};

/// Entropy of the paths of first choices, beside models that know less.
pub(super) struct PathEntropy;

impl Metric for PathEntropy {
    fn about(&self) -> About {
        About {
            name: "path_entropy",
            title: "Entropy of paths through the layers",
            formula: "H(path) in bits, where a path is a token's first choices at all layers of the scope; `independent` is Σ_l H(e_l), `markov` is H(e_1) + Σ_l H(e_l+1 | e_l); `_same_n` are plug-in entropies of as many paths drawn from either model; the second table counts paths: those that occur, and 2^H of the observed and of the drawn ones",
            unit: "bits; second table: paths",
            range: "0 to log2 of the number of tokens, whatever the router; an indifferent router has L log2 E before that limit",
            edge_cases: "The plug-in value is biased downward, and no number of tokens makes a sample of 64^16 paths: compare observed with `_same_n`, which have the same bias, not with the models' own entropies. `miller_madow` adds (K − 1) / (2 N ln 2) for K paths, far too little where most paths occur once; a note says how many tokens are alone on their path. A few layers (--layers 4-7) say more than all. Tokens without a decision at every layer are left out. `_same_n` is NaN beyond 50 million draws. Refused where the trace does not say which expert is the heaviest.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label, of the observed value and its effective paths; the models have none. No contrast: the bias depends on how much text a label has.",
            citation: "Paths as units: Polysemantic Experts, Monosemantic Paths, arXiv 2604.17837; Miller 1955 (bias).",
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
        measure_path_entropy(data, request, &self.about(), progress)
    }
}
