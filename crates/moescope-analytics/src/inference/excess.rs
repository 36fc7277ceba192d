//! Quantities of the order of tokens, beside what the same tokens give in random order.

use moescope_core::{Axis, AxisKind, Measurement, NullComparison, Progress};

use super::{PerLabel, measure_per_label};
use crate::{
    About, AnalyticsError, MeasureRequest,
    data::Selection,
    stats::{
        interval::IntervalMethod,
        number::as_f64,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// Quantities that are measured twice: on tokens in the order of the text, and on the same tokens in random order.
pub(crate) struct Excess<'a> {
    /// The metric.
    pub(crate) about: &'a About,
    /// Sums of both, `[observed | shuffled]`: two halves with the same columns.
    pub(crate) table: &'a UnitTable,
    /// The quantities; one empty name where there is one only.
    pub(crate) quantities: &'a [&'a str],
    /// Axes between label and variant, such as lags.
    pub(crate) places: Vec<Axis>,
    /// From one half's sums to values, `[places × quantities]`.
    pub(crate) evaluate: &'a (dyn Fn(&[f64], &mut [f64]) + Sync),
    /// The value of an indifferent router.
    pub(crate) reference: Option<f64>,
    /// What `observed` and `shuffled` are.
    pub(crate) note: &'a str,
    /// Whether the values of each place are tested; `None` where all are.
    pub(crate) is_tested: Option<&'a [bool]>,
}

/// Pairs per group below which a share of pairs is not tested beside its expectation.
///
/// The share of few pairs is skewed about its expectation, so that exchanging both finds differences where none are.
const FEWEST_PAIRS: f64 = 20.0;

/// Whether that many pairs, over all groups and layers of a table, are enough for a test.
pub(crate) fn has_enough_pairs(pairs: f64, table: &UnitTable) -> bool {
    pairs >= FEWEST_PAIRS * as_f64(table.units() * table.layers)
}

/// Observed, shuffled, and their difference.
const VARIANTS: [&str; 3] = ["observed", "shuffled", "excess"];

/// Measures every quantity of every label, or the difference of the labels of a contrast.
///
/// Without a contrast, observed and excess are tested against the order of tokens within documents not mattering.
pub(crate) fn measure_excess(
    selection: &Selection,
    request: &MeasureRequest,
    excess: &Excess<'_>,
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let half = excess.table.columns / 2;
    let places: usize = excess.places.iter().map(Axis::len).product();
    let width = places * excess.quantities.len();
    let of_halves = |sums: &[f64]| {
        let mut values = vec![0.0; 2 * width];
        let (observed, shuffled) = values.split_at_mut(width);
        (excess.evaluate)(&sums[..half], observed);
        (excess.evaluate)(&sums[half..], shuffled);
        values
    };
    let mut measurement = measure_per_label(
        selection,
        request,
        PerLabel {
            about: excess.about.clone(),
            unit: excess.about.unit.to_owned(),
            table: excess.table,
            width: 3 * width,
            evaluate: &|sums, out| {
                let values = of_halves(sums);
                for (i, out) in out.chunks_exact_mut(3).enumerate() {
                    let (observed, shuffled) = (values[i], values[width + i]);
                    out.copy_from_slice(&[observed, shuffled, observed - shuffled]);
                }
            },
            last_axis: Some(Axis::new(AxisKind::Variant, vec![String::new(); 3 * width])),
            method: IntervalMethod::Percentile,
            has_null: false,
            reference: excess.reference,
        },
        progress,
    )?;
    measurement.axes.pop();
    measurement.axes.extend(excess.places.iter().cloned());
    measurement.axes.push(variant_axis(excess.quantities));
    if request.contrast.is_none() && request.permutations > 0 {
        let statistic = Statistic {
            len: selection.labels.len() * width,
            evaluate: &|sums, out| {
                let labels = sums.chunks_exact(2 * half);
                for (sums, out) in labels.zip(out.chunks_exact_mut(width)) {
                    let values = of_halves(sums);
                    for (i, out) in out.iter_mut().enumerate() {
                        let place = i / excess.quantities.len();
                        *out = if excess.is_tested.is_none_or(|tested| tested[place]) {
                            values[i] - values[width + i]
                        } else {
                            f64::NAN
                        };
                    }
                }
            },
            sides: &|i| Sides::One(i / width),
        };
        let mut family = NullFamily::new(Tail::AroundZero, request.permutations, request.seed);
        family.add_swaps(excess.table, &statistic, progress)?;
        measurement.protocol.null_method = format!(
            "observed and shuffled exchanged within groups, {} permutations, two-sided; q corrects for all values of this table (max-T)",
            request.permutations
        );
        measurement.protocol.notes.extend(family.note());
        if let Some(tested) = excess.is_tested {
            let untested = tested.iter().filter(|is_tested| !**is_tested).count();
            if untested > 0 {
                measurement.protocol.notes.push(format!(
                    "not tested: {untested} of {} places, where a group has fewer than {FEWEST_PAIRS} pairs on average",
                    tested.len()
                ));
            }
        }
        let found = family.finish();
        let triples = found.iter().zip(measurement.values.chunks_exact(3));
        let is_tested = |cell: usize| {
            let place = cell % width / excess.quantities.len();
            excess.is_tested.is_none_or(|tested| tested[place])
        };
        measurement.nulls = Some(
            triples
                .enumerate()
                .flat_map(|(cell, (null, values))| {
                    let null = null.filter(|_| is_tested(cell));
                    let at = |null_mean| null.map(|null| NullComparison { null_mean, ..null });
                    [at(values[1]), None, at(0.0)]
                })
                .collect(),
        );
    }
    measurement.protocol.notes.push(excess.note.to_owned());
    measurement.check()?;
    Ok(measurement)
}

fn variant_axis(quantities: &[&str]) -> Axis {
    let names = quantities.iter().flat_map(|quantity| {
        VARIANTS.map(|variant| match *quantity {
            "" => variant.to_owned(),
            name => format!("{name}_{variant}"),
        })
    });
    Axis::new(AxisKind::Variant, names.collect())
}
