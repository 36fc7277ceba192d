//! Whether the router is undecided where the language model is surprised.

use moescope_core::{AxisKind, Measurement, Progress, Weighting};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection},
    inference::{PerLabel, measure_per_label},
    stats::{interval::IntervalMethod, pooled_ranks::PooledRanks},
};

/// Spearman's correlation of routing entropy and the next token's surprisal.
pub(super) struct EntropySurprisalCorrelation;

impl Metric for EntropySurprisalCorrelation {
    fn about(&self) -> About {
        About {
            name: "entropy_surprisal_correlation",
            title: "Rank correlation of routing entropy and surprisal",
            formula: "Spearman's ρ over tokens t of the routing entropy at position t − 1 and the surprisal of token t, which that routing led to",
            unit: "rank correlation",
            range: "−1 to 1; 0 where the router's doubt says nothing of the model's",
            edge_cases: "Pairs of neighbouring positions of which both are in scope. Ranks are taken once over all tokens of a label (and layer, for the entropies), in bins 0.1 % wide whose values share their mean rank; groups are resampled with these ranks, which is what makes the bootstrap possible. Under a contrast ranks are taken over both labels together, so that labels can be permuted, and the two correlations differ slightly from those within labels. A correlation over tokens of many documents mixes the dependence within documents with that between them. Refused where the trace lacks entropies or surprisals. NaN below three pairs or where one side does not vary.",
            uncertainty: "Percentile bootstrap over groups within label. No null but under a contrast, whose labels are permuted over groups, two-sided.",
            citation: "Spearman 1904; the question follows arXiv 2605.07260 (routers are good where the model is confident).",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Group],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        let selection = Selection::new(data, request, about.name, progress)?;
        let sums = RankSums::of(data, request, &selection, about.name, progress)?;
        let table = selection.unit_table(COLUMNS, |document, layer, row| {
            let numbers = sums.row(document, layer);
            let weight = match request.scope.weighting {
                Weighting::Token => 1.0,
                Weighting::Document if numbers[0] > 0.0 => 1.0 / numbers[0],
                Weighting::Document => 0.0,
            };
            for (target, number) in row.iter_mut().zip(numbers) {
                *target = weight * number;
            }
            // Three pairs of any document are three pairs, whatever they weigh.
            row[PAIRS] = numbers[0];
        });
        let measurement = measure_per_label(
            &selection,
            request,
            PerLabel {
                unit: about.unit.to_owned(),
                about,
                table: &table,
                width: 1,
                evaluate: &|sums, out| out[0] = correlation(sums),
                last_axis: None,
                method: IntervalMethod::Percentile,
                has_null: false,
                reference: Some(0.0),
            },
            progress,
        )?;
        Ok(vec![measurement])
    }
}

/// Weight, Σa, Σb, Σa², Σb², Σab, pairs.
const COLUMNS: usize = 7;
const PAIRS: usize = 6;

/// Pearson's correlation of ranks from their sums; NaN below three pairs or where a side is constant.
fn correlation(sums: &[f64]) -> f64 {
    let &[n, a, b, aa, bb, ab, pairs] = sums else {
        unreachable!("seven columns were asked for")
    };
    let covariance = |product: f64, x: f64, y: f64| product / n - (x / n) * (y / n);
    let (variance_a, variance_b) = (covariance(aa, a, a), covariance(bb, b, b));
    // Scaled ranks that vary at all have a variance far above the rounding of their sums.
    if pairs < 3.0 || variance_a.min(variance_b) < 1e-12 {
        return f64::NAN;
    }
    covariance(ab, a, b) / (variance_a * variance_b).sqrt()
}

/// Sums of scaled ranks and their products, per document and layer.
struct RankSums {
    layers: usize,
    values: Vec<f64>,
}

