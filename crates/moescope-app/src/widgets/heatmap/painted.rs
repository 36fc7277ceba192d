//! A table with its texture, one texel a cell.

use egui::{Color32, ColorImage, Context, Rect, TextureHandle, TextureOptions, Ui};
use moescope_figures::palette::Rgb;

use super::{Grid, Table, zoom::size_of};
use crate::theme::paint;

/// A table with its texture.
pub(super) struct Painted {
    pub(super) table: Table,
    texture: TextureHandle,
    /// Whether a cell is marked, and whether one is not defined.
    pub(super) has_marks: bool,
    pub(super) has_undefined: bool,
}

impl std::fmt::Debug for Painted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Painted")
            .field("table", &self.table.shape())
            .finish_non_exhaustive()
    }
}

impl Painted {
    /// Makes the texture.
    pub(super) fn new(ctx: &Context, table: Table) -> Result<Self, String> {
        let [rows, columns] = table.shape();
        let most = ctx.input(|input| input.max_texture_side);
        if rows.max(columns) > most {
            return Err(format!(
                "a table of {rows} × {columns} cells is larger than the {most} that this display's adapter can paint; choose fewer layers or labels"
            ));
        }
        let pixels: Vec<Color32> = table
            .values
            .iter()
            .map(|value| paint(table.scale.color(*value)))
            .collect();
        let image = ColorImage::new([columns.max(1), rows.max(1)], pixels);
        Ok(Self {
            texture: ctx.load_texture("heat map", image, TextureOptions::NEAREST),
            has_marks: table.marks.contains(&true),
            has_undefined: table.values.iter().any(|value| !value.is_finite()),
            table,
        })
    }

    /// The colour of a cell, row first.
    pub(super) fn color_of(&self, cell: [usize; 2]) -> Rgb {
        let value = self.table.flat(cell).map(|flat| self.table.values[flat]);
        self.table.scale.color(value.unwrap_or(f64::NAN))
    }

    /// Paints the cells.
    pub(super) fn paint(&self, ui: &Ui, grid: &Grid) {
        let part = part_of(grid.shown, self.table.shape());
        ui.painter()
            .image(self.texture.id(), grid.rect, part, Color32::WHITE);
    }
}

/// The part of a texture that shows some cells, of one that has so many rows and columns of cells.
pub(super) fn part_of(shown: Rect, cells: [usize; 2]) -> Rect {
    let size = size_of(cells);
    Rect::from_min_max(
        (shown.min.to_vec2() / size).to_pos2(),
        (shown.max.to_vec2() / size).to_pos2(),
    )
}
