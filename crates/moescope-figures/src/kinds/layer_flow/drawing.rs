//! Bars and bands, in as many rows as the layers take.

use super::flow::{Band, Column, Flow};
use crate::{
    FigureError, FigureOptions,
    axis::count,
    canvas::{Align, Area, Canvas, Point, TextLook},
    page::MARGIN,
    palette::{INK, Rgb, SOFT_INK, UNDEFINED, WHITE, category},
    text::{self, Face},
    ticks,
};

/// The flow on a page.
pub(super) struct Drawing {
    flow: Flow,
    /// Steps from layer to layer in each row.
    per_row: usize,
}

/// Width of a bar in millimetres.
const BAR: f64 = 5.2;
/// Least distance between the bars of two layers in millimetres.
const LEAST_STEP: f64 = 19.0;
/// Space between two bars of a layer in millimetres.
const GAP: f64 = 0.8;
/// Height of a row's titles, and of the bar of the other experts with its share.
const TITLE: f64 = 4.4;
const OTHERS: f64 = 6.4;
/// Space under a row in millimetres.
const UNDER: f64 = 2.5;

impl Drawing {
    pub(super) fn new(flow: Flow, options: &FigureOptions) -> Self {
        let steps = flow.bands.len();
        let room = options.width_mm - 2.0 * MARGIN - BAR - 4.0;
        let mut most = 1;
        while most < steps && room / count(most + 1) >= LEAST_STEP {
            most += 1;
        }
        let rows = steps.div_ceil(most);
        Self {
            per_row: steps.div_ceil(rows),
            flow,
        }
    }

    fn rows(&self) -> usize {
        self.flow.bands.len().div_ceil(self.per_row)
    }

    /// What a row needs besides its bars.
    fn around(&self) -> f64 {
        TITLE + UNDER + if self.flow.has_others() { OTHERS } else { 0.0 }
    }

    /// The height at which bars are well proportioned and the page is not left, and the least.
    pub(super) fn heights(&self) -> (f64, f64) {
        let rows = count(self.rows());
        let bars = self.most_bars();
        let least = rows * (self.around() + bars * (GAP + 0.6));
        let wanted = (5.2 * bars).clamp(16.0, 60.0);
        (
            (rows * (wanted + self.around())).min(210.0).max(least),
            least,
        )
    }

    fn most_bars(&self) -> f64 {
        let columns = self.flow.columns.iter();
        count(columns.map(|column| column.bars.len()).max().unwrap_or(1))
    }

    /// Draws all rows; returns the y under them.
    pub(super) fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        top: f64,
        height: f64,
    ) -> Result<f64, FigureError> {
        let row_height = height / count(self.rows());
        let bars = row_height - self.around();
        let largest = self
            .flow
            .columns
            .iter()
            .map(|column| column.bars.iter().map(|bar| bar.share).sum::<f64>())
            .fold(0.0, f64::max);
        let scale = if largest > 0.0 {
            (bars - GAP * self.most_bars()) / largest
        } else {
            0.0
        };
        let room = options.width_mm - 2.0 * MARGIN - BAR - 4.0;
        // A single step does not stretch over a page.
        let step = (room / count(self.per_row)).min(60.0);
        for row in 0..self.rows() {
            let first = row * self.per_row;
            let last = (first + self.per_row).min(self.flow.bands.len());
            let y = top + row_height * count(row) + TITLE;
            let x = |place: usize| MARGIN + 2.0 + step * count(place - first);
            let columns: Vec<Placed<'_>> = (first..=last)
                .map(|place| Placed::new(&self.flow.columns[place], (x(place), y), scale))
                .collect();
            for (i, pair) in columns.windows(2).enumerate() {
                bands(
                    canvas,
                    &pair[0],
                    &pair[1],
                    &self.flow.bands[first + i],
                    scale,
                )?;
            }
            for (i, column) in columns.iter().enumerate() {
                // Names that do not fit into their bars stand beside them, towards the middle of the page.
                let side = if i + 1 < columns.len() {
                    Align::Start
                } else {
                    Align::End
                };
                column.paint(canvas, (y, y + bars), step, side)?;
            }
        }
        Ok(top + height)
    }
}

/// A layer's bars at their places.
struct Placed<'c> {
    column: &'c Column,
    x: f64,
    /// Upper and lower edge of each bar.
    bars: Vec<(f64, f64)>,
}

