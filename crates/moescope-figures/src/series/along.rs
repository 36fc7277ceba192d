//! From a measurement to lines along one of its axes.

use moescope_core::{AxisKind, Measurement};

use super::{Chart, PointOfSeries, Series};
use crate::{
    FigureError, FigureOptions,
    page::{self, Words},
    palette,
    slice::{Needs, slice},
};

/// Draws a line for each group or variant along an axis, with bands for the intervals.
///
/// # Errors
/// As [`FigureKind::draw_svg`](crate::FigureKind::draw_svg).
pub(crate) fn draw_along(
    needs: Needs,
    (along, x_title): (AxisKind, &str),
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<String, FigureError> {
    let has_many = |kind: AxisKind| measurement.axis(kind).is_some_and(|(_, a)| a.len() > 1);
    let by = if has_many(AxisKind::Group) && options.group.is_none() {
        Some(AxisKind::Group)
    } else if has_many(AxisKind::Variant) && options.variant.is_none() {
        Some(AxisKind::Variant)
    } else {
        None
    };
    let point = |flat: usize| PointOfSeries {
        value: measurement.values[flat],
        interval: measurement.intervals.as_ref().and_then(|all| all[flat]),
        null_mean: measurement
            .nulls
            .as_ref()
            .and_then(|all| all[flat])
            .map(|null| null.null_mean),
    };
    let (places, series, subtitle) = if let Some(kind) = by {
        let slice = slice(needs, measurement, [along, kind], options)?;
        let names = slice.labels(1);
        let labels: Vec<&str> = names.iter().map(String::as_str).collect();
        let looks = palette::categories(&labels);
        let series = names
            .iter()
            .zip(looks)
            .enumerate()
            .map(|(i, (name, look))| Series {
                name: name.clone(),
                look,
                points: (0..slice.axes[0].len())
                    .map(|place| point(slice.flat([place, i])))
                    .collect(),
            })
            .collect();
        (slice.labels(0), series, slice.fixed)
    } else {
        let slice = slice(needs, measurement, [along], options)?;
        let series = vec![Series {
            name: String::new(),
            look: palette::category(0),
            points: (0..slice.axes[0].len())
                .map(|place| point(slice.flat([place])))
                .collect(),
        }];
        (slice.labels(0), series, slice.fixed)
    };
    let chart = Chart::new(measurement, options, (places, x_title), series);
    let words = Words::new(
        measurement,
        options,
        &subtitle,
        &chart.remarks(),
        chart.drawn(),
    );
    let natural = chart.natural_height(options);
    page::compose(&words, options, (natural, 18.0), |canvas, top, height| {
        chart.paint(canvas, options, top, height)
    })
}
