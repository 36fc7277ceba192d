//! One value per layer as lines with their intervals: how a quantity changes with depth.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    series::{Pairing, draw_along},
    slice::Needs,
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
                ("highlight", "groups that stand out; the others become grey"),
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
        draw_along(
            NEEDS,
            (AxisKind::Layer, "Layer"),
            Pairing::None,
            measurement,
            options,
        )
    }
}
