//! A table of values as colours: the drawing that all heat maps share.

use crate::{
    FigureError, FigureOptions,
    axis::{ColumnLabels, RowLabels, count},
    canvas::{Align, Area, Canvas, THIN, TextLook},
    cells::Cells,
    legend::{self, Sign},
    page::{self, MARGIN, Words},
    palette::INK,
    scale::ValueScale,
    text::{self, Face},
    ticks,
};

/// A table of values with everything that its drawing says.
#[derive(Clone, Debug)]
pub(crate) struct Heatmap {
    /// Title, subtitle and caption.
    pub(crate) words: Words,
    /// What the rows are.
    pub(crate) row_title: String,
    /// What the columns are.
    pub(crate) column_title: String,
    /// A label for each row.
    pub(crate) rows: Vec<String>,
    /// A label for each column.
    pub(crate) columns: Vec<String>,
    /// Values, row by row.
    pub(crate) values: Vec<f64>,
    /// Which cells carry a dot; empty for none.
    pub(crate) dots: Vec<bool>,
    /// From values to colours.
    pub(crate) scale: ValueScale,
    /// The unit of the values.
    pub(crate) unit: String,
    /// A value marked on the colour bar.
    pub(crate) mark: Option<f64>,
    /// The signs that the key explains.
    pub(crate) signs: Vec<Sign>,
    /// Whether cells should be square, as in a matrix of pairs.
    pub(crate) is_square: bool,
    /// Whether the columns are experts, which come in powers of two.
    pub(crate) are_columns_experts: bool,
}

/// The highest panel that is chosen without being asked, in millimetres: with words and key it fills a page.
const HIGHEST: f64 = 190.0;

impl Heatmap {
    /// Draws the table.
    ///
    /// # Errors
    /// A chosen height that is too small, and failures of the backend.
    pub(crate) fn draw(&self, options: &FigureOptions) -> Result<String, FigureError> {
        let natural = self.natural_height(options)?;
        page::compose(
            &self.words,
            options,
            (natural, natural.min(12.0)),
            |canvas, top, height| self.paint(canvas, options, top, height),
        )
    }

    /// The panel height at which cells and labels are well proportioned.
    fn natural_height(&self, options: &FigureOptions) -> Result<f64, FigureError> {
        let rows = count(self.rows.len());
        let (_, width) = self.columns_at(options, f64::INFINITY)?;
        let pitch = width / count(self.columns.len());
        if self.is_square {
            return Ok(rows * pitch);
        }
        // A row with a name needs the height of a line; rows of numbers may be thinner, their labels are thinned.
        let are_numbers = self.rows.iter().all(|row| row.parse::<i64>().is_ok());
        let least = if are_numbers { 1.4 } else { 3.4 };
        let row = (0.62 * pitch).clamp(least, if are_numbers { 6.0 } else { 5.6 });
        let least_panel = 2.0 * row;
        Ok((rows * row).min(HIGHEST).max(least_panel.min(HIGHEST)))
    }

    /// Where the columns begin and how much room they have, for a panel of some height.
    fn columns_at(
        &self,
        options: &FigureOptions,
        panel_height: f64,
    ) -> Result<(f64, f64), FigureError> {
        let labels = self.row_labels(options, panel_height)?;
        let x0 = MARGIN + Face::LABEL.line_mm() + 0.8 + labels.width;
        let room = options.width_mm - MARGIN - x0;
        let width = if self.is_square {
            room.min(if self.columns.len() > 8 { 9.0 } else { 14.0 } * count(self.columns.len()))
                .min(HIGHEST * count(self.columns.len()) / count(self.rows.len()))
        } else {
            // Few columns do not become bars: a table of four is not stretched over a page.
            room.min(26.0 * count(self.columns.len()))
        };
        Ok((x0, width))
    }

    fn row_labels(
        &self,
        options: &FigureOptions,
        panel_height: f64,
    ) -> Result<RowLabels, FigureError> {
        RowLabels::new(
            &self.rows,
            panel_height / count(self.rows.len()),
            0.3 * options.width_mm,
            false,
        )
    }

    fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        top: f64,
        height: f64,
    ) -> Result<f64, FigureError> {
        let (x0, width) = self.columns_at(options, height)?;
        let panel = Area {
            x0,
            y0: top,
            x1: x0 + width,
            y1: top + height,
        };
        let grid = Cells {
            panel,
            rows: self.rows.len(),
            columns: self.columns.len(),
        };
        grid.paint(canvas, &self.values, &self.scale)?;
        let is_written = self.written(canvas, &grid)?;
        self.dots(canvas, &grid, is_written)?;
        canvas.frame(panel, INK, THIN)?;
        self.row_labels(options, height)?
            .draw(canvas, panel.x0, |i| grid.y(i) + 0.5 * grid.pitch_y())?;
        let columns = ColumnLabels::new(&self.columns, grid.pitch_x(), self.are_columns_experts)?;
        columns.draw(canvas, panel.y1, |i| grid.x(i) + 0.5 * grid.pitch_x())?;

        let label = Face::LABEL;
        let row_title = text::shorten(&self.row_title, label, panel.height().max(20.0))?;
        canvas.text(
            &row_title,
            (
                MARGIN + label.cap_mm(),
                middle_in(
                    0.5 * (panel.y0 + panel.y1),
                    text::width(&row_title, label)?,
                    top,
                ),
            ),
            TextLook::new(label, Align::Middle).upward(),
        )?;
        let mut y = panel.y1 + columns.height + 0.8;
        let column_title = text::shorten(&self.column_title, label, options.width_mm - x0)?;
        canvas.text(
            &column_title,
            (0.5 * (panel.x0 + panel.x1), y + label.cap_mm()),
            TextLook::new(label, Align::Middle),
        )?;
        y += label.line_mm() + 2.0;
        legend::draw(
            canvas,
            (panel.x0, y),
            options.width_mm - MARGIN - panel.x0,
            &self.scale,
            &self.unit,
            self.mark,
            &self.signs,
        )
    }

    /// Writes the values into the cells where all of them fit; says whether it did.
    fn written(&self, canvas: &mut Canvas<'_>, grid: &Cells) -> Result<bool, FigureError> {
        let face = Face::SMALL;
        if grid.pitch_y() < 1.15 * face.line_mm() || self.values.len() > 400 {
            return Ok(false);
        }
        let Some(texts) = written_alike(&self.values) else {
            return Ok(false);
        };
        if text::widest(&texts, face)? + 2.2 > grid.pitch_x() {
            return Ok(false);
        }
        for (i, text) in texts.iter().enumerate() {
            let cell = grid.cell(i / grid.columns, i % grid.columns, 0.0);
            let look =
                TextLook::new(face, Align::Middle).color(self.scale.color(self.values[i]).ink());
            canvas.text(
                text,
                (
                    0.5 * (cell.x0 + cell.x1),
                    0.5 * (cell.y0 + cell.y1 + face.cap_mm()),
                ),
                look,
            )?;
        }
        Ok(true)
    }

    fn dots(
        &self,
        canvas: &mut Canvas<'_>,
        grid: &Cells,
        is_written: bool,
    ) -> Result<(), FigureError> {
        for (i, _) in self.dots.iter().enumerate().filter(|(_, dot)| **dot) {
            let cell = grid.cell(i / grid.columns, i % grid.columns, 0.0);
            let ink = self.scale.color(self.values[i]).ink();
            let (center, radius) = if is_written {
                ((cell.x1 - 0.9, cell.y0 + 0.9), 0.4)
            } else {
                (
                    (0.5 * (cell.x0 + cell.x1), 0.5 * (cell.y0 + cell.y1)),
                    (0.25 * cell.width().min(cell.height())).min(0.55),
                )
            };
            canvas.disc(center, radius, ink)?;
        }
        Ok(())
    }
}

/// The values with one count of decimals that shows about two digits of the largest; `None` when plain digits are
/// too long for a cell, empty texts for undefined values.
fn written_alike(values: &[f64]) -> Option<Vec<String>> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let most = finite().map(f64::abs).fold(0.0, f64::max);
    let decimals = match most {
        most if most >= 1e5 => return None,
        most if most >= 100.0 => 0,
        most if most >= 10.0 => 1,
        most if most >= 0.1 => 2,
        most if most >= 0.01 => 3,
        most if most >= 0.001 => 4,
        0.0 => 0,
        _ => return None,
    };
    Some(
        values
            .iter()
            .map(|value| {
                if value.is_finite() {
                    ticks::fixed(*value, decimals)
                } else {
                    String::new()
                }
            })
            .collect(),
    )
}

/// The middle of an upward text of some width, moved down where it would start above `top`.
fn middle_in(middle: f64, width: f64, top: f64) -> f64 {
    middle.max(top + 0.5 * width)
}
