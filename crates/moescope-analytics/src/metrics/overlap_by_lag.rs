//! How long experts persist from token to token.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Weighting};
use moescope_trace::ExpertsOrder;

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection, Summary},
    inference::{
        Coincidence, Excess, PerLabel, has_enough_pairs, measure_excess, measure_per_label,
        stretches, weigh_blocks_alike,
    },
    stats::{interval::IntervalMethod, number::as_f64, units::UnitTable},
};

/// Overlap of the chosen experts of two tokens by their distance.
pub(super) struct OverlapByLag;

/// Sums per lag: shared experts over k, equal first choices, pairs.
const PER_LAG: usize = 3;

impl Metric for OverlapByLag {
    fn about(&self) -> About {
        About {
            name: "overlap_by_lag",
            title: "Overlap of chosen experts by distance",
            formula: "For every lag d: `overlap` = mean over pairs of positions t and t + d of |S_t ∩ S_{t+d}| / k, `first_choice` = P(first choice at t = first choice at t + d). `shuffled` is the expectation of the same for two random tokens of the document, Σ_e n_e (n_e − 1) / (n (n − 1)) from its own counts (over k for the overlap); `excess` is their difference. Second table: `run_length` = tokens / runs of equal first choices (`shuffled`: of the same tokens in random order, whose expected number of runs is stretches + pairs × (1 − first_choice shuffled)). Third table: `half_life` = the lag at which the excess is half of that at lag 1, linear between lags",
            unit: "share of k, or of pairs; run lengths and half-lives in tokens",
            range: "0 to 1; an indifferent router gives an overlap of k/E and a first choice of 1/E at every lag, runs of E / (E − 1) tokens and no half-life",
            edge_cases: "Lags 1 to `--lags` (32). Pairs lie within one document, and a special or template token between two tokens parts them at every lag. Long documents weigh more at large lags. The half-life is NaN where the excess at lag 1 is not positive or does not fall to its half within the lags. Where the trace does not say which expert is the heaviest, first choices, runs and their half-life are left out and a note says so.",
            uncertainty: "Percentile bootstrap over groups within label. Null of `observed` and `excess`: the document's own marginals, observed and shuffled exchanged within groups, two-sided, q over the values of each table; lags with fewer than 20 pairs per group are not tested, since a share of few pairs is skewed about its expectation. No null for half-lives. Under a contrast: labels permuted over groups.",
            citation: "Lag 1 of Jiang et al., Mixtral of Experts, arXiv 2401.04088, section 5 and figure 10, continued to larger lags.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[
                AxisKind::Layer,
                AxisKind::Group,
                AxisKind::Lag,
                AxisKind::Variant,
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
        let selection = Selection::new(data, request, about.name, progress)?;
        let is_ranked = data.experts_order() != ExpertsOrder::Unspecified;
        let lags = request.lags as usize;
        let tables = Tables::new(data, &selection, request, about.name, progress)?;
        let all = [("overlap", 0), ("first_choice", 1)];
        let quantities = if is_ranked { &all[..] } else { &all[..1] };
        let names: Vec<&str> = quantities.iter().map(|(name, _)| *name).collect();
        let model = data.model();
        let by_lag = measure_excess(
            &selection,
            request,
            &Excess {
                about: &about,
                table: &tables.lags,
                quantities: &names,
                places: vec![Axis::new(
                    AxisKind::Lag,
                    (1..=lags).map(|lag| lag.to_string()).collect(),
                )],
                evaluate: &|sums, out| {
                    let of_lags = sums.chunks_exact(PER_LAG);
                    for (sums, out) in of_lags.zip(out.chunks_exact_mut(quantities.len())) {
                        for (out, (_, column)) in out.iter_mut().zip(quantities) {
                            *out = sums[*column] / sums[2];
                        }
                    }
                },
                reference: Some(f64::from(model.top_k) / f64::from(model.num_experts)),
                note: "observed: pairs of tokens of one document at a distance; shuffled: two random tokens of the same document; the reference is the overlap of an indifferent router",
                is_tested: Some(&tables.has_enough_pairs),
            },
            progress,
        )?;
        let half_lives = half_lives(&about, &selection, request, &tables, &names, progress)?;
        let mut found = vec![by_lag];
        if is_ranked {
            let tokens = About {
                title: "Run length of the first choice",
                unit: "tokens",
                ..about
            };
            found.push(measure_excess(
                &selection,
                request,
                &Excess {
                    about: &tokens,
                    table: &tables.runs,
                    quantities: &["run_length"],
                    places: Vec::new(),
                    evaluate: &|sums, out| out[0] = sums[0] / sums[1],
                    reference: Some(uniform_run(model.num_experts)),
                    note: "observed: runs of equal first choices; shuffled: expected of the same tokens in random order",
                    is_tested: None,
                },
                progress,
            )?);
        } else {
            found[0].protocol.notes.push(
                "the trace does not say which expert is the heaviest (manifest: experts_order is unspecified): no first choices and no runs".to_owned(),
            );
        }
        found.push(half_lives);
        Ok(found)
    }
}

/// Sums per unit of lags and of runs.
struct Tables {
    /// `[observed | shuffled]`, each `[lags × PER_LAG]`.
    lags: UnitTable,
    /// `[observed | shuffled]`, each tokens and runs.
    runs: UnitTable,
    /// Whether a lag has enough pairs per group to be tested.
    has_enough_pairs: Vec<bool>,
}

impl Tables {
    fn new(
        data: &TraceData,
        selection: &Selection,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let lags = request.lags as usize;
        let columns = PER_LAG * lags + 5;
        let layers = data.layers().len();
        let experts = usize::from(data.model().num_experts);
        let add = |decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
            let rows_of_layers = decisions.counted_rows_of_layers(layers);
            for (rows, numbers) in rows_of_layers.iter().zip(numbers.chunks_exact_mut(columns)) {
                count(decisions, rows, experts, lags, numbers);
            }
        };
        let summary = Summary {
            name: format!("overlap at {lags} lags"),
            needs: DecisionNeeds::of(&request.scope),
            columns,
            add: &add,
        };
        let counts = data.summarize(&summary, metric, progress)?;
        let is_by_document = request.scope.weighting == Weighting::Document;
        let lag_sums = PER_LAG * lags;
        let by_lag = selection.unit_table(2 * lag_sums, |document, layer, row| {
            let numbers = counts.row(document, layer);
            let (observed, shuffled) = row.split_at_mut(lag_sums);
            observed.copy_from_slice(&numbers[..lag_sums]);
            let [overlap, first_choice] = [numbers[lag_sums], numbers[lag_sums + 1]];
            let of_lags = observed.chunks_exact(PER_LAG);
            for (observed, shuffled) in of_lags.zip(shuffled.chunks_exact_mut(PER_LAG)) {
                let pairs = observed[2];
                shuffled.copy_from_slice(&[overlap * pairs, first_choice * pairs, pairs]);
            }
            if is_by_document {
                weigh_blocks_alike(row, PER_LAG);
            }
        });
        let runs = selection.unit_table(4, |document, layer, row| {
            let &[tokens, runs, shuffled] = &counts.row(document, layer)[lag_sums + 2..] else {
                unreachable!("three more columns were asked for")
            };
            if tokens > 0.0 {
                let weight = if is_by_document { 1.0 / tokens } else { 1.0 };
                row.copy_from_slice(&[tokens, runs, tokens, shuffled].map(|x| weight * x));
            }
        });
        let pairs = |lag: usize| -> f64 {
            let documents = selection.documents.iter();
            let cells = documents.flat_map(|document| {
                let layers = selection.layers.iter();
                layers.map(|layer| counts.row(*document, *layer)[lag * PER_LAG + 2])
            });
            cells.sum()
        };
        Ok(Self {
            has_enough_pairs: (0..lags)
                .map(|lag| has_enough_pairs(pairs(lag), &by_lag))
                .collect(),
            lags: by_lag,
            runs,
        })
    }
}

