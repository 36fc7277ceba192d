//! Windows of documents against the profiles of labels.

use std::collections::HashMap;

use moescope_core::Progress;

use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, ProfileColumn, Selection},
    stats::{information::jsd_bits, number::as_f64, units::UnitTable},
};

/// What one window says of every label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// Mean Jensen–Shannon divergence over layers in bits, `[labels]`; NaN for a label without another group.
    pub(super) divergence: Vec<f64>,
    /// Log-likelihood in nats, `[labels]`; −∞ for a label without another group.
    pub(super) likelihood: Vec<f64>,
}

impl Window {
    /// Holds counts of assignments by layer, `[layers][experts]`, against labels' counts `[layers][labels × experts]` and
    /// the logarithms of their shares; layers without an assignment say nothing.
    pub(super) fn between(
        counts: impl Iterator<Item = Vec<f64>>,
        profiles: &[Vec<f64>],
        logs: &[Vec<f64>],
        labels: usize,
    ) -> Self {
        let mut window = Self {
            divergence: vec![0.0; labels],
            likelihood: vec![0.0; labels],
        };
        let mut layers = 0.0;
        for ((counts, profiles), logs) in counts.zip(profiles).zip(logs) {
            if counts.iter().all(|n| *n == 0.0) {
                continue;
            }
            layers += 1.0;
            let experts = counts.len();
            let of_labels = profiles
                .chunks_exact(experts)
                .zip(logs.chunks_exact(experts));
            for (label, (sums, logs)) in of_labels.enumerate() {
                window.divergence[label] += jsd_bits(&counts, sums);
                let terms = counts.iter().zip(logs).map(|(n, log)| n * log);
                window.likelihood[label] += terms.sum::<f64>();
            }
        }
        for divergence in &mut window.divergence {
            *divergence /= layers;
        }
        window
    }
}

/// The windows of every selected document, `[documents][windows]`.
pub(super) fn windows(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<Vec<Vec<Window>>, AnalyticsError> {
    let profiles = Profiles::new(data, selection, request, metric, progress)?;
    let place_of = selection.place_of_documents();
    let mut found = vec![Vec::new(); selection.documents.len()];
    data.map_documents(
        DecisionNeeds::of(&request.scope),
        metric,
        progress,
        &|decisions| {
            let place = place_of.get(&decisions.document);
            Ok(place.map(|place| profiles.windows(decisions, *place, request.window as usize)))
        },
        &mut |document, windows| {
            if let (Some(windows), Some(place)) = (windows, place_of.get(&document)) {
                found[*place] = windows;
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// Assignments per expert of every label and group.
pub(super) struct Profiles<'a> {
    selection: &'a Selection,
    experts: usize,
    /// Layers of the trace, selected or not.
    layers: usize,
    /// Assignments per unit, `[layers, units, experts]`.
    units: UnitTable,
    /// Assignments per label, `[layers][labels × experts]`.
    sums: Vec<Vec<f64>>,
    /// The units of each group, by label.
    units_of_group: HashMap<usize, Vec<usize>>,
}

impl<'a> Profiles<'a> {
    pub(super) fn new(
        data: &TraceData,
        selection: &'a Selection,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let counts = data.tensor_in(ProfileColumn::Counts, &request.scope, metric, progress)?;
        let units = selection.unit_table(counts.columns(), |document, layer, row| {
            row.copy_from_slice(counts.row(document, layer));
        });
        let mut units_of_group: HashMap<usize, Vec<usize>> = HashMap::new();
        for (group, unit) in selection.group.iter().zip(&selection.unit) {
            let units = units_of_group.entry(*group).or_default();
            if !units.contains(unit) {
                units.push(*unit);
            }
        }
        Ok(Self {
            selection,
            layers: data.layers().len(),
            experts: counts.columns(),
            sums: (0..units.layers).map(|layer| units.sums(layer)).collect(),
            units,
            units_of_group,
        })
    }

    /// Assignments of every label with all its groups, `[layers][labels × experts]`.
    pub(super) fn of_labels(self) -> Vec<Vec<f64>> {
        self.sums
    }

    /// Assignments of every label without a group, `[layers][labels × experts]`.
    fn without(&self, group: usize) -> Vec<Vec<f64>> {
        let mut sums = self.sums.clone();
        for unit in &self.units_of_group[&group] {
            let start = self.units.label[*unit] * self.experts;
            for (layer, sums) in sums.iter_mut().enumerate() {
                let own = self.units.row(layer, *unit);
                let sums = &mut sums[start..start + self.experts];
                sums.iter_mut().zip(own).for_each(|(sum, own)| *sum -= own);
            }
        }
        sums
    }

    /// The windows of one document, which is at a place among the selected.
    fn windows(
        &self,
        decisions: &DocumentDecisions<'_>,
        place: usize,
        tokens: usize,
    ) -> Vec<Window> {
        let labels = self.selection.labels.len();
        let profiles = self.without(self.selection.group[place]);
        let logs: Vec<Vec<f64>> = profiles
            .iter()
            .map(|sums| log_shares(sums, self.experts))
            .collect();
        let all = decisions.counted_rows_of_layers(self.layers);
        let selected = self.selection.layers.iter();
        let rows: Vec<&[usize]> = selected.map(|layer| all[*layer].as_slice()).collect();
        let length = rows.iter().map(|rows| rows.len()).max().unwrap_or(0);
        let tokens = tokens.min(length.max(1));
        (0..length / tokens)
            .map(|i| {
                let of_layers = rows.iter().map(|rows| {
                    let rows = rows.get(i * tokens..).unwrap_or_default();
                    let mut counts = vec![0.0; self.experts];
                    for expert in rows.iter().take(tokens).flat_map(|r| decisions.experts(*r)) {
                        counts[usize::from(*expert)] += 1.0;
                    }
                    counts
                });
                Window::between(of_layers, &profiles, &logs, labels)
            })
            .collect()
    }
}

/// ln of every label's shares, half a count added to each; −∞ for a label without a count.
pub(super) fn log_shares(sums: &[f64], experts: usize) -> Vec<f64> {
    let mut logs = Vec::with_capacity(sums.len());
    for sums in sums.chunks_exact(experts) {
        let total: f64 = sums.iter().sum();
        let norm = (total + as_f64(experts) / 2.0).ln();
        logs.extend(sums.iter().map(|n| {
            if total > 0.5 {
                (n + 0.5).ln() - norm
            } else {
                f64::NEG_INFINITY
            }
        }));
    }
    logs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_smoothed_and_absent_labels_impossible() {
        // (3 + ½) / (4 + 1) and (1 + ½) / 5.
        let found = log_shares(&[3.0, 1.0, 0.0, 0.0], 2);
        assert!((found[0] - 0.7_f64.ln()).abs() < 1e-12);
        assert!((found[1] - 0.3_f64.ln()).abs() < 1e-12);
        assert!(found[2].is_infinite());
    }
}
