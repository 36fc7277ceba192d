//! The cells furthest from what an indifferent router gives: the most specialised experts, in order.

mod drawing;

pub(super) use drawing::{Lollipops, Row};
use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    page::{self, Drawn, Words},
    palette,
    significance::Significance,
    slice::{Needs, Slice, slice},
};

/// Draws the largest differences to the reference as points on stems, with intervals and significance.
#[derive(Clone, Copy, Debug)]
pub struct Lollipop;

const NEEDS: Needs = Needs {
    figure: "lollipop",
    axes: "layer × group × expert",
};

/// How many cells are drawn unless another number is asked for.
const MOST_CELLS: usize = 20;

impl FigureKind for Lollipop {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "The most specialised experts: the largest differences to the reference, with intervals and significance",
            axes: "layer × group × expert [× variant]",
            metrics: "assignment_share, domain_specialization, relative_load and others of one value per layer, group and expert",
            options: &[
                ("top", "how many cells; 20 by default"),
                ("layer", "only this layer"),
                ("group", "only this group"),
                ("variant", "the variant to draw, where there are several"),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let kinds = [AxisKind::Layer, AxisKind::Group, AxisKind::Expert];
        let cells = slice(NEEDS, measurement, kinds, options)?;
        let significance = Significance::of(measurement);
        let (order, undefined) = strongest(&cells, options)?;
        let most = options.top.map_or(MOST_CELLS, usize::from);
        let mut remarks = vec![format!(
            "{} of {}, by distance to {}",
            page::counted(order.len().min(most), "cell", "cells"),
            order.len(),
            measurement.reference.map_or("zero".to_owned(), |r| format!(
                "the reference {}",
                crate::ticks::short(r)
            ))
        )];
        if undefined > 0 {
            remarks.push(page::counted(
                undefined,
                "cell is not defined",
                "cells are not defined",
            ));
        }
        let names = [cells.labels(0), cells.labels(1), cells.labels(2)];
        let labels: Vec<&str> = names[1].iter().map(String::as_str).collect();
        let looks = palette::categories(&labels);
        let has_groups = names[1].len() > 1;
        let rows: Vec<Row> = order
            .iter()
            .take(most)
            .map(|index| {
                let flat = cells.flat(*index);
                let [layer, group, expert] = *index;
                let place = format!("L{} E{}", names[0][layer], names[2][expert]);
                let null = measurement.nulls.as_ref().and_then(|all| all[flat]);
                Row {
                    label: if has_groups {
                        format!("{place} · {}", names[1][group])
                    } else {
                        place
                    },
                    color: looks[group].color,
                    value: measurement.values[flat],
                    interval: measurement.intervals.as_ref().and_then(|all| all[flat]),
                    is_significant: significance.is_none_or(|s| s.holds(null)),
                }
            })
            .collect();
        let without = rows.iter().filter(|row| row.interval.is_none()).count();
        let has_intervals = without < rows.len();
        if has_intervals && without > 0 {
            remarks.push(format!("Without an interval: {without}"));
        }
        let drawn = Drawn {
            intervals: has_intervals,
            nulls: significance.is_some(),
        };
        let words = Words::new(measurement, options, &cells.fixed, &remarks, drawn);
        let drawing = Lollipops::new(measurement, options, rows, significance);
        let (natural, least) = drawing.heights();
        page::compose(&words, options, (natural, least), |canvas, top, height| {
            drawing.paint(canvas, options, top, height)
        })
    }
}

/// The defined cells, those furthest from the reference first, and how many are not defined.
///
/// # Errors
/// When a chosen layer or group is not there.
fn strongest(
    cells: &Slice<'_, 3>,
    options: &FigureOptions,
) -> Result<(Vec<[usize; 3]>, usize), FigureError> {
    let [layers, groups, experts] = cells.axes;
    let only = |option, axis, choice: Option<String>| {
        choice
            .map(|choice| crate::slice::index_of(option, axis, &choice))
            .transpose()
    };
    let layer = only("layer", layers, options.layer.map(|l| l.to_string()))?;
    let group = only("group", groups, options.group.clone())?;
    let center = cells.measurement.reference.unwrap_or(0.0);
    let mut found: Vec<([usize; 3], f64)> = Vec::new();
    let mut undefined = 0;
    for l in (0..layers.len()).filter(|l| layer.is_none_or(|only| only == *l)) {
        for g in (0..groups.len()).filter(|g| group.is_none_or(|only| only == *g)) {
            for e in 0..experts.len() {
                let value = cells.value([l, g, e]);
                if value.is_finite() {
                    found.push(([l, g, e], (value / 2.0 - center / 2.0).abs()));
                } else {
                    undefined += 1;
                }
            }
        }
    }
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok((
        found.into_iter().map(|(index, _)| index).collect(),
        undefined,
    ))
}
