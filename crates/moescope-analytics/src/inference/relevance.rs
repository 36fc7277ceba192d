//! How much each expert matters to a label, per token: the scores by which experts are chosen for fine-tuning.

use moescope_core::{Progress, Weighting};

use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{ProfileColumn, Selection},
    stats::units::UnitTable,
};

/// One of ESFT's two scores of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relevance {
    /// The expert's weight, 0 where it is not chosen, as a mean over tokens.
    Gate,
    /// The tokens that choose the expert, over k.
    Token,
}

impl Relevance {
    /// The cumulative score at which the paper's sets are complete.
    pub(crate) fn published_threshold(self) -> f64 {
        match self {
            Self::Gate => 0.1,
            Self::Token => 0.2,
        }
    }

    /// Scores `[experts]` from a label's sums `[experts + 1]`, the last of which counts tokens; NaN without a token.
    pub(crate) fn scores(self, sums: &[f64], top_k: u16, scores: &mut [f64]) {
        let Some((tokens, sums)) = sums.split_last() else {
            return;
        };
        let per_token = match self {
            Self::Gate => 1.0,
            Self::Token => f64::from(top_k),
        };
        for (score, sum) in scores.iter_mut().zip(sums) {
            *score = sum / (per_token * tokens);
        }
    }
}

/// Sums of weights or choices of every expert, and tokens, `[layers, units, experts + 1]`.
///
/// Under document weighting every document counts as one token.
pub(crate) fn relevance_table(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    relevance: Relevance,
    metric: &str,
    progress: &dyn Progress,
) -> Result<UnitTable, AnalyticsError> {
    let scope = &request.scope;
    let tensor = |column| data.tensor_in(column, scope, metric, progress);
    let sums = tensor(match relevance {
        Relevance::Gate => ProfileColumn::WeightSum,
        Relevance::Token => ProfileColumn::Counts,
    })?;
    let tokens = tensor(ProfileColumn::Tokens)?;
    Ok(
        selection.unit_table(sums.columns() + 1, |document, layer, row| {
            let tokens = tokens.row(document, layer)[0];
            let weight = match scope.weighting {
                Weighting::Token => 1.0,
                Weighting::Document if tokens > 0.0 => 1.0 / tokens,
                Weighting::Document => 0.0,
            };
            let values = sums.row(document, layer).iter().chain([&tokens]);
            for (target, value) in row.iter_mut().zip(values) {
                *target = weight * value;
            }
        }),
    )
}
