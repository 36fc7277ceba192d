//! Quantities that depend on the sums of all labels at once.

use moescope_core::{Axis, Measurement, Progress};

use super::{add_power_note, interval_words, null_words};
use crate::{
    About, AnalyticsError, MeasureRequest,
    data::Selection,
    stats::{
        bootstrap::{BootstrapConfig, bootstrap},
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// A table of values per layer that is made of the sums of all labels.
pub(crate) struct Joint<'a> {
    /// The metric.
    pub(crate) about: &'a About,
    /// The table's title.
    pub(crate) title: String,
    /// The table's unit.
    pub(crate) unit: &'a str,
    /// The sums.
    pub(crate) table: &'a UnitTable,
    /// What the values of one layer are.
    pub(crate) axes: Vec<Axis>,
    /// From sums `[labels, columns]` to the values of one layer, of which no more than a few may be NaN.
    pub(crate) evaluate: &'a (dyn Fn(&[f64], &mut [f64]) + Sync),
    /// How intervals are made.
    pub(crate) method: IntervalMethod,
    /// The value of an indifferent router.
    pub(crate) reference: Option<f64>,
}

/// Measures the values with intervals, and a two-sided null in which labels do not matter.
pub(crate) fn measure_joint(
    selection: &Selection,
    request: &MeasureRequest,
    joint: Joint<'_>,
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let statistic = Statistic {
        len: joint.axes.iter().map(Axis::len).product(),
        evaluate: joint.evaluate,
        sides: &|_| Sides::All,
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method: joint.method,
    };
    let resampled = bootstrap(joint.table, &statistic, config, progress)?;
    let mut protocol = selection.protocol(request);
    protocol.interval_method = interval_words(selection, request, joint.method, &resampled);
    let has_intervals = resampled.intervals.iter().any(Option::is_some);
    protocol.level = has_intervals.then_some(request.level);
    let mut nulls = None;
    if request.permutations > 0 {
        let mut family = NullFamily::new(Tail::TwoSided, request.permutations, request.seed);
        family.add(joint.table, &statistic, progress)?;
        protocol.null_method = null_words(&family, Tail::TwoSided, "values of this table");
        protocol.notes.extend(family.note());
        nulls = Some(family.finish());
    }
    add_power_note(&mut protocol, &resampled.standard_errors, joint.unit, true);
    let mut axes = vec![selection.layer_axis()];
    axes.extend(joint.axes);
    let values = (0..joint.table.layers)
        .flat_map(|layer| statistic.values(&joint.table.sums(layer)))
        .collect();
    let measurement = Measurement {
        metric: joint.about.name.to_owned(),
        title: joint.title,
        unit: joint.unit.to_owned(),
        axes,
        values,
        intervals: has_intervals.then_some(resampled.intervals),
        nulls,
        reference: joint.reference,
        protocol,
    };
    measurement.check()?;
    Ok(measurement)
}

/// Refuses a request that leaves one label only, where at least two are compared.
pub(crate) fn need_two_labels(
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
) -> Result<(), AnalyticsError> {
    if selection.labels.len() >= 2 {
        return Ok(());
    }
    Err(AnalyticsError::TooLittle {
        metric: metric.to_owned(),
        found: format!("there is one {} only", request.by),
        help: "compare at least two labels, e.g. with another --by".to_owned(),
    })
}
