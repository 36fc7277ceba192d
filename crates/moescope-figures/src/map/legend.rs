//! The legend of a map: beside it, or under it where the page is narrow.

use super::Map;
use crate::{
    FigureError, FigureOptions,
    axis::count,
    canvas::{Align, Area, Canvas, Point, TextLook},
    marker,
    page::MARGIN,
    palette::SOFT_INK,
    text::{self, Face},
};

/// Distance between two entries of the legend in millimetres.
pub(super) const ENTRY: f64 = 3.7;

impl Map {
    fn entries(&self) -> Vec<String> {
        self.classes
            .names
            .iter()
            .zip(&self.classes.counts)
            .map(|(name, count)| format!("{name} ({count})"))
            .collect()
    }

    fn legend_width(&self, options: &FigureOptions) -> Result<f64, FigureError> {
        if !self.classes.is_given {
            return Ok(0.0);
        }
        let entries = text::widest(&self.entries(), Face::SMALL)?;
        let title = text::width(&self.legend_title, Face::LABEL)?;
        Ok((entries + 4.0).max(title).min(0.33 * options.width_mm) + 4.0)
    }

    /// Whether the legend stands under the map: beside it, it would leave a narrow map too small.
    pub(super) fn is_legend_below(&self, options: &FigureOptions) -> Result<bool, FigureError> {
        Ok(options.width_mm - self.legend_width(options)? < 88.0)
    }

    /// How much width the legend takes from the map.
    pub(super) fn width_beside(&self, options: &FigureOptions) -> Result<f64, FigureError> {
        if self.is_legend_below(options)? {
            Ok(0.0)
        } else {
            self.legend_width(options)
        }
    }

    /// Draws the legend at the right of the panel.
    pub(super) fn legend(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        panel: Area,
    ) -> Result<(), FigureError> {
        let x = panel.x1 + 4.0;
        let room = options.width_mm - MARGIN - x;
        let label = Face::LABEL;
        let mut y = panel.y0 + label.cap_mm();
        let title = text::shorten(&self.legend_title, label, room)?;
        canvas.text(&title, (x, y), TextLook::new(label, Align::Start))?;
        let entries = self.entries();
        let most = whole((panel.y1 - y - 1.0) / ENTRY);
        let shown = if entries.len() <= most {
            entries.len()
        } else {
            most.saturating_sub(1)
        };
        for (i, entry) in entries.iter().enumerate().take(shown) {
            y += ENTRY;
            self.entry(canvas, (x, y), room, (i, entry))?;
        }
        if shown < entries.len() {
            rest(canvas, (x, y + ENTRY), entries.len() - shown)?;
        }
        Ok(())
    }

    /// Draws the legend in columns from a point on; returns the y under it.
    pub(super) fn legend_below(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        (x0, y0): Point,
    ) -> Result<f64, FigureError> {
        let label = Face::LABEL;
        let room = options.width_mm - MARGIN - x0;
        let entries = self.entries();
        let widest = text::widest(&entries, Face::SMALL)? + 3.6;
        let columns = whole((room + 3.0) / (widest + 3.0)).max(1);
        let pitch = (room + 3.0) / count(columns);
        let title = text::shorten(&self.legend_title, label, room)?;
        let y = y0 + label.cap_mm();
        canvas.text(&title, (x0, y), TextLook::new(label, Align::Start))?;
        let most_rows = 20;
        let rows = entries.len().div_ceil(columns).min(most_rows);
        let shown = if entries.len() <= rows * columns {
            entries.len()
        } else {
            rows * columns - 1
        };
        let at = |i: usize| {
            (
                x0 + pitch * count(i / rows),
                y + ENTRY * count(i % rows + 1),
            )
        };
        for (i, entry) in entries.iter().enumerate().take(shown) {
            self.entry(canvas, at(i), pitch - 3.0, (i, entry))?;
        }
        if shown < entries.len() {
            rest(canvas, at(shown), entries.len() - shown)?;
        }
        Ok(y + ENTRY * count(rows) + 0.8)
    }

    /// Draws marker and name of a class with the name's baseline at a point.
    fn entry(
        &self,
        canvas: &mut Canvas<'_>,
        (x, y): Point,
        room: f64,
        (class, entry): (usize, &str),
    ) -> Result<(), FigureError> {
        let face = Face::SMALL;
        let look = self.classes.looks[class];
        marker::draw(canvas, (x + 1.2, y - 0.5 * face.cap_mm()), 0.95, look)?;
        let entry = text::shorten(entry, face, room - 3.6)?;
        canvas.text(&entry, (x + 3.6, y), TextLook::new(face, Align::Start))
    }
}

/// Says how many classes the legend has no room for.
fn rest(canvas: &mut Canvas<'_>, (x, y): Point, count: usize) -> Result<(), FigureError> {
    let look = TextLook::new(Face::SMALL, Align::Start).color(SOFT_INK);
    canvas.text(&format!("and {count} more"), (x + 3.6, y), look)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small count; less than nothing becomes zero"
)]
fn whole(count: f64) -> usize {
    count as usize
}
