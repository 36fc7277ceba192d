//! How much routing changes between given and generated text.

use moescope_core::{Axis, AxisKind, Measurement, PhaseSelection, Progress, Weighting};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{ProfileColumn, Selection, TokenSelection},
    inference::{PerLabel, measure_per_label},
    stats::{
        information::jsd_bits,
        interval::IntervalMethod,
        number::as_f64,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// Difference of routing between prefill and decode.
pub(super) struct PhaseShift;

impl Metric for PhaseShift {
    fn about(&self) -> About {
        About {
            name: "phase_shift",
            title: "Shift of routing from given to generated tokens",
            formula: "With p and g the shares of assignments per expert in prefill and in decode of the documents that have both, each document with the same weight in both phases: `jsd` = H((p + g) / 2) − (H(p) + H(g)) / 2 in bits; second table `top_set_overlap` = |top-k experts of p ∩ top-k of g| / k",
            unit: "bits; share of k",
            range: "jsd: 0 (same shares) to 1; top_set_overlap: 0 to 1, about k/E by chance",
            edge_cases: "Needs both phases; refused where no document has both. --phase has no effect. Documents with one phase only are left out and a note says how many. A document's weight is its number of tokens in both phases, or 1 under document weighting. jsd is biased upward in small samples: read it beside its null mean. Ties in a top set go to the lower expert.",
            uncertainty: "Bootstrap over groups within label: bias-corrected percentile for jsd, percentile for the overlap. Null: the phases exchanged within groups, jsd one-sided, overlap two-sided, q over layers × labels. Under a contrast: labels permuted over groups. A document's generated tokens follow its prompt, so the null says that phases differ, not why.",
            citation: "Prompt-level and rollout routing compared: arXiv 2604.09780; divergence of Lin 1991, IEEE Trans. Inf. Theory 37, 145.",
            inputs: &[Input::Profiles],
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
        if data.has_own_tokens() {
            return Err(AnalyticsError::Request(format!(
                "{} compares both phases of every document; leave out --reference-phase and --reference-positions",
                about.name
            )));
        }
        let mut request = request.clone();
        request.scope.phase = PhaseSelection::All;
        let selection = Selection::new(data, &request, about.name, progress)?;
        let (table, without_both) = table(data, &selection, &request, about.name, progress)?;
        let experts = usize::from(data.model().num_experts);
        let top_k = usize::from(data.model().top_k);
        let jsd = |sums: &[f64]| jsd_bits(&sums[..experts], &sums[experts..]);
        let overlap = |sums: &[f64]| top_set_overlap(&sums[..experts], &sums[experts..], top_k);
        let quantities: [Quantity<'_>; 2] = [
            Quantity {
                name: "jsd",
                title: about.title.to_owned(),
                unit: "bits",
                evaluate: &jsd,
                method: IntervalMethod::BiasCorrected { range: (0.0, 1.0) },
                tail: Tail::Greater,
            },
            Quantity {
                name: "top_set_overlap",
                title: "Overlap of the most chosen experts of given and generated tokens"
                    .to_owned(),
                unit: "share of k",
                evaluate: &overlap,
                method: IntervalMethod::Percentile,
                tail: Tail::TwoSided,
            },
        ];
        quantities
            .into_iter()
            .map(|quantity| {
                let mut found = quantity.measure(&about, &selection, &request, &table, progress)?;
                if without_both > 0 {
                    found.protocol.notes.push(format!(
                        "{without_both} of {} documents have one phase only and are left out of the values",
                        selection.documents.len()
                    ));
                }
                Ok(found)
            })
            .collect()
    }
}

/// One way to compare two phases.
struct Quantity<'a> {
    name: &'static str,
    title: String,
    unit: &'static str,
    /// From a label's sums `[prefill | decode]`.
    evaluate: &'a (dyn Fn(&[f64]) -> f64 + Sync),
    method: IntervalMethod,
    tail: Tail,
}

impl Quantity<'_> {
    fn measure(
        &self,
        about: &About,
        selection: &Selection,
        request: &MeasureRequest,
        table: &UnitTable,
        progress: &dyn Progress,
    ) -> Result<Measurement, AnalyticsError> {
        let mut found = measure_per_label(
            selection,
            request,
            PerLabel {
                about: about.clone(),
                unit: self.unit.to_owned(),
                table,
                width: 1,
                evaluate: &|sums, out| out[0] = (self.evaluate)(sums),
                last_axis: Some(Axis::new(AxisKind::Variant, vec![self.name.to_owned()])),
                method: self.method,
                has_null: false,
                reference: None,
            },
            progress,
        )?;
        if request.contrast.is_none() {
            found.title.clone_from(&self.title);
        }
        if request.contrast.is_none() && request.permutations > 0 {
            let statistic = Statistic {
                len: selection.labels.len(),
                evaluate: &|sums, out| {
                    for (sums, out) in sums.chunks_exact(table.columns).zip(out) {
                        *out = (self.evaluate)(sums);
                    }
                },
                sides: &Sides::One,
            };
            let mut family = NullFamily::new(self.tail, request.permutations, request.seed);
            family.add_swaps(table, &statistic, progress)?;
            let tail = match self.tail {
                Tail::Greater => "one-sided",
                Tail::TwoSided | Tail::AroundZero => "two-sided",
            };
            found.protocol.null_method = format!(
                "prefill and decode exchanged within groups, {} permutations, {tail}; q corrects for all layers and labels (max-T)",
                request.permutations
            );
            found.protocol.notes.extend(family.note());
            found.nulls = Some(family.finish());
        }
        found.check()?;
        Ok(found)
    }
}

