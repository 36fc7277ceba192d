//! One value per distance between tokens as lines: how long a router stays with its experts.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    series::{Pairing, draw_along},
    slice::Needs,
};

/// Draws a line over the lags for each group, with the shuffled order dashed beside the observed one.
#[derive(Clone, Copy, Debug)]
pub struct LagProfile;

const NEEDS: Needs = Needs {
    figure: "lag_profile",
    axes: "lag, lag × group, or layer × group × lag × variant",
};

impl FigureKind for LagProfile {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "A line over distances between tokens for each group: observed solid, shuffled dashed",
            axes: "lag [× layer] [× group] [× variant]",
            metrics: "overlap_by_lag and others of one value per distance between tokens",
            options: &[
                (
                    "layer",
                    "the layer to draw; needed where the measurement has several",
                ),
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
        let along = (AxisKind::Lag, "Distance between tokens (lag)");
        draw_along(NEEDS, along, Pairing::SolidAndDashed, measurement, options)
    }
}
