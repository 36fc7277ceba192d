//! What colours and shapes mean: a marker and a name for each class, on as many lines as they need.

use egui::{Pos2, Sense, Shape, Stroke, Ui, pos2, vec2};
use moescope_figures::palette::{Category, Marker};

use super::text::{on_one_line, soft, together};
use crate::theme::Theme;

const SIZE: f32 = 4.0;

// Corners of the shapes, in units of their size.
const SQUARE: [(f32, f32); 4] = [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)];
const UP: [(f32, f32); 3] = [(0.0, -1.0), (1.0, 0.8), (-1.0, 0.8)];
const DOWN: [(f32, f32); 3] = [(0.0, 1.0), (-1.0, -0.8), (1.0, -0.8)];
const DIAMOND: [(f32, f32); 4] = [(0.0, -1.1), (1.1, 0.0), (0.0, 1.1), (-1.1, 0.0)];

/// Paints the names of classes with their markers.
pub(crate) fn legend<'a>(
    ui: &mut Ui,
    theme: &Theme,
    entries: impl Iterator<Item = (&'a str, Category)>,
) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 2.0);
        for (name, look) in entries {
            let words = on_one_line(ui, soft(name, theme));
            together(ui, 14.0 + 4.0 + words.size().x, |ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(14.0, 16.0), Sense::hover());
                let color = theme.on_ground(look.color);
                for shape in marker(look.marker, rect.center(), Stroke::new(1.4, color)) {
                    ui.painter().add(shape);
                }
                ui.label(words);
            });
            ui.add_space(8.0);
        }
    });
}

/// The shapes of a marker, in the colour of the stroke.
fn marker(marker: Marker, at: Pos2, stroke: Stroke) -> Vec<Shape> {
    let color = stroke.color;
    let line = |a: (f32, f32), b: (f32, f32)| {
        let place = |(x, y): (f32, f32)| at + SIZE * vec2(x, y);
        Shape::line_segment([place(a), place(b)], stroke)
    };
    let filled = |points: &[(f32, f32)]| {
        let points = points.iter().map(|(x, y)| at + SIZE * vec2(*x, *y));
        vec![Shape::convex_polygon(points.collect(), color, Stroke::NONE)]
    };
    let open = |points: &[(f32, f32)]| {
        let points = points.iter().map(|(x, y)| at + SIZE * vec2(*x, *y));
        vec![Shape::closed_line(points.collect(), stroke)]
    };
    match marker {
        Marker::Circle => vec![Shape::circle_filled(at, SIZE, color)],
        Marker::OpenCircle => vec![Shape::circle_stroke(at, SIZE, stroke)],
        Marker::Square => filled(&SQUARE),
        Marker::OpenSquare => open(&SQUARE),
        Marker::TriangleUp => filled(&UP),
        Marker::OpenTriangleUp => open(&UP),
        Marker::TriangleDown => filled(&DOWN),
        Marker::Diamond => filled(&DIAMOND),
        Marker::OpenDiamond => open(&DIAMOND),
        Marker::Plus => vec![line((-1.0, 0.0), (1.0, 0.0)), line((0.0, -1.0), (0.0, 1.0))],
        Marker::Cross => vec![
            line((-0.8, -0.8), (0.8, 0.8)),
            line((-0.8, 0.8), (0.8, -0.8)),
        ],
        Marker::Star => vec![
            line((0.0, -1.0), (0.0, 1.0)),
            line((-0.87, -0.5), (0.87, 0.5)),
            line((-0.87, 0.5), (0.87, -0.5)),
        ],
    }
}

/// The shape of a marker in a plot, and whether it is filled.
pub(crate) fn plot_shape(marker: Marker) -> (egui_plot::MarkerShape, bool) {
    use egui_plot::MarkerShape;
    match marker {
        Marker::Circle => (MarkerShape::Circle, true),
        Marker::Square => (MarkerShape::Square, true),
        Marker::TriangleUp => (MarkerShape::Up, true),
        Marker::Diamond => (MarkerShape::Diamond, true),
        Marker::Plus => (MarkerShape::Plus, true),
        Marker::TriangleDown => (MarkerShape::Down, true),
        Marker::Star => (MarkerShape::Asterisk, true),
        Marker::Cross => (MarkerShape::Cross, true),
        Marker::OpenCircle => (MarkerShape::Circle, false),
        Marker::OpenSquare => (MarkerShape::Square, false),
        Marker::OpenTriangleUp => (MarkerShape::Up, false),
        Marker::OpenDiamond => (MarkerShape::Diamond, false),
    }
}

/// A small diamond, the sign of what a test sets apart.
pub(crate) fn diamond(ui: &Ui, at: Pos2, radius: f32, color: egui::Color32) {
    let points = [(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)];
    let points = points.map(|(x, y)| pos2(at.x + radius * x, at.y + radius * y));
    let shape = Shape::convex_polygon(points.to_vec(), color, Stroke::NONE);
    ui.painter().add(shape);
}
