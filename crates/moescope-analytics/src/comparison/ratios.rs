//! Ratios of sums with intervals from a bootstrap over groups, for any rows of a table.

use moescope_core::{Interval, Progress, Protocol};

use crate::{
    AnalyticsError, MeasureRequest,
    data::Selection,
    inference::interval_words,
    stats::{
        bootstrap::{BootstrapConfig, FEWEST_GROUPS, bootstrap},
        interval::IntervalMethod,
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// What a reader must know where intervals are missing although there are enough groups.
const WITHHELD: &str = "no interval where a value is 0 in every resample, or where fewer than five groups have a decision to count: a rare change may still occur elsewhere";

/// How a quantity follows from its two sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ratio {
    /// Numerator over denominator.
    Mean,
    /// The square root of it.
    RootMean,
}

impl Ratio {
    fn of(self, [numerator, denominator]: [f64; 2]) -> f64 {
        let mean = numerator / denominator;
        match self {
            Self::Mean => mean,
            Self::RootMean => mean.sqrt(),
        }
    }
}

/// The values of all ratios, each `[rows × labels]`.
#[derive(Debug)]
pub(crate) struct Ratios {
    pub(crate) values: Vec<Vec<f64>>,
    pub(crate) intervals: Vec<Vec<Option<Interval>>>,
    pub(crate) standard_errors: Vec<Vec<f64>>,
    /// The protocol with scope, sizes, notes and how the intervals were made.
    pub(crate) protocol: Protocol,
}

/// Computes ratios for `rows` rows and every label of a selection.
///
/// `fill` gives a document's numerators and denominators in a row, `[ratios]`; documents are counted as in the trace.
/// There is no interval where fewer than five groups of a label add to the denominator, nor where the value is 0 in
/// every resample: what did not happen once in the data cannot happen in a resample of it.
pub(crate) fn ratios(
    selection: &Selection,
    request: &MeasureRequest,
    ratios: &[Ratio],
    rows: usize,
    fill: impl Fn(usize, usize, &mut [[f64; 2]]),
    progress: &dyn Progress,
) -> Result<Ratios, AnalyticsError> {
    let (width, labels) = (ratios.len(), selection.labels.len());
    let table = unit_table(selection, rows, width, fill);
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        for (place, (sums, out)) in sums.chunks_exact(2).zip(out).enumerate() {
            *out = ratios[place % width].of([sums[0], sums[1]]);
        }
    };
    let statistic = Statistic {
        len: labels * width,
        evaluate: &evaluate,
        sides: &|value| Sides::One(value / width),
    };
    let method = IntervalMethod::Percentile;
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method,
    };
    let resampled = bootstrap(&table, &statistic, config, progress)?;
    let mut protocol = selection.protocol(request);
    protocol.interval_method = interval_words(selection, request, method, &resampled);
    let mut found = Ratios {
        values: vec![Vec::with_capacity(rows * labels); width],
        intervals: vec![Vec::with_capacity(rows * labels); width],
        standard_errors: vec![Vec::with_capacity(rows * labels); width],
        protocol,
    };
    let mut is_withheld = false;
    for row in 0..rows {
        let values = statistic.values(&table.sums(row));
        for (place, value) in values.into_iter().enumerate() {
            let (label, ratio) = (place / width, place % width);
            let flat = row * labels * width + place;
            let is_zero = |i: &Interval| value == 0.0 && i.low == 0.0 && i.high == 0.0;
            let has_enough = groups_with(&table, row, label, ratio) >= FEWEST_GROUPS;
            let interval = resampled.intervals[flat].filter(|i| has_enough && !is_zero(i));
            is_withheld |= interval.is_none() && resampled.intervals[flat].is_some();
            found.values[ratio].push(value);
            found.intervals[ratio].push(interval);
            found.standard_errors[ratio].push(resampled.standard_errors[flat]);
        }
    }
    if is_withheld {
        found.protocol.notes.push(WITHHELD.to_owned());
    }
    Ok(found)
}

/// Numerators and denominators per unit, `[rows, units, 2 · width]`.
pub(super) fn unit_table(
    selection: &Selection,
    rows: usize,
    width: usize,
    fill: impl Fn(usize, usize, &mut [[f64; 2]]),
) -> UnitTable {
    let mut table = UnitTable::new(
        selection.labels.len(),
        selection.unit_label.clone(),
        rows,
        2 * width,
    );
    let mut sums = vec![[0.0; 2]; width];
    for row in 0..rows {
        for (document, unit) in selection.documents.iter().zip(&selection.unit) {
            sums.fill([0.0; 2]);
            fill(*document, row, &mut sums);
            for (total, sum) in table
                .row_mut(row, *unit)
                .iter_mut()
                .zip(sums.as_flattened())
            {
                *total += sum;
            }
        }
    }
    table
}

/// Groups of a label that have anything to divide by.
fn groups_with(table: &UnitTable, row: usize, label: usize, ratio: usize) -> usize {
    let units = table.of_label[label].clone();
    units
        .filter(|unit| table.row(row, *unit)[2 * ratio + 1] > 0.0)
        .count()
}
