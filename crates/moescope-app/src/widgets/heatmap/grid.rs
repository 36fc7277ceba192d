//! Where the cells of a heat map are on the screen.

use std::ops::Range;

use egui::{Pos2, Rect, Vec2, vec2};

/// Cells at least this large show their marks.
const CELL_WITH_MARK: f32 = 4.0;

/// Cells on the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Where they are painted.
    pub(super) rect: Rect,
    /// Which of them: columns along x, rows along y, in fractions of cells.
    pub(super) shown: Rect,
}

impl Grid {
    /// Size of a cell in points.
    pub(super) fn cell_size(&self) -> Vec2 {
        self.rect.size() / self.shown.size()
    }

    /// How many cells share a pixel, down and across; one where cells are larger.
    pub(super) fn cells_a_pixel(&self, pixels_per_point: f32) -> [usize; 2] {
        let pixels = self.cell_size() * pixels_per_point;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "tables have at most 65536 cells a side"
        )]
        // What is less than a pixel by rounding alone is a pixel.
        let count = |pixels: f32| (1.0 / pixels - 1e-5).ceil().max(1.0) as usize;
        [count(pixels.y), count(pixels.x)]
    }

    /// Whether marks can be told from one another.
    pub(super) fn has_room_for_marks(&self) -> bool {
        self.cell_size().min_elem() >= CELL_WITH_MARK
    }

    /// Where a cell is, row first; it may lie outside.
    pub(super) fn cell_rect(&self, [row, column]: [usize; 2]) -> Rect {
        let size = self.cell_size();
        #[expect(
            clippy::cast_precision_loss,
            reason = "tables have at most 65536 cells a side"
        )]
        let corner = vec2(
            column as f32 - self.shown.left(),
            row as f32 - self.shown.top(),
        );
        Rect::from_min_size(self.rect.min + corner * size, size)
    }

    /// The cell at a place, row first.
    pub(super) fn cell_at(&self, pos: Pos2) -> Option<[usize; 2]> {
        if !self.rect.contains(pos) {
            return None;
        }
        let within = (pos - self.rect.min) / self.cell_size();
        let place = self.shown.min + within;
        // The last point of the rectangle belongs to the last cell.
        let last = self.shown.max - vec2(1e-3, 1e-3);
        let place = place.min(last);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the table, which has no negative cells"
        )]
        let index = |along: f32| along.max(0.0) as usize;
        Some([index(place.y), index(place.x)])
    }

    /// The rows and columns that can be seen, as ranges.
    pub(super) fn visible(&self) -> [Range<usize>; 2] {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the table, which has no negative cells"
        )]
        let range = |low: f32, high: f32| low.floor().max(0.0) as usize..high.ceil() as usize;
        [
            range(self.shown.top(), self.shown.bottom()),
            range(self.shown.left(), self.shown.right()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use egui::pos2;

    use super::*;

    #[test]
    fn cells_share_a_pixel_where_they_are_smaller() {
        let check = |width: f32, pixels_per_point: f32, expected: [usize; 2]| {
            let grid = Grid {
                rect: Rect::from_min_size(pos2(80.0, 4.0), vec2(width, 320.0)),
                shown: Rect::from_min_size(pos2(0.0, 0.0), vec2(512.0, 64.0)),
            };
            assert_eq!(grid.cells_a_pixel(pixels_per_point), expected, "{width}");
        };
        check(400.0, 1.0, [1, 2]);
        check(100.0, 1.0, [1, 6]);
        check(512.0, 1.0, [1, 1]);
        // Two pixels a point: 800 of them.
        check(400.0, 2.0, [1, 1]);
    }
}
