//! Token ids against experts: how an expert's tokens and a token's experts are told from one another.

use moescope_core::Weighting;

use super::{
    cells::{CellCounting, CellSource, CellTable, Sink, for_cell_tables},
    token_classes::{TokenClass, UNKNOWN},
};
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{DocumentDecisions, Selection},
};

/// Occurrences below which a token is not listed and not part of a mean, as in `OLMoE`'s lists.
pub(crate) const FEWEST_OCCURRENCES: f64 = 10.0;

/// Tells each counted token's class and every one of its experts, at each layer of a selection.
pub(crate) fn tell_experts(
    decisions: &DocumentDecisions<'_>,
    values: &[u32],
    layer_places: &[Option<usize>],
    sink: &mut Sink<'_>,
) {
    for row in decisions.counted_rows() {
        let value = values[decisions.token(row)];
        if let (Some(layer), true) = (layer_places[decisions.layer(row)], value != UNKNOWN) {
            for expert in decisions.experts(row) {
                sink(layer, u64::from(value), u32::from(*expert));
            }
        }
    }
}

/// Refuses weights that would make counts of occurrences fractions.
pub(crate) fn needs_token_weighting(
    request: &MeasureRequest,
    metric: &str,
) -> Result<(), AnalyticsError> {
    if request.scope.weighting == Weighting::Document {
        return Err(AnalyticsError::Request(format!(
            "{metric} counts occurrences of tokens, which have one weight each; use --weighting token"
        )));
    }
    Ok(())
}

/// How a token's occurrences spread over the experts of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TokenUse {
    /// Entry of the vocabulary.
    pub(crate) id: u32,
    /// Occurrences with the expert.
    pub(crate) count: f64,
    /// Occurrences.
    pub(crate) occurrences: f64,
}

impl TokenUse {
    /// The share of its occurrences that choose the expert.
    pub(crate) fn share(&self) -> f64 {
        self.count / self.occurrences
    }
}

/// Every token that chose each expert of a layer, `[experts]`.
pub(crate) fn tokens_of_experts(
    cells: &CellTable,
    experts: usize,
    top_k: f64,
) -> Vec<Vec<TokenUse>> {
    let mut found = vec![Vec::new(); experts];
    let sums = cells.observed.sums();
    for (id, columns, counts) in cells.observed.rows(&sums) {
        let occurrences = counts.iter().sum::<f64>() / top_k;
        for (expert, count) in columns.iter().zip(counts) {
            found[*expert as usize].push(TokenUse {
                id: u32::try_from(id).expect("rows are token ids"),
                count: *count,
                occurrences,
            });
        }
    }
    found
}

/// The tokens with the largest share of their occurrences, of those that occur often enough; the more frequent first where equal.
pub(crate) fn by_share(tokens: &[TokenUse], most: usize) -> Vec<TokenUse> {
    let mut listed: Vec<TokenUse> = tokens
        .iter()
        .filter(|token| token.occurrences >= FEWEST_OCCURRENCES)
        .copied()
        .collect();
    listed.sort_by(|a, b| {
        b.share()
            .total_cmp(&a.share())
            .then(b.count.total_cmp(&a.count))
            .then(a.id.cmp(&b.id))
    });
    listed.truncate(most);
    listed
}

/// The most frequent tokens.
pub(crate) fn by_count(tokens: &[TokenUse], most: usize) -> Vec<TokenUse> {
    let mut listed = tokens.to_vec();
    listed.sort_by(|a, b| b.count.total_cmp(&a.count).then(a.id.cmp(&b.id)));
    listed.truncate(most);
    listed
}

/// Shows the token–expert counts of every layer of a pooled selection for one class.
pub(crate) fn for_vocabulary_tables(
    source: CellSource<'_>,
    classes: &[TokenClass],
    visit: &mut dyn FnMut(CellTable) -> Result<(), AnalyticsError>,
) -> Result<(), AnalyticsError> {
    let places = source.selection.layer_places(source.data);
    let counting = CellCounting {
        classes,
        tables: source.selection.layers.len(),
        counts_per_token: counts_per_token(source.data, source.selection),
        tell: &|decisions, values, sink| tell_experts(decisions, values, &places, sink),
    };
    for_cell_tables(source, &counting, 0, visit)
}

/// Counts that a token makes: one per layer and expert.
pub(crate) fn counts_per_token(data: &TraceData, selection: &Selection) -> usize {
    selection.layers.len() * usize::from(data.model().top_k)
}

/// Whether an error says that the model's predictions are not known.
pub(crate) fn lacks_predictions(error: &AnalyticsError) -> bool {
    matches!(error, AnalyticsError::MissingInput { missing, .. } if missing == "predicted tokens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_by_share_above_ten_occurrences_or_by_count() {
        let token = |id, count, occurrences| TokenUse {
            id,
            count,
            occurrences,
        };
        // A token seen once is always with its experts; it is no finding.
        let tokens = [
            token(1, 1.0, 1.0),
            token(2, 9.0, 10.0),
            token(3, 18.0, 20.0),
            token(4, 30.0, 60.0),
        ];
        let ids = |tokens: Vec<TokenUse>| tokens.iter().map(|t| t.id).collect::<Vec<_>>();
        assert_eq!(ids(by_share(&tokens, 5)), [3, 2, 4]);
        assert_eq!(ids(by_count(&tokens, 2)), [4, 3]);
    }
}
