//! What all figures share: title above, protocol below, and a height that fits.

use moescope_core::Measurement;

use crate::{
    FigureError, FigureOptions,
    canvas::{self, Align, Canvas, TextLook},
    palette::SOFT_INK,
    text::{self, Face, clean},
    ticks::grouped,
};

/// White space around the figure in millimetres: little, because a text block has its own.
pub(crate) const MARGIN: f64 = 1.5;

/// The part of the width that long lines use: a viewer without our font takes a slightly wider one.
const FALLBACK_SLACK: f64 = 0.96;

/// The words around a figure.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// What the figure shows.
    pub(crate) title: String,
    /// Which part of the measurement; may be empty.
    pub(crate) subtitle: String,
    /// The protocol in short; may be empty.
    pub(crate) caption: String,
}

/// Which of a measurement's uncertainty a figure draws; what it does not draw, its caption says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drawn {
    /// Whether intervals are drawn.
    pub(crate) intervals: bool,
    /// Whether null models are drawn.
    pub(crate) nulls: bool,
}

impl Words {
    /// The words for a measurement; `subtitle` names the part that is drawn, `remarks` go before the protocol.
    pub(crate) fn new(
        measurement: &Measurement,
        options: &FigureOptions,
        subtitle: &[String],
        remarks: &[String],
        drawn: Drawn,
    ) -> Self {
        let title = clean(options.title.as_deref().unwrap_or(&measurement.title));
        let mut caption: Vec<String> = remarks.iter().map(|remark| sentence(remark)).collect();
        if options.caption {
            caption.extend(protocol_in_short(measurement, drawn));
        }
        Self {
            title: if title.is_empty() {
                clean(&measurement.metric)
            } else {
                title
            },
            subtitle: capitalized(&subtitle.join(", ")),
            // A number and its percent sign stay on one line.
            caption: caption.join(" ").replace(" %", "\u{a0}%"),
        }
    }
}

