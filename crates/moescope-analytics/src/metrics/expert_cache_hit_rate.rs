//! How often a cache of few experts would hold those that are chosen.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DocumentDecisions, Selection},
    inference::{Excess, OrderCounts, SegmentCounts, count_orders, measure_excess, order_table},
    stats::number::as_f64,
};

/// SCH: the best hit rate of a cache per segment.
pub(super) struct ExpertCacheHitRate;

/// Sizes of the cache in halves of k.
const HALVES_OF_K: [usize; 3] = [2, 3, 4];
/// The quantities: a cache that is fixed per segment, and one that evicts, each of 1, 1.5 and 2 k experts.
const QUANTITIES: [&str; 6] = [
    "fixed_1k",
    "fixed_1.5k",
    "fixed_2k",
    "evicting_1k",
    "evicting_1.5k",
    "evicting_2k",
];

impl Metric for ExpertCacheHitRate {
    fn about(&self) -> About {
        About {
            name: "expert_cache_hit_rate",
            title: "Best hit rate of a cache of experts",
            formula: "A cache of c = ⌈1 k⌉, ⌈1.5 k⌉ and 2 k experts per layer. `fixed`: over all segments of m neighbouring tokens, share of the assignments that go to the segment's c most chosen experts. `evicting`: share of assignments found in a cache that starts empty with each stretch, loads every chosen expert, and evicts those that the next m tokens choose least (of equal ones the last). `shuffled` is the same of the document's tokens in random order (mean of four); `excess` is the difference",
            unit: "share of assignments",
            range: "0 to 1; a cache of all experts gives 1 (`evicting`: all but the first load)",
            edge_cases: "m is `--segment` (16). Both look into the future, as the published bound does: no real cache reaches them. Segments and stretches end at special and template tokens and at the document's end; `fixed` counts no stretch shorter than m. `evicting` counts the cold start, which weighs more in short documents. The cache is one layer's own. Sizes above E are cut to E.",
            uncertainty: "Percentile bootstrap over groups within label. Null of `observed` and `excess`: the document's own marginals, observed and shuffled exchanged within groups, two-sided, q over the table. Under a contrast: labels permuted over groups.",
            citation: "Liang et al., Not All Models Suit Expert Offloading, arXiv 2505.16056: SCH as a segment's best hit rate (first version, `fixed`) and as an oracle cache that evicts what the next m tokens choose least (section 2.3 of the later version, `evicting`; how it breaks ties is not said).",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::Variant],
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
        let experts = usize::from(data.model().num_experts);
        let top_k = usize::from(data.model().top_k);
        let length = request.segment as usize;
        let sizes = HALVES_OF_K.map(|halves| (halves * top_k).div_ceil(2).min(experts));
        let add = |decisions: &DocumentDecisions<'_>, stretches: &[&[usize]], sums: &mut [f64]| {
            let (fixed, evicting) = sums.split_at_mut(2 * sizes.len());
            for stretch in stretches {
                SegmentCounts::slide(decisions, stretch, experts, length, |segment| {
                    for (sums, size) in fixed.chunks_exact_mut(2).zip(sizes) {
                        sums[0] += as_f64(segment.of_most_chosen(size));
                        sums[1] += as_f64(length * top_k);
                    }
                });
                for (sums, size) in evicting.chunks_exact_mut(2).zip(sizes) {
                    let chosen: Vec<&[u16]> =
                        stretch.iter().map(|row| decisions.experts(*row)).collect();
                    sums[0] += as_f64(hits_of_evicting_cache(&chosen, experts, size, length));
                    sums[1] += as_f64(stretch.len() * top_k);
                }
            }
        };
        let counts = OrderCounts {
            name: format!("caches of experts for {length} tokens"),
            columns: 2 * QUANTITIES.len(),
            add: &add,
        };
        let counts = count_orders(data, request, &counts, about.name, progress)?;
        let table = order_table(&selection, request, &counts, 2);
        let mut measurement = measure_excess(
            &selection,
            request,
            &Excess {
                about: &about,
                table: &table,
                quantities: &QUANTITIES,
                places: Vec::new(),
                evaluate: &|sums, out| {
                    for (out, sums) in out.iter_mut().zip(sums.chunks_exact(2)) {
                        *out = sums[0] / sums[1];
                    }
                },
                reference: None,
                note: "observed: tokens in the order of the text; shuffled: the document's tokens in random order",
                is_tested: None,
            },
            progress,
        )?;
        measurement.protocol.notes.push(format!(
            "segments of {length} tokens; caches of {}, {} and {} of {experts} experts",
            sizes[0], sizes[1], sizes[2]
        ));
        Ok(vec![measurement])
    }
}

/// Assignments that find their expert in a cache of `size`, which evicts what the next `ahead` tokens choose least.
fn hits_of_evicting_cache(chosen: &[&[u16]], experts: usize, size: usize, ahead: usize) -> usize {
    let mut future = SegmentCounts::new(experts, ahead);
    for next in chosen.iter().take(ahead) {
        future.add(next);
    }
    let mut cached: Vec<u16> = Vec::with_capacity(size);
    let mut hits = 0;
    for (t, needed) in chosen.iter().enumerate() {
        // The window now covers the tokens after this one.
        future.remove(needed);
        if let Some(next) = chosen.get(t + ahead) {
            future.add(next);
        }
        let misses = needed.iter().filter(|expert| !cached.contains(expert));
        let misses: Vec<u16> = misses.copied().collect();
        hits += needed.len() - misses.len();
        cached.extend(misses);
        while cached.len() > size {
            let idle = (0..cached.len()).filter(|i| !needed.contains(&cached[*i]));
            let victim =
                idle.min_by_key(|i| (future.of(cached[*i]), std::cmp::Reverse(cached[*i])));
            let Some(victim) = victim else { break };
            cached.swap_remove(victim);
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_keeps_what_comes_next() {
        // Two places, one expert per token: 0 and 1 miss, 2 misses and evicts 1, which comes later than 0; 0 hits; 1 misses and
        // evicts 2 (of 0 and 2, which never come again, the last); 0 would have hit.
        let tokens: [&[u16]; 5] = [&[0], &[1], &[2], &[0], &[1]];
        assert_eq!(hits_of_evicting_cache(&tokens, 3, 2, 1), 1);
        assert_eq!(hits_of_evicting_cache(&tokens, 3, 3, 1), 2);
        assert_eq!(hits_of_evicting_cache(&tokens, 3, 1, 1), 0);
    }
}
