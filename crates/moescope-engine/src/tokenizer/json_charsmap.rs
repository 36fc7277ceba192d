//! A check that `tokenizers` leaves out: how much memory a compiled normalisation asks for.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::error::EngineError;

/// Refuses a `precompiled_charsmap` whose table is longer than its bytes.
///
/// The map starts with the length of a table in bytes; the library allocates as much as that number says, up to 4 GiB,
/// before it looks whether the bytes are there (`spm_precompiled` 0.1.4, found by fuzzing).
///
/// What is no JSON is refused as well: the library reads on after a key without a value, so a file may be broken for one
/// reader and not for the other.
pub(super) fn check(text: &str) -> Result<(), EngineError> {
    let mut refusal = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let result = deserializer
        .deserialize_map(Normalizers(&mut refusal))
        .and_then(|()| deserializer.end());
    match (refusal, result) {
        (Some(refusal), _) => Err(refusal),
        (None, Err(error)) => Err(EngineError::Tokenizer(format!(
            "cannot read the tokenizer: {error}"
        ))),
        (None, Ok(())) => Ok(()),
    }
}

/// Looks at every normalizer of the file, also where a key stands twice; the rest is skipped.
struct Normalizers<'a>(&'a mut Option<EngineError>);

impl<'de> Visitor<'de> for Normalizers<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key::<String>()? {
            if key != "normalizer" {
                members.next_value::<IgnoredAny>()?;
            } else if let Err(error) = check_normalizer(&members.next_value()?) {
                *self.0 = Some(error);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

fn check_normalizer(normalizer: &Value) -> Result<(), EngineError> {
    let mut open = vec![normalizer];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(values) => open.extend(values),
            Value::Object(members) => {
                if let Some(map) = members.get("precompiled_charsmap").and_then(Value::as_str) {
                    check_map(map)?;
                }
                open.extend(members.values());
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_map(map: &str) -> Result<(), EngineError> {
    let Some(table) = first_number(map.as_bytes()) else {
        return Ok(());
    };
    // Four characters stand for three bytes.
    let bytes = map.len() as u64 / 4 * 3;
    if u64::from(table) > bytes {
        return Err(EngineError::Tokenizer(format!(
            "cannot read the tokenizer: its precompiled_charsmap claims a table of {table} bytes and has {bytes}"
        )));
    }
    Ok(())
}

/// The first four bytes of a base64 text as a number, least significant first; `None` where they are not base64.
fn first_number(text: &[u8]) -> Option<u32> {
    let digit = |byte: u8| {
        Some(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    };
    // Six digits of six bits are four bytes and four bits more.
    let mut bits = 0_u64;
    for byte in text.get(..6)? {
        bits = bits << 6 | u64::from(digit(*byte)?);
    }
    let bytes = u32::try_from(bits >> 4).ok()?;
    Some(bytes.swap_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_longer_than_its_bytes_is_refused() {
        // Bytes 00 b4 02 13 are 0x1302b400.
        assert_eq!(first_number(b"ALQCE9WAMA"), Some(0x1302_b400));
        assert_eq!(first_number(b"ALQ"), None);
        assert_eq!(first_number(b"AL~CE9"), None);
        let nested = r#"{"x": [1], "normalizer": {"normalizers": [{"type": "Precompiled", "precompiled_charsmap": "ALQCE9WAMA"}]}}"#;
        let error = check(nested).unwrap_err().to_string();
        assert!(
            error.contains("claims a table of 318944256 bytes and has 6"),
            "{error}"
        );
        // A table of four bytes, and four bytes.
        check(r#"{"normalizer": {"precompiled_charsmap": "BAAAAAAAAAA="}}"#).unwrap();
        check(r#"{"normalizer": null}"#).unwrap();
        check("[").unwrap_err();
        // Without its value the key would hide all that follows.
        check(r#"{"x", "normalizer": null}"#).unwrap_err();
        // The library meets the first normalizer before it meets the second, or the error.
        let map = r#"{"precompiled_charsmap": "ALQCE9WAMA"}"#;
        check(&format!(r#"{{"normalizer": {map}, "normalizer": null}}"#)).unwrap_err();
        check(&format!(r#"{{"normalizer": null, "normalizer": {map}, "#)).unwrap_err();
    }
}
