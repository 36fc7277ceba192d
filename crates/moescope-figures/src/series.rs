//! Lines over an axis of layers or ranges, with bands, reference and null: the drawing of a series.

mod along;
mod frame;
mod key;
mod names;
mod small;

pub(crate) use along::{Pairing, draw_along, point};
use frame::Frame;
use moescope_core::{Interval, Measurement};

use crate::{
    FigureError, FigureOptions,
    axis::{ColumnLabels, count},
    canvas::{Align, Area, Canvas, THIN, TextLook},
    options::ColorScale,
    page::{self, Drawn, MARGIN},
    palette::{Category, GRID, INK, REFERENCE},
    text::{self, Face},
    ticks::{self, Tick},
};

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// What the line is; empty where there is only one.
    pub(crate) name: String,
    /// Colour and marker.
    pub(crate) look: Category,
    /// How prominent the line is.
    pub(crate) style: LineStyle,
    /// One point per place on the axis.
    pub(crate) points: Vec<PointOfSeries>,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineStyle {
    /// With markers, a band, and its name.
    Marked,
    /// Dashed and without a name: a second variant of a line in its colour.
    Dashed,
    /// Thin, one of a sequence of colours that the key explains.
    Sequence,
    /// Thick and dark over the others, with its name: their mean.
    Mean,
    /// Thin and grey, without a band or a name: for comparison.
    Context,
}

impl LineStyle {
    /// Whether a line of this style has a name, markers and a band of its own.
    pub(super) fn is_named(self) -> bool {
        matches!(self, Self::Marked | Self::Mean)
    }
}

/// What tells lines apart besides their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Explained {
    /// What solid and dashed lines are.
    pub(crate) solid_and_dashed: Option<(String, String)>,
    /// What the first and the last colour of a sequence stand for, e.g. `layer 0` and `15`.
    pub(crate) sequence: Option<(String, String)>,
    /// What grey lines are.
    pub(crate) context: Option<String>,
}

/// A value at one place on the axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PointOfSeries {
    /// The value; NaN interrupts the line.
    pub(crate) value: f64,
    /// Its interval.
    pub(crate) interval: Option<Interval>,
    /// What its null model gives.
    pub(crate) null_mean: Option<f64>,
}

/// Lines with everything that their drawing says.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// The labels of the axis.
    places: Vec<String>,
    /// What the axis is.
    x_title: String,
    series: Vec<Series>,
    unit: String,
    reference: Option<f64>,
    interval_words: String,
    range: (f64, f64),
    is_log: bool,
    explained: Explained,
    /// Whether bands are drawn: over more than a few lines they would hide one another.
    has_bands: bool,
}

/// Distance between two names at the right of the lines in millimetres.
const NAME_PITCH: f64 = 3.2;
/// Dashes of the reference and of the null.
const REFERENCE_DASH: (f64, f64) = (1.6, 1.0);
const NULL_DASH: (f64, f64) = (0.45, 0.65);
/// Dashes of the second variant of a line.
const VARIANT_DASH: (f64, f64) = (1.0, 0.8);
/// Bands are drawn for up to this many named lines.
const MOST_BANDS: usize = 8;

impl Chart {
    /// Lines over the places of an axis with its title.
    pub(crate) fn new(
        measurement: &Measurement,
        options: &FigureOptions,
        (places, x_title): (Vec<String>, &str),
        series: Vec<Series>,
        explained: Explained,
    ) -> Self {
        let named = series.iter().filter(|s| s.style.is_named()).count();
        let mut chart = Self {
            explained,
            has_bands: named <= MOST_BANDS,
            places,
            x_title: x_title.to_owned(),
            series,
            unit: page::unit(measurement),
            reference: measurement.reference.filter(|r| r.is_finite()),
            interval_words: page::interval_in_words(measurement),
            range: (0.0, 1.0),
            is_log: options.scale == ColorScale::Log,
        };
        let has_positive = chart.shown_values().any(|v| v > 0.0);
        chart.is_log &= has_positive;
        chart.range = chart.range(options);
        chart
    }