impl<'c> Placed<'c> {
    fn new(column: &'c Column, (x, top): Point, scale: f64) -> Self {
        let mut y = top;
        let bars = column
            .bars
            .iter()
            .map(|bar| {
                let edges = (y, y + scale * bar.share);
                y = edges.1 + GAP;
                edges
            })
            .collect();
        Self { column, x, bars }
    }

    /// Draws bars with their experts, the title above, and the other experts at the foot.
    fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        (top, bottom): (f64, f64),
        step: f64,
        side: Align,
    ) -> Result<(), FigureError> {
        let face = Face::SMALL;
        let middle = self.x + 0.5 * BAR;
        let mut last = f64::NEG_INFINITY;
        for (bar, (y0, y1)) in self.column.bars.iter().zip(&self.bars) {
            if y1 > y0 {
                canvas.fill(self.area(*y0, *y1), INK_BAR)?;
            }
            let y = 0.5 * (y0 + y1);
            let name = text::shorten(&bar.name, face, BAR - 0.6)?;
            if y1 - y0 >= face.cap_mm() + 0.5 {
                let look = TextLook::new(face, Align::Middle).color(WHITE);
                canvas.text(&name, (middle, y + 0.5 * face.cap_mm()), look)?;
            } else if y - last >= 0.9 * face.line_mm() {
                let look = TextLook::new(face, side).color(INK);
                let x = if side == Align::End {
                    self.x - 0.5
                } else {
                    self.x + BAR + 0.5
                };
                let at = (x, y + 0.5 * face.cap_mm());
                canvas.text(&name, at, look)?;
                last = y;
            }
        }
        let title = text::shorten(&self.column.title, face, step - 1.0)?;
        let half = 0.5 * text::width(&title, face)?;
        canvas.text(
            &title,
            (middle.max(MARGIN + half), top - 1.3),
            TextLook::new(face, Align::Middle),
        )?;
        if self.column.others > 0.0 {
            canvas.fill(self.area(bottom + 0.6, bottom + 2.2), UNDEFINED)?;
            let percent = ticks::fixed(100.0 * self.column.others, 0);
            let share = format!("{percent}\u{a0}%");
            let half = 0.5 * text::width(&share, face)?;
            canvas.text(
                &share,
                (middle.max(MARGIN + half), bottom + 3.0 + face.cap_mm()),
                TextLook::new(face, Align::Middle).color(SOFT_INK),
            )?;
        }
        Ok(())
    }

    fn area(&self, y0: f64, y1: f64) -> Area {
        Area {
            x0: self.x,
            y0,
            x1: self.x + BAR,
            y1,
        }
    }
}

/// The colour of bars.
const INK_BAR: Rgb = Rgb::hex(0x003d_4852);

/// Draws the bands between two layers, stacked at each bar in the order of the bars at their other end.
fn bands(
    canvas: &mut Canvas<'_>,
    from: &Placed<'_>,
    to: &Placed<'_>,
    bands: &[Band],
    scale: f64,
) -> Result<(), FigureError> {
    let mut leaving: Vec<f64> = from.bars.iter().map(|(y, _)| *y).collect();
    let mut arriving: Vec<f64> = to.bars.iter().map(|(y, _)| *y).collect();
    let mut placed = Vec::new();
    for band in bands {
        let thickness = scale * band.share;
        placed.push((leaving[band.from], arriving[band.to], thickness, band.part));
        leaving[band.from] += thickness;
        arriving[band.to] += thickness;
    }
    // Thin ones first, so that the strongest lie on top.
    placed.sort_by(|a, b| a.2.total_cmp(&b.2));
    for (y0, y1, thickness, part) in placed {
        if thickness >= 0.04 {
            let outline = ribbon((from.x + BAR, y0), (to.x, y1), thickness);
            canvas.polygon(&outline, category(0).color, 0.12 + 0.6 * part.min(1.0))?;
        }
    }
    Ok(())
}

/// The outline of a band whose upper edge goes from one point to another, level at both ends.
fn ribbon((x0, y0): Point, (x1, y1): Point, thickness: f64) -> Vec<Point> {
    let steps = 12_u8;
    let upper: Vec<Point> = (0..=steps)
        .map(|step| {
            let t = f64::from(step) / f64::from(steps);
            // 3t² − 2t³ rises from 0 to 1 with level ends.
            let rise = t * t * (3.0 - 2.0 * t);
            (x0 + (x1 - x0) * t, y0 + (y1 - y0) * rise)
        })
        .collect();
    let lower = upper.iter().rev().map(|(x, y)| (*x, y + thickness));
    upper.iter().copied().chain(lower).collect()
}
