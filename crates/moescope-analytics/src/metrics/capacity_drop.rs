//! Which assignments an expert of limited capacity would have dropped.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DocumentDecisions, Selection},
    inference::{Excess, OrderCounts, count_orders, measure_excess, order_table},
    stats::number::as_f64,
};

/// Share of assignments beyond the experts' capacity, by place in the document.
pub(super) struct CapacityDrop;

/// Capacity factors in quarters.
const QUARTERS: [usize; 4] = [4, 5, 6, 8];
const QUANTITIES: [&str; 4] = ["c1", "c1.25", "c1.5", "c2"];
/// Parts of a document.
const PARTS: usize = 10;
/// Sums per part: drops at each factor, and assignments.
const BLOCK: usize = QUARTERS.len() + 1;

impl Metric for CapacityDrop {
    fn about(&self) -> About {
        About {
            name: "capacity_drop",
            title: "Assignments dropped by experts of limited capacity",
            formula: "Each expert takes the first C = max(1, ⌊c k n / E⌋) of a document's n tokens that choose it, in the order of the text; later assignments to it are dropped. Share of dropped assignments by tenth of the document, at capacity factors c = 1, 1.25, 1.5 and 2. `shuffled` is the same of the document's tokens in random order (mean of four): what imbalance alone drops; `excess` is the difference",
            unit: "share of assignments",
            range: "0 to 1. Later tenths lose more under any router, because experts fill up: read the excess",
            edge_cases: "A simulation: nothing was dropped when the trace was made. The group of tokens that share a capacity is the document, as where every sequence is dispatched by itself; in training it is often the batch, which is more even. The order of experts within one token does not matter. Tokens out of scope take no capacity. Documents shorter than ten tokens fill some tenths only.",
            uncertainty: "Percentile bootstrap over groups within label. Null of `observed` and `excess`: position within the document does not matter, observed and shuffled exchanged within groups, two-sided, q over the table. Under a contrast: labels permuted over groups.",
            citation: "Xue et al., OpenMoE, arXiv 2402.01739 (drop towards the end); capacity as in Fedus et al., Switch Transformers, arXiv 2101.03961, times k.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[
                AxisKind::Layer,
                AxisKind::Group,
                AxisKind::Position,
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
        let experts = usize::from(data.model().num_experts);
        let add = |decisions: &DocumentDecisions<'_>, stretches: &[&[usize]], sums: &mut [f64]| {
            let rows = stretches.concat();
            for (factor, quarters) in QUARTERS.iter().enumerate() {
                let assignments = rows.len() * decisions.top_k;
                let capacity = (quarters * assignments / (4 * experts)).max(1);
                let mut load = vec![0; experts];
                for (t, row) in rows.iter().enumerate() {
                    let part = &mut sums[t * PARTS / rows.len() * BLOCK..][..BLOCK];
                    for expert in decisions.experts(*row) {
                        let load = &mut load[usize::from(*expert)];
                        *load += 1;
                        part[factor] += f64::from(u8::from(*load > capacity));
                    }
                    if factor == 0 {
                        part[QUARTERS.len()] += as_f64(decisions.top_k);
                    }
                }
            }
        };
        let counts = OrderCounts {
            name: "drops at limited capacity".to_owned(),
            columns: PARTS * BLOCK,
            add: &add,
        };
        let counts = count_orders(data, request, &counts, about.name, progress)?;
        let table = order_table(&selection, request, &counts, BLOCK);
        let parts = (0..PARTS).map(|part| format!("{}-{} %", 10 * part, 10 * (part + 1)));
        let measurement = measure_excess(
            &selection,
            request,
            &Excess {
                about: &about,
                table: &table,
                quantities: &QUANTITIES,
                places: vec![Axis::new(AxisKind::Position, parts.collect())],
                evaluate: &|sums, out| {
                    let parts = sums.chunks_exact(BLOCK);
                    for (sums, out) in parts.zip(out.chunks_exact_mut(QUANTITIES.len())) {
                        for (out, drops) in out.iter_mut().zip(sums) {
                            *out = drops / sums[QUARTERS.len()];
                        }
                    }
                },
                reference: None,
                note: "observed: tokens in the order of the text; shuffled: the document's tokens in random order; capacity is shared within a document",
                is_tested: None,
            },
            progress,
        )?;
        Ok(vec![measurement])
    }
}
