//! One value per layer and trace as lines over the traces: when in training a router settles.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    axis::count,
    page,
    palette::{Category, INK, Marker, line_of_sequence},
    series::{Chart, Explained, LineStyle, PointOfSeries, Series, point},
    slice::{Needs, slice},
};

/// Draws a line over traces (checkpoints) for each layer, coloured by depth, with their mean in bold.
#[derive(Clone, Copy, Debug)]
pub struct SaturationCurves;

const NEEDS: Needs = Needs {
    figure: "saturation_curves",
    axes: "trace × layer",
};

impl FigureKind for SaturationCurves {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "A line over checkpoints for each layer, coloured by depth, with the mean of the layers in bold",
            axes: "layer × trace [× group] [× variant]",
            metrics: "router_saturation and others of one value per layer and trace",
            options: &[
                ("layer", "draw only this layer"),
                ("group", "the group to draw, where there are several"),
                ("variant", "the variant to draw, where there are several"),
                ("scale", "log for a logarithmic value axis"),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let has_one = measurement
            .axis(AxisKind::Layer)
            .is_some_and(|(_, layers)| layers.len() == 1 || options.layer.is_some());
        if has_one {
            let lines = slice(NEEDS, measurement, [AxisKind::Trace], options)?;
            let points = (0..lines.axes[0].len())
                .map(|trace| point(measurement, lines.flat([trace])))
                .collect();
            let series = vec![Series {
                name: String::new(),
                look: crate::palette::category(0),
                style: LineStyle::Marked,
                points,
            }];
            let along = (lines.labels(0), "Trace");
            return Chart::new(measurement, options, along, series, Explained::default()).draw(
                measurement,
                options,
                &lines.fixed,
                &[],
            );
        }
        let kinds = [AxisKind::Trace, AxisKind::Layer];
        let lines = slice(NEEDS, measurement, kinds, options)?;
        let (traces, layers) = (lines.axes[0].len(), lines.axes[1].len());
        let names = lines.labels(1);
        let mut series: Vec<Series> = (0..layers)
            .map(|layer| Series {
                name: names[layer].clone(),
                look: Category {
                    color: line_of_sequence(count(layer) / count(layers - 1)),
                    marker: Marker::Circle,
                },
                style: LineStyle::Sequence,
                points: (0..traces)
                    .map(|trace| PointOfSeries {
                        value: lines.value([trace, layer]),
                        interval: None,
                        null_mean: None,
                    })
                    .collect(),
            })
            .collect();
        // A trace where one layer is undefined has no mean that could stand beside the others: NaN stays NaN.
        let mean = |trace: usize| {
            let sum: f64 = (0..layers).map(|layer| lines.value([trace, layer])).sum();
            sum / count(layers)
        };
        series.push(Series {
            name: "mean".to_owned(),
            look: Category {
                color: INK,
                marker: Marker::Circle,
            },
            style: LineStyle::Mean,
            points: (0..traces)
                .map(|trace| PointOfSeries {
                    value: mean(trace),
                    interval: None,
                    null_mean: None,
                })
                .collect(),
        });
        let explained = Explained {
            sequence: Some((
                format!("layer {}", names[0]),
                names.last().cloned().unwrap_or_default(),
            )),
            ..Explained::default()
        };
        let remarks = [format!(
            "Bold: the unweighted mean over {}",
            page::counted(layers, "layer", "layers")
        )];
        Chart::new(
            measurement,
            options,
            (lines.labels(0), "Trace"),
            series,
            explained,
        )
        .draw(measurement, options, &lines.fixed, &remarks)
    }
}
