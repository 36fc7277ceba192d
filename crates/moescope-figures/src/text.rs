//! Text as figures use it: harmless, measured with the font that is embedded, wrapped and shortened to fit.

use std::sync::Once;

use plotters::style::{FontDesc, FontFamily, FontStyle, register_font};

use crate::FigureError;

/// The family that is drawn first; every SVG viewer without it falls back to a similar one.
pub(crate) const FAMILY: &str = "Roboto";
/// The regular face.
pub(crate) static REGULAR: &[u8] = include_bytes!("../../../assets/fonts/Roboto-Regular.ttf");
/// The bold face.
pub(crate) static BOLD: &[u8] = include_bytes!("../../../assets/fonts/Roboto-Bold.ttf");

/// Millimetres per typographic point.
pub(crate) const MM_PER_PT: f64 = 25.4 / 72.0;

/// Size of the title in points.
pub(crate) const TITLE_PT: f64 = 9.0;
/// Size of axis titles and subtitles in points.
pub(crate) const LABEL_PT: f64 = 8.0;
/// Size of tick labels, legends and the caption in points.
pub(crate) const SMALL_PT: f64 = 7.0;

/// A size and weight of text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Face {
    /// Size in points.
    pub(crate) pt: f64,
    /// Whether the bold face is used.
    pub(crate) is_bold: bool,
}

impl Face {
    /// The title's face.
    pub(crate) const TITLE: Self = Self::new(TITLE_PT, true);
    /// The face of axis titles.
    pub(crate) const LABEL: Self = Self::new(LABEL_PT, false);
    /// The face of tick labels.
    pub(crate) const SMALL: Self = Self::new(SMALL_PT, false);

    const fn new(pt: f64, is_bold: bool) -> Self {
        Self { pt, is_bold }
    }

    /// Distance between two baselines in millimetres.
    pub(crate) fn line_mm(self) -> f64 {
        self.pt * MM_PER_PT * 1.22
    }

    /// Height of capitals and figures in millimetres.
    pub(crate) fn cap_mm(self) -> f64 {
        // Roboto: capitals are 1456 of 2048 units high.
        self.pt * MM_PER_PT * 0.711
    }
}

/// The most characters of one label that are looked at: more never fit on a page.
const LONGEST: usize = 2000;

/// The label without what XML forbids or what could reorder the text around it.
///
/// Control characters and line breaks become spaces; bidirectional overrides, zero-width characters and
/// non-characters go; runs of space become one.
pub(crate) fn clean(label: &str) -> String {
    let mut cleaned = String::new();
    let mut is_pending_space = false;
    for c in label.chars().take(LONGEST) {
        let is_space = c.is_control() || (c.is_whitespace() && !is_kept_space(c));
        if is_space {
            is_pending_space = !cleaned.is_empty();
        } else if !is_invisible(c) {
            if is_pending_space {
                cleaned.push(' ');
                is_pending_space = false;
            }
            cleaned.push(c);
        }
    }
    if label.chars().nth(LONGEST).is_some() {
        cleaned.push('…');
    }
    cleaned
}

/// No-break spaces are typography, not layout.
fn is_kept_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{202f}' | '\u{2009}')
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}' | '\u{e0000}'..='\u{e0fff}')
        || (u32::from(c) & 0xfffe) == 0xfffe
}

/// Millimetres per em at which widths are measured: large, because the measuring font reports whole units.
const MEASURED_EM: f64 = 10_000.0;
/// Roboto's ascent minus descent is (1900 + 500) / 2048 em; the measuring library scales by that height.
const HEIGHT_PER_EM: f64 = 2400.0 / 2048.0;

/// The width of a cleaned text in millimetres, without kerning.
///
/// # Errors
/// When the embedded font cannot be used, which would be a defect of this crate.
pub(crate) fn width(text: &str, face: Face) -> Result<f64, FigureError> {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // An unusable font shows as an error of the measurement below.
        let _ = register_font(FAMILY, FontStyle::Normal, REGULAR);
        let _ = register_font(FAMILY, FontStyle::Bold, BOLD);
    });
    let style = if face.is_bold {
        FontStyle::Bold
    } else {
        FontStyle::Normal
    };
    let font = FontDesc::new(FontFamily::Name(FAMILY), MEASURED_EM * HEIGHT_PER_EM, style);
    let (units, _) = font.box_size(text).map_err(|error| FigureError::Draw {
        what: "a label (measuring its width)",
        reason: error.to_string(),
    })?;
    // Letters that the font lacks are drawn by a viewer's own font, where the East Asian ones are one em wide.
    let wide = text.chars().filter(|c| ('\u{1100}'..).contains(c)).count();
    let missing = 0.6 * f64::from(u32::try_from(wide).unwrap_or(u32::MAX));
    Ok((f64::from(units) / MEASURED_EM + missing) * face.pt * MM_PER_PT)
}

