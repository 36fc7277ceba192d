//! What happens to a text before it is cut into pieces.

use super::{charsmap::Charsmap, model_file::NormalizerSpec, prefix_trie::PrefixTrie};
use crate::error::EngineError;

/// The mark that stands for a space: U+2581.
pub(in crate::tokenizer) const SPACE_MARK: &str = "\u{2581}";

/// A normalised text may have this many bytes for each of the text; NFKC makes at most eleven, a space makes three.
const MOST_GROWTH: usize = 64;
/// Longest text in bytes.
const LONGEST_TEXT: usize = 1 << 30;

/// Changes characters and spaces.
#[derive(Clone, Debug)]
pub(super) struct Normalizer {
    charsmap: Option<Charsmap>,
    adds_dummy_prefix: bool,
    removes_extra_whitespaces: bool,
    escapes_whitespaces: bool,
    treats_whitespace_as_suffix: bool,
}

/// A normalised text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Normalized {
    pub(super) text: String,
    /// Where in the source each byte comes from, and at last where the source ends.
    pub(super) source: Vec<u32>,
}

/// Whether a text gets the leading space that the model asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tokenizer) enum DummyPrefix {
    /// As the model says.
    AsTrained,
    /// Never.
    Off,
}

impl Normalizer {
    pub(super) fn new(
        spec: &NormalizerSpec<'_>,
        treats_whitespace_as_suffix: bool,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            charsmap: match spec.precompiled_charsmap {
                [] => None,
                bytes => Some(Charsmap::parse(bytes)?),
            },
            adds_dummy_prefix: spec.adds_dummy_prefix,
            removes_extra_whitespaces: spec.removes_extra_whitespaces,
            escapes_whitespaces: spec.escapes_whitespaces,
            treats_whitespace_as_suffix,
        })
    }

    /// Whether a decoder drops the space before the first word.
    pub(super) fn drops_leading_space(&self) -> bool {
        self.adds_dummy_prefix || self.removes_extra_whitespaces
    }

    /// Whether a decoder drops all spaces before the first word.
    pub(super) fn removes_extra_whitespaces(&self) -> bool {
        self.removes_extra_whitespaces
    }

    /// Normalises a text; entries of `verbatim` stay as they are.
    pub(super) fn normalize(
        &self,
        verbatim: &PrefixTrie,
        text: &str,
        dummy_prefix: DummyPrefix,
    ) -> Result<Normalized, EngineError> {
        if text.len() > LONGEST_TEXT {
            return Err(EngineError::Tokenizer(format!(
                "cannot tokenise a text of {} bytes; {LONGEST_TEXT} are the most",
                text.len()
            )));
        }
        let mut done = 0;
        if self.removes_extra_whitespaces {
            while let Some((len, " ")) = self.next(verbatim, &text[done..]) {
                done += len;
            }
        }
        if done == text.len() {
            return Ok(Normalized::default());
        }
        let adds_space = self.adds_dummy_prefix && dummy_prefix == DummyPrefix::AsTrained;
        let limit = text.len() * MOST_GROWTH + 1024;
        let mut out = Normalized::default();
        out.text.reserve(text.len() + text.len() / 2);
        out.source.reserve(text.len() + text.len() / 2);
        if adds_space && !self.treats_whitespace_as_suffix {
            out.push(self.space(), done);
        }
        let mut is_after_space = self.removes_extra_whitespaces;
        while let Some((len, mut piece)) = self.next(verbatim, &text[done..]) {
            if is_after_space {
                piece = piece.trim_start_matches(' ');
            }
            if !piece.is_empty() {
                let mut rest = piece;
                while let Some((before, after)) = rest.split_once(' ') {
                    out.push(before, done);
                    out.push(self.space(), done);
                    rest = after;
                }
                out.push(rest, done);
                is_after_space = self.removes_extra_whitespaces && piece.ends_with(' ');
            }
            done += len;
            if out.text.len() > limit {
                return Err(EngineError::Tokenizer(format!(
                    "cannot tokenise a text: the tokenizer's normalisation makes more than {limit} bytes of {}",
                    text.len()
                )));
            }
        }
        if self.removes_extra_whitespaces {
            while out.text.ends_with(self.space()) {
                let len = out.text.len() - self.space().len();
                done = out.source[len] as usize;
                out.text.truncate(len);
                out.source.truncate(len);
            }
        }
        if adds_space && self.treats_whitespace_as_suffix {
            out.push(self.space(), done);
        }
        out.source.push(narrow(done));
        Ok(out)
    }

    /// How many bytes of the text come next, and what becomes of them.
    fn next<'t>(&'t self, verbatim: &PrefixTrie, text: &'t str) -> Option<(usize, &'t str)> {
        let first = text.chars().next()?.len_utf8();
        if let Some((len, _)) = verbatim.longest(text.as_bytes()) {
            return Some((len, &text[..len]));
        }
        self.charsmap
            .as_ref()
            .and_then(|map| map.longest(text))
            .or(Some((first, &text[..first])))
    }

    fn space(&self) -> &'static str {
        if self.escapes_whitespaces {
            SPACE_MARK
        } else {
            " "
        }
    }
}

impl Normalized {
    fn push(&mut self, text: &str, source: usize) {
        self.text.push_str(text);
        self.source.resize(self.text.len(), narrow(source));
    }
}

fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("a text is at most 2^30 bytes long")
}