/// Counts one document at one layer: the lags' sums, two rates of random pairs, tokens, runs, and runs expected in random order.
fn count(
    decisions: &DocumentDecisions<'_>,
    rows: &[usize],
    experts: usize,
    lags: usize,
    numbers: &mut [f64],
) {
    if rows.is_empty() {
        return;
    }
    let (of_lags, rest) = numbers.split_at_mut(PER_LAG * lags);
    let chance = Coincidence::of(decisions, rows);
    // Sets of experts as bits, since every token is compared with many others.
    let words = experts.div_ceil(64);
    let (mut parts, mut changes) = (0, 0);
    for stretch in stretches(decisions, rows) {
        parts += 1;
        let mut sets = vec![0_u64; stretch.len() * words];
        for (row, set) in stretch.iter().zip(sets.chunks_exact_mut(words)) {
            for expert in decisions.experts(*row) {
                set[usize::from(expert / 64)] |= 1 << (expert % 64);
            }
        }
        let first: Vec<u16> = stretch
            .iter()
            .map(|row| decisions.experts(*row)[0])
            .collect();
        for (lag, sums) in (1..stretch.len()).zip(of_lags.chunks_exact_mut(PER_LAG)) {
            let shared: u32 = sets
                .iter()
                .zip(&sets[lag * words..])
                .map(|(a, b)| (a & b).count_ones())
                .sum();
            let same = first.iter().zip(&first[lag..]).filter(|(a, b)| a == b);
            let (same, pairs) = (same.count(), stretch.len() - lag);
            sums[0] += f64::from(shared) / as_f64(decisions.top_k);
            sums[1] += as_f64(same);
            sums[2] += as_f64(pairs);
            if lag == 1 {
                changes += pairs - same;
            }
        }
    }
    let pairs = as_f64(rows.len() - parts);
    rest.copy_from_slice(&[
        chance.overlap,
        chance.first_choice,
        as_f64(rows.len()),
        as_f64(parts + changes),
        as_f64(parts) + pairs * (1.0 - chance.first_choice),
    ]);
}

