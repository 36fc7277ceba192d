//! Cells that are smaller than pixels: a texel stands for a block of them and shows the most extreme one.

use std::sync::Arc;

use egui::{Color32, ColorImage, Context, TextureHandle, TextureOptions, Ui};

use super::{Grid, Painted, painted::part_of};
use crate::{job::Job, theme::paint};

/// The merged cells of the table that is shown, for the last size of a block that was needed.
///
/// Blocks are of whole cells, so that moving over the table makes no others; only a zoom or another table does.
#[derive(Debug, Default)]
pub(super) struct Merging {
    /// What was merged last.
    of: Option<(Arc<Painted>, [usize; 2])>,
    merged: Job<Merged>,
}

impl Merging {
    /// Merges blocks of cells, given as cells down and cells across, if others are needed than last.
    pub(super) fn prepare(&mut self, ctx: &Context, painted: &Arc<Painted>, block: [usize; 2]) {
        self.merged.poll();
        if block == [1, 1] {
            *self = Self::default();
            return;
        }
        let of = self.of.as_ref();
        if of.is_some_and(|(known, size)| Arc::ptr_eq(known, painted) && *size == block) {
            return;
        }
        if of.is_some_and(|(known, _)| known.table.shape() != painted.table.shape()) {
            self.merged = Job::Idle;
        }
        self.of = Some((Arc::clone(painted), block));
        let (textures, painted) = (ctx.clone(), Arc::clone(painted));
        self.merged.start("merging cells", ctx, move |_| {
            Ok(Merged::new(&textures, &painted, block))
        });
    }

    /// The merged cells; the last ones while others are made.
    pub(super) fn merged(&self) -> Option<&Merged> {
        self.merged.value()
    }

    /// Whether cells are being merged.
    pub(super) fn is_busy(&self) -> bool {
        self.merged.is_running()
    }
}

/// The most extreme cell of each block, with a texture of one texel a block.
pub(super) struct Merged {
    block: [usize; 2],
    /// Columns of the table, and of the blocks.
    columns: [usize; 2],
    /// The places of the cells among the table's values, block by block.
    cells: Vec<usize>,
    texture: TextureHandle,
}

impl std::fmt::Debug for Merged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merged")
            .field("block", &self.block)
            .finish_non_exhaustive()
    }
}

impl Merged {
    fn new(ctx: &Context, painted: &Painted, block: [usize; 2]) -> Self {
        let table = &painted.table;
        let [rows, columns] = table.shape();
        let center = table.reference.unwrap_or(0.0);
        let cells = most_extreme(&table.values, [rows, columns], block, center);
        let pixels: Vec<Color32> = cells
            .iter()
            .map(|flat| paint(table.scale.color(table.values[*flat])))
            .collect();
        let size = [columns.div_ceil(block[1]), rows.div_ceil(block[0])];
        let image = ColorImage::new(size, pixels);
        Self {
            block,
            columns: [columns, size[0]],
            cells,
            texture: ctx.load_texture("merged cells", image, TextureOptions::NEAREST),
        }
    }

    /// The cell that is seen at the place of another, row first.
    pub(super) fn seen_at(&self, [row, column]: [usize; 2]) -> [usize; 2] {
        let [columns, blocks] = self.columns;
        let at = row / self.block[0] * blocks + column / self.block[1];
        match self.cells.get(at) {
            Some(flat) => [flat / columns, flat % columns],
            None => [row, column],
        }
    }

    /// Paints the blocks.
    pub(super) fn paint(&self, ui: &Ui, grid: &Grid) {
        let blocks = self.columns[1].max(1);
        // The last blocks may reach beyond the table.
        let covered = [
            self.cells.len() / blocks * self.block[0],
            blocks * self.block[1],
        ];
        let part = part_of(grid.shown, covered);
        ui.painter()
            .image(self.texture.id(), grid.rect, part, Color32::WHITE);
    }
}

/// The place of the most extreme value of each block: the one furthest from `center`, the first of several.
///
/// A value that is not defined stands for a block that has no other.
fn most_extreme(
    values: &[f64],
    [rows, columns]: [usize; 2],
    [down, across]: [usize; 2],
    center: f64,
) -> Vec<usize> {
    let distance = |flat: usize| {
        let value = values[flat];
        if value.is_finite() {
            (value - center).abs()
        } else {
            -1.0
        }
    };
    let mut found = Vec::with_capacity(rows.div_ceil(down) * columns.div_ceil(across));
    for top in (0..rows).step_by(down) {
        for left in (0..columns).step_by(across) {
            let mut most = top * columns + left;
            for row in top..(top + down).min(rows) {
                for column in left..(left + across).min(columns) {
                    let flat = row * columns + column;
                    if distance(flat) > distance(most) {
                        most = flat;
                    }
                }
            }
            found.push(most);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pointed_at_is_the_cell_that_is_seen() {
        let image = ColorImage::filled([3, 2], Color32::WHITE);
        let merged = Merged {
            block: [2, 2],
            columns: [5, 3],
            cells: vec![1, 2, 9, 11, 12, 14],
            texture: Context::default().load_texture("cells", image, TextureOptions::NEAREST),
        };
        // The last block of the first two rows has cells (0, 4) and (1, 4), and shows the second.
        assert_eq!(merged.seen_at([0, 4]), [1, 4]);
        assert_eq!(merged.seen_at([1, 4]), [1, 4]);
        assert_eq!(merged.seen_at([2, 0]), [2, 1]);
        assert_eq!(merged.seen_at([1, 1]), [0, 1]);
    }

    #[test]
    fn a_block_shows_its_value_furthest_from_the_reference() {
        // Blocks of two by two; the last column and the last row have smaller ones.
        #[rustfmt::skip]
        let values = [
            0.5, 0.6,  0.1, 0.5,  0.7,
            0.5, 0.5,  0.8, 0.5,  0.2,
            0.5, 0.4,  0.5, 0.5,  0.5,
        ];
        // About 0.5: 0.6; 0.1 is further than 0.8; 0.2 than 0.7; 0.4; the first of equals; the only one.
        let found = most_extreme(&values, [3, 5], [2, 2], 0.5);
        assert_eq!(found, [1, 2, 9, 11, 12, 14]);
        // About zero: the largest.
        let found = most_extreme(&values, [3, 5], [2, 2], 0.0);
        assert_eq!(found, [1, 7, 4, 10, 12, 14]);
    }

    #[test]
    fn what_is_not_defined_hides_no_value() {
        let values = [f64::NAN, 0.5, f64::NAN, f64::INFINITY, 0.5, f64::NAN];
        let found = most_extreme(&values, [1, 6], [1, 2], 0.5);
        assert_eq!(found, [1, 2, 4]);
    }

    #[test]
    fn no_extreme_cell_is_lost_however_many_share_a_pixel() {
        let columns = 512;
        for outlier in 0..columns {
            for across in [2, 3, 7, 600] {
                let mut values = vec![0.1; columns];
                values[outlier] = 0.9;
                let found = most_extreme(&values, [1, columns], [1, across], 0.1);
                assert_eq!(found.len(), columns.div_ceil(across));
                assert_eq!(found[outlier / across], outlier);
            }
        }
    }
}
