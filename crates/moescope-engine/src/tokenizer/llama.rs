//! A `SentencePiece` model with the rules that transformers' `LlamaTokenizer` puts around it.
//!
//! The reference is the slow tokenizer of transformers 4.40.1, which is what checkpoints without `tokenizer.json` were
//! made with. With `"legacy": true`, its default, every stretch between added tokens is a text of its own and gets a
//! leading space; with `false` only the first does. `transformers` 5 reads such folders in a way of its own: it ignores the
//! model's normalisation and its default is not legacy.

use std::collections::{BTreeMap, HashSet};

use super::{
    TextToken,
    added_tokens::{AddedTokens, Segment},
    files::{AddedToken, TokenizerFiles},
    sentencepiece::{DummyPrefix, EncodedPiece, SPACE_MARK, SentencePieceModel},
};
use crate::error::EngineError;

/// Tokenizer classes whose rules these are.
const CLASSES: [&str; 2] = ["LlamaTokenizer", "LlamaTokenizerFast"];

/// A Llama tokenizer.
#[derive(Clone, Debug)]
pub(super) struct LlamaTokenizer {
    model: SentencePieceModel,
    added: AddedTokens,
    /// Special tokens that have a name, such as `bos_token`.
    named: HashSet<u32>,
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    unknown: String,
    /// Whether `tokenizer_config.json` says what comes first.
    pub(super) says_bos: bool,
    is_legacy: bool,
    adds_prefix_space: bool,
}

impl LlamaTokenizer {
    pub(super) fn new(
        model: SentencePieceModel,
        files: &TokenizerFiles,
    ) -> Result<Self, EngineError> {
        if let Some(class) = files.text("tokenizer_class")
            && !CLASSES.contains(&class)
        {
            return Err(EngineError::Tokenizer(format!(
                "the folder's tokenizer is a {class}, whose rules around tokenizer.model are not known here; those of \
                 LlamaTokenizer are. Save a tokenizer.json with the model's own tokenizer (transformers: \
                 tokenizer.save_pretrained)"
            )));
        }
        let trained = |id: Option<u32>| id.and_then(|id| model.piece(id)).map(str::to_owned);
        let mut special = BTreeMap::from([
            ("bos_token", trained(model.bos_id())),
            ("eos_token", trained(model.eos_id())),
            ("unk_token", trained(Some(model.unknown_id()))),
        ]);
        for (attribute, name) in &mut special {
            if let Some(told) = files.names.get(*attribute) {
                name.clone_from(told);
            }
        }
        let names: Vec<String> = special
            .values()
            .flatten()
            .cloned()
            .chain(files.special_names())
            .collect();
        let added = with_special(&model, files, &names);
        let id = |name: &Option<String>| name.as_ref().and_then(|name| added.id(name));
        let adds = |key, usual| files.flag(key).unwrap_or(usual);
        Ok(Self {
            bos: id(&special["bos_token"]).filter(|_| adds("add_bos_token", true)),
            eos: id(&special["eos_token"]).filter(|_| adds("add_eos_token", false)),
            named: names.iter().filter_map(|name| added.id(name)).collect(),
            unknown: special["unk_token"].clone().unwrap_or_default(),
            says_bos: files.flag("add_bos_token").is_some(),
            is_legacy: adds("legacy", true),
            adds_prefix_space: adds("add_prefix_space", true),
            added,
            model,
        })
    }

    pub(super) fn model(&self) -> &SentencePieceModel {
        &self.model
    }

    /// Entries of the vocabulary, added tokens included.
    pub(super) fn vocab_size(&self) -> usize {
        let added = self.added.last_id().map_or(0, |id| id as usize + 1);
        self.model.vocab_size().max(added)
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.named.contains(&id) || self.added.get(id).is_some_and(|token| token.is_special)
    }

    pub(super) fn token_id(&self, name: &str) -> Option<u32> {
        self.added.id(name).or_else(|| self.model.id(name))
    }

