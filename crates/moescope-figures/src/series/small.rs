//! A chart as one of many small panels.

use super::{Chart, frame::Frame};
use crate::{
    FigureError,
    axis::ColumnLabels,
    canvas::{Area, Canvas},
    text::{self, Face},
};

impl Chart {
    /// The width of the values at the left of a panel of some height.
    pub(crate) fn value_width(&self, height: f64) -> Result<f64, FigureError> {
        let ticks = self.ticks(height);
        let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        text::widest(&labels, Face::SMALL)
    }

    /// Draws the lines into a panel, with values at its left where it begins a row.
    pub(crate) fn paint_small(
        &self,
        canvas: &mut Canvas<'_>,
        panel: Area,
        has_values: bool,
    ) -> Result<(), FigureError> {
        let frame = Frame { chart: self, panel };
        self.lines(canvas, &frame)?;
        if has_values {
            self.value_labels(canvas, &frame)?;
        }
        Ok(())
    }

    /// Labels the places under a panel; returns the height of the labels.
    pub(crate) fn place_labels(
        &self,
        canvas: &mut Canvas<'_>,
        panel: Area,
    ) -> Result<f64, FigureError> {
        let frame = Frame { chart: self, panel };
        let columns = ColumnLabels::new(&self.places, frame.pitch(), false)?;
        columns.draw(canvas, panel.y1, |i| frame.x(i))?;
        Ok(columns.height)
    }
}
