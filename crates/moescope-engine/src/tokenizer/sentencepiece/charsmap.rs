//! The rules that make one spelling of many: text to text, found by a double array.
//!
//! The format is that of `precompiled_charsmap`: the length of a double array in bytes, the array in the layout of
//! darts-clone (<https://github.com/s-yata/darts-clone>), and the texts that rules lead to, each ended by a null byte.

use super::wire::broken;
use crate::error::EngineError;

/// No rule of a published map reads more than a few dozen bytes; a hostile one could follow a text to its end at
/// every place.
const LONGEST_KEY: usize = 256;
/// The longest text that a rule may lead to; NFKC's longest has 33 bytes.
const LONGEST_TEXT: usize = 1024;

/// Rules that replace the beginning of a text.
#[derive(Clone, Debug)]
pub(super) struct Charsmap {
    units: Vec<u32>,
    texts: String,
}

impl Charsmap {
    /// Reads a map.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, EngineError> {
        let wrong = |what: &str| broken(&format!("its normalisation map {what}"));
        let (len, rest) = bytes
            .split_first_chunk::<4>()
            .ok_or_else(|| wrong("has no length"))?;
        let len = u32::from_le_bytes(*len) as usize;
        // darts-clone writes whole blocks of 256 units.
        if len == 0 || len % 1024 != 0 {
            return Err(wrong(&format!("says that its array has {len} bytes")));
        }
        let (array, texts) = rest.split_at_checked(len).ok_or_else(|| {
            wrong(&format!(
                "says that its array has {len} bytes, and ends before"
            ))
        })?;
        let texts =
            std::str::from_utf8(texts).map_err(|_| wrong("leads to texts that are not UTF-8"))?;
        if !texts.ends_with('\0') {
            return Err(wrong("does not end with a null byte"));
        }
        Ok(Self {
            units: array
                .chunks_exact(4)
                .map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]))
                .collect(),
            texts: texts.to_owned(),
        })
    }

    /// The rule with the longest key that `text` begins with: the key's length, and what takes its place.
    ///
    /// A rule that leads out of the map, into a character or to more than a kilobyte is none.
    pub(super) fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let mut longest = None;
        let mut node = offset(*self.units.first()?);
        for (place, byte) in text.bytes().enumerate().take(LONGEST_KEY) {
            node ^= usize::from(byte);
            let Some(unit) = self.units.get(node).copied() else {
                break;
            };
            if label(unit) != u32::from(byte) {
                break;
            }
            node ^= offset(unit);
            if has_leaf(unit)
                && let Some(leaf) = self.units.get(node)
            {
                longest = Some((place + 1, (leaf & 0x7fff_ffff) as usize));
            }
        }
        let (len, start) = longest.filter(|(len, _)| text.is_char_boundary(*len))?;
        let rest = self.texts.get(start..)?;
        let end = rest
            .bytes()
            .take(LONGEST_TEXT + 1)
            .position(|byte| byte == 0)?;
        Some((len, &rest[..end]))
    }
}

fn has_leaf(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

/// The byte that leads to a unit; units that are values have a bit above it.
fn label(unit: u32) -> u32 {
    unit & (1 << 31 | 0xff)
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(units: &[u32], texts: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(units.len() * 4)
            .unwrap()
            .to_le_bytes()
            .to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(texts);
        bytes
    }

    #[test]
    fn a_hand_made_array_is_followed() {
        // The root's children begin at 1; 'A' (65) is at 1 ^ 65 = 64 with a leaf, whose value is at 64 ^ 2 = 66.
        let mut units = [0; 256];
        units[0] = 1 << 10;
        units[64] = 2 << 10 | 1 << 8 | 65;
        units[66] = 1 << 31 | 2;
        let map = Charsmap::parse(&map(&units, b"x\0aa\0")).unwrap();
        assert_eq!(map.longest("AB"), Some((1, "aa")));
        assert_eq!(map.longest("B"), None);
        assert_eq!(map.longest(""), None);
    }

    #[test]
    fn a_map_that_leads_nowhere_changes_nothing() {
        // Every unit claims to be reached by 'A' and to lead to itself or far away.
        for target in [0, 1, 255, (1 << 21) - 1] {
            for value in [0, 1 << 31 | 0x7fff_ffff, 1 << 31 | 1] {
                let mut units = [target << 10 | 1 << 8 | 65; 256];
                units[7] = value;
                let map = Charsmap::parse(&map(&units, "é\0".as_bytes())).unwrap();
                let text = "A".repeat(10_000);
                if let Some((len, _)) = map.longest(&text) {
                    assert!(len <= LONGEST_KEY);
                }
            }
        }
    }

    #[test]
    fn broken_maps_are_refused() {
        let good = map(&[0; 256], b"x\0");
        assert!(Charsmap::parse(&good).is_ok());
        for len in [0, 3, 4, 500, good.len() - 1] {
            assert!(Charsmap::parse(&good[..len]).is_err(), "{len}");
        }
        assert!(Charsmap::parse(&map(&[0; 255], b"x\0")).is_err());
        assert!(Charsmap::parse(&map(&[0; 256], b"\xff\0")).is_err());
        assert!(Charsmap::parse(&[0xff, 0xff, 0xff, 0xff, 0]).is_err());
    }
}