/// Shares of both phases per unit, `[prefill | decode]`, each document with one weight in both; and the documents without both.
fn table(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<(UnitTable, usize), AnalyticsError> {
    let scope = &request.scope;
    let counts = |phase| {
        let tokens = TokenSelection {
            phase,
            ..TokenSelection::of(scope)
        };
        data.tensor(ProfileColumn::Counts, &tokens, metric, progress)
    };
    let (given, generated) = (
        counts(PhaseSelection::Prefill)?,
        counts(PhaseSelection::Decode)?,
    );
    let total = |row: &[f64]| row.iter().sum::<f64>();
    let has_both = |document: usize| {
        selection.layers.iter().any(|layer| {
            total(given.row(document, *layer)) > 0.0 && total(generated.row(document, *layer)) > 0.0
        })
    };
    let without_both = selection
        .documents
        .iter()
        .filter(|d| !has_both(**d))
        .count();
    if without_both == selection.documents.len() {
        return Err(AnalyticsError::MissingInput {
            metric: metric.to_owned(),
            missing: "a document with both given and generated tokens (tokens.phase is prefill or decode only)".to_owned(),
            help: "capture with --generate".to_owned(),
        });
    }
    let experts = given.columns();
    let table = selection.unit_table(2 * experts, |document, layer, row| {
        let phases = [given.row(document, layer), generated.row(document, layer)];
        let totals = phases.map(total);
        if totals[0] > 0.0 && totals[1] > 0.0 {
            let weight = match scope.weighting {
                Weighting::Token => totals[0] + totals[1],
                Weighting::Document => 1.0,
            };
            let shares = phases
                .iter()
                .zip(totals)
                .flat_map(|(counts, total)| counts.iter().map(move |count| weight * count / total));
            row.iter_mut()
                .zip(shares)
                .for_each(|(sum, share)| *sum = share);
        }
    });
    Ok((table, without_both))
}

/// The part of the `k` most chosen experts that two masses have in common; NaN where one is empty.
fn top_set_overlap(a: &[f64], b: &[f64], k: usize) -> f64 {
    if a.iter().sum::<f64>() <= 0.0 || b.iter().sum::<f64>() <= 0.0 {
        return f64::NAN;
    }
    let top = |mass: &[f64]| {
        let mut order: Vec<usize> = (0..mass.len()).collect();
        order.sort_by(|i, j| mass[*j].total_cmp(&mass[*i]).then(i.cmp(j)));
        order.truncate(k);
        order
    };
    let (a, b) = (top(a), top(b));
    let common = a.iter().filter(|expert| b.contains(expert)).count();
    as_f64(common) / as_f64(k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_sets_share_their_heaviest_experts() {
        // {0, 1} and {0, 2}: one of two.
        let found = top_set_overlap(&[5.0, 3.0, 1.0], &[4.0, 0.0, 4.0], 2);
        assert!((found - 0.5).abs() < 1e-12);
        assert!(top_set_overlap(&[1.0], &[0.0], 1).is_nan());
    }
}
