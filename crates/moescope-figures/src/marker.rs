//! The shapes of points.

use crate::{
    FigureError,
    canvas::{Canvas, Point},
    palette::{Category, Marker, Rgb},
};

/// Draws a point of a class; `radius` is that of the circle, and other shapes have about its area.
pub(crate) fn draw(
    canvas: &mut Canvas<'_>,
    (x, y): Point,
    radius: f64,
    look: Category,
) -> Result<(), FigureError> {
    let r = radius;
    let color = look.color;
    let at = |points: &[Point]| -> Vec<Point> {
        points
            .iter()
            .map(|(dx, dy)| (x + dx * r, y + dy * r))
            .collect()
    };
    match look.marker {
        Marker::Circle => canvas.disc((x, y), r, color),
        Marker::OpenCircle => canvas.ring((x, y), 0.88 * r, color, open_width(r)),
        Marker::Square => canvas.polygon(&at(&SQUARE), color, 1.0),
        Marker::OpenSquare => outline(canvas, &at(&SQUARE), color, r),
        Marker::TriangleUp => canvas.polygon(&at(&TRIANGLE_UP), color, 1.0),
        Marker::OpenTriangleUp => outline(canvas, &at(&TRIANGLE_UP), color, r),
        Marker::TriangleDown => {
            let flipped = TRIANGLE_UP.map(|(dx, dy)| (dx, -dy));
            canvas.polygon(&at(&flipped), color, 1.0)
        }
        Marker::Diamond => canvas.polygon(&at(&DIAMOND), color, 1.0),
        Marker::OpenDiamond => outline(canvas, &at(&DIAMOND), color, r),
        Marker::Plus => canvas.polygon(&at(&PLUS), color, 1.0),
        Marker::Cross => {
            // The plus turned by 45 degrees.
            let turned = PLUS.map(|(dx, dy)| ((dx - dy) * TURN, (dx + dy) * TURN));
            canvas.polygon(&at(&turned), color, 1.0)
        }
        Marker::Star => canvas.polygon(&at(&STAR), color, 1.0),
    }
}

fn outline(
    canvas: &mut Canvas<'_>,
    points: &[Point],
    color: Rgb,
    radius: f64,
) -> Result<(), FigureError> {
    // Two points more than a closed ring, so that the last corner is joined like the others.
    let closed: Vec<Point> = points.iter().chain(&points[..2]).copied().collect();
    canvas.path(&closed, color, open_width(radius))
}

fn open_width(radius: f64) -> f64 {
    (0.32 * radius).max(0.12)
}

/// Half the square root of two.
const TURN: f64 = std::f64::consts::FRAC_1_SQRT_2;
const SQUARE: [Point; 4] = [(-0.89, -0.89), (0.89, -0.89), (0.89, 0.89), (-0.89, 0.89)];
const TRIANGLE_UP: [Point; 3] = [(0.0, -1.25), (1.15, 0.8), (-1.15, 0.8)];
const DIAMOND: [Point; 4] = [(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)];
const PLUS: [Point; 12] = [
    (-0.36, -1.2),
    (0.36, -1.2),
    (0.36, -0.36),
    (1.2, -0.36),
    (1.2, 0.36),
    (0.36, 0.36),
    (0.36, 1.2),
    (-0.36, 1.2),
    (-0.36, 0.36),
    (-1.2, 0.36),
    (-1.2, -0.36),
    (-0.36, -0.36),
];
/// A pentagram: outer radius 1.4, inner radius 0.56, one tip up (coordinates computed once, so that they are the same
/// on every machine).
const STAR: [Point; 10] = [
    (0.0, -1.4),
    (0.329, -0.453),
    (1.331, -0.433),
    (0.533, 0.173),
    (0.823, 1.133),
    (0.0, 0.56),
    (-0.823, 1.133),
    (-0.533, 0.173),
    (-1.331, -0.433),
    (-0.329, -0.453),
];
