//! What the leading experts of every two labels have in common.

use moescope_core::{Measurement, Progress};

use super::{Pairwise, mass_note, mass_table, measure_pairs, need_two_labels};
use crate::{
    About, AnalyticsError, LoadMass, MeasureRequest, TraceData,
    data::Selection,
    stats::{correlation::mean, interval::IntervalMethod, permutation::Tail, ranking::top_set},
};

/// A quantity of the top-k experts of two labels.
pub(crate) struct TopSets<'a> {
    /// The metric.
    pub(crate) about: About,
    /// What experts are ranked by.
    pub(crate) mass: LoadMass,
    /// From two ascending lists of k experts to the value.
    pub(crate) evaluate: &'a (dyn Fn(&[usize], &[usize]) -> f64 + Sync),
    /// The value of equal sets, which none exceeds.
    pub(crate) most: f64,
}

/// Measures every two labels at every layer.
pub(crate) fn measure_top_sets(
    data: &TraceData,
    request: &MeasureRequest,
    sets: &TopSets<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let name = sets.about.name;
    let selection = Selection::new(data, request, name, progress)?;
    let table = mass_table(data, &selection, request, sets.mass, name, progress)?;
    need_two_labels(&selection, request, name)?;
    let top_k = usize::from(data.model().top_k);
    let evaluate = |a: &[f64], b: &[f64]| {
        if a.iter().sum::<f64>() <= 0.0 || b.iter().sum::<f64>() <= 0.0 {
            return f64::NAN;
        }
        (sets.evaluate)(&top_set(a, top_k), &top_set(b, top_k))
    };
    let pairwise = Pairwise {
        about: sets.about.clone(),
        table: &table,
        evaluate: &evaluate,
        method: IntervalMethod::BiasCorrected {
            range: (0.0, sets.most),
        },
        tail: Tail::TwoSided,
        diagonal: sets.most,
        reference: None,
    };
    let mut measurement = measure_pairs(&selection, request, &pairwise, progress)?;
    let labels = selection.labels.len();
    // A contrast has no diagonal to leave out.
    let is_pair = |i: &usize| request.contrast.is_some() || i % labels != i / labels % labels;
    let pairs: Vec<f64> = (0..measurement.values.len())
        .filter(is_pair)
        .map(|i| measurement.values[i])
        .filter(|value| !value.is_nan())
        .collect();
    let least = pairs.iter().copied().fold(f64::INFINITY, f64::min);
    let notes = &mut measurement.protocol.notes;
    notes.push(format!("the {top_k} leading experts of each label"));
    if !pairs.is_empty() {
        notes.push(format!(
            "over layers and pairs of labels: mean {:.4}, least {least:.4}",
            mean(&pairs)
        ));
    }
    notes.extend(mass_note(Some(sets.mass)));
    Ok(vec![measurement])
}
