//! The smallest sets of experts that carry a given part of a label's routing.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use super::{Relevance, relevance_table};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::Selection,
    stats::{
        bootstrap::{BootstrapConfig, FEWEST_GROUPS, bootstrap},
        interval::IntervalMethod,
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// Scores are compared in ten-thousandths: the published score files have four decimals, and their sets follow from those.
const UNITS_PER_SCORE: f64 = 1e4;

/// The experts of a set, most relevant first.
///
/// Experts are taken by falling score, equal ones by ascending number, until their scores reach `threshold` together;
/// if they never do, all are taken.
fn smallest_set(scores: &[f64], threshold: f64) -> Vec<usize> {
    if scores.iter().any(|score| !score.is_finite()) {
        return Vec::new();
    }
    // Whole numbers of units, far below 2^53: their sums are exact.
    let units: Vec<f64> = scores
        .iter()
        .map(|score| (score * UNITS_PER_SCORE).round_ties_even())
        .collect();
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by(|a, b| units[*b].total_cmp(&units[*a]));
    // Half a billionth of a unit is rounding of the threshold itself.
    let enough = threshold * UNITS_PER_SCORE - 1e-9;
    let mut reached = 0.0;
    let mut set = Vec::new();
    for expert in order {
        if reached >= enough {
            break;
        }
        reached += units[expert];
        set.push(expert);
    }
    set
}

/// The sets of every layer and label.
struct Sets {
    /// `[layers × labels]`, each most relevant first.
    experts: Vec<Vec<usize>>,
    /// Sets that hold every expert since all scores together do not reach the threshold.
    incomplete: usize,
}

impl Sets {
    fn find(table: &UnitTable, relevance: Relevance, top_k: u16, threshold: f64) -> Self {
        let mut sets = Self {
            experts: Vec::new(),
            incomplete: 0,
        };
        let mut scores = vec![0.0; table.columns - 1];
        for layer in 0..table.layers {
            for sums in table.sums(layer).chunks_exact(table.columns) {
                relevance.scores(sums, top_k, &mut scores);
                let set = smallest_set(&scores, threshold);
                let is_short = scores.iter().sum::<f64>() < threshold;
                sets.incomplete += usize::from(is_short && !set.is_empty());
                sets.experts.push(set);
            }
        }
        sets
    }

    /// One value per place of every set, `[layers × labels × places]`; NaN past a set's end.
    fn by_place(&self, places: usize, value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        self.experts
            .iter()
            .enumerate()
            .flat_map(|(set, experts)| {
                let value = &value;
                (0..places).map(move |place| {
                    experts
                        .get(place)
                        .map_or(f64::NAN, |expert| value(set, *expert))
                })
            })
            .collect()
    }
}

/// Measures the sets of every label at every layer, and how often resampled groups choose the same experts.
pub(crate) fn measure_expert_sets(
    data: &TraceData,
    request: &MeasureRequest,
    about: &About,
    relevance: Relevance,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    if request.contrast.is_some() {
        return Err(AnalyticsError::Request(format!(
            "{} gives a set of experts for every label, and sets have no difference; leave out the contrast, or contrast the scores (esft_gate_score, assignment_share)",
            about.name
        )));
    }
    let threshold = request
        .esft_p
        .unwrap_or_else(|| relevance.published_threshold());
    let selection = Selection::new(data, request, about.name, progress)?;
    let table = relevance_table(data, &selection, request, relevance, about.name, progress)?;
    let model = data.model();
    let sets = Sets::find(&table, relevance, model.top_k, threshold);
    let places = sets.experts.iter().map(Vec::len).max().unwrap_or(0);
    let mut protocol = selection.protocol(request);
    protocol.notes.push(format!(
        "columns are places by falling score; a set is complete when its scores sum to {threshold} or more"
    ));
    if sets.incomplete > 0 {
        protocol.notes.push(format!(
            "{} of {} sets hold every expert, since all scores of the layer sum to less than {threshold}",
            sets.incomplete,
            sets.experts.len()
        ));
    }
    let axes = vec![
        selection.layer_axis(),
        selection.group_axis(),
        Axis::new(
            AxisKind::Variant,
            (1..=places).map(|place| place.to_string()).collect(),
        ),
    ];
    let chosen = |_: usize, expert: usize| u32::try_from(expert).map_or(f64::NAN, f64::from);
    let mut found = vec![Measurement {
        metric: about.name.to_owned(),
        title: about.title.to_owned(),
        unit: about.unit.to_owned(),
        axes,
        values: sets.by_place(places, chosen),
        intervals: None,
        nulls: None,
        reference: None,
        protocol,
    }];
    match stability(
        &table,
        &sets,
        relevance,
        model.top_k,
        threshold,
        request,
        progress,
    )? {
        Some(frequency) => {
            let experts = table.columns - 1;
            let mut second = found[0].clone();
            second.title = format!("{}: how often resampled groups select them", about.title);
            "share of resamples".clone_into(&mut second.unit);
            second.values = sets.by_place(places, |set, expert| frequency[set * experts + expert]);
            second.protocol.notes.push(format!(
                "each value: share of {} resamples of the label's groups whose set holds that expert; the value at place i belongs to the expert at place i",
                request.resamples
            ));
            found.push(second);
        }
        None => found[0].protocol.notes.push(format!(
            "no stability: it needs resamples, and a label with {FEWEST_GROUPS} groups or more"
        )),
    }
    for measurement in &found {
        measurement.check()?;
    }
    Ok(found)
}

/// How often each expert is in the set of a resample, `[layers × labels × experts]`; NaN for labels of few groups.
fn stability(
    table: &UnitTable,
    sets: &Sets,
    relevance: Relevance,
    top_k: u16,
    threshold: f64,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Option<Vec<f64>>, AnalyticsError> {
    if sets.experts.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let experts = table.columns - 1;
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        for (sums, out) in sums
            .chunks_exact(experts + 1)
            .zip(out.chunks_exact_mut(experts))
        {
            relevance.scores(sums, top_k, out);
            let set = smallest_set(out, threshold);
            out.fill(0.0);
            for expert in set {
                out[expert] = 1.0;
            }
        }
    };
    let statistic = Statistic {
        len: table.labels() * experts,
        evaluate: &evaluate,
        sides: &|value| Sides::One(value / experts),
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method: IntervalMethod::Percentile,
    };
    let means = bootstrap(table, &statistic, config, progress)?.means;
    Ok(means.iter().any(|mean| mean.is_finite()).then_some(means))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_ends_with_the_expert_that_reaches_the_threshold() {
        let check = |scores: &[f64], threshold: f64, expected: &[usize]| {
            assert_eq!(smallest_set(scores, threshold), expected, "{scores:?}");
        };
        let scores = [0.1, 0.4, 0.2, 0.3];
        check(&scores, 0.4, &[1]);
        check(&scores, 0.41, &[1, 3]);
        check(&scores, 0.7, &[1, 3]);
        check(&scores, 0.95, &[1, 3, 2, 0]);
        // Out of reach: all of them.
        check(&[0.1, 0.2], 0.9, &[1, 0]);
        // 0.1 + 0.2 is 0.30000000000000004 and three times 0.1 as well: decimals decide, not bits.
        check(&[0.1, 0.1, 0.1, 0.7], 1.0, &[3, 0, 1, 2]);
        // Both round to 0.0123, so the lower number goes first although its score is smaller.
        check(&[0.012_281, 0.012_349, 0.5], 0.51, &[2, 0]);
        check(&[f64::NAN, 1.0], 0.5, &[]);
    }
}
