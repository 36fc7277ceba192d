//! One value per group and variant as points on stems: what something does to each group, beside what it is compared with.

use moescope_core::{AxisKind, Measurement};

use super::lollipop::{Lollipops, Row};
use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    page::{self, Drawn, Words},
    palette,
    significance::Significance,
    slice::{Needs, slice},
};

/// Draws a point with its interval for every variant of every group, in the measurement's order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupEffects;

const NEEDS: Needs = Needs {
    figure: "group_effects",
    axes: "group × variant",
};

impl FigureKind for GroupEffects {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "A point with its interval for every group and variant: what an intervention does to each group, beside what the same one does elsewhere",
            axes: "group × variant [× layer]",
            metrics: "the tables of ablate by group; no metric of a trace has such values",
            options: &[("layer", "the layer to draw, where there are several")],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let kinds = [AxisKind::Group, AxisKind::Variant];
        let cells = slice(NEEDS, measurement, kinds, options)?;
        let significance = Significance::of(measurement);
        let (groups, variants) = (cells.labels(0), cells.labels(1));
        let names: Vec<&str> = variants.iter().map(String::as_str).collect();
        let looks = palette::categories(&names);
        let mut rows = Vec::new();
        let mut undefined = 0;
        for (group, name) in groups.iter().enumerate() {
            for (variant, of_variant) in variants.iter().enumerate() {
                let flat = cells.flat([group, variant]);
                let value = measurement.values[flat];
                if !value.is_finite() {
                    undefined += 1;
                    continue;
                }
                let null = measurement.nulls.as_ref().and_then(|all| all[flat]);
                rows.push(Row {
                    label: format!("{name} · {of_variant}"),
                    color: looks[variant].color,
                    value,
                    interval: measurement.intervals.as_ref().and_then(|all| all[flat]),
                    // What was not tested is not called insignificant.
                    is_significant: null.is_none() || significance.is_none_or(|s| s.holds(null)),
                });
            }
        }
        let mut remarks = Vec::new();
        if undefined > 0 {
            remarks.push(page::counted(
                undefined,
                "value is not defined",
                "values are not defined",
            ));
        }
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
