//! Points on stems.

use moescope_core::{Interval, Measurement};

use crate::{
    FigureError, FigureOptions,
    axis::count,
    canvas::{Align, Area, Canvas, Point, THIN, TextLook},
    page::{self, MARGIN},
    palette::{GRID, INK, REFERENCE, Rgb, SOFT_INK, WHITE},
    significance::Significance,
    text::{self, Face},
    ticks,
};

/// A cell as a row.
#[derive(Clone, Debug)]
pub(in crate::kinds) struct Row {
    pub(in crate::kinds) label: String,
    pub(in crate::kinds) color: Rgb,
    pub(in crate::kinds) value: f64,
    pub(in crate::kinds) interval: Option<Interval>,
    pub(in crate::kinds) is_significant: bool,
}

/// The rows with everything that their drawing says.
pub(in crate::kinds) struct Lollipops {
    rows: Vec<Row>,
    unit: String,
    center: f64,
    has_reference: bool,
    range: (f64, f64),
    interval_words: String,
    significance: Option<Significance>,
}

/// Height of a row in millimetres.
const ROW: f64 = 4.2;
/// Radius of a point in millimetres.
const RADIUS: f64 = 1.05;

impl Lollipops {
    pub(in crate::kinds) fn new(
        measurement: &Measurement,
        options: &FigureOptions,
        rows: Vec<Row>,
        significance: Option<Significance>,
    ) -> Self {
        let center = measurement
            .reference
            .filter(|r| r.is_finite())
            .unwrap_or(0.0);
        let ends = || {
            rows.iter()
                .flat_map(|row| {
                    let interval = row.interval;
                    [
                        Some(row.value),
                        interval.map(|i| i.low),
                        interval.map(|i| i.high),
                    ]
                })
                .flatten()
                .chain([center])
                .filter(|v| v.is_finite())
        };
        let low = ends().fold(f64::INFINITY, f64::min);
        let high = ends().fold(f64::NEG_INFINITY, f64::max);
        let reach = 0.04 * (high / 2.0 - low / 2.0);
        let reach = if reach > 0.0 { reach } else { 0.5 };
        let range = match options.limits {
            Some([low, high]) => (low, high),
            // Shares begin at zero where they come near it.
            None if low >= 0.0 && low <= 0.4 * high => (0.0, (high + reach).min(f64::MAX / 4.0)),
            None => (
                (low - reach).max(f64::MIN / 4.0),
                (high + reach).min(f64::MAX / 4.0),
            ),
        };
        Self {
            rows,
            unit: page::unit(measurement),
            center,
            has_reference: measurement.reference.is_some(),
            range,
            interval_words: page::interval_in_words(measurement),
            significance,
        }
    }

    /// The height at which rows are well proportioned, and the least.
    pub(in crate::kinds) fn heights(&self) -> (f64, f64) {
        let rows = count(self.rows.len().max(1));
        ((ROW * rows).max(12.0), (3.0 * rows).max(8.0))
    }

