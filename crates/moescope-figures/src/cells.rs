//! Cells of a table as coloured rectangles without seams.

use crate::{
    FigureError,
    axis::count,
    canvas::{Area, Canvas, Point},
    legend,
    palette::WHITE,
    scale::ValueScale,
};

/// Cells are told apart by white lines from this size on, in millimetres.
const SEPARATED: f64 = 3.0;

/// Where the cells of a panel are.
pub(crate) struct Cells {
    /// The outline of all cells.
    pub(crate) panel: Area,
    /// How many rows there are.
    pub(crate) rows: usize,
    /// How many columns there are.
    pub(crate) columns: usize,
}

impl Cells {
    /// Fills the cells with the colours of their values, row by row.
    pub(crate) fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        values: &[f64],
        scale: &ValueScale,
    ) -> Result<(), FigureError> {
        let columns = self.columns;
        let is_separated = self.pitch_x() >= SEPARATED && self.pitch_y() >= SEPARATED;
        for row in 0..self.rows {
            let colors: Vec<_> = values[row * columns..(row + 1) * columns]
                .iter()
                .map(|value| scale.color(*value))
                .collect();
            let mut from = 0;
            while from < columns {
                let mut to = from + 1;
                while to < columns && colors[to] == colors[from] {
                    to += 1;
                }
                canvas.polygon(&self.run(row, from, to), colors[from], 1.0)?;
                from = to;
            }
        }
        if is_separated {
            for row in 1..self.rows {
                let y = self.y(row);
                canvas.line((self.panel.x0, y), (self.panel.x1, y), WHITE, 0.2)?;
            }
            for column in 1..columns {
                let x = self.x(column);
                canvas.line((x, self.panel.y0), (x, self.panel.y1), WHITE, 0.2)?;
            }
        }
        for (i, value) in values.iter().enumerate() {
            if !value.is_finite() {
                let inset = if is_separated { 0.1 } else { 0.0 };
                legend::undefined_cell(canvas, self.cell(i / columns, i % columns, inset))?;
            }
        }
        Ok(())
    }

    /// Width of a column in millimetres.
    pub(crate) fn pitch_x(&self) -> f64 {
        self.panel.width() / count(self.columns)
    }

    /// Height of a row in millimetres.
    pub(crate) fn pitch_y(&self) -> f64 {
        self.panel.height() / count(self.rows)
    }

    /// Left edge of a column.
    pub(crate) fn x(&self, column: usize) -> f64 {
        self.panel.x0 + self.pitch_x() * count(column)
    }

    /// Upper edge of a row.
    pub(crate) fn y(&self, row: usize) -> f64 {
        self.panel.y0 + self.pitch_y() * count(row)
    }

    /// The outline of a run of cells, which reaches under its right and lower neighbours.
    ///
    /// The neighbours are drawn later. A viewer that smooths edges thus mixes the colours of two neighbours where they
    /// meet, and no line of paper shines through. The reach to the right begins below the upper edge, so that it does
    /// not tint the edge of a cell above.
    fn run(&self, row: usize, from: usize, to: usize) -> Vec<Point> {
        let (x0, x1) = (self.x(from), self.x(to));
        let (y0, y1) = (self.y(row), self.y(row + 1));
        let below = if row + 1 < self.rows {
            y1 + 0.5 * self.pitch_y()
        } else {
            y1
        };
        if to == self.columns {
            return vec![(x0, y0), (x1, y0), (x1, below), (x0, below)];
        }
        let right = x1 + 0.5 * self.pitch_x();
        let notch = y0 + (0.3 * self.pitch_y()).min(0.3);
        vec![
            (x0, y0),
            (x1, y0),
            (x1, notch),
            (right, notch),
            (right, below),
            (x0, below),
        ]
    }

    /// The outline of a cell, less `inset` on every side.
    pub(crate) fn cell(&self, row: usize, column: usize, inset: f64) -> Area {
        Area {
            x0: self.x(column) + inset,
            y0: self.y(row) + inset,
            x1: self.x(column + 1) - inset,
            y1: self.y(row + 1) - inset,
        }
    }
}