impl RankSums {
    /// Reads the decisions twice: once for the ranks, once for the sums.
    fn of(
        data: &TraceData,
        request: &MeasureRequest,
        selection: &Selection,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let layers = data.layers().len();
        let needs = DecisionNeeds {
            entropy: true,
            surprisal: true,
            ..DecisionNeeds::of(&request.scope)
        };
        let mut pool = vec![None; data.documents().len()];
        for (document, label) in selection.documents.iter().zip(&selection.label) {
            pool[*document] = Some(if request.contrast.is_some() {
                0
            } else {
                *label
            });
        }
        let labels = selection.labels.len();
        // Entropies are at most ln E, and those below 2⁻¹² nats all mean that the router is certain.
        let mut entropies = PooledRanks::new(labels * layers, -12, 3);
        // Every layer sees the same tokens.
        let mut surprisals = PooledRanks::new(labels, -20, 7);
        let find = |decisions: &DocumentDecisions<'_>| {
            let is_selected = pool[decisions.document].is_some();
            Ok(if is_selected {
                pairs(decisions)
            } else {
                Vec::new()
            })
        };
        data.map_documents(
            needs.clone(),
            metric,
            progress,
            &find,
            &mut |document, pairs| {
                let pool = pool[document].unwrap_or(0);
                for (layer, [entropy, surprisal]) in pairs {
                    entropies.count(pool * layers + layer, entropy);
                    surprisals.count(pool, surprisal);
                }
                Ok(())
            },
        )?;
        let (entropies, surprisals) = (entropies.rank(), surprisals.rank());
        let mut values = vec![0.0; data.documents().len() * layers * COLUMNS];
        let sum = |decisions: &DocumentDecisions<'_>| {
            let mut sums = vec![0.0; layers * COLUMNS];
            let pool = pool[decisions.document].unwrap_or(0);
            for (layer, [entropy, surprisal]) in find(decisions)? {
                let a = entropies.of(pool * layers + layer, entropy);
                let b = surprisals.of(pool, surprisal);
                let sums = &mut sums[layer * COLUMNS..(layer + 1) * COLUMNS];
                let parts = [1.0, a, b, a * a, b * b, a * b, 1.0];
                sums.iter_mut()
                    .zip(parts)
                    .for_each(|(sum, part)| *sum += part);
            }
            Ok(sums)
        };
        let width = layers * COLUMNS;
        data.map_documents(needs, metric, progress, &sum, &mut |document, sums| {
            values[document * width..(document + 1) * width].copy_from_slice(&sums);
            Ok(())
        })?;
        Ok(Self { layers, values })
    }

    fn row(&self, document: usize, layer: usize) -> &[f64] {
        let start = (document * self.layers + layer) * COLUMNS;
        &self.values[start..start + COLUMNS]
    }
}

/// Layer, entropy of a decision, and surprisal of the token after it, where both tokens are in scope.
fn pairs(decisions: &DocumentDecisions<'_>) -> Vec<(usize, [f32; 2])> {
    let tokens = &decisions.tokens;
    let pair = |row: usize| {
        let (token, next) = (decisions.token(row), decisions.token(row) + 1);
        let is_neighbour = tokens.position.get(next).copied()
            == tokens.position[token].checked_add(1)
            && tokens.counted.get(next).copied().unwrap_or(false);
        let surprisal = tokens.surprisal.get(next).copied().unwrap_or(f32::NAN);
        let values = [decisions.entropy[row], surprisal];
        let is_known = values.iter().all(|value| value.is_finite());
        (is_neighbour && is_known).then_some((decisions.layer(row), values))
    };
    decisions.counted_rows().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_follows_from_sums() {
        // a = (1, 2, 3), b = (1, 3, 2): covariance ⅓, variances ⅔: ½.
        let sums = [3.0, 6.0, 6.0, 14.0, 14.0, 13.0, 3.0];
        assert!((correlation(&sums) - 0.5).abs() < 1e-12);
        assert!(correlation(&[2.0, 3.0, 3.0, 5.0, 5.0, 5.0, 2.0]).is_nan());
        // b is constant.
        assert!(correlation(&[3.0, 6.0, 3.0, 14.0, 3.0, 6.0, 3.0]).is_nan());
    }
}
