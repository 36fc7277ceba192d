//! Which experts are chosen early and late in a document.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Weighting};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection},
    inference::{Excess, measure_excess},
    stats::{number::as_f64, units::UnitTable},
};

/// Share of assignments per expert by position.
pub(super) struct PositionProfile;

/// Groups are put together into so many blocks, which bounds memory.
const BLOCKS: usize = 100;

impl Metric for PositionProfile {
    fn about(&self) -> About {
        About {
            name: "position_profile",
            title: "Share of assignments per expert by position",
            formula: "Share of the assignments at positions 0-7, 8-15, 16-31, 32-63, … of a document that go to each expert. `shuffled` is what the documents that reach the range would give if their tokens came in random order, Σ_d n(d, range) × c(d, e) / n(d) over its sum; `excess` is the difference, so it does not come from long documents choosing other experts",
            unit: "share of assignments",
            range: "0 to 1, summing to 1 over experts; an indifferent router gives 1/E",
            edge_cases: "Positions count special and template tokens, which are not measured themselves unless asked for. All selected labels together: choose one with --labels. Only ranges that occur. NaN where a layer has no token in a range.",
            uncertainty: "Percentile bootstrap over groups, put together into at most 100 blocks. Null of `observed` and `excess`: position within the document does not matter, observed and shuffled exchanged within blocks, two-sided, q over the table. No --contrast.",
            citation: "Positions as in Xue et al., OpenMoE, arXiv 2402.01739, where routing varies far less by position than by token.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[
                AxisKind::Layer,
                AxisKind::Position,
                AxisKind::Expert,
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
        if request.contrast.is_some() {
            return Err(AnalyticsError::Request(
                "position_profile puts all labels together and has no --contrast; measure each label with --labels".to_owned(),
            ));
        }
        let selection = Selection::new(data, request, about.name, progress)?.pooled(BLOCKS);
        let experts = usize::from(data.model().num_experts);
        let (table, ranges) = table(data, &selection, request, about.name, progress)?;
        let places = vec![
            Axis::new(AxisKind::Position, (0..ranges).map(range_label).collect()),
            Axis::new(
                AxisKind::Expert,
                (0..experts).map(|e| e.to_string()).collect(),
            ),
        ];
        let mut measurement = measure_excess(
            &selection,
            request,
            &Excess {
                about: &about,
                table: &table,
                quantities: &[""],
                places,
                evaluate: &|sums, out| {
                    let of_ranges = sums.chunks_exact(experts);
                    for (sums, out) in of_ranges.zip(out.chunks_exact_mut(experts)) {
                        let total: f64 = sums.iter().sum();
                        for (out, sum) in out.iter_mut().zip(sums) {
                            *out = sum / total;
                        }
                    }
                },
                reference: Some(1.0 / as_f64(experts)),
                note: "observed: tokens where they stand; shuffled: expected of the same documents with their tokens in random order",
                is_tested: None,
            },
            progress,
        )?;
        // All labels are one.
        measurement.axes.retain(|axis| axis.kind != AxisKind::Group);
        measurement.check()?;
        Ok(vec![measurement])
    }
}

/// Assignments by range and expert, observed and expected, per block; and the number of ranges.
///
/// A document's numbers are added to its block at once: all documents by ranges and experts would not fit.
fn table(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<(UnitTable, usize), AnalyticsError> {
    let experts = usize::from(data.model().num_experts);
    let layers = data.layers().len();
    let mut unit_of = vec![None; data.documents().len()];
    for (document, unit) in selection.documents.iter().zip(&selection.unit) {
        unit_of[*document] = Some(*unit);
    }
    let map = |decisions: &DocumentDecisions<'_>| {
        if unit_of[decisions.document].is_none() {
            return Ok(Vec::new());
        }
        let last = decisions
            .counted_rows()
            .last()
            .map_or(0, |row| decisions.position[row]);
        let ranges = range_of(last) + 1;
        let mut counts = vec![0.0; layers * ranges * experts];
        for row in decisions.counted_rows() {
            let range = range_of(decisions.position[row]);
            let start = (decisions.layer(row) * ranges + range) * experts;
            for expert in decisions.experts(row) {
                counts[start + usize::from(*expert)] += 1.0;
            }
        }
        Ok(counts)
    };
    // Blocks by layer, of as many ranges as their longest document has.
    let mut sums: Vec<Vec<Vec<f64>>> = vec![vec![Vec::new(); layers]; selection.unit_label.len()];
    data.map_documents(
        DecisionNeeds::of(&request.scope),
        metric,
        progress,
        &map,
        &mut |document, counts| {
            let Some(unit) = unit_of[document] else {
                return Ok(());
            };
            for (sums, counts) in sums[unit]
                .iter_mut()
                .zip(counts.chunks_exact(counts.len() / layers))
            {
                add_document(sums, counts, experts, request.scope.weighting);
            }
            Ok(())
        },
    )?;
    let ranges = sums.iter().flatten().map(|sums| sums.len() / (2 * experts));
    let ranges = ranges.max().unwrap_or(0);
    let half = ranges * experts;
    let mut table = UnitTable::new(
        1,
        selection.unit_label.clone(),
        selection.layers.len(),
        2 * half,
    );
    for (unit, of_layers) in sums.iter().enumerate() {
        for (place, layer) in selection.layers.iter().enumerate() {
            let (observed, expected) = table.row_mut(place, unit).split_at_mut(half);
            let of_ranges = of_layers[*layer].chunks_exact(2 * experts);
            let halves = observed
                .chunks_exact_mut(experts)
                .zip(expected.chunks_exact_mut(experts));
            for (sums, (observed, expected)) in of_ranges.zip(halves) {
                observed.copy_from_slice(&sums[..experts]);
                expected.copy_from_slice(&sums[experts..]);
            }
        }
    }
    Ok((table, ranges))
}

/// Adds a document's counts `[ranges × experts]` at one layer to its block's sums `[ranges × (observed | expected)]`.
fn add_document(sums: &mut Vec<f64>, counts: &[f64], experts: usize, weighting: Weighting) {
    let all: f64 = counts.iter().sum();
    if all <= 0.0 {
        return;
    }
    let mut own = vec![0.0; experts];
    for counts in counts.chunks_exact(experts) {
        own.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
    }
    if sums.len() < 2 * counts.len() {
        sums.resize(2 * counts.len(), 0.0);
    }
    for (counts, sums) in counts
        .chunks_exact(experts)
        .zip(sums.chunks_exact_mut(2 * experts))
    {
        let total: f64 = counts.iter().sum();
        let weight = match weighting {
            Weighting::Document if total > 0.0 => 1.0 / total,
            _ => 1.0,
        };
        let (observed, expected) = sums.split_at_mut(experts);
        let sums = observed.iter_mut().zip(expected);
        for ((observed, expected), (n, own)) in sums.zip(counts.iter().zip(&own)) {
            *observed += weight * n;
            *expected += weight * total * own / all;
        }
    }
}

/// The range of a position: 0 for 0 to 7, then one per doubling.
fn range_of(position: u32) -> usize {
    (position / 8)
        .checked_ilog2()
        .map_or(0, |log| log as usize + 1)
}

fn range_label(range: usize) -> String {
    let first = if range == 0 { 0 } else { 4_u64 << range };
    format!("{first}-{}", (8_u64 << range) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_double() {
        let check = |position, label: &str| assert_eq!(range_label(range_of(position)), label);
        check(0, "0-7");
        check(7, "0-7");
        check(8, "8-15");
        check(16, "16-31");
        check(1023, "512-1023");
        check(1024, "1024-2047");
    }

    #[test]
    fn expected_counts_spread_a_document_over_its_positions() {
        // Two ranges with 2 and 4 assignments, own counts (3, 3): 1 and 1 expected first, 2 and 2 then.
        let mut sums = Vec::new();
        add_document(&mut sums, &[2.0, 0.0, 1.0, 3.0], 2, Weighting::Token);
        assert_eq!(sums, [2.0, 0.0, 1.0, 1.0, 1.0, 3.0, 2.0, 2.0]);
    }
}
