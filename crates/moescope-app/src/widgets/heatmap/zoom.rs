//! Which part of a table is seen.

use egui::{Rect, Response, Ui, Vec2, pos2, vec2};

/// Fewest cells that are seen along a side.
const FEWEST: f32 = 3.0;

/// The part of a table that is seen, as fractions of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Zoom {
    part: Rect,
}

const ALL: Rect = Rect {
    min: pos2(0.0, 0.0),
    max: pos2(1.0, 1.0),
};

impl Default for Zoom {
    fn default() -> Self {
        Self { part: ALL }
    }
}

impl Zoom {
    /// The cells that are seen: columns along x, rows along y.
    pub(super) fn shown(&self, [rows, columns]: [usize; 2]) -> Rect {
        let size = size_of([rows, columns]);
        Rect::from_min_max(
            pos2(self.part.min.x * size.x, self.part.min.y * size.y),
            pos2(self.part.max.x * size.x, self.part.max.y * size.y),
        )
    }

    /// Zooms with the wheel, moves with the mouse, and shows all after a double click.
    pub(super) fn take_input(&mut self, ui: &Ui, response: &Response, shape: [usize; 2]) {
        if response.double_clicked() {
            *self = Self::default();
            return;
        }
        if response.dragged() {
            let moved = response.drag_delta() / response.rect.size() * self.part.size();
            self.move_by(-moved);
        }
        let Some(pos) = response.hover_pos() else {
            return;
        };
        let (scrolled, pinched) =
            ui.input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
        let factor = pinched * (scrolled * 0.004).exp();
        if (factor - 1.0).abs() > 1e-4 {
            let at = (pos - response.rect.min) / response.rect.size();
            self.scale(factor, at, shape);
        }
    }

    /// Moves just so far that a cell is seen, row first.
    pub(super) fn show_cell(&mut self, [row, column]: [usize; 2], shape: [usize; 2]) {
        let size = size_of(shape);
        #[expect(
            clippy::cast_precision_loss,
            reason = "tables have at most 65536 cells a side"
        )]
        let low = vec2(column as f32, row as f32) / size;
        let high = low + Vec2::splat(1.0) / size;
        let too_low = (low - self.part.min.to_vec2()).min(Vec2::ZERO);
        let too_high = (high - self.part.max.to_vec2()).max(Vec2::ZERO);
        self.move_by(too_low + too_high);
    }

    fn scale(&mut self, factor: f32, at: Vec2, shape: [usize; 2]) {
        let least = (Vec2::splat(FEWEST) / size_of(shape)).min(Vec2::splat(1.0));
        let size = (self.part.size() / factor).clamp(least, Vec2::splat(1.0));
        let fixed = self.part.min + at * self.part.size();
        self.put((fixed - at * size).to_vec2(), size);
    }

    /// Moves, as far as the table goes.
    fn move_by(&mut self, by: Vec2) {
        self.put(self.part.min.to_vec2() + by, self.part.size());
    }

    fn put(&mut self, corner: Vec2, size: Vec2) {
        let most = (Vec2::splat(1.0) - size).max(Vec2::ZERO);
        let corner = corner.clamp(Vec2::ZERO, most);
        self.part = Rect::from_min_size(corner.to_pos2(), size);
    }
}

/// Columns along x, rows along y; at least one.
pub(super) fn size_of([rows, columns]: [usize; 2]) -> Vec2 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "tables have at most 65536 cells a side"
    )]
    let size = vec2(columns.max(1) as f32, rows.max(1) as f32);
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zoom_keeps_the_place_under_the_pointer_and_stays_within_the_table() {
        let mut zoom = Zoom::default();
        let shape = [64, 512];
        zoom.scale(2.0, vec2(0.5, 0.25), shape);
        // Half of each side: columns 128 to 384, rows 8 to 40, and the pointer is still at column 256, row 16.
        assert_eq!(
            zoom.shown(shape),
            Rect::from_min_max(pos2(128.0, 8.0), pos2(384.0, 40.0))
        );
        zoom.move_by(vec2(-9.0, 9.0));
        assert_eq!(
            zoom.shown(shape),
            Rect::from_min_max(pos2(0.0, 32.0), pos2(256.0, 64.0))
        );
        zoom.scale(1e9, vec2(0.0, 0.0), shape);
        assert!((zoom.shown(shape).width() - FEWEST).abs() < 1e-3);
        zoom.scale(1e-9, vec2(0.3, 0.3), shape);
        assert_eq!(zoom, Zoom::default());
    }

    #[test]
    fn a_cell_outside_is_brought_into_view() {
        let mut zoom = Zoom::default();
        let shape = [10, 10];
        zoom.scale(2.0, vec2(0.0, 0.0), shape);
        zoom.show_cell([9, 0], shape);
        let shown = zoom.shown(shape);
        assert!((shown.bottom() - 10.0).abs() < 1e-4 && shown.left().abs() < 1e-4);
    }
}
