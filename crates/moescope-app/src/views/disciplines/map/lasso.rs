//! A line that is drawn around points of a plot.

use egui::{Key, Modifiers, PointerButton, Pos2, Response, Shape, Stroke, Ui};
use egui_plot::{PlotPoint, PlotTransform};

/// The pointer moves this far between two corners, in points of the screen.
const STEP: f32 = 3.0;
const DASH: f32 = 4.0;

/// The line, while it is drawn.
#[derive(Debug, Default)]
pub(super) struct Lasso {
    /// In the plot's coordinates; empty while nothing is drawn.
    outline: Vec<PlotPoint>,
}

impl Lasso {
    /// Whether the line is being drawn.
    pub(super) fn is_drawn(&self) -> bool {
        !self.outline.is_empty()
    }

    /// Begins a line where a drag over a plot begins.
    pub(super) fn begin(&mut self, ui: &Ui, response: &Response, transform: &PlotTransform) {
        if response.drag_started_by(PointerButton::Primary) {
            let origin = ui.input(|input| input.pointer.press_origin());
            let origin = origin.map(|pos| transform.value_from_position(pos));
            self.outline = origin.into_iter().collect();
        }
    }

    /// Follows the drag; the outline once it ends. Escape drops the line.
    pub(super) fn follow(
        &mut self,
        ui: &Ui,
        response: &Response,
        transform: &PlotTransform,
        stroke: Stroke,
    ) -> Option<Vec<[f64; 2]>> {
        let last = self.outline.last()?;
        if let Some(pos) = response.interact_pointer_pos()
            && transform.position_from_point(last).distance(pos) >= STEP
        {
            self.outline.push(transform.value_from_position(pos));
        }
        let is_dropped = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
        let is_ended = response.drag_stopped_by(PointerButton::Primary);
        if is_dropped || is_ended || !response.dragged_by(PointerButton::Primary) {
            let outline = std::mem::take(&mut self.outline);
            let is_area = is_ended && !is_dropped && outline.len() > 2;
            let corners = outline.into_iter().map(|point| [point.x, point.y]);
            return is_area.then(|| corners.collect());
        }
        self.paint(ui, response, transform, stroke);
        None
    }

    fn paint(&self, ui: &Ui, response: &Response, transform: &PlotTransform, stroke: Stroke) {
        let corners: Vec<Pos2> = self
            .outline
            .iter()
            .map(|point| transform.position_from_point(point))
            .collect();
        let painter = ui.painter().with_clip_rect(response.rect);
        if let [first, .., last] = corners[..] {
            painter.extend(Shape::dashed_line(&[last, first], stroke, DASH, DASH));
        }
        painter.add(Shape::line(corners, stroke));
    }
}

/// Whether a point is within an outline that closes itself; what it goes around twice is outside again.
pub(super) fn is_inside(outline: &[[f64; 2]], [x, y]: [f64; 2]) -> bool {
    // A ray to the right crosses the outline an odd number of times from within.
    let ends = outline.iter().cycle().skip(1);
    let crosses = |([ax, ay], [bx, by]): &(&[f64; 2], &[f64; 2])| {
        (*ay > y) != (*by > y) && x < ax + (bx - ax) * (y - ay) / (by - ay)
    };
    outline.iter().zip(ends).filter(crosses).count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square with a notch cut into its upper side down to the middle.
    const NOTCHED: [[f64; 2]; 7] = [
        [0.0, 0.0],
        [4.0, 0.0],
        [4.0, 4.0],
        [3.0, 4.0],
        [2.0, 2.0],
        [1.0, 4.0],
        [0.0, 4.0],
    ];

    fn check(outline: &[[f64; 2]], point: [f64; 2], expected: bool) {
        assert_eq!(is_inside(outline, point), expected, "{point:?}");
        let mut turned = outline.to_vec();
        turned.reverse();
        assert_eq!(is_inside(&turned, point), expected, "{point:?} turned");
    }

    #[test]
    fn points_are_inside_whichever_way_the_line_was_drawn() {
        check(&NOTCHED, [2.0, 1.0], true);
        check(&NOTCHED, [0.5, 3.5], true);
        check(&NOTCHED, [3.9, 3.5], true);
        // Within the notch, and beside the square at the height of its corners.
        check(&NOTCHED, [2.0, 3.0], false);
        check(&NOTCHED, [-1.0, 4.0], false);
        check(&NOTCHED, [5.0, 0.0], false);
        check(&NOTCHED, [2.0, -1.0], false);
    }

    #[test]
    fn what_is_no_area_holds_nothing() {
        check(&[], [0.0, 0.0], false);
        check(&[[0.0, 0.0]], [0.0, 0.0], false);
        check(&[[0.0, 0.0], [1.0, 1.0]], [0.5, 0.5], false);
    }

    #[test]
    fn where_a_line_crosses_itself_both_loops_are_inside() {
        // A bow tie whose two wings meet at (1, 1).
        let bow = [[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [0.0, 2.0]];
        check(&bow, [0.2, 1.0], true);
        check(&bow, [1.8, 1.0], true);
        check(&bow, [1.0, 0.2], false);
    }
}
