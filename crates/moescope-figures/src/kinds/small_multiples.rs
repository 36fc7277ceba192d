//! One panel per layer or per group: all layers, all groups and all experts on one page.

mod curves;
mod heatmaps;

use moescope_core::{AxisKind, Measurement};

use crate::{FigureAbout, FigureError, FigureKind, FigureOptions, slice::Needs};

/// Draws many small heat maps with one scale of colours, or many small curves with one axis of values.
#[derive(Clone, Copy, Debug)]
pub struct SmallMultiples;

const NEEDS: Needs = Needs {
    figure: "small_multiples",
    axes: "layer × group × expert, or layer × group",
};

impl FigureKind for SmallMultiples {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "A small heat map of experts for each layer or group, or a small curve for each group, on one scale",
            axes: "layer × group × expert [× variant], or layer × group [× variant]",
            metrics: "assignment_share, domain_specialization, relative_load; and metrics of one value per layer and group",
            options: &[
                (
                    "panels",
                    "layer or group: what each panel shows; by default a layer where there are at most twelve",
                ),
                ("variant", "the variant to draw, where there are several"),
                (
                    "highlight",
                    "for curves, the groups that get a panel; by default all",
                ),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        if measurement.axis(AxisKind::Expert).is_some() {
            heatmaps::draw(measurement, options)
        } else {
            curves::draw(measurement, options)
        }
    }
}
