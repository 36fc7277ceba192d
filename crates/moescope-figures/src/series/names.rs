//! The names at the right of the lines.

use super::{NAME_PITCH, frame::Frame};
use crate::{
    FigureError,
    canvas::{Align, Canvas, Point, TextLook},
    marker,
    palette::SOFT_INK,
    text::Face,
};

impl Frame<'_> {
    /// Writes each name at the right, as near to its line's end as the others allow, with a thin leader.
    pub(super) fn names(
        &self,
        canvas: &mut Canvas<'_>,
        names: &[String],
    ) -> Result<(), FigureError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut ends: Vec<(f64, Option<Point>, usize)> = self
            .chart
            .series
            .iter()
            .enumerate()
            .filter(|(_, series)| series.style.is_named())
            .map(|(i, series)| {
                let end = series
                    .points
                    .iter()
                    .enumerate()
                    .rev()
                    .find(|(_, point)| self.is_drawn(point))
                    .map(|(layer, point)| (self.x_of(i, layer), self.y(point.value)));
                (end.map_or(self.panel.y1, |(_, y)| y), end, i)
            })
            .collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)));
        let room = (self.panel.height() + NAME_PITCH) / NAME_PITCH;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small positive count"
        )]
        let most = (room as usize).max(1);
        let left_out = if ends.len() > most {
            ends.len() - (most - 1)
        } else {
            0
        };
        ends.truncate(ends.len() - left_out);
        let slots = ends.len() + usize::from(left_out > 0);
        let mut ys: Vec<f64> = ends.iter().map(|(y, _, _)| *y).collect();
        if left_out > 0 {
            ys.push(self.panel.y1);
        }
        spread(&mut ys, NAME_PITCH, self.panel.y0, self.panel.y1);
        let face = Face::SMALL;
        let x = self.panel.x1 + 5.5;
        for ((_, end, i), y) in ends.iter().zip(&ys) {
            let look = self.chart.series[*i].look;
            if let Some((end_x, end_y)) = end {
                let (from, knee) = (end_x + 1.1, self.panel.x1 + 0.6);
                if knee > from {
                    canvas.line((from, *end_y), (knee, *end_y), look.color, 0.12)?;
                }
                canvas.line((knee.max(from), *end_y), (x - 1.3, *y), look.color, 0.12)?;
            }
            marker::draw(canvas, (x, *y), 0.85, look)?;
            canvas.text(
                &names[*i],
                (x + 1.9, y + 0.5 * face.cap_mm()),
                TextLook::new(face, Align::Start),
            )?;
        }
        if left_out > 0 {
            let rest = format!("and {left_out} more");
            canvas.text(
                &rest,
                (x + 1.9, ys[slots - 1] + 0.5 * face.cap_mm()),
                TextLook::new(face, Align::Start).color(SOFT_INK),
            )?;
        }
        Ok(())
    }
}

/// Moves ascending places apart to at least `pitch`, within `low..=high` where there is room.
fn spread(places: &mut [f64], pitch: f64, low: f64, high: f64) {
    let mut least = low;
    for place in places.iter_mut() {
        *place = place.max(least);
        least = *place + pitch;
    }
    let mut most = high;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - pitch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spread_within_the_panel() {
        let mut places = [5.0, 5.1, 9.9];
        spread(&mut places, 2.0, 0.0, 10.0);
        // Downwards: 5, 7, 9.9; upwards nothing moves but 7 ≤ 7.9.
        assert_eq!(
            places.map(f64::to_bits),
            [5.0_f64, 7.0, 9.9].map(f64::to_bits)
        );
        let mut places = [9.0, 9.5, 9.9];
        spread(&mut places, 2.0, 0.0, 10.0);
        assert_eq!(
            places.map(f64::to_bits),
            [6.0_f64, 8.0, 10.0].map(f64::to_bits)
        );
    }
}
