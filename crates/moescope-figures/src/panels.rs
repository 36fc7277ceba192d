//! Many small panels of one size in a grid, with labels only where they begin a row or end a column.

use crate::{
    FigureError, FigureOptions,
    axis::count,
    canvas::{Align, Area, Canvas, TextLook},
    page::MARGIN,
    text::{self, Face},
};

/// Space between two panels side by side in millimetres.
const GAP: f64 = 3.0;
/// Height of a panel's title with the space above it in millimetres.
const TITLE: f64 = 4.6;
/// The highest grid that is chosen without being asked, in millimetres: with words and key it fills a page.
const HIGHEST: f64 = 205.0;

/// Where the panels of a figure are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    panels: usize,
    columns: usize,
    /// Left edge of the first panel.
    pub(crate) x0: f64,
    /// Width of a panel in millimetres.
    pub(crate) width: f64,
}

impl Grid {
    /// A grid of `panels` panels, each at least `least_mm` wide, right of `x0`.
    pub(crate) fn new(panels: usize, options: &FigureOptions, x0: f64, least_mm: f64) -> Self {
        let room = options.width_mm - MARGIN - x0;
        let mut columns = 1;
        while columns < panels && (room + GAP) / count(columns + 1) - GAP >= least_mm {
            columns += 1;
        }
        // The fewest columns with as many rows: no panel is narrower than it must be.
        let rows = panels.div_ceil(columns);
        let columns = panels.div_ceil(rows);
        Self {
            panels,
            columns,
            x0,
            width: (room + GAP) / count(columns) - GAP,
        }
    }

    fn rows(&self) -> usize {
        self.panels.div_ceil(self.columns)
    }

    /// The height of the whole grid at which each panel is `panel_mm` high, or less where the page ends.
    pub(crate) fn natural_height(&self, panel_mm: f64) -> f64 {
        let rows = count(self.rows());
        (rows * (panel_mm + TITLE)).min(HIGHEST.max(rows * (TITLE + 3.0)))
    }

    /// The least height of the grid: panels of three millimetres.
    pub(crate) fn least_height(&self) -> f64 {
        count(self.rows()) * (TITLE + 3.0)
    }

    /// The height of a panel in a grid of some height.
    pub(crate) fn panel_height(&self, height: f64) -> f64 {
        height / count(self.rows()) - TITLE
    }

    /// The outline of a panel in a grid from `top` on.
    pub(crate) fn panel(&self, index: usize, top: f64, height: f64) -> Area {
        let panel = self.panel_height(height);
        let (row, column) = (index / self.columns, index % self.columns);
        let x0 = self.x0 + (self.width + GAP) * count(column);
        let y0 = top + (panel + TITLE) * count(row) + TITLE;
        Area {
            x0,
            y0,
            x1: x0 + self.width,
            y1: y0 + panel,
        }
    }

    /// Whether a panel begins a row.
    pub(crate) fn is_first(&self, index: usize) -> bool {
        index.is_multiple_of(self.columns)
    }

    /// Whether no panel stands under this one.
    pub(crate) fn is_lowest(&self, index: usize) -> bool {
        index + self.columns >= self.panels
    }

    /// Right edge of the last column.
    pub(crate) fn x1(&self) -> f64 {
        self.x0 + count(self.columns) * (self.width + GAP) - GAP
    }

    /// Writes the title of a panel above it.
    pub(crate) fn title(
        &self,
        canvas: &mut Canvas<'_>,
        panel: Area,
        title: &str,
    ) -> Result<(), FigureError> {
        let face = Face {
            is_bold: true,
            ..Face::SMALL
        };
        let title = text::shorten(title, face, self.width)?;
        let look = TextLook::new(face, Align::Start);
        canvas.text(&title, (panel.x0, panel.y0 - 0.9), look)
    }
}

/// Writes what the rows and the columns of all panels are: at the left of the grid, and under `y`.
///
/// Returns the y under it.
pub(crate) fn axis_titles(
    canvas: &mut Canvas<'_>,
    grid: &Grid,
    (row_title, column_title): (&str, &str),
    (top, bottom, y): (f64, f64, f64),
) -> Result<f64, FigureError> {
    let label = Face::LABEL;
    let row_title = text::shorten(row_title, label, (bottom - top).max(20.0))?;
    let middle = (0.5 * (top + bottom)).max(top + 0.5 * text::width(&row_title, label)?);
    canvas.text(
        &row_title,
        (MARGIN + label.cap_mm(), middle),
        TextLook::new(label, Align::Middle).upward(),
    )?;
    let column_title = text::shorten(column_title, label, grid.x1() - grid.x0)?;
    canvas.text(
        &column_title,
        (0.5 * (grid.x0 + grid.x1()), y + label.cap_mm()),
        TextLook::new(label, Align::Middle),
    )?;
    Ok(y + label.line_mm())
}
