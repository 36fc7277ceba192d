//! One value per layer as lines with their intervals: how a quantity changes with depth.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    page::{self, Words},
    palette,
    series::{Chart, PointOfSeries, Series},
    slice::{Needs, slice},
};

/// Draws a line over the layers for each group or variant, with bands for the intervals.
#[derive(Clone, Copy, Debug)]
pub struct LayerSeries;

const NEEDS: Needs = Needs {
    figure: "layer_series",
    axes: "layer, layer × group, or layer × variant",
};

impl FigureKind for LayerSeries {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "A line over the layers for each group or variant, with intervals, reference and null",
            axes: "layer [× group] [× variant]",
            metrics: "any metric with one value per layer, or per layer and group",
            options: &[
                ("group", "draw only this group"),
                ("variant", "draw only this variant"),
                (
                    "scale",
                    "log for a logarithmic value axis, symmetric about the reference",
                ),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let options = &FigureOptions {
            layer: None,
            ..options.clone()
        };
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
        let (layers, series, subtitle) = if let Some(kind) = by {
            let slice = slice(NEEDS, measurement, [AxisKind::Layer, kind], options)?;
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
                        .map(|layer| point(slice.flat([layer, i])))
                        .collect(),
                })
                .collect();
            (slice.labels(0), series, slice.fixed)
        } else {
            let slice = slice(NEEDS, measurement, [AxisKind::Layer], options)?;
            let series = vec![Series {
                name: String::new(),
                look: palette::category(0),
                points: (0..slice.axes[0].len())
                    .map(|layer| point(slice.flat([layer])))
                    .collect(),
            }];
            (slice.labels(0), series, slice.fixed)
        };
        let chart = Chart::new(measurement, options, layers, series);
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
}