    /// The tokens of a text, without any before or after it.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<TextToken>, EngineError> {
        let source = Source::new(text, (!self.is_legacy).then_some(self.adds_prefix_space));
        let mut tokens = Vec::new();
        for segment in self.added.split(&source.text) {
            match segment {
                Segment::Token(id, range) => tokens.push((id, range.start, range.end)),
                Segment::Text(range) => {
                    let start = range.start;
                    let pieces = self.pieces(&source.text[range])?;
                    tokens.extend(
                        pieces
                            .into_iter()
                            .map(|piece| (piece.id, start + piece.begin, start + piece.end)),
                    );
                }
            }
        }
        if !self.is_legacy
            && let [(first, ..), (second, ..), ..] = tokens[..]
            && self.model.piece(first) == Some(SPACE_MARK)
            && self.named.contains(&second)
        {
            tokens.remove(0);
        }
        Ok(tokens
            .into_iter()
            .map(|(id, begin, end)| self.token(text, id, source.place(begin), source.place(end)))
            .collect())
    }

    /// Cuts a stretch without added tokens.
    fn pieces(&self, text: &str) -> Result<Vec<EncodedPiece>, EngineError> {
        if self.is_legacy {
            return self.model.encode(text);
        }
        if !text.starts_with([' ', '\u{2581}']) {
            return self.model.encode_with(text, DummyPrefix::Off);
        }
        // The model would drop the space; so something is put before it and taken away again.
        let before = self
            .model
            .encode_with(&self.unknown, DummyPrefix::Off)?
            .len();
        let text = format!("{}{text}", self.unknown);
        let mut pieces = self.model.encode_with(&text, DummyPrefix::Off)?;
        let shift = if pieces.len() >= before {
            pieces.drain(..before);
            self.unknown.len()
        } else {
            0
        };
        for piece in &mut pieces {
            piece.begin = piece.begin.saturating_sub(shift);
            piece.end = piece.end.saturating_sub(shift);
        }
        Ok(pieces)
    }

    fn token(&self, text: &str, id: u32, begin: usize, end: usize) -> TextToken {
        let slice = text.get(begin..end).filter(|slice| !slice.is_empty());
        let narrow = |place| u32::try_from(place).ok();
        TextToken {
            id,
            text: slice.map_or_else(|| self.piece(id), str::to_owned),
            bytes: slice.and_then(|_| narrow(begin).zip(narrow(end))),
            is_special: false,
        }
    }

    /// A token that is put before or after a text.
    pub(super) fn frame(&self, id: u32) -> TextToken {
        TextToken {
            id,
            text: self.piece(id),
            bytes: None,
            is_special: true,
        }
    }

    /// The text of some tokens; special ones left out.
    pub(super) fn decode(&self, ids: &[u32]) -> Result<String, EngineError> {
        let mut decoder = self.model.decoder();
        for id in ids.iter().filter(|id| !self.is_special(**id)) {
            match self.added.get(*id) {
                Some(token) => decoder.push_text(&token.content),
                None => decoder.push(*id)?,
            }
        }
        decoder.finish()
    }

    /// The text of one token, special ones by their name.
    pub(super) fn piece(&self, id: u32) -> String {
        if let Some(token) = self.added.get(id) {
            return token.content.clone();
        }
        if self.model.is_byte(id) {
            return self.model.decode(&[id]).unwrap_or_default();
        }
        self.model
            .piece(id)
            .map(|piece| piece.replace(SPACE_MARK, " "))
            .unwrap_or_default()
    }
}

/// Added tokens with the special ones that no file lists: they have their piece's id, or the next free one.
fn with_special(
    model: &SentencePieceModel,
    files: &TokenizerFiles,
    names: &[String],
) -> AddedTokens {
    let mut tokens = files.added.clone();
    let mut known: HashSet<String> = tokens.values().map(|token| token.content.clone()).collect();
    let outside = tokens
        .values()
        .filter(|token| model.id(&token.content).is_none())
        .count();
    let mut fresh = u32::try_from(model.vocab_size() + outside).unwrap_or(u32::MAX);
    for name in names.iter().filter(|name| !name.is_empty()) {
        if !known.insert(name.clone()) {
            continue;
        }
        let id = model.id(name).unwrap_or_else(|| {
            fresh = fresh.saturating_add(1);
            fresh - 1
        });
        tokens
            .entry(id)
            .or_insert_with(|| AddedToken::plain(name.clone(), true));
    }
    AddedTokens::new(tokens)
}

/// A text as it is cut, with the way back to what the user gave.
struct Source<'t> {
    text: std::borrow::Cow<'t, str>,
    /// For each byte its place in the user's text; none where they are the same.
    places: Vec<usize>,
}

impl<'t> Source<'t> {
    /// `prefix` is set where marks become spaces: whether one more mark is put first.
    fn new(text: &'t str, prefix: Option<bool>) -> Self {
        let Some(has_prefix) = prefix.filter(|_| !text.is_empty()) else {
            return Self {
                text: text.into(),
                places: Vec::new(),
            };
        };
        let mut changed = String::with_capacity(text.len() + SPACE_MARK.len());
        let mut places = Vec::with_capacity(text.len() + SPACE_MARK.len() + 1);
        let mut push = |part: &str, place: usize| {
            changed.push_str(part);
            places.extend(std::iter::repeat_n(place, part.len()));
        };
        if has_prefix {
            push(SPACE_MARK, 0);
        }
        for (place, c) in text.char_indices() {
            if c == '\u{2581}' {
                push(" ", place);
            } else {
                push(c.encode_utf8(&mut [0; 4]), place);
            }
        }
        places.push(text.len());
        Self {
            text: changed.into(),
            places,
        }
    }

    fn place(&self, at: usize) -> usize {
        self.places.get(at).copied().unwrap_or(at)
    }
}
