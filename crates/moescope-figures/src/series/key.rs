//! What explains the lines under them: bands, dashes, colours.

use super::{Chart, NULL_DASH, REFERENCE_DASH, VARIANT_DASH, frame::whisker};
use crate::{
    FigureError, FigureOptions,
    canvas::{Align, Area, BOLD_LINE, Canvas, Point, THIN, TextLook},
    page::MARGIN,
    palette::{CONTEXT, REFERENCE, SOFT_INK, line_of_sequence},
    text::{self, Face},
    ticks,
};

impl Chart {
    /// Explains bands and dashed lines, side by side, in as many rows as it takes.
    pub(crate) fn key(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        (x0, y0): Point,
    ) -> Result<f64, FigureError> {
        let mut entries: Vec<(KeySign, String)> = Vec::new();
        if self.has_bands && self.has_intervals() {
            entries.push((KeySign::Band, self.interval_words.clone()));
        }
        if let Some(reference) = self.reference.filter(|r| self.is_inside(*r)) {
            let value = ticks::short(reference);
            entries.push((KeySign::Reference, format!("reference {value}")));
        }
        if self.named_points().any(|p| p.null_mean.is_some()) {
            entries.push((KeySign::Null, "mean of the null".to_owned()));
        }
        if let Some((solid, dashed)) = &self.explained.solid_and_dashed {
            entries.push((KeySign::Solid, solid.clone()));
            entries.push((KeySign::Dashed, dashed.clone()));
        }
        if let Some((first, last)) = &self.explained.sequence {
            entries.push((KeySign::Sequence, format!("{first} to {last}")));
        }
        if let Some(context) = &self.explained.context {
            entries.push((KeySign::Context, context.clone()));
        }
        if entries.is_empty() {
            return Ok(y0);
        }
        let face = Face::SMALL;
        let (mut x, mut y) = (x0, y0 + 1.2);
        for (sign, meaning) in &entries {
            let room = options.width_mm - MARGIN - x0 - 8.0;
            let meaning = &text::shorten(meaning, face, room)?;
            let width = 8.0 + text::width(meaning, face)?;
            if x > x0 && x + width > options.width_mm - MARGIN {
                x = x0;
                y += 3.6;
            }
            let middle = y + 1.2;
            match sign {
                KeySign::Band => {
                    let area = Area {
                        x0: x,
                        y0: y + 0.2,
                        x1: x + 6.0,
                        y1: y + 2.2,
                    };
                    let color = if self.series.len() == 1 {
                        self.series[0].look.color
                    } else {
                        SOFT_INK
                    };
                    if self.places.len() > 1 {
                        canvas.veil(area, color, 0.25)?;
                    } else {
                        whisker(canvas, x + 3.0, (y, y + 2.4), color)?;
                    }
                }
                KeySign::Reference => {
                    canvas.dashes((x, middle), (x + 6.0, middle), REFERENCE, REFERENCE_DASH)?;
                }
                KeySign::Null => {
                    canvas.dashes((x, middle), (x + 6.0, middle), SOFT_INK, NULL_DASH)?;
                }
                KeySign::Solid => {
                    canvas.line((x, middle), (x + 6.0, middle), SOFT_INK, BOLD_LINE)?;
                }
                KeySign::Dashed => {
                    canvas.dashes((x, middle), (x + 6.0, middle), SOFT_INK, VARIANT_DASH)?;
                }
                KeySign::Sequence => sequence(canvas, (x, middle))?,
                KeySign::Context => {
                    canvas.line((x, middle), (x + 6.0, middle), CONTEXT, THIN)?;
                }
            }
            canvas.text(
                meaning,
                (x + 7.0, middle + 0.5 * face.cap_mm()),
                TextLook::new(face, Align::Start),
            )?;
            x += width + 5.0;
        }
        Ok(y + 3.0)
    }
}

/// A short bar of the colours of a sequence.
fn sequence(canvas: &mut Canvas<'_>, (x, middle): Point) -> Result<(), FigureError> {
    let steps = 12_u8;
    for step in 0..steps {
        let place = f64::from(step) / f64::from(steps);
        let area = Area {
            x0: x + 6.0 * place,
            y0: middle - 0.7,
            x1: x + 6.0,
            y1: middle + 0.7,
        };
        canvas.fill(
            area,
            line_of_sequence(f64::from(step) / f64::from(steps - 1)),
        )?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum KeySign {
    Band,
    Reference,
    Null,
    Solid,
    Dashed,
    Sequence,
    Context,
}
