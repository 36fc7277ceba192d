//! Quantities of tables that are counted per block: one table after the other, so that only one is resampled at a time.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use super::{BlockCounts, add_power_note, interval_words, null_words};
use crate::{
    About, AnalyticsError, MeasureRequest,
    data::Selection,
    stats::{
        bootstrap::{Bootstrap, BootstrapConfig, bootstrap},
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
    },
};

/// Numbers that the resamples of one table may take.
const MOST_RESAMPLED: usize = 1 << 25;

/// A quantity of every table.
pub(crate) struct PerRow<'a> {
    /// The metric.
    pub(crate) about: &'a About,
    /// The counts.
    pub(crate) counts: &'a BlockCounts,
    /// The axis of the tables.
    pub(crate) outer: Axis,
    /// The axes of one table's values.
    pub(crate) inner: Vec<Axis>,
    /// From a table's counts `[columns]` to its values.
    pub(crate) evaluate: &'a (dyn Fn(&[f64], &mut [f64]) + Sync),
    /// How intervals are made.
    pub(crate) method: IntervalMethod,
    /// The value of an indifferent router.
    pub(crate) reference: Option<f64>,
}

/// A measurement, and the standard error of each of its values.
pub(crate) struct Measured {
    pub(crate) measurement: Measurement,
    pub(crate) standard_errors: Vec<f64>,
}

/// Measures a quantity of a pooled selection, or its difference under a contrast.
#[expect(
    clippy::too_many_lines,
    reason = "one table from sums to protocol, in the order in which it comes about"
)]
pub(crate) fn measure_rows(
    selection: &Selection,
    request: &MeasureRequest,
    quantity: &PerRow<'_>,
    progress: &dyn Progress,
) -> Result<Measured, AnalyticsError> {
    let counts = quantity.counts;
    let width: usize = quantity.inner.iter().map(Axis::len).product();
    let is_contrast = request.contrast.is_some();
    let difference = |sums: &[f64], out: &mut [f64]| {
        let (a, b) = sums.split_at(counts.columns);
        let mut other = vec![0.0; width];
        (quantity.evaluate)(a, out);
        (quantity.evaluate)(b, &mut other);
        for (value, other) in out.iter_mut().zip(other) {
            *value -= other;
        }
    };
    let statistic = if is_contrast {
        Statistic {
            len: width,
            evaluate: &difference,
            sides: &|_| Sides::Two(0, 1),
        }
    } else {
        Statistic {
            len: width,
            evaluate: quantity.evaluate,
            sides: &|_| Sides::One(0),
        }
    };
    let affordable = u32::try_from(MOST_RESAMPLED / width.max(1)).unwrap_or(u32::MAX);
    let config = BootstrapConfig {
        resamples: request.resamples.min(affordable),
        seed: request.seed,
        level: request.level,
        method: quantity.method,
    };
    let mut family = NullFamily::new(
        Tail::TwoSided,
        request.permutations.min(affordable),
        request.seed,
    );
    let mut values = Vec::with_capacity(counts.rows * width);
    let mut all = Bootstrap::default();
    for row in 0..counts.rows {
        progress.report(row as u64, counts.rows as u64, "bootstrap over groups")?;
        let table = counts.table(row, selection.labels.len());
        values.extend(statistic.values(&table.sums(0)));
        all.extend(bootstrap(&table, &statistic, config, progress)?);
        if is_contrast && request.permutations > 0 {
            family.add(&table, &statistic, progress)?;
        }
    }
    let mut protocol = selection.protocol(request);
    let used = MeasureRequest {
        resamples: config.resamples,
        ..request.clone()
    };
    protocol.resamples = config.resamples;
    protocol.interval_method = interval_words(selection, &used, quantity.method, &all);
    let has_intervals = all.intervals.iter().any(Option::is_some);
    protocol.level = has_intervals.then_some(request.level);
    counts.blocks.describe(&mut protocol);
    let mut nulls = None;
    let mut axes = vec![quantity.outer.clone()];
    let mut title = quantity.about.title.to_owned();
    if let Some((a, b)) = &request.contrast {
        if request.permutations > 0 {
            protocol.null_method = null_words(&family, Tail::TwoSided, "values of this table");
            protocol.notes.extend(family.note());
            nulls = Some(family.finish());
        }
        title = format!("{title}: {a} minus {b}");
        axes.push(Axis::new(AxisKind::Group, vec![a.clone()]));
        axes.push(Axis::new(AxisKind::GroupB, vec![b.clone()]));
        add_power_note(
            &mut protocol,
            &all.standard_errors,
            quantity.about.unit,
            true,
        );
    } else {
        protocol.notes.push(format!(
            "all labels of {} together; --contrast compares two, --labels chooses some",
            request.by
        ));
    }
    axes.extend(quantity.inner.iter().cloned());
    let measurement = Measurement {
        metric: quantity.about.name.to_owned(),
        title,
        unit: quantity.about.unit.to_owned(),
        axes,
        values,
        intervals: has_intervals.then_some(all.intervals),
        nulls,
        reference: if is_contrast {
            Some(0.0)
        } else {
            quantity.reference
        },
        protocol,
    };
    measurement.check()?;
    Ok(Measured {
        measurement,
        standard_errors: all.standard_errors,
    })
}

/// Refuses a contrast of a quantity whose difference says nothing.
pub(crate) fn refuse_contrast(
    request: &MeasureRequest,
    metric: &str,
    why: &str,
) -> Result<(), AnalyticsError> {
    match request.contrast {
        Some(_) => Err(AnalyticsError::Request(format!(
            "{metric} has no contrast: {why}; leave out the contrast"
        ))),
        None => Ok(()),
    }
}

/// The axis of experts, or of second ones.
pub(crate) fn expert_axis(kind: AxisKind, experts: usize) -> Axis {
    Axis::new(kind, (0..experts).map(|e| e.to_string()).collect())
}

/// The axis of variants.
pub(crate) fn variant_axis(names: &[&str]) -> Axis {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Axis::new(AxisKind::Variant, names)
}
