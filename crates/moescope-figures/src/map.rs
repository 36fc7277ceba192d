//! Documents as points of a plane: the drawing of a map.

mod classes;
mod hull;
mod legend;

pub(crate) use classes::Classes;

use legend::ENTRY;

use crate::{
    FigureError, FigureOptions,
    axis::count,
    canvas::{Align, Area, Canvas, Point, THIN, TextLook},
    marker,
    page::MARGIN,
    palette::{INK, WHITE},
    text::{self, Face},
    ticks::{self, Tick},
};

/// The highest map that is chosen without being asked, in millimetres.
const HIGHEST: f64 = 125.0;

/// Names on the map itself are legible up to this many.
const MOST_LABELS: usize = 60;

/// Documents at their places with everything that their drawing says.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    titles: [String; 2],
    legend_title: String,
    marks: Marks,
    range: [(f64, f64); 2],
    places: Vec<Point>,
    classes: Classes,
}

/// What a map shows of each class besides its documents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// Its name at the middle of its documents.
    pub(crate) names: bool,
    /// An outline of where most of its documents lie.
    pub(crate) hulls: bool,
}

impl Map {
    /// Documents of some classes at some places.
    pub(crate) fn new(
        titles: [String; 2],
        legend_title: String,
        marks: Marks,
        classes: Classes,
        places: Vec<Point>,
    ) -> Self {
        Self {
            titles,
            legend_title,
            marks,
            range: range_of(&places),
            places,
            classes,
        }
    }

    /// The panel height at which the map is square and the legend fits beside it.
    pub(crate) fn natural_height(&self, options: &FigureOptions) -> Result<f64, FigureError> {
        let legend_height = if self.is_legend_below(options)? {
            0.0
        } else {
            ENTRY * count((self.classes.names.len() + 1).min(45))
        };
        let beside = self.width_beside(options)?;
        Ok((options.width_mm - 2.0 * MARGIN - 12.0 - beside)
            .clamp(20.0, HIGHEST)
            .max(legend_height))
    }

    /// Draws the map; returns the y under it.
    pub(crate) fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        top: f64,
        height: f64,
    ) -> Result<f64, FigureError> {
        let legend_width = self.width_beside(options)?;
        let [ticks_x, ticks_y] = self.range.map(|(low, high)| ticks::linear(low, high, 5));
        let labels_y: Vec<&str> = ticks_y.iter().map(|tick| tick.label.as_str()).collect();
        let label = Face::LABEL;
        let x0 = MARGIN + label.line_mm() + 0.8 + text::widest(&labels_y, Face::SMALL)? + 1.5;
        let panel = Area {
            x0,
            y0: top,
            x1: options.width_mm - MARGIN - legend_width,
            y1: top + height,
        };
        let frame = self.square(panel);
        axes(canvas, &frame, &ticks_x, &ticks_y)?;

        let count = self.places.len();
        let radius = match count {
            0..=400 => 0.95,
            401..=1500 => 0.7,
            1501..=5000 => 0.5,
            _ => 0.35,
        };
        if self.marks.hulls && self.classes.is_given {
            self.hulls(canvas, &frame)?;
        }
        for (place, class) in self.places.iter().zip(&self.classes.of) {
            if is_finite(*place) {
                marker::draw(canvas, frame.at(*place), radius, self.classes.looks[*class])?;
            }
        }
        canvas.frame(frame.panel, INK, THIN)?;
        if self.marks.names && self.classes.is_given && self.classes.names.len() <= MOST_LABELS {
            self.labels(canvas, &frame)?;
        }
        self.titles(canvas, options, &frame)?;
        let bottom = panel.y1 + 1.5 + Face::SMALL.line_mm() + label.line_mm() + 0.8;
        if !self.classes.is_given {
            return Ok(bottom);
        }
        if self.is_legend_below(options)? {
            return self.legend_below(canvas, options, (panel.x0, bottom + 1.2));
        }
        self.legend(canvas, options, frame.panel)?;
        Ok(bottom)
    }

    /// The panel with ranges widened so that both axes have the same scale: distances are what a map is for.
    fn square(&self, panel: Area) -> Frame {
        let [x, y] = self.range;
        let inset = 2.5;
        let per_mm = ((x.1 - x.0) / (panel.width() - 2.0 * inset))
            .max((y.1 - y.0) / (panel.height() - 2.0 * inset));
        let widened = |(low, high): (f64, f64), mm: f64| {
            let middle = 0.5 * low + 0.5 * high;
            (middle - 0.5 * mm * per_mm, middle + 0.5 * mm * per_mm)
        };
        Frame {
            panel,
            x: widened(x, panel.width()),
            y: widened(y, panel.height()),
        }
    }

    fn titles(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        frame: &Frame,
    ) -> Result<(), FigureError> {
        let label = Face::LABEL;
        let panel = frame.panel;
        let x_title = text::shorten(&self.titles[0], label, options.width_mm - panel.x0)?;
        let y_title = text::shorten(&self.titles[1], label, panel.height())?;
        canvas.text(
            &x_title,
            (
                0.5 * (panel.x0 + panel.x1),
                panel.y1 + 1.5 + Face::SMALL.line_mm() + 0.8 + label.cap_mm(),
            ),
            TextLook::new(label, Align::Middle),
        )?;
        canvas.text(
            &y_title,
            (MARGIN + label.cap_mm(), 0.5 * (panel.y0 + panel.y1)),
            TextLook::new(label, Align::Middle).upward(),
        )
    }

    /// Names each class at the middle of its documents, moved down where names would meet.
    fn labels(&self, canvas: &mut Canvas<'_>, frame: &Frame) -> Result<(), FigureError> {
        let face = Face {
            is_bold: true,
            ..Face::SMALL
        };
        let mut middles: Vec<(Point, usize)> = (0..self.classes.names.len())
            .filter_map(|class| Some((self.middle(class)?, class)))
            .map(|(place, class)| (frame.at(place), class))
            .collect();
        middles.sort_by(|a, b| a.0.1.total_cmp(&b.0.1).then(a.1.cmp(&b.1)));
        let mut taken: Vec<Area> = Vec::new();
        for ((x, y), class) in middles {
            let name = text::shorten(&self.classes.names[class], face, 40.0)?;
            let half = 0.5 * text::width(&name, face)? + 0.5;
            let x = x.clamp(
                frame.panel.x0 + half,
                (frame.panel.x1 - half).max(frame.panel.x0 + half),
            );
            let mut area = Area {
                x0: x - half,
                y0: y - 1.35,
                x1: x + half,
                y1: y + 1.35,
            };
            while let Some(other) = taken.iter().find(|other| overlap(area, **other)) {
                let shift = other.y1 - area.y0 + 0.05;
                area.y0 += shift;
                area.y1 += shift;
            }
            taken.push(area);
            canvas.veil(area, WHITE, 0.7)?;
            let baseline = 0.5 * (area.y0 + area.y1) + 0.5 * face.cap_mm();
            canvas.text(&name, (x, baseline), TextLook::new(face, Align::Middle))?;
        }
        Ok(())
    }

    /// The places of the documents of a class.
    fn own(&self, class: usize) -> impl Iterator<Item = Point> {
        self.places
            .iter()
            .zip(&self.classes.of)
            .filter(move |(place, of)| **of == class && is_finite(**place))
            .map(|(place, _)| *place)
    }

    /// The median of each coordinate over the documents of a class: a place for its name.
    fn middle(&self, class: usize) -> Option<Point> {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        Some((
            median(self.own(class).map(|place| place.0).collect())?,
            median(self.own(class).map(|place| place.1).collect())?,
        ))
    }
}

