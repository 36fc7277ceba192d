//! Edits of JSON text that leave most of it well-formed, so that they reach what comes after the parser.

use std::ops::Range;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::byte_edits::pick;

/// Values that a key rarely has: other types, and numbers at the edges of types.
const ODD_VALUES: [&str; 38] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2",
    "3",
    "0.5",
    "-0.0",
    "1e-320",
    "1e308",
    "-1e308",
    "1e400",
    "255",
    "256",
    "65535",
    "65536",
    "16777215",
    "16777216",
    "16777217",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "100000000000000000000000000000000000000000",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\u{e9}\u{1f9ec}\\u2028\"",
    "[]",
    "{}",
    "[[0,1],[2,[3]]]",
];

/// Depths at which parsers stop, or do not.
const DEPTHS: [usize; 7] = [1, 2, 10, 126, 128, 129, 20_000];

/// A value in the text, and its key where it is a member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    value: Range<usize>,
    key: Option<Range<usize>>,
}

/// Changes one value, key or member; `other` is good text to take from.
pub(super) fn edit(rng: &mut ChaCha8Rng, text: &mut Vec<u8>, other: &[u8], words: &[&str]) {
    let values = values(text);
    let Some(found) = pick(rng, &values).cloned() else {
        text.extend_from_slice(odd_value(rng).as_bytes());
        return;
    };
    match rng.random_range(0..10) {
        0 | 1 => replace(text, &found.value, odd_value(rng).as_bytes()),
        2 => {
            let with = another_value(rng, text, &values, other);
            replace(text, &found.value, &with);
        }
        3 => duplicate_member(rng, text, &found),
        4 => remove(text, &found),
        5 => rename(rng, text, &values, &found, words),
        6 | 7 => change_number(rng, text, &values),
        8 => nest(rng, text, &found.value),
        _ => {
            let with = string_of_word(rng, words);
            replace(text, &found.value, with.as_bytes());
        }
    }
}

/// Every value, by the end of its text. Text that is not JSON gives what can be made out.
fn values(text: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, Option<Range<usize>>)> = Vec::new();
    let mut key = None;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'{' | b'[' => {
                open.push((at, key.take()));
                at += 1;
            }
            b'}' | b']' => {
                at += 1;
                if let Some((start, key)) = open.pop() {
                    found.push(Found {
                        value: start..at,
                        key,
                    });
                }
            }
            b'"' => {
                let end = end_of_string(text, at);
                let next = skip_spaces(text, end);
                if text.get(next) == Some(&b':') {
                    key = Some(at..end);
                    at = next + 1;
                } else {
                    found.push(Found {
                        value: at..end,
                        key: key.take(),
                    });
                    at = end;
                }
            }
            byte if is_scalar(byte) => {
                let len = text[at..].iter().take_while(|b| is_scalar(**b)).count();
                found.push(Found {
                    value: at..at + len,
                    key: key.take(),
                });
                at += len;
            }
            _ => at += 1,
        }
    }
    found
}

/// A byte of a number, `true`, `false` or `null`.
fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// One past the closing quotation mark of the string that starts at `start`, or the text's end.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn skip_spaces(text: &[u8], from: usize) -> usize {
    from + text[from..]
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count()
}

fn replace(text: &mut Vec<u8>, range: &Range<usize>, with: &[u8]) {
    text.splice(range.clone(), with.iter().copied());
}

fn odd_value(rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..12) {
        0 => format!("\"{}\"", "a".repeat(rng.random_range(1..5000))),
        1 => {
            let number = 1_u64 << rng.random_range(0..64);
            number.wrapping_sub(rng.random_range(0..2)).to_string()
        }
        2 => format!("-{}", rng.random_range(0..1000_u32)),
        3 => "7".repeat(rng.random_range(1..400)),
        4 => format!("[{}0]", "0,".repeat(rng.random_range(1..2000))),
        _ => ODD_VALUES[rng.random_range(0..ODD_VALUES.len())].to_owned(),
    }
}

fn string_of_word(rng: &mut ChaCha8Rng, words: &[&str]) -> String {
    format!("\"{}\"", pick(rng, words).unwrap_or(&""))
}

/// A value from elsewhere in the text, or from the other one.
fn another_value(rng: &mut ChaCha8Rng, text: &[u8], own: &[Found], other: &[u8]) -> Vec<u8> {
    if rng.random() {
        let foreign = values(other);
        if let Some(found) = pick(rng, &foreign) {
            return other[found.value.clone()].to_vec();
        }
    }
    pick(rng, own).map_or_else(Vec::new, |found| text[found.value.clone()].to_vec())
}

/// Writes a member a second time, with the same or another value.
fn duplicate_member(rng: &mut ChaCha8Rng, text: &mut Vec<u8>, found: &Found) {
    let mut again = vec![b','];
    if let Some(key) = &found.key {
        again.extend_from_slice(&text[key.clone()]);
        again.push(b':');
    }
    if rng.random() {
        again.extend_from_slice(&text[found.value.clone()]);
    } else {
        again.extend_from_slice(odd_value(rng).as_bytes());
    }
    replace(text, &(found.value.end..found.value.end), &again);
}

