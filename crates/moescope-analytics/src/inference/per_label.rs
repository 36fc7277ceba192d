//! Quantities of each label at each layer, and their difference under a contrast.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

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

/// A quantity that depends on the sums of one label only.
pub(crate) struct PerLabel<'a> {
    /// The metric.
    pub(crate) about: About,
    /// The unit, where it is not the metric's.
    pub(crate) unit: String,
    /// The sums.
    pub(crate) table: &'a UnitTable,
    /// Values per label and layer.
    pub(crate) width: usize,
    /// From a label's sums `[columns]` to its values `[width]`.
    pub(crate) evaluate: &'a (dyn Fn(&[f64], &mut [f64]) + Sync),
    /// What the values of one label are, where there are several.
    pub(crate) last_axis: Option<Axis>,
    /// How intervals are made.
    pub(crate) method: IntervalMethod,
    /// Whether each label is tested against the labels being exchangeable; a contrast always is.
    pub(crate) has_null: bool,
    /// The value of an indifferent router.
    pub(crate) reference: Option<f64>,
}

/// Measures a quantity of every label, or the difference of the two labels of a contrast.
pub(crate) fn measure_per_label(
    selection: &Selection,
    request: &MeasureRequest,
    quantity: PerLabel<'_>,
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let (columns, width) = (quantity.table.columns, quantity.width);
    let is_contrast = request.contrast.is_some();
    let each = |sums: &[f64], out: &mut [f64]| {
        for (sums, out) in sums.chunks_exact(columns).zip(out.chunks_exact_mut(width)) {
            (quantity.evaluate)(sums, out);
        }
    };
    let difference = |sums: &[f64], out: &mut [f64]| {
        let mut both = vec![0.0; 2 * width];
        each(sums, &mut both);
        for (value, out) in out.iter_mut().enumerate() {
            *out = both[value] - both[width + value];
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
            len: selection.labels.len() * width,
            evaluate: &each,
            sides: &|value| Sides::One(value / width),
        }
    };
    let method = match quantity.method {
        IntervalMethod::BiasCorrected { range: (low, high) } if is_contrast => {
            IntervalMethod::BiasCorrected {
                range: (low - high, high - low),
            }
        }
        method => method,
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method,
    };
    let values: Vec<f64> = (0..quantity.table.layers)
        .flat_map(|layer| statistic.values(&quantity.table.sums(layer)))
        .collect();
    let resampled = bootstrap(quantity.table, &statistic, config, progress)?;
    let mut protocol = selection.protocol(request);
    protocol.interval_method = interval_words(selection, request, method, &resampled);
    let has_intervals = resampled.intervals.iter().any(Option::is_some);
    protocol.level = has_intervals.then_some(request.level);
    let mut nulls = None;
    if (quantity.has_null || is_contrast) && request.permutations > 0 && selection.labels.len() > 1
    {
        let tail = Tail::TwoSided;
        let mut family = NullFamily::new(tail, request.permutations, request.seed);
        family.add(quantity.table, &statistic, progress)?;
        protocol.null_method = null_words(&family, tail, "values of this table");
        protocol.notes.extend(family.note());
        nulls = Some(family.finish());
    }
    add_power_note(
        &mut protocol,
        &resampled.standard_errors,
        &quantity.unit,
        is_contrast,
    );
    let (mut axes, title) = if let Some((a, b)) = &request.contrast {
        let axes = vec![
            selection.layer_axis(),
            Axis::new(AxisKind::Group, vec![a.clone()]),
            Axis::new(AxisKind::GroupB, vec![b.clone()]),
        ];
        (axes, format!("{}: {a} minus {b}", quantity.about.title))
    } else {
        (
            vec![selection.layer_axis(), selection.group_axis()],
            quantity.about.title.to_owned(),
        )
    };
    axes.extend(quantity.last_axis);
    let measurement = Measurement {
        metric: quantity.about.name.to_owned(),
        title,
        unit: quantity.unit,
        axes,
        values,
        intervals: has_intervals.then_some(resampled.intervals),
        nulls,
        reference: if is_contrast {
            Some(0.0)
        } else {
            quantity.reference
        },
        protocol,
    };
    measurement.check()?;
    Ok(measurement)
}