/// The width of the widest of some texts in millimetres.
///
/// # Errors
/// As [`width`].
pub(crate) fn widest<S: AsRef<str>>(texts: &[S], face: Face) -> Result<f64, FigureError> {
    texts.iter().try_fold(0.0_f64, |widest, text| {
        Ok(widest.max(width(text.as_ref(), face)?))
    })
}

/// The text, shortened with an ellipsis when it is wider than `room_mm`.
///
/// # Errors
/// As [`width`].
pub(crate) fn shorten(text: &str, face: Face, room_mm: f64) -> Result<String, FigureError> {
    if width(text, face)? <= room_mm {
        return Ok(text.to_owned());
    }
    let ends: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
    let candidate = |kept: usize| format!("{}…", text[..ends[kept]].trim_end());
    // The longest prefix that fits, by bisection: `fits` is known to fit, `fails` is known not to.
    let (mut fits, mut fails) = (0, ends.len());
    while fails - fits > 1 {
        let middle = usize::midpoint(fits, fails);
        if width(&candidate(middle), face)? <= room_mm {
            fits = middle;
        } else {
            fails = middle;
        }
    }
    Ok(candidate(fits))
}

/// The text in lines no wider than `room_mm`, at most `most_lines`; what is left over is cut with an ellipsis.
///
/// # Errors
/// As [`width`].
pub(crate) fn wrap(
    text: &str,
    face: Face,
    room_mm: f64,
    most_lines: usize,
) -> Result<Vec<String>, FigureError> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    for (i, word) in words.iter().enumerate() {
        let longer = if line.is_empty() {
            (*word).to_owned()
        } else {
            format!("{line} {word}")
        };
        if line.is_empty() || width(&longer, face)? <= room_mm {
            line = longer;
        } else if lines.len() + 1 == most_lines {
            let rest = format!("{line} {}", words[i..].join(" "));
            lines.push(shorten(&rest, face, room_mm)?);
            return Ok(lines);
        } else {
            lines.push(shorten(&line, face, room_mm)?);
            (*word).clone_into(&mut line);
        }
    }
    if !line.is_empty() {
        lines.push(shorten(&line, face, room_mm)?);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_font() {
        // Roboto Regular: '0' is 1151 of 2048 units wide; 8 pt = 2.8222 mm per em; so 1151/2048 × 2.8222 = 1.5861 mm.
        let found = width("0", Face::LABEL).unwrap();
        assert!((found - 1.5861).abs() < 0.001, "{found}");
        let ten = width("0000000000", Face::LABEL).unwrap();
        assert!((ten - 15.861).abs() < 0.01, "{ten}");
    }

    #[test]
    fn clean_removes_what_xml_forbids_and_what_reorders() {
        assert_eq!(clean("a\u{0}b\n c\u{202e}d\u{ffff}\u{200b}e"), "a b cde");
        assert_eq!(clean("<script>'\"&"), "<script>'\"&");
        assert_eq!(clean(" \t "), "");
        assert_eq!(clean(&"x".repeat(1_000_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn shortened_text_fits_and_says_so() {
        let room = 20.0;
        let short = shorten("a very long label that cannot fit", Face::SMALL, room).unwrap();
        assert!(short.ends_with('…'));
        assert!(width(&short, Face::SMALL).unwrap() <= room);
        assert_eq!(shorten("ok", Face::SMALL, room).unwrap(), "ok");
        assert_eq!(shorten("long", Face::SMALL, 0.1).unwrap(), "…");
    }

    #[test]
    fn wrapped_lines_fit_and_keep_every_word() {
        let text = "one two three four five six seven eight nine ten";
        let lines = wrap(text, Face::SMALL, 25.0, 9).unwrap();
        assert!(lines.len() > 1);
        assert_eq!(lines.join(" "), text);
        for line in &lines {
            assert!(width(line, Face::SMALL).unwrap() <= 25.0);
        }
        let cut = wrap(text, Face::SMALL, 25.0, 2).unwrap();
        assert_eq!(cut.len(), 2);
        assert!(cut[1].ends_with('…'));
    }
}