/// Takes out a value with its key and one comma.
fn remove(text: &mut Vec<u8>, found: &Found) {
    let start = found.key.as_ref().unwrap_or(&found.value).start;
    let next = skip_spaces(text, found.value.end);
    if text.get(next) == Some(&b',') {
        return replace(text, &(start..next + 1), b"");
    }
    let before = text[..start].iter().rposition(|b| !b.is_ascii_whitespace());
    let start = match before {
        Some(comma) if text[comma] == b',' => comma,
        _ => start,
    };
    replace(text, &(start..found.value.end), b"");
}

/// Gives a member the key of another one, or a word of the format.
fn rename(
    rng: &mut ChaCha8Rng,
    text: &mut Vec<u8>,
    values: &[Found],
    found: &Found,
    words: &[&str],
) {
    let Some(key) = &found.key else {
        return;
    };
    let other = pick(rng, values).and_then(|value| value.key.clone());
    let with = match other {
        Some(other) if rng.random() => text[other].to_vec(),
        _ => string_of_word(rng, words).into_bytes(),
    };
    replace(text, key, &with);
}

/// Moves a whole number a little, doubles it, or turns it around.
fn change_number(rng: &mut ChaCha8Rng, text: &mut Vec<u8>, values: &[Found]) {
    let number = |found: &Found| -> Option<i128> {
        std::str::from_utf8(&text[found.value.clone()])
            .ok()?
            .parse::<i64>()
            .ok()
            .map(i128::from)
    };
    let numbers: Vec<(&Found, i128)> = values
        .iter()
        .filter_map(|found| Some((found, number(found)?)))
        .collect();
    let Some((found, number)) = pick(rng, &numbers) else {
        return;
    };
    let changed = match rng.random_range(0..7) {
        0 => number + 1,
        1 => number - 1,
        2 => number * 2,
        3 => -number,
        4 => number / 2,
        5 => number << 32,
        _ => number + (1_i128 << rng.random_range(0..70)),
    };
    let range = found.value.clone();
    replace(text, &range, changed.to_string().as_bytes());
}

/// Puts lists or objects around a value, closed or not.
fn nest(rng: &mut ChaCha8Rng, text: &mut Vec<u8>, range: &Range<usize>) {
    let depth = DEPTHS[rng.random_range(0..DEPTHS.len())];
    let (open, close) = if rng.random() {
        ("[", "]")
    } else {
        ("{\"a\":", "}")
    };
    let mut nested = open.repeat(depth).into_bytes();
    nested.extend_from_slice(&text[range.clone()]);
    if rng.random_range(0..8) > 0 {
        nested.extend_from_slice(close.repeat(depth).as_bytes());
    }
    replace(text, range, &nested);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const TEXT: &[u8] = br#"{"a": [1, {"b\"": "x:y"}], "c": -2.5e3, "d": null}"#;

    #[test]
    fn every_value_is_found_with_its_key() {
        let found: Vec<(&str, &str)> = values(TEXT)
            .into_iter()
            .map(|found| {
                let text = |range: Range<usize>| std::str::from_utf8(&TEXT[range]).unwrap();
                (found.key.map_or("", text), text(found.value))
            })
            .collect();
        assert_eq!(
            found,
            [
                ("", "1"),
                ("\"b\\\"\"", "\"x:y\""),
                ("", "{\"b\\\"\": \"x:y\"}"),
                ("\"a\"", "[1, {\"b\\\"\": \"x:y\"}]"),
                ("\"c\"", "-2.5e3"),
                ("\"d\"", "null"),
                ("", std::str::from_utf8(TEXT).unwrap()),
            ]
        );
        assert_eq!(values(b"\"never closed \\").len(), 1);
        assert!(values(b"}]}, :").is_empty());
    }

    #[test]
    fn most_edits_of_json_are_json() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let parsed = (0..2000)
            .filter(|_| {
                let mut text = TEXT.to_vec();
                edit(&mut rng, &mut text, b"[{\"z\": 7}]", &["word"]);
                serde_json::from_slice::<serde_json::Value>(&text).is_ok()
            })
            .count();
        assert!(parsed > 1000, "{parsed} of 2000");
    }

    #[test]
    fn a_member_is_removed_with_one_comma() {
        let check = |text: &str, place: usize, expected: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let found = values(&bytes)[place].clone();
            remove(&mut bytes, &found);
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        };
        check(r#"{"a": 1, "b": 2}"#, 0, r#"{ "b": 2}"#);
        check(r#"{"a": 1, "b": 2}"#, 1, r#"{"a": 1}"#);
        check("[1]", 0, "[]");
    }
}