    /// Draws the rows; returns the y under them.
    pub(in crate::kinds) fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        top: f64,
        height: f64,
    ) -> Result<f64, FigureError> {
        let (small, label) = (Face::SMALL, Face::LABEL);
        let room = 0.42 * options.width_mm;
        let labels = self
            .rows
            .iter()
            .map(|row| text::shorten(&row.label, small, room))
            .collect::<Result<Vec<_>, _>>()?;
        let panel = Area {
            x0: MARGIN + text::widest(&labels, small)? + 2.0,
            y0: top,
            x1: options.width_mm - MARGIN - 2.5,
            y1: top + height,
        };
        let wanted = if panel.width() < 45.0 { 3 } else { 6 };
        let mut last_end = f64::NEG_INFINITY;
        for tick in ticks::linear(self.range.0, self.range.1, wanted) {
            let x = self.x(panel, tick.value);
            canvas.line((x, panel.y0), (x, panel.y1), GRID, 0.14)?;
            canvas.line((x, panel.y1), (x, panel.y1 + 0.8), INK, THIN)?;
            let half = 0.5 * text::width(&tick.label, small)?;
            if x - half > last_end && x + half < options.width_mm - 0.5 {
                canvas.text(
                    &tick.label,
                    (x, panel.y1 + 1.5 + small.cap_mm()),
                    TextLook::new(small, Align::Middle),
                )?;
                last_end = x + half + 0.8;
            }
        }
        let base = self.x(panel, self.center);
        canvas.line((base, panel.y0), (base, panel.y1), REFERENCE, 0.25)?;
        let pitch = panel.height() / count(self.rows.len().max(1));
        for (i, (row, label)) in self.rows.iter().zip(&labels).enumerate() {
            let y = panel.y0 + pitch * (count(i) + 0.5);
            canvas.text(
                label,
                (panel.x0 - 1.2, y + 0.5 * small.cap_mm()),
                TextLook::new(small, Align::End),
            )?;
            self.row(canvas, panel, y, row)?;
        }
        canvas.line((panel.x0, panel.y1), (panel.x1, panel.y1), INK, THIN)?;
        let mut y = panel.y1 + 1.5 + small.line_mm() + 0.8;
        for line in text::wrap(&self.unit, label, panel.width().max(30.0), 2)? {
            let half = 0.5 * text::width(&line, label)?;
            let middle = (0.5 * (panel.x0 + panel.x1)).min(options.width_mm - MARGIN - half);
            canvas.text(
                &line,
                (middle, y + label.cap_mm()),
                TextLook::new(label, Align::Middle),
            )?;
            y += label.line_mm();
        }
        self.key(canvas, options, (panel.x0.min(20.0), y + 1.4))
    }

    fn row(
        &self,
        canvas: &mut Canvas<'_>,
        panel: Area,
        y: f64,
        row: &Row,
    ) -> Result<(), FigureError> {
        let x = self.x(panel, row.value);
        canvas.line((self.x(panel, self.center), y), (x, y), row.color, 0.3)?;
        if let Some(interval) = row.interval {
            let (low, high) = (self.x(panel, interval.low), self.x(panel, interval.high));
            canvas.line((low, y), (high, y), row.color, 0.7)?;
            for end in [low, high] {
                canvas.line((end, y - 0.8), (end, y + 0.8), row.color, 0.25)?;
            }
        }
        point(canvas, (x, y), row.color, row.is_significant)
    }

    /// Explains interval, point and reference, side by side, in as many rows as it takes.
    fn key(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        (x0, y0): Point,
    ) -> Result<f64, FigureError> {
        let mut entries: Vec<(Sign, String)> = Vec::new();
        if let Some(significance) = self.significance {
            entries.push((Sign::Filled, significance.words()));
            if self.rows.iter().any(|row| !row.is_significant) {
                entries.push((Sign::Open, format!("not {}", significance.words())));
            }
        }
        if self.rows.iter().any(|row| row.interval.is_some()) {
            entries.push((Sign::Interval, self.interval_words.clone()));
        }
        if self.has_reference {
            let center = ticks::short(self.center);
            entries.push((Sign::Reference, format!("reference {center}")));
        }
        let face = Face::SMALL;
        let (mut x, mut y) = (x0, y0);
        for (sign, meaning) in &entries {
            let width = 6.0 + text::width(meaning, face)?;
            if x > x0 && x + width > options.width_mm - MARGIN {
                x = x0;
                y += 3.6;
            }
            let middle = (x + 2.0, y + 1.2);
            match sign {
                Sign::Filled => point(canvas, middle, SOFT_INK, true)?,
                Sign::Open => point(canvas, middle, SOFT_INK, false)?,
                Sign::Interval => {
                    let ends = (middle.0 - 2.0, middle.0 + 2.0);
                    canvas.line((ends.0, middle.1), (ends.1, middle.1), SOFT_INK, 0.7)?;
                    for end in [ends.0, ends.1] {
                        let (up, down) = (middle.1 - 0.8, middle.1 + 0.8);
                        canvas.line((end, up), (end, down), SOFT_INK, 0.25)?;
                    }
                }
                Sign::Reference => {
                    canvas.line((middle.0, y), (middle.0, y + 2.4), REFERENCE, 0.25)?;
                }
            }
            canvas.text(
                meaning,
                (x + 5.0, middle.1 + 0.5 * face.cap_mm()),
                TextLook::new(face, Align::Start),
            )?;
            x += width + 4.0;
        }
        Ok(if entries.is_empty() { y0 } else { y + 3.0 })
    }

    /// The x of a value, held within the panel.
    fn x(&self, panel: Area, value: f64) -> f64 {
        let (low, high) = self.range;
        let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        panel.x0 + panel.width() * share.clamp(0.0, 1.0)
    }
}

#[derive(Clone, Copy)]
enum Sign {
    Filled,
    Open,
    Interval,
    Reference,
}

/// A filled point, or a white one with an outline.
fn point(
    canvas: &mut Canvas<'_>,
    at: Point,
    color: Rgb,
    is_filled: bool,
) -> Result<(), FigureError> {
    if is_filled {
        return canvas.disc(at, RADIUS, color);
    }
    canvas.disc(at, RADIUS, WHITE)?;
    canvas.ring(at, RADIUS - 0.15, color, 0.3)
}
