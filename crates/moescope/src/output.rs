//! Standard output: results for people and for programs.

use std::io::{self, Write as _};

pub(crate) use moescope_pipeline::sizes::bytes;
use moescope_pipeline::sizes::scaled;
use serde::Serialize;

/// Writes a line.
///
/// # Errors
/// When standard output is closed; the caller passes it on, and the process ends quietly.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes the heading of a part, after an empty line.
///
/// # Errors
/// As [`line()`].
pub(crate) fn heading(text: &str) -> io::Result<()> {
    line("")?;
    line(text)
}

/// Writes text as it is and shows it at once.
///
/// # Errors
/// As [`line()`].
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes bytes as they are.
///
/// # Errors
/// As [`line()`].
pub(crate) fn raw(bytes: &[u8]) -> io::Result<()> {
    io::stdout().lock().write_all(bytes)
}

/// Writes a value as one JSON object on one line.
///
/// # Errors
/// As [`line()`].
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Writes names and values in two columns.
///
/// # Errors
/// As [`line()`].
pub(crate) fn pairs(rows: &[(&str, String)]) -> io::Result<()> {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut out = io::stdout().lock();
    for (name, value) in rows {
        writeln!(out, "{name:width$}  {value}")?;
    }
    Ok(())
}

/// Writes a table; columns whose heading begins with `>` are aligned to the right.
///
/// # Errors
/// As [`line()`].
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let names: Vec<&str> = headings
        .iter()
        .map(|heading| heading.trim_start_matches('>'))
        .collect();
    let widths: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut out = io::stdout().lock();
    let heading: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let mut text = String::new();
        for ((cell, heading), width) in row.iter().zip(headings).zip(&widths) {
            let gap = width - cell.chars().count();
            if heading.starts_with('>') {
                text.extend(std::iter::repeat_n(' ', gap));
                text.push_str(cell);
            } else {
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', gap));
            }
            text.push_str("  ");
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

/// A count with separators: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A large count: `10.6 million`.
pub(crate) fn parameters(number: u64) -> String {
    scaled(number, &["", "thousand", "million", "billion", "trillion"])
        .trim_end()
        .to_owned()
}

/// White space and control characters as marks, so that a piece of text stays on its line.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' ' => '·',
            '\n' => '⏎',
            '\t' => '→',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Layer numbers as `0-3, 7`.
pub(crate) fn ranges(numbers: impl IntoIterator<Item = u16>) -> String {
    let mut parts: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    parts.join(", ")
}

/// Lines of at most `width` characters, broken at spaces.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("starts with one line");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(21_259_536), "21.3 MB");
        assert_eq!(bytes(999_600), "1.00 MB");
        assert_eq!(parameters(10_629_000), "10.6 million");
        assert_eq!(ranges([0, 1, 2, 5, 7, 8]), "0-2, 5, 7-8");
        assert_eq!(visible(" a\n"), "·a⏎");
    }

    #[test]
    fn lines_break_at_spaces_and_never_lose_a_word() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("longword b", 3), ["longword", "b"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