/// A panel with the ranges of its axes.
struct Frame {
    panel: Area,
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn at(&self, (x, y): Point) -> Point {
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (
            self.panel.x0 + self.panel.width() * share(x, self.x),
            self.panel.y1 - self.panel.height() * share(y, self.y),
        )
    }
}

fn axes(
    canvas: &mut Canvas<'_>,
    frame: &Frame,
    ticks_x: &[Tick],
    ticks_y: &[Tick],
) -> Result<(), FigureError> {
    let face = Face::SMALL;
    let panel = frame.panel;
    for tick in ticks_x {
        let (x, _) = frame.at((tick.value, 0.0));
        canvas.line((x, panel.y1), (x, panel.y1 + 0.8), INK, THIN)?;
        canvas.text(
            &tick.label,
            (x, panel.y1 + 1.5 + face.cap_mm()),
            TextLook::new(face, Align::Middle),
        )?;
    }
    for tick in ticks_y {
        let (_, y) = frame.at((0.0, tick.value));
        canvas.line((panel.x0 - 0.8, y), (panel.x0, y), INK, THIN)?;
        canvas.text(
            &tick.label,
            (panel.x0 - 1.5, y + 0.5 * face.cap_mm()),
            TextLook::new(face, Align::End),
        )?;
    }
    Ok(())
}

/// Whether a document has a place.
pub(crate) fn is_finite((x, y): Point) -> bool {
    x.is_finite() && y.is_finite()
}

fn overlap(a: Area, b: Area) -> bool {
    a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1
}

/// The range of each coordinate; where all are equal, or none is there, one of some width.
fn range_of(places: &[Point]) -> [(f64, f64); 2] {
    let range = |coordinate: fn(&Point) -> f64| {
        let values = || places.iter().filter(|p| is_finite(**p)).map(coordinate);
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        if low < high {
            (low, high)
        } else if low.is_finite() {
            let reach = low.abs().max(1.0);
            (low - reach, high + reach)
        } else {
            (-1.0, 1.0)
        }
    };
    [range(|p| p.0), range(|p| p.1)]
}
