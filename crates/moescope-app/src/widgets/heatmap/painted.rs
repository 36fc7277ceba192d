//! A table with its texture, one texel a cell.

use egui::{
    Color32, ColorImage, Context, Rect, TextureFilter, TextureHandle, TextureOptions, Ui, pos2,
};
use moescope_figures::palette::Rgb;

use super::{Grid, Table};
use crate::theme::paint;

/// Exact cells when they are larger than pixels, and means of neighbours when they are smaller.
const OPTIONS: TextureOptions = TextureOptions {
    magnification: TextureFilter::Nearest,
    minification: TextureFilter::Linear,
    ..TextureOptions::NEAREST
};

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
            texture: ctx.load_texture("heat map", image, OPTIONS),
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
        let [rows, columns] = self.table.shape();
        #[expect(
            clippy::cast_precision_loss,
            reason = "tables have at most 65536 cells a side"
        )]
        let (columns, rows) = (columns.max(1) as f32, rows.max(1) as f32);
        let shown = grid.shown;
        let part = Rect::from_min_max(
            pos2(shown.left() / columns, shown.top() / rows),
            pos2(shown.right() / columns, shown.bottom() / rows),
        );
        ui.painter()
            .image(self.texture.id(), grid.rect, part, Color32::WHITE);
    }
}
