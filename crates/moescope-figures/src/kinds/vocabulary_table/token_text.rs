//! A token as it can be read: with its white space, and without letters that the font lacks.

use std::fmt::Write as _;

/// The token with marks for spaces and line breaks; what cannot be drawn is written by its number.
///
/// A space is `␣`, a line break `\n`, a tab `\t`; other invisible characters, and letters that the figure's font
/// lacks, are their number in Unicode in angle quotes, like `‹4E2D›`.
pub(crate) fn token_text(token: &str) -> String {
    const LONGEST: usize = 60;
    let mut text = String::new();
    for c in token.chars().take(LONGEST) {
        match c {
            // The marks of byte-level and SentencePiece vocabularies for a space and a line break.
            ' ' | '\u{2581}' | '\u{120}' => text.push('␣'),
            '\n' | '\u{10a}' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            c if is_drawn(c) => text.push(c),
            c => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\u{2039}{:X}\u{203a}", u32::from(c));
            }
        }
    }
    if token.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    if text.is_empty() {
        text.push_str("(empty)");
    }
    text
}

/// Whether the figure's font has a glyph: Latin, Greek, Cyrillic, their punctuation, currencies.
fn is_drawn(c: char) -> bool {
    matches!(c,
        '!'..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{2ff}' | '\u{370}'..='\u{377}'
        | '\u{384}'..='\u{38a}' | '\u{38e}'..='\u{3a1}' | '\u{3a3}'..='\u{3e1}' | '\u{3f0}'..='\u{482}'
        | '\u{48a}'..='\u{52f}' | '\u{1e00}'..='\u{1f15}' | '\u{2010}'..='\u{2027}'
        | '\u{2030}'..='\u{205e}' | '\u{2070}'..='\u{2071}' | '\u{2074}'..='\u{208e}' | '\u{20a0}'..='\u{20be}'
        | '\u{2122}' | '\u{2212}' | '\u{2248}' | '\u{2260}' | '\u{2264}'..='\u{2265}' | '\u{2423}')
}

/// Whether a token's text names a letter by its number.
pub(super) fn has_escape(text: &str) -> bool {
    text.contains('\u{2039}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_visible_and_missing_letters_are_numbers() {
        assert_eq!(token_text(" the"), "␣the");
        assert_eq!(token_text("\u{120}the"), "␣the");
        assert_eq!(token_text("\n\t"), "\\n\\t");
        assert_eq!(token_text("中"), "\u{2039}4E2D\u{203a}");
        assert_eq!(token_text("\u{200b}"), "\u{2039}200B\u{203a}");
        assert_eq!(token_text(""), "(empty)");
        assert_eq!(token_text("Schrödinger"), "Schrödinger");
    }
}
