//! Points in the square of two probabilities.

use moescope_core::{Interval, Measurement};

use crate::{
    FigureError, FigureOptions,
    axis::count,
    canvas::{Align, Area, BOLD_LINE, Canvas, Point, THIN, TextLook},
    marker,
    page::{self, MARGIN},
    palette::{Category, GRID, INK, REFERENCE},
    text::{self, Face},
};

/// A line of points.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) look: Category,
    pub(super) places: Vec<Place>,
}

/// A mean probability with the share of right answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) given: f64,
    pub(super) right: f64,
    pub(super) interval: Option<Interval>,
}

impl Place {
    /// Whether both are probabilities.
    pub(super) fn is_drawn(&self) -> bool {
        (0.0..=1.0).contains(&self.given) && (0.0..=1.0).contains(&self.right)
    }
}

/// The curves with what their key says.
pub(super) struct Curves {
    curves: Vec<Curve>,
    interval_words: String,
}

/// Dashes of the diagonal.
const DASH: (f64, f64) = (1.6, 1.0);
/// The labelled values of both axes.
const TICKS: [(f64, &str); 6] = [
    (0.0, "0.0"),
    (0.2, "0.2"),
    (0.4, "0.4"),
    (0.6, "0.6"),
    (0.8, "0.8"),
    (1.0, "1.0"),
];

impl Curves {
    pub(super) fn new(measurement: &Measurement, curves: Vec<Curve>) -> Self {
        Self {
            curves,
            interval_words: page::interval_in_words(measurement),
        }
    }

    /// Draws the square and its key; returns the y under them.
    pub(super) fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        top: f64,
        height: f64,
    ) -> Result<f64, FigureError> {
        let (small, label) = (Face::SMALL, Face::LABEL);
        let x0 = MARGIN + label.line_mm() + 0.8 + text::width("0.0", small)? + 1.5;
        let side = height.min(options.width_mm - MARGIN - 3.0 - x0);
        let panel = Area {
            x0,
            y0: top,
            x1: x0 + side,
            y1: top + side,
        };
        let at = |x: f64, y: f64| (panel.x0 + side * x, panel.y1 - side * y);
        for (value, written) in TICKS {
            let (x, y) = at(value, value);
            canvas.line((panel.x0, y), (panel.x1, y), GRID, 0.14)?;
            canvas.line((panel.x0 - 0.8, y), (panel.x0, y), INK, THIN)?;
            canvas.line((x, panel.y1), (x, panel.y1 + 0.8), INK, THIN)?;
            let beside = (panel.x0 - 1.5, y + 0.5 * small.cap_mm());
            canvas.text(written, beside, TextLook::new(small, Align::End))?;
            let below = (x, panel.y1 + 1.5 + small.cap_mm());
            canvas.text(written, below, TextLook::new(small, Align::Middle))?;
        }
        canvas.dashes(at(0.0, 0.0), at(1.0, 1.0), REFERENCE, DASH)?;
        for curve in &self.curves {
            let points: Vec<Point> = curve
                .places
                .iter()
                .filter(|place| place.is_drawn())
                .map(|place| at(place.given, place.right))
                .collect();
            for place in curve.places.iter().filter(|place| place.is_drawn()) {
                if let Some(interval) = place.interval {
                    let ends = [interval.low, interval.high]
                        .map(|end| at(place.given, end.clamp(0.0, 1.0)));
                    canvas.line(ends[0], ends[1], curve.look.color, 0.25)?;
                }
            }
            if points.len() > 1 {
                canvas.path(&points, curve.look.color, BOLD_LINE)?;
            }
            for point in points {
                marker::draw(canvas, point, 0.85, curve.look)?;
            }
        }
        canvas.frame(panel, INK, THIN)?;
        let middle = 0.5 * (panel.x0 + panel.x1);
        let y = panel.y1 + 1.5 + small.line_mm() + 0.8 + label.cap_mm();
        let look = TextLook::new(label, Align::Middle);
        canvas.text("probability given", (middle, y), look)?;
        let beside = (MARGIN + label.cap_mm(), 0.5 * (panel.y0 + panel.y1));
        canvas.text("share right", beside, look.upward())?;
        self.key(canvas, options, (panel.x0, y + 2.4))?;
        // A square leaves what a chosen height has besides under itself.
        Ok(top + height + (y - panel.y1) + 2.4 + 3.6 * count(self.curves.len() + 2))
    }

    /// Explains curves, intervals and the diagonal, one in a row.
    fn key(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        (x, y): Point,
    ) -> Result<(), FigureError> {
        let face = Face::SMALL;
        let room = options.width_mm - MARGIN - x - 7.0;
        let row = |i: usize| y + 3.6 * count(i) + 1.2;
        let write = |canvas: &mut Canvas<'_>, i: usize, text: &str| {
            let text = text::shorten(text, face, room)?;
            let at = (x + 7.0, row(i) + 0.5 * face.cap_mm());
            canvas.text(&text, at, TextLook::new(face, Align::Start))
        };
        for (i, curve) in self.curves.iter().enumerate() {
            canvas.line((x, row(i)), (x + 6.0, row(i)), curve.look.color, BOLD_LINE)?;
            marker::draw(canvas, (x + 3.0, row(i)), 0.85, curve.look)?;
            write(canvas, i, &curve.name)?;
        }
        let n = self.curves.len();
        canvas.dashes((x, row(n)), (x + 6.0, row(n)), REFERENCE, DASH)?;
        write(canvas, n, "right as often as it says")?;
        let has_intervals = |curve: &Curve| curve.places.iter().any(|p| p.interval.is_some());
        if self.curves.iter().any(has_intervals) {
            let middle = row(n + 1);
            canvas.line((x + 3.0, middle - 1.2), (x + 3.0, middle + 1.2), INK, 0.25)?;
            write(canvas, n + 1, &self.interval_words)?;
        }
        Ok(())
    }
}
