//! Labels along the sides of a panel: every one of them legible, or fewer of them.

use crate::{
    FigureError,
    canvas::{Align, Canvas, THIN, TextLook},
    palette::INK,
    text::{self, Face},
};

/// Length of a tick mark in millimetres.
pub(crate) const TICK: f64 = 0.8;
/// Space between a tick mark and its label in millimetres.
pub(crate) const TICK_GAP: f64 = 0.7;
/// Space between two labels side by side in millimetres.
const LABEL_GAP: f64 = 1.6;

/// How the labels of the columns are written.
#[derive(Clone, Debug)]
pub(crate) struct ColumnLabels {
    /// The labels, shortened where they have to be.
    labels: Vec<String>,
    /// The indices that get a label.
    shown: Vec<usize>,
    is_upward: bool,
    /// Height of the labels with their ticks in millimetres.
    pub(crate) height: f64,
}

impl ColumnLabels {
    /// Decides how to label columns that are `pitch` wide: side by side, upwards, or only some of them.
    pub(crate) fn new(labels: &[String], pitch: f64, is_expert: bool) -> Result<Self, FigureError> {
        let face = Face::SMALL;
        let widest = text::widest(labels, face)?;
        let line = face.line_mm();
        let are_numbers = labels.iter().all(|label| label.parse::<i64>().is_ok());
        if widest + LABEL_GAP <= pitch || are_numbers {
            let shown = thinned(labels, pitch, widest + LABEL_GAP, is_expert);
            return Ok(Self {
                labels: labels.to_vec(),
                shown,
                is_upward: false,
                height: TICK + TICK_GAP + line,
            });
        }
        let room = 32.0;
        let labels = labels
            .iter()
            .map(|label| text::shorten(label, face, room))
            .collect::<Result<Vec<_>, _>>()?;
        let shown = thinned(&labels, pitch, line, is_expert);
        Ok(Self {
            shown,
            is_upward: true,
            height: TICK + TICK_GAP + widest.min(room) + 0.6,
            labels,
        })
    }

    /// Draws ticks and labels under `y`; `center` gives the middle of a column.
    pub(crate) fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        y: f64,
        center: impl Fn(usize) -> f64,
    ) -> Result<(), FigureError> {
        let face = Face::SMALL;
        for i in &self.shown {
            let x = center(*i);
            canvas.line((x, y), (x, y + TICK), INK, THIN)?;
            let start = y + TICK + TICK_GAP;
            if self.is_upward {
                let look = TextLook::new(face, Align::End).upward();
                canvas.text(&self.labels[*i], (x + 0.5 * face.cap_mm(), start), look)?;
            } else {
                let look = TextLook::new(face, Align::Middle);
                canvas.text(&self.labels[*i], (x, start + face.cap_mm()), look)?;
            }
        }
        Ok(())
    }
}

/// How the labels of the rows are written.
#[derive(Clone, Debug)]
pub(crate) struct RowLabels {
    labels: Vec<String>,
    shown: Vec<usize>,
    /// Width of the labels with their ticks in millimetres.
    pub(crate) width: f64,
}

impl RowLabels {
    /// Decides how to label rows that are `pitch` high, in at most `room` millimetres.
    pub(crate) fn new(
        labels: &[String],
        pitch: f64,
        room: f64,
        is_expert: bool,
    ) -> Result<Self, FigureError> {
        let face = Face::SMALL;
        let labels = labels
            .iter()
            .map(|label| text::shorten(label, face, room))
            .collect::<Result<Vec<_>, _>>()?;
        // Figures without descenders may stand a little closer than lines of a text.
        let shown = thinned(&labels, pitch, 0.95 * face.line_mm(), is_expert);
        let width = text::widest(&labels, face)? + TICK + TICK_GAP;
        Ok(Self {
            labels,
            shown,
            width,
        })
    }

    /// Draws ticks and labels left of `x`; `center` gives the middle of a row.
    pub(crate) fn draw(
        &self,
        canvas: &mut Canvas<'_>,
        x: f64,
        center: impl Fn(usize) -> f64,
    ) -> Result<(), FigureError> {
        let face = Face::SMALL;
        for i in &self.shown {
            let y = center(*i);
            canvas.line((x - TICK, y), (x, y), INK, THIN)?;
            canvas.text(
                &self.labels[*i],
                (x - TICK - TICK_GAP, y + 0.5 * face.cap_mm()),
                TextLook::new(face, Align::End),
            )?;
        }
        Ok(())
    }
}

/// The indices that can be labelled when labels need `need` millimetres each and stand `pitch` apart.
///
/// Numbers are thinned to multiples of a round step, counted by their value: of layers 1 to 26 every fifth is 5, 10, …
/// Experts come in powers of two, so theirs are 1, 2, 4, 8 …; other steps are 1, 2, 5, 10 …
fn thinned(labels: &[String], pitch: f64, need: f64, is_expert: bool) -> Vec<usize> {
    let all = || 0..labels.len();
    if need <= pitch || labels.len() <= 1 {
        return all().collect();
    }
    let numbers: Option<Vec<i64>> = labels.iter().map(|label| label.parse().ok()).collect();
    let is_consecutive = numbers.as_ref().is_some_and(|n| {
        n.windows(2)
            .all(|pair| pair[0].checked_add(1) == Some(pair[1]))
    });
    let mut step: usize = 1;
    for i in 0.. {
        let room = count(step) * pitch;
        if room >= need || step >= labels.len() {
            break;
        }
        step = if i % 3 == 1 && !is_expert {
            step / 2 * 5
        } else {
            step * 2
        };
    }
    let start = match (&numbers, is_consecutive) {
        (Some(numbers), true) => i64::try_from(step).map_or(0, |step| {
            usize::try_from((step - numbers[0].rem_euclid(step)).rem_euclid(step)).unwrap_or(0)
        }),
        _ => 0,
    };
    let shown: Vec<usize> = all().skip(start).step_by(step).collect();
    if shown.is_empty() { vec![0] } else { shown }
}

/// A count as a number to calculate lengths with.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of layers, experts, groups and classes are far below 2^52"
)]
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(from: i64, to: i64) -> Vec<String> {
        (from..=to).map(|i| i.to_string()).collect()
    }

    #[test]
    fn experts_are_thinned_to_powers_of_two() {
        // 512 columns of 0.3 mm and labels of 5 mm: 16 columns are 4.8 mm, so every 32nd.
        let shown = thinned(&numbers(0, 511), 0.3, 5.0, true);
        assert_eq!(shown[..3], [0, 32, 64]);
    }

    #[test]
    fn layers_are_thinned_by_their_value() {
        // Labels 1 to 26, five fit per label: 5, 10, 15, 20, 25 are at indices 4, 9, 14, 19, 24.
        let shown = thinned(&numbers(1, 26), 1.0, 2.8, false);
        assert_eq!(shown, [4, 9, 14, 19, 24]);
    }

    #[test]
    fn everything_is_shown_where_it_fits_and_something_always() {
        assert_eq!(thinned(&numbers(0, 3), 10.0, 5.0, false), [0, 1, 2, 3]);
        assert_eq!(thinned(&numbers(3, 4), 0.1, 500.0, false), [1]);
        assert_eq!(thinned(&numbers(0, 0), 0.1, 500.0, false), [0]);
    }
}