    /// What a reader must know about values that are not drawn.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let measured = || self.series.iter().filter(|s| s.style != LineStyle::Mean);
        let values = || measured().flat_map(|s| &s.points).map(|p| p.value);
        let undefined = values().filter(|v| !v.is_finite()).count();
        let outside = values()
            .filter(|v| v.is_finite() && !self.is_inside(*v))
            .count();
        let mut remarks = Vec::new();
        if !self.has_bands && self.has_intervals() {
            remarks.push(format!(
                "Intervals of more than {MOST_BANDS} lines would hide one another: highlight some"
            ));
        }
        if undefined > 0 {
            remarks.push(page::counted(
                undefined,
                "value is not defined and leaves a gap",
                "values are not defined and leave gaps",
            ));
        }
        if outside > 0 {
            let reason = if self.is_log {
                "zero or less, or outside the value axis, and not drawn"
            } else {
                "outside the value axis and not drawn"
            };
            let count = page::counted(outside, "value is", "values are");
            remarks.push(format!("{count} {reason}"));
        }
        remarks
    }

    /// Which of the uncertainty is drawn.
    pub(crate) fn drawn(&self) -> Drawn {
        Drawn {
            intervals: self.has_bands && self.has_intervals(),
            nulls: self.named_points().any(|p| p.null_mean.is_some()),
        }
    }

    /// The points of lines with bands and nulls of their own.
    fn named_points(&self) -> impl Iterator<Item = &PointOfSeries> {
        self.series
            .iter()
            .filter(|series| series.style.is_named())
            .flat_map(|series| &series.points)
    }

    fn has_intervals(&self) -> bool {
        self.named_points().any(|p| p.interval.is_some())
    }

    /// The panel height at which lines and names are well proportioned.
    pub(crate) fn natural_height(&self, options: &FigureOptions) -> f64 {
        let named = self.series.iter().filter(|s| s.style.is_named()).count();
        let for_names = NAME_PITCH * count(named) + 3.0;
        (0.42 * options.width_mm)
            .clamp(45.0, 90.0)
            .max(for_names)
            .min(180.0)
    }

    /// Draws the lines; returns the y under them.
    pub(crate) fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        top: f64,
        height: f64,
    ) -> Result<f64, FigureError> {
        let (small, label) = (Face::SMALL, Face::LABEL);
        let ticks = self.ticks(height);
        let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        let unit = text::wrap(&self.unit, label, height.max(20.0), 3)?;
        let names = self.names(options)?;
        let names_width = if names.is_empty() {
            2.0
        } else {
            text::widest(&names, small)? + 8.5
        };
        let panel = Area {
            x0: MARGIN
                + label.line_mm() * count(unit.len())
                + 0.8
                + text::widest(&labels, small)?
                + 1.5,
            y0: top,
            x1: options.width_mm - MARGIN - names_width,
            y1: top + height,
        };
        let frame = Frame { chart: self, panel };
        self.lines(canvas, &frame)?;
        self.value_labels(canvas, &frame)?;
        frame.names(canvas, &names)?;

        let columns = ColumnLabels::new(&self.places, frame.pitch(), false)?;
        columns.draw(canvas, panel.y1, |i| frame.x(i))?;
        let mut y = panel.y1 + columns.height + 0.8;
        canvas.text(
            &self.x_title,
            (0.5 * (panel.x0 + panel.x1), y + label.cap_mm()),
            TextLook::new(label, Align::Middle),
        )?;
        for (i, line) in unit.iter().enumerate() {
            let half = 0.5 * text::width(line, label)?;
            let at = (
                MARGIN + label.cap_mm() + label.line_mm() * count(i),
                (0.5 * (panel.y0 + panel.y1)).max(top + half),
            );
            canvas.text(line, at, TextLook::new(label, Align::Middle).upward())?;
        }
        y += label.line_mm();
        self.key(canvas, options, (panel.x0, y))
    }

    /// Draws everything within the panel, and the two axes.
    fn lines(&self, canvas: &mut Canvas<'_>, frame: &Frame<'_>) -> Result<(), FigureError> {
        let panel = frame.panel;
        for tick in self.ticks(panel.height()) {
            let y = frame.y(tick.value);
            canvas.line((panel.x0, y), (panel.x1, y), GRID, 0.14)?;
            canvas.line((panel.x0 - 0.8, y), (panel.x0, y), INK, THIN)?;
        }
        frame.bands(canvas)?;
        if let Some(reference) = self.reference.filter(|r| self.is_inside(*r)) {
            let y = frame.y(reference);
            canvas.dashes((panel.x0, y), (panel.x1, y), REFERENCE, REFERENCE_DASH)?;
        }
        frame.nulls(canvas)?;
        frame.lines(canvas)?;
        canvas.path(
            &[
                (panel.x0, panel.y0),
                (panel.x0, panel.y1),
                (panel.x1, panel.y1),
            ],
            INK,
            THIN,
        )
    }

    /// Writes the values at the left of the panel.
    fn value_labels(&self, canvas: &mut Canvas<'_>, frame: &Frame<'_>) -> Result<(), FigureError> {
        let small = Face::SMALL;
        for tick in self.ticks(frame.panel.height()) {
            canvas.text(
                &tick.label,
                (
                    frame.panel.x0 - 1.5,
                    frame.y(tick.value) + 0.5 * small.cap_mm(),
                ),
                TextLook::new(small, Align::End),
            )?;
        }
        Ok(())
    }

    /// The names at the right of the lines, shortened, one per line; empty for a single line.
    fn names(&self, options: &FigureOptions) -> Result<Vec<String>, FigureError> {
        if self.series.len() < 2 {
            return Ok(Vec::new());
        }
        self.series
            .iter()
            .map(|series| {
                if series.style.is_named() {
                    text::shorten(&series.name, Face::SMALL, 0.22 * options.width_mm)
                } else {
                    Ok(String::new())
                }
            })
            .collect()
    }

    /// Ticks of the value axis of a panel of some height: fewer where it is low.
    fn ticks(&self, height: f64) -> Vec<Tick> {
        let (low, high) = self.range;
        let wanted = match height {
            height if height < 16.0 => 1,
            height if height < 24.0 => 2,
            height if height < 30.0 => 3,
            _ => 6,
        };
        if self.is_log {
            ticks::logarithmic(low, high, wanted)
        } else {
            ticks::linear(low, high, wanted)
        }
    }

    fn is_inside(&self, value: f64) -> bool {
        (self.range.0..=self.range.1).contains(&value)
    }

    /// Everything that should lie within the value axis.
    fn shown_values(&self) -> impl Iterator<Item = f64> {
        self.series
            .iter()
            .flat_map(|series| &series.points)
            .flat_map(|point| {
                [
                    Some(point.value),
                    point.interval.map(|i| i.low),
                    point.interval.map(|i| i.high),
                    point.null_mean,
                ]
            })
            .flatten()
            .chain(self.reference)
            .filter(|value| value.is_finite())
    }

    fn range(&self, options: &FigureOptions) -> (f64, f64) {
        if let Some([low, high]) = options.limits
            && (!self.is_log || low > 0.0)
        {
            return (low, high);
        }
        let is_usable = |v: &f64| !self.is_log || *v > 0.0;
        let low = self
            .shown_values()
            .filter(is_usable)
            .fold(f64::INFINITY, f64::min);
        let high = self
            .shown_values()
            .filter(is_usable)
            .fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return (0.0, 1.0);
        }
        if self.is_log {
            return (low / 1.15, high * 1.15);
        }
        if options.scale == ColorScale::Symmetric {
            let center = self.reference.unwrap_or(0.0);
            let reach = (high - center).abs().max((low - center).abs());
            let reach = if reach > 0.0 { 1.05 * reach } else { 1.0 };
            return (center - reach, center + reach);
        }
        let span = if low < high {
            high - low
        } else if low == 0.0 {
            1.0
        } else {
            0.2 * low.abs()
        };
        // Quantities that start near zero start at zero.
        let low = if low >= 0.0 && low <= 0.4 * high {
            0.0
        } else {
            low - 0.06 * span
        };
        (low, high + 0.06 * span)
    }
}