/// How soon the excess over random pairs falls to half of that between neighbours.
fn half_lives(
    about: &About,
    selection: &Selection,
    request: &MeasureRequest,
    tables: &Tables,
    names: &[&str],
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let half = tables.lags.columns / 2;
    let labels = names.iter().map(|name| format!("{name}_half_life"));
    measure_per_label(
        selection,
        request,
        PerLabel {
            about: About {
                title: "Half-life of the excess overlap",
                ..about.clone()
            },
            unit: "tokens".to_owned(),
            table: &tables.lags,
            width: names.len(),
            evaluate: &|sums, out| {
                let (observed, shuffled) = sums.split_at(half);
                for (column, out) in out.iter_mut().enumerate() {
                    let excess = observed
                        .chunks_exact(PER_LAG)
                        .zip(shuffled.chunks_exact(PER_LAG));
                    *out = half_life(excess.map(|(o, s)| (o[column] - s[column]) / o[2]));
                }
            },
            last_axis: Some(Axis::new(AxisKind::Variant, labels.collect())),
            method: IntervalMethod::Percentile,
            has_null: false,
            reference: None,
        },
        progress,
    )
}

/// The lag, counted from 1, at which values fall to half the first; NaN where they do not, or the first is not positive.
fn half_life(values: impl Iterator<Item = f64>) -> f64 {
    let mut before = f64::NAN;
    let mut target = f64::NAN;
    for (place, value) in values.enumerate() {
        if place == 0 {
            if value.is_nan() || value <= 0.0 {
                return f64::NAN;
            }
            target = value / 2.0;
        } else if value <= target {
            // Between the lags `place` and `place + 1`.
            return as_f64(place) + (before - target) / (before - value);
        }
        before = value;
    }
    f64::NAN
}

/// Mean run of equal numbers among independent uniform draws, `1 / (1 − 1/E)`.
fn uniform_run(experts: u16) -> f64 {
    let experts = f64::from(experts);
    experts / (experts - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_lives_are_read_between_lags() {
        // 0.4, 0.3, 0.1: half is 0.2, midway between lags 2 and 3.
        assert!((half_life([0.4, 0.3, 0.1].into_iter()) - 2.5).abs() < 1e-12);
        assert!((half_life([0.4, 0.2].into_iter()) - 2.0).abs() < 1e-12);
        assert!(half_life([0.4, 0.3].into_iter()).is_nan());
        assert!(half_life([-0.1, -0.2].into_iter()).is_nan());
    }
}
