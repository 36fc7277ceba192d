//! One value per range of margins as lines with their intervals: what happens to near-ties, and what to clear choices.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    series::{Pairing, draw_along},
    slice::Needs,
};

/// Draws a line over ranges of the margin for each variant or group, with bands for the intervals.
#[derive(Clone, Copy, Debug)]
pub struct MarginSeries;

const NEEDS: Needs = Needs {
    figure: "margin_series",
    axes: "margin, margin × variant, or layer × margin × variant",
};

impl FigureKind for MarginSeries {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "A line over ranges of the routing margin for each variant or group, with intervals",
            axes: "margin [× layer] [× group] [× variant]",
            metrics: "the tables of compare-weights by margin; no metric of a trace has such an axis",
            options: &[
                ("layer", "the layer, where the measurement has several"),
                ("group", "draw only this group"),
                ("highlight", "groups that stand out; the others become grey"),
                ("variant", "draw only this variant"),
                ("scale", "log for a logarithmic value axis"),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let along = (
            AxisKind::Margin,
            "Margin of the decision: last expert chosen over first left out",
        );
        draw_along(NEEDS, along, Pairing::None, measurement, options)
    }
}