/// Draws a figure: the title, what `paint` draws, the caption.
///
/// `paint` gets the canvas, the y at which it may start and the height of its panel, and returns the y at which it
/// ended. A chosen height of the whole figure is met by making the panel higher or lower than `panel_mm`.
///
/// # Errors
/// Those of `paint`, and a chosen height that leaves the panel less than `least_mm`.
pub(crate) fn compose(
    words: &Words,
    options: &FigureOptions,
    (panel_mm, least_mm): (f64, f64),
    paint: impl Fn(&mut Canvas<'_>, f64, f64) -> Result<f64, FigureError>,
) -> Result<String, FigureError> {
    let draw = |panel_mm: f64| {
        let mut height = 0.0;
        let svg = canvas::document(options.width_mm, &words.title, &words.caption, |canvas| {
            let top = header(canvas, words, options.width_mm)?;
            let bottom = paint(canvas, top, panel_mm)?;
            height = caption(canvas, words, options.width_mm, bottom)?;
            Ok(height)
        })?;
        Ok::<_, FigureError>((svg, height))
    };
    let (svg, natural) = draw(panel_mm)?;
    let Some(wanted) = options.height_mm else {
        return Ok(svg);
    };
    let fitting = panel_mm + wanted - natural;
    if fitting < least_mm {
        return Err(FigureError::Size {
            what: "a height",
            found: format!("{wanted} mm"),
            help: format!(
                "its words and panel need at least {} mm",
                (natural - panel_mm + least_mm).ceil()
            ),
        });
    }
    Ok(draw(fitting)?.0)
}

/// Writes title and subtitle; returns the y under them.
fn header(canvas: &mut Canvas<'_>, words: &Words, width_mm: f64) -> Result<f64, FigureError> {
    let room = FALLBACK_SLACK * (width_mm - 2.0 * MARGIN);
    let mut y = MARGIN;
    for (text, face, color, most) in [
        (&words.title, Face::TITLE, crate::palette::INK, 3),
        (&words.subtitle, Face::LABEL, SOFT_INK, 2),
    ] {
        for line in text::wrap(text, face, room, most)? {
            y += face.line_mm();
            // The baseline is at three quarters of the line.
            let baseline = y - 0.25 * face.line_mm();
            let look = TextLook::new(face, Align::Start).color(color);
            canvas.text(&line, (MARGIN, baseline), look)?;
        }
    }
    Ok(y + 1.6)
}

/// Writes the caption under `y`; returns the height of the page.
fn caption(
    canvas: &mut Canvas<'_>,
    words: &Words,
    width_mm: f64,
    y: f64,
) -> Result<f64, FigureError> {
    let face = Face::SMALL;
    let lines = text::wrap(
        &words.caption,
        face,
        FALLBACK_SLACK * (width_mm - 2.0 * MARGIN),
        7,
    )?;
    let mut y = y;
    if !lines.is_empty() {
        y += 1.6;
    }
    for line in &lines {
        y += face.line_mm();
        let look = TextLook::new(face, Align::Start).color(SOFT_INK);
        canvas.text(line, (MARGIN, y - 0.25 * face.line_mm()), look)?;
    }
    Ok(y + MARGIN)
}

/// The protocol in the fewest sentences that let a reader doubt the numbers.
fn protocol_in_short(measurement: &Measurement, drawn: Drawn) -> Vec<String> {
    let protocol = &measurement.protocol;
    let mut parts = Vec::new();
    let scope = clean(&protocol.scope);
    if !scope.is_empty() {
        parts.push(sentence(&format!("Scope: {scope}")));
    }
    let counts: Vec<String> = [
        (protocol.n_tokens, "tokens", "token"),
        (protocol.n_documents, "documents", "document"),
        (protocol.n_groups, "groups", "group"),
    ]
    .into_iter()
    .filter(|(count, _, _)| *count > 0)
    .map(|(count, many, one)| format!("{} {}", grouped(count), if count == 1 { one } else { many }))
    .collect();
    if !counts.is_empty() {
        parts.push(format!("{}.", counts.join(", ")));
    }
    for (name, text) in [
        (
            if measurement.intervals.is_some() && !drawn.intervals {
                "Intervals (not drawn)"
            } else {
                "Intervals"
            },
            &protocol.interval_method,
        ),
        (
            if measurement.nulls.is_some() && !drawn.nulls {
                "Null (not drawn)"
            } else {
                "Null"
            },
            &protocol.null_method,
        ),
        ("Bias correction", &protocol.bias_correction),
    ] {
        let text = clean(text);
        if !text.is_empty() && text != "none" {
            parts.push(sentence(&format!("{name}: {text}")));
        }
    }
    parts.extend(
        protocol
            .notes
            .iter()
            .map(|note| capitalized(&sentence(&clean(note))))
            .filter(|note| !note.is_empty()),
    );
    parts
}

/// The text with an end, so that sentences can follow one another.
fn sentence(text: &str) -> String {
    match text.chars().last() {
        None => String::new(),
        Some('.' | '!' | '?' | ';' | '…') => text.to_owned(),
        Some(_) => format!("{text}."),
    }
}

/// A count with the words for one and for many.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The text with its first letter in upper case.
pub(crate) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// The name of the axis of groups: the label column.
pub(crate) fn group_title(measurement: &Measurement) -> String {
    let by = clean(&measurement.protocol.by);
    if by.is_empty() {
        "Group".to_owned()
    } else {
        capitalized(&by)
    }
}

/// The unit of a measurement as an axis names it.
pub(crate) fn unit(measurement: &Measurement) -> String {
    let unit = clean(&measurement.unit);
    if unit.is_empty() {
        "value (no unit)".to_owned()
    } else {
        unit
    }
}

/// The level of the intervals in words, e.g. `95 % interval`.
pub(crate) fn interval_in_words(measurement: &Measurement) -> String {
    match measurement.protocol.level {
        Some(level) if level > 0.0 && level < 1.0 => {
            format!("{}\u{a0}% interval", crate::ticks::short(level * 100.0))
        }
        _ => "interval".to_owned(),
    }
}
