//! Which experts of a layer a token chooses together.

use moescope_core::{AxisKind, Measurement, Progress};

use super::{
    BlockCounting, BlockCounts, PerRow,
    rows::{expert_axis, measure_rows},
};
use crate::{
    About, AnalyticsError, ExpertsOrder, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection},
    stats::interval::IntervalMethod,
};

/// Which pairs of a token's experts count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedPairs {
    /// Every two of the k.
    All,
    /// Only neighbours in the ranking by weight.
    RankAdjacent,
}

/// The number of counts of a layer: tokens of each expert, then of each pair.
fn columns(experts: usize) -> usize {
    experts + experts * (experts - 1) / 2
}

/// Where the counts of a layer hold a pair, in either order.
pub(crate) fn pair_column(experts: usize, a: usize, b: usize) -> usize {
    let (low, high) = (a.min(b), a.max(b));
    experts + low * (2 * experts - low - 1) / 2 + high - low - 1
}

/// Counts experts and pairs at every layer of a selection.
pub(crate) fn count_pairs(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    pairs: CountedPairs,
    progress: &dyn Progress,
) -> Result<BlockCounts, AnalyticsError> {
    if pairs == CountedPairs::RankAdjacent {
        needs_rank(
            data,
            metric,
            "use co_activation, which counts every pair and needs no rank",
        )?;
    }
    let experts = usize::from(data.model().num_experts);
    let columns = columns(experts);
    let layers = selection.layer_places(data);
    let add = |decisions: &DocumentDecisions<'_>, weight: f64, counts: &mut [f64]| {
        for row in decisions.counted_rows() {
            let Some(layer) = layers[decisions.layer(row)] else {
                continue;
            };
            let counts = &mut counts[layer * columns..(layer + 1) * columns];
            let chosen = decisions.experts(row);
            for (rank, a) in chosen.iter().enumerate() {
                counts[usize::from(*a)] += weight;
                let others = match pairs {
                    CountedPairs::All => &chosen[rank + 1..],
                    CountedPairs::RankAdjacent => &chosen[rank + 1..chosen.len().min(rank + 2)],
                };
                for b in others {
                    counts[pair_column(experts, usize::from(*a), usize::from(*b))] += weight;
                }
            }
        }
    };
    let counting = BlockCounting {
        needs: DecisionNeeds::of(&request.scope),
        rows: selection.layers.len(),
        columns,
        add: &add,
    };
    BlockCounts::count(data, selection, request, metric, &counting, progress)
}

/// Refuses a trace that does not say which expert is the heaviest.
pub(crate) fn needs_rank(data: &TraceData, metric: &str, help: &str) -> Result<(), AnalyticsError> {
    if data.experts_order() == ExpertsOrder::Unspecified {
        return Err(AnalyticsError::MissingInput {
            metric: metric.to_owned(),
            missing: "the rank of experts (manifest: experts_order is unspecified)".to_owned(),
            help: help.to_owned(),
        });
    }
    Ok(())
}

/// Measures how many of an expert's tokens choose another one as well.
pub(crate) fn measure_co_activation(
    data: &TraceData,
    request: &MeasureRequest,
    about: &About,
    pairs: CountedPairs,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let selection = Selection::new(data, request, about.name, progress)?.under_one_label(request);
    let counts = count_pairs(data, &selection, request, about.name, pairs, progress)?;
    let found = co_activation(data, &selection, request, about, &counts, pairs, progress)?;
    Ok(vec![found])
}

/// The same from counts.
pub(crate) fn co_activation(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    about: &About,
    counts: &BlockCounts,
    pairs: CountedPairs,
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let experts = usize::from(data.model().num_experts);
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        for a in 0..experts {
            for b in 0..experts {
                out[a * experts + b] = if a == b {
                    f64::NAN
                } else {
                    sums[pair_column(experts, a, b)] / sums[a]
                };
            }
        }
    };
    let (k, all) = (
        f64::from(data.model().top_k),
        f64::from(data.model().num_experts),
    );
    let indifferent = match pairs {
        CountedPairs::All => (k - 1.0) / (all - 1.0),
        // k − 1 of the k (k − 1) / 2 pairs are neighbours.
        CountedPairs::RankAdjacent => 2.0 * (k - 1.0) / (k * (all - 1.0)),
    };
    let quantity = PerRow {
        about,
        counts,
        outer: selection.layer_axis(),
        inner: vec![
            expert_axis(AxisKind::Expert, experts),
            expert_axis(AxisKind::ExpertB, experts),
        ],
        evaluate: &evaluate,
        method: IntervalMethod::Percentile,
        reference: Some(indifferent),
    };
    Ok(measure_rows(selection, request, &quantity, progress)?.measurement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_a_place_of_its_own() {
        let mut places: Vec<usize> = (0..5)
            .flat_map(|a| (a + 1..5).map(move |b| pair_column(5, b, a)))
            .collect();
        places.sort_unstable();
        assert_eq!(places, (5..columns(5)).collect::<Vec<_>>());
    }
}
