//! The key under a heat map: the colour bar with its unit, and the signs that colours alone do not explain.

use crate::{
    FigureError,
    canvas::{Align, Area, Canvas, Point, THIN, TextLook},
    palette::{BELOW_LOG, INK, SOFT_INK, UNDEFINED},
    scale::ValueScale,
    text::{self, Face},
    ticks,
};

/// A sign with its meaning.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sign {
    /// What is drawn.
    pub(crate) kind: SignKind,
    /// What it means.
    pub(crate) meaning: String,
}

/// What a sign looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignKind {
    /// A grey box with a diagonal.
    Undefined,
    /// A black box.
    BelowLog,
    /// A dot.
    Dot,
    /// A line across the colour bar.
    BarMark,
}

/// Height of the colour bar in millimetres.
const BAR_HEIGHT: f64 = 2.6;
/// How far a mark on the colour bar sticks out.
const OVERHANG: f64 = 0.7;
/// Distance between two signs in millimetres.
const SIGN_PITCH: f64 = 3.6;

/// Draws the key from `(x, y)` on, at most `width` wide; returns the y under it.
pub(crate) fn draw(
    canvas: &mut Canvas<'_>,
    (x, y): Point,
    width: f64,
    scale: &ValueScale,
    unit: &str,
    mark: Option<f64>,
    signs: &[Sign],
) -> Result<f64, FigureError> {
    let bar_width = width.min(62.0);
    let bar_bottom = bar(canvas, (x, y), bar_width, scale, unit, mark)?;
    let meanings: Vec<&str> = signs.iter().map(|sign| sign.meaning.as_str()).collect();
    let sign_width = text::widest(&meanings, Face::SMALL)? + 4.5;
    let beside = x + bar_width + 8.0;
    let (sign_x, sign_y, room) = if beside + sign_width <= x + width {
        (beside, y + 0.4, sign_width)
    } else {
        (x, bar_bottom + 1.0, width)
    };
    let mut bottom = sign_y;
    for sign in signs {
        draw_sign(canvas, (sign_x, bottom), room, sign)?;
        bottom += SIGN_PITCH;
    }
    Ok(if signs.is_empty() {
        bar_bottom
    } else {
        bar_bottom.max(bottom)
    })
}

fn bar(
    canvas: &mut Canvas<'_>,
    (x, y): Point,
    width: f64,
    scale: &ValueScale,
    unit: &str,
    mark: Option<f64>,
) -> Result<f64, FigureError> {
    let label = Face::LABEL;
    let mut y = y;
    for line in text::wrap(unit, label, width, 3)? {
        canvas.text(
            &line,
            (x, y + label.cap_mm()),
            TextLook::new(label, Align::Start),
        )?;
        y += label.line_mm();
    }
    y += 0.9;
    let area = Area {
        x0: x,
        y0: y,
        x1: x + width,
        y1: y + BAR_HEIGHT,
    };
    let steps = 128_u8;
    for step in 0..steps {
        let place = |step: u8| f64::from(step) / f64::from(steps);
        // Each step reaches to the end, so that no seam shows between two of them.
        let part = Area {
            x0: area.x0 + area.width() * place(step),
            ..area
        };
        canvas.fill(
            part,
            scale.color_on_bar(place(step) + 0.5 / f64::from(steps)),
        )?;
    }
    canvas.frame(area, INK, THIN)?;
    let small = Face::SMALL;
    let mut last_end = f64::NEG_INFINITY;
    for tick in scale.ticks(5) {
        let Some(place) = scale.place_on_bar(tick.value) else {
            continue;
        };
        let at = area.x0 + area.width() * place;
        canvas.line((at, area.y1), (at, area.y1 + 0.8), INK, THIN)?;
        let half = 0.5 * text::width(&tick.label, small)?;
        // Labels at the ends may stand over the bar's ends, but never over each other nor left of the page.
        let middle = at.max(x - 1.0 + half.min(1.0));
        if middle - half > last_end {
            canvas.text(
                &tick.label,
                (middle, area.y1 + 1.4 + small.cap_mm()),
                TextLook::new(small, Align::Middle),
            )?;
            last_end = middle + half + 1.0;
        }
    }
    if let Some(place) = mark.and_then(|value| scale.place_on_bar(value)) {
        let at = area.x0 + area.width() * place;
        let (top, bottom) = (area.y0 - OVERHANG, area.y1 + OVERHANG);
        canvas.line((at, top), (at, bottom), INK, 0.3)?;
    }
    Ok(area.y1 + 1.4 + small.line_mm())
}

fn draw_sign(
    canvas: &mut Canvas<'_>,
    (x, y): Point,
    room: f64,
    sign: &Sign,
) -> Result<(), FigureError> {
    let size = 2.4;
    let area = Area {
        x0: x,
        y0: y,
        x1: x + size,
        y1: y + size,
    };
    let middle = (x + 0.5 * size, y + 0.5 * size);
    match sign.kind {
        SignKind::Undefined => undefined_cell(canvas, area)?,
        SignKind::BelowLog => canvas.fill(area, BELOW_LOG)?,
        SignKind::Dot => canvas.disc(middle, 0.55, INK)?,
        SignKind::BarMark => {
            canvas.line((middle.0, y), (middle.0, y + size), INK, 0.3)?;
        }
    }
    let face = Face::SMALL;
    canvas.text(
        &text::shorten(&sign.meaning, face, room - size - 1.2)?,
        (x + size + 1.2, middle.1 + 0.5 * face.cap_mm()),
        TextLook::new(face, Align::Start).color(INK),
    )
}

/// Draws a cell without a value: grey, and where there is room a diagonal, so that it is no colour of a palette.
pub(crate) fn undefined_cell(canvas: &mut Canvas<'_>, area: Area) -> Result<(), FigureError> {
    canvas.fill(area, UNDEFINED)?;
    if area.width() >= 1.6 && area.height() >= 1.6 {
        canvas.line((area.x0, area.y1), (area.x1, area.y0), SOFT_INK, 0.15)?;
    }
    Ok(())
}

/// The signs that a scale needs: undefined values, values below a logarithmic scale, the reference.
pub(crate) fn signs_of_scale(
    scale: &ValueScale,
    has_undefined: bool,
    reference: Option<f64>,
) -> Vec<Sign> {
    let mut signs = Vec::new();
    if let Some(reference) = reference.filter(|value| scale.place_on_bar(*value).is_some()) {
        signs.push(Sign {
            kind: SignKind::BarMark,
            meaning: format!("reference {}", ticks::short(reference)),
        });
    }
    if scale.has_below() {
        signs.push(Sign {
            kind: SignKind::BelowLog,
            meaning: "zero or less (not on a logarithmic scale)".to_owned(),
        });
    }
    if has_undefined {
        signs.push(Sign {
            kind: SignKind::Undefined,
            meaning: "not defined".to_owned(),
        });
    }
    signs
}
