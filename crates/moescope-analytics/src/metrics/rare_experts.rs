//! Experts that hardly any token chooses.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{LoadQuantity, LoadValues, load_table, mass_note, measure_load},
    stats::{count::real, interval::IntervalMethod},
};

/// Number of experts below some loads, and which they are.
pub(super) struct RareExperts;

/// Experts are rare when their load is below this part of the balanced load.
const THRESHOLDS: [(&str, f64); 3] = [("never", 0.0), ("below_0.1", 0.1), ("below_0.5", 0.5)];

impl Metric for RareExperts {
    fn about(&self) -> About {
        About {
            name: "rare_experts",
            title: "Rare experts",
            formula: "the number of experts e with E · c(e, D) / Σ_e c(e, D) < τ, where c counts assignments; variants for τ = 0.1 and 0.5 balanced loads, and `never` for c(e, D) = 0",
            unit: "experts",
            range: "0 (also where the load is balanced) to E − k",
            edge_cases: "A second table lists the experts below half of the balanced load, rarest first, equal ones by number; a third gives the relative load of each. An expert that is never chosen in a small sample may still be alive: 1,000 independent tokens without it only show that it has less than 0.3 % of them, and tokens are not independent. `--mass` sums weights or router probabilities instead of assignments; a probability is never 0. NaN for a label without tokens.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label, of the numbers only. No null but under a contrast, whose labels are permuted over groups, two-sided; a contrast lists no experts.",
            citation: "Dead and rarely used experts, as counted in studies of pruning, e.g. REAP, arXiv 2510.13999.",
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
        let range = (0.0, f64::from(data.model().num_experts));
        let evaluate = |shares: &[f64], out: &mut [f64]| {
            for (out, (_, threshold)) in out.iter_mut().zip(THRESHOLDS) {
                *out = real(rare(shares, threshold).len());
            }
        };
        let quantity = LoadQuantity {
            about: self.about(),
            values: LoadValues::Variants(THRESHOLDS.map(|(name, _)| (name, range)).to_vec()),
            evaluate: &evaluate,
            method: IntervalMethod::BiasCorrected { range },
            reference: Some(0.0),
        };
        let mut found = measure_load(data, request, &quantity, progress)?;
        if request.contrast.is_none() {
            found.extend(self.lists(data, request, progress)?);
        }
        Ok(found)
    }
}

impl RareExperts {
    /// Which experts are below the highest threshold, and their loads, `[layers, labels, places]`.
    fn lists(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<[Measurement; 2], AnalyticsError> {
        let about = self.about();
        let selection = Selection::new(data, request, about.name, progress)?;
        let table = load_table(data, &selection, request, about.name, progress)?;
        let [.., (_, threshold)] = THRESHOLDS;
        let mut lists: Vec<Vec<(f64, f64)>> = Vec::new();
        for layer in 0..table.layers {
            for mass in table.sums(layer).chunks_exact(table.columns) {
                let balanced = mass.iter().sum::<f64>() / real(mass.len());
                let experts = rare(mass, threshold).into_iter();
                lists.push(experts.map(|e| (real(e), mass[e] / balanced)).collect());
            }
        }
        let places = lists.iter().map(Vec::len).max().unwrap_or(0);
        let values = |part: fn(&(f64, f64)) -> f64| {
            let mut values = Vec::new();
            for list in &lists {
                values.extend((0..places).map(|i| list.get(i).map_or(f64::NAN, part)));
            }
            values
        };
        let mut protocol = selection.protocol(request);
        protocol.notes.push(format!(
            "places by rising load; experts below {threshold} of the balanced load"
        ));
        protocol.notes.extend(mass_note(request.mass));
        let ranks = (1..=places).map(|place| place.to_string()).collect();
        let ids = Measurement {
            metric: about.name.to_owned(),
            title: format!("{}: which", about.title),
            unit: "expert id".to_owned(),
            axes: vec![
                selection.layer_axis(),
                selection.group_axis(),
                Axis::new(AxisKind::Rank, ranks),
            ],
            values: values(|(expert, _)| *expert),
            intervals: None,
            nulls: None,
            reference: None,
            protocol,
        };
        let loads = Measurement {
            title: format!("{}: their relative load", about.title),
            unit: "times the balanced load".to_owned(),
            values: values(|(_, load)| *load),
            ..ids.clone()
        };
        ids.check()?;
        loads.check()?;
        Ok([ids, loads])
    }
}

/// Experts below a part of the balanced load, or without any load where the part is 0; rarest first.
///
/// None where there is no load at all.
fn rare(masses: &[f64], threshold: f64) -> Vec<usize> {
    let total: f64 = masses.iter().sum();
    let limit = threshold * total / real(masses.len());
    let is_rare = |e: &usize| total > 0.0 && (masses[*e] < limit || masses[*e] == 0.0);
    let mut experts: Vec<usize> = (0..masses.len()).filter(is_rare).collect();
    experts.sort_by(|a, b| masses[*a].total_cmp(&masses[*b]).then(a.cmp(b)));
    experts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_experts_are_below_a_part_of_the_balanced_load() {
        // Balanced: 10. Below half: 0, 0, 4; below a tenth: 0 and 0.
        let masses = [4.0, 0.0, 36.0, 0.0, 10.0];
        assert_eq!(rare(&masses, 0.5), [1, 3, 0]);
        assert_eq!(rare(&masses, 0.1), [1, 3]);
        assert_eq!(rare(&masses, 0.0), [1, 3]);
        assert!(rare(&[0.0; 3], 0.5).is_empty());
    }
}
