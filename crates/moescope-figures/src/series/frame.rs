//! The marks of a series: bands, lines, null means.

use super::{Chart, LineStyle, NULL_DASH, PointOfSeries, Series, VARIANT_DASH};
use crate::{
    FigureError,
    axis::count,
    canvas::{Area, BOLD_LINE, Canvas, Point, THIN},
    marker,
    palette::{CONTEXT, Rgb, SOFT_INK},
};

/// A chart placed on the page.
pub(super) struct Frame<'c> {
    /// What is drawn.
    pub(super) chart: &'c Chart,
    /// Where it is drawn.
    pub(super) panel: Area,
}

impl Frame<'_> {
    pub(super) fn pitch(&self) -> f64 {
        self.panel.width() / count(self.chart.places.len())
    }

    pub(super) fn x(&self, layer: usize) -> f64 {
        self.panel.x0 + self.pitch() * (count(layer) + 0.5)
    }

    /// The x of a point: with a single layer, series stand side by side.
    pub(super) fn x_of(&self, series: usize, layer: usize) -> f64 {
        let n = self.chart.series.len();
        if self.chart.places.len() > 1 || n == 1 {
            return self.x(layer);
        }
        let step = (self.panel.width() / count(n + 1)).min(6.0);
        self.x(layer) + step * (count(series) - 0.5 * count(n - 1))
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let (low, high) = self.chart.range;
        let share = if self.chart.is_log {
            (value.ln() - low.ln()) / (high.ln() - low.ln())
        } else {
            (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
        };
        self.panel.y1 - self.panel.height() * share
    }

    /// The y of an end of an interval, held within the panel.
    fn y_held(&self, value: f64) -> f64 {
        let y = self.y(value);
        if y.is_nan() {
            // The logarithm of nothing lies below every axis.
            self.panel.y1
        } else {
            y.clamp(self.panel.y0, self.panel.y1)
        }
    }

    pub(super) fn is_drawn(&self, point: &PointOfSeries) -> bool {
        self.chart.is_inside(point.value)
    }

    /// Bands over runs of at least two layers with intervals, whiskers over single ones.
    pub(super) fn bands(&self, canvas: &mut Canvas<'_>) -> Result<(), FigureError> {
        if !self.chart.has_bands {
            return Ok(());
        }
        let named = || {
            let all = self.chart.series.iter().enumerate();
            all.filter(|(_, series)| series.style.is_named())
        };
        // How much of the paper a band hides: many bands over one another must leave the lines legible.
        let alpha = if named().count() <= 4 { 0.16 } else { 0.1 };
        for (index, series) in named() {
            let ends: Vec<Option<(f64, f64, f64)>> = series
                .points
                .iter()
                .enumerate()
                .map(|(layer, point)| {
                    let interval = point.interval.filter(|_| self.is_drawn(point))?;
                    Some((
                        self.x_of(index, layer),
                        self.y_held(interval.low),
                        self.y_held(interval.high),
                    ))
                })
                .collect();
            for run in ends.split(Option::is_none) {
                let run: Vec<(f64, f64, f64)> = run.iter().flatten().copied().collect();
                match run.as_slice() {
                    [] => {}
                    [(x, low, high)] => {
                        whisker(canvas, *x, (*low, *high), series.look.color)?;
                    }
                    run => {
                        let outline: Vec<Point> = run
                            .iter()
                            .map(|(x, low, _)| (*x, *low))
                            .chain(run.iter().rev().map(|(x, _, high)| (*x, *high)))
                            .collect();
                        canvas.polygon(&outline, series.look.color, alpha)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Dotted lines through the means of the nulls: one in grey where all series share it, else one per series.
    pub(super) fn nulls(&self, canvas: &mut Canvas<'_>) -> Result<(), FigureError> {
        let means = |series: &Series| -> Vec<Option<f64>> {
            series.points.iter().map(|point| point.null_mean).collect()
        };
        let all: Vec<(usize, Vec<Option<f64>>)> = self
            .chart
            .series
            .iter()
            .enumerate()
            .filter(|(_, series)| series.style.is_named())
            .map(|(index, series)| (index, means(series)))
            .collect();
        let is_shared = all.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let drawn = if is_shared { 1 } else { all.len() };
        for (index, means) in all.iter().take(drawn) {
            let index = *index;
            let color = if is_shared {
                SOFT_INK
            } else {
                self.chart.series[index].look.color
            };
            let places: Vec<Option<Point>> = means
                .iter()
                .enumerate()
                .map(|(layer, mean)| {
                    let mean = mean.filter(|mean| self.chart.is_inside(*mean))?;
                    Some((self.x_of(index, layer), self.y(mean)))
                })
                .collect();
            for (place, next) in places.iter().zip(places.iter().skip(1)) {
                if let (Some(from), Some(to)) = (place, next) {
                    canvas.dashes(*from, *to, color, NULL_DASH)?;
                }
            }
            if let [Some((x, y))] = places.as_slice() {
                let (from, to) = if is_shared {
                    (self.panel.x0, self.panel.x1)
                } else {
                    (x - 1.5, x + 1.5)
                };
                canvas.dashes((from, *y), (to, *y), color, NULL_DASH)?;
            }
        }
        Ok(())
    }

    pub(super) fn lines(&self, canvas: &mut Canvas<'_>) -> Result<(), FigureError> {
        // Markers at every layer where they keep apart, else at every few.
        let mut every = 1;
        while self.pitch() * count(every) < 2.6 && every < self.chart.places.len() {
            every += 1;
        }
        // What is for comparison lies under what stands out.
        let of_style = |style: LineStyle| {
            let all = self.chart.series.iter().enumerate();
            all.filter(move |(_, series)| series.style == style)
        };
        let in_order = [
            LineStyle::Context,
            LineStyle::Sequence,
            LineStyle::Dashed,
            LineStyle::Marked,
            LineStyle::Mean,
        ];
        for (index, series) in in_order.into_iter().flat_map(of_style) {
            let places: Vec<Option<Point>> = series
                .points
                .iter()
                .enumerate()
                .map(|(layer, point)| {
                    self.is_drawn(point)
                        .then(|| (self.x_of(index, layer), self.y(point.value)))
                })
                .collect();
            for run in places.split(Option::is_none) {
                let run: Vec<Point> = run.iter().flatten().copied().collect();
                if run.len() > 1 {
                    stroke(canvas, &run, series)?;
                }
            }
            for (layer, place) in places.iter().enumerate() {
                let Some(place) = place else { continue };
                let neighbour =
                    |i: Option<usize>| i.and_then(|i| places.get(i)).is_some_and(Option::is_some);
                let is_alone = !neighbour(layer.checked_sub(1)) && !neighbour(Some(layer + 1));
                if series.style.is_named() && (is_alone || layer % every == 0) {
                    marker::draw(canvas, *place, 0.75, series.look)?;
                } else if is_alone {
                    // A point that no line reaches shows nevertheless.
                    canvas.disc(*place, 0.45, color(series))?;
                }
            }
        }
        Ok(())
    }
}

fn stroke(canvas: &mut Canvas<'_>, run: &[Point], series: &Series) -> Result<(), FigureError> {
    let width = match series.style {
        LineStyle::Dashed => {
            for pair in run.windows(2) {
                canvas.dashes(pair[0], pair[1], series.look.color, VARIANT_DASH)?;
            }
            return Ok(());
        }
        LineStyle::Context => THIN,
        LineStyle::Sequence => 0.28,
        LineStyle::Marked => BOLD_LINE,
        LineStyle::Mean => 0.7,
    };
    canvas.path(run, color(series), width)
}

fn color(series: &Series) -> Rgb {
    match series.style {
        LineStyle::Context => CONTEXT,
        _ => series.look.color,
    }
}

/// Draws the interval of a single point.
pub(super) fn whisker(
    canvas: &mut Canvas<'_>,
    x: f64,
    (low, high): (f64, f64),
    color: Rgb,
) -> Result<(), FigureError> {
    canvas.line((x, low), (x, high), color, 0.25)?;
    for y in [low, high] {
        canvas.line((x - 0.7, y), (x + 0.7, y), color, 0.25)?;
    }
    Ok(())
}
