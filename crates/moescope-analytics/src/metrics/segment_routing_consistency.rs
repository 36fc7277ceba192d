//! How well one set of experts serves a whole segment of tokens.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DocumentDecisions, Selection},
    inference::{Excess, OrderCounts, SegmentCounts, count_orders, measure_excess, order_table},
    stats::number::as_f64,
};

/// SRP: how near a router that decides once per segment can come to the real one.
pub(super) struct SegmentRoutingConsistency;

impl Metric for SegmentRoutingConsistency {
    fn about(&self) -> About {
        About {
            name: "segment_routing_consistency",
            title: "Consistency of routing within segments",
            formula: "Over all segments of m neighbouring tokens, f(e, s) = tokens of segment s that choose expert e. `srp` = max over α of F1 = 2 Σ f / (Σ m + Σ_all f), where Σ runs over the pairs (e, s) with f ≥ α: the best F1 of a router that switches every expert on or off for a whole segment; `size_ratio` = experts that it switches on per segment, over k. `fixed_k_share` = share of a segment's assignments that its k most chosen experts take. `shuffled` is the same of the document's tokens in random order (mean of four); `excess` is the difference",
            unit: "fraction (size_ratio: times k)",
            range: "srp and fixed_k_share: 0 to 1 (every token of a segment chooses the same experts). A router that always chooses the same experts gives 1 shuffled as well: read the excess",
            edge_cases: "m is `--segment` (16). Segments overlap, each one token after the one before, within stretches that no special or template token parts; stretches shorter than m do not count; NaN without a segment. One α for all experts of a layer and label. The segment length of the published overview figures is not certain, so none is quoted here: compare only values of equal m.",
            uncertainty: "Percentile bootstrap over groups within label. Null of `observed` and `excess`: the document's own marginals, observed and shuffled exchanged within groups, two-sided, q over the table. Under a contrast: labels permuted over groups.",
            citation: "Liang et al., Not All Models Suit Expert Offloading, arXiv 2505.16056, section 2.2 (SRP of a group of experts, segment routing size ratio); `fixed_k_share` is the simpler reading, a best fixed set of k experts per segment.",
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
        // Pairs of expert and segment with 1 to m tokens; assignments to the k most chosen; all assignments.
        let block = length + 2;
        let add = |decisions: &DocumentDecisions<'_>, stretches: &[&[usize]], sums: &mut [f64]| {
            for stretch in stretches {
                SegmentCounts::slide(decisions, stretch, experts, length, |segment| {
                    for (sum, pairs) in sums.iter_mut().zip(&segment.experts_with()[1..]) {
                        *sum += as_f64(*pairs);
                    }
                    sums[length] += as_f64(segment.of_most_chosen(top_k));
                    sums[length + 1] += as_f64(length * top_k);
                });
            }
        };
        let counts = OrderCounts {
            name: format!("segments of {length} tokens"),
            columns: block,
            add: &add,
        };
        let counts = count_orders(data, request, &counts, about.name, progress)?;
        let table = order_table(&selection, request, &counts, block);
        let mut measurement = measure_excess(
            &selection,
            request,
            &Excess {
                about: &about,
                table: &table,
                quantities: &["srp", "size_ratio", "fixed_k_share"],
                places: Vec::new(),
                evaluate: &|sums, out| {
                    let (pairs, rest) = sums.split_at(length);
                    let best = best_segment_router(pairs);
                    out.copy_from_slice(&[
                        best.f1,
                        best.switched_on * as_f64(length) / rest[1],
                        rest[0] / rest[1],
                    ]);
                },
                reference: None,
                note: "observed: segments of the text; shuffled: segments of the document's tokens in random order",
                is_tested: None,
            },
            progress,
        )?;
        measurement
            .protocol
            .notes
            .push(format!("segments of {length} tokens, all positions"));
        Ok(vec![measurement])
    }
}

/// The segment router with the highest F1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct SegmentRouter {
    f1: f64,
    /// Pairs of expert and segment that it switches on.
    switched_on: f64,
}

/// The best threshold for pairs of expert and segment, of which `pairs[f − 1]` have f active tokens of `pairs.len()`.
fn best_segment_router(pairs: &[f64]) -> SegmentRouter {
    let length = as_f64(pairs.len());
    let active = |f: usize| as_f64(f + 1) * pairs[f];
    let all: f64 = (0..pairs.len()).map(active).sum();
    let mut best = SegmentRouter {
        f1: f64::NAN,
        switched_on: f64::NAN,
    };
    let (mut hits, mut switched_on) = (0.0, 0.0);
    for f in (0..pairs.len()).rev() {
        hits += active(f);
        switched_on += pairs[f];
        // 2 TP / (2 TP + FP + FN), where TP + FP = m × switched on, and TP + FN is all.
        let f1 = 2.0 * hits / (length * switched_on + all);
        if best.f1.is_nan() || f1 > best.f1 {
            best = SegmentRouter { f1, switched_on };
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_threshold_weighs_misses_against_needless_experts() {
        // Segments of 3 tokens: 2 pairs with 3 active tokens, 1 with 2, 4 with 1; 12 active tokens in all.
        // α = 3: 2·6 / (6 + 12) = 0.667; α = 2: 2·8 / (9 + 12) = 0.762; α = 1: 2·12 / (21 + 12) = 0.727.
        let best = best_segment_router(&[4.0, 1.0, 2.0]);
        assert!((best.f1 - 16.0 / 21.0).abs() < 1e-12, "{best:?}");
        assert!((best.switched_on - 3.0).abs() < 1e-12);
        assert!(best_segment_router(&[0.0, 0.0]).f1.is_nan());
    }
}
