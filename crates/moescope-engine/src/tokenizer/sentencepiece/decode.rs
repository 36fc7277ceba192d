//! From pieces back to text.

use super::{
    SPACE_MARK, SentencePieceModel, model_file::PieceKind, normalizer::DummyPrefix,
    prefix_trie::PrefixTrie, vocabulary::byte_of,
};
use crate::error::EngineError;

/// Text that grows piece by piece.
#[derive(Debug)]
pub(in crate::tokenizer) struct Decoder<'m> {
    model: &'m SentencePieceModel,
    text: String,
    /// Bytes of characters that are not written yet.
    bytes: Vec<u8>,
    /// Whether the space before the first word has come.
    has_dropped_space: bool,
}

impl SentencePieceModel {
    /// The text of some pieces; control symbols leave none.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String, EngineError> {
        let mut decoder = self.decoder();
        ids.iter().try_for_each(|id| decoder.push(*id))?;
        decoder.finish()
    }

    pub(in crate::tokenizer) fn decoder(&self) -> Decoder<'_> {
        Decoder {
            model: self,
            text: String::new(),
            bytes: Vec::new(),
            has_dropped_space: false,
        }
    }
}

impl Decoder<'_> {
    /// Adds the text of a piece.
    pub(in crate::tokenizer) fn push(&mut self, id: u32) -> Result<(), EngineError> {
        let vocabulary = &self.model.vocabulary;
        let piece = vocabulary.piece(id).ok_or_else(|| {
            EngineError::Tokenizer(format!(
                "cannot decode the token {id}: the vocabulary has {} entries",
                vocabulary.len()
            ))
        })?;
        if piece.kind == PieceKind::Byte {
            self.bytes.extend(byte_of(&piece.text));
            return Ok(());
        }
        self.write_bytes();
        let is_first = !self.has_dropped_space && self.text.is_empty();
        match piece.kind {
            PieceKind::Control => {}
            PieceKind::Unknown => self.text.push_str(&self.model.unk_surface),
            _ => {
                let mut text = &*piece.text;
                let normalizer = &self.model.normalizer;
                if is_first
                    && normalizer.drops_leading_space()
                    && let Some(rest) = text.strip_prefix(SPACE_MARK)
                {
                    text = rest;
                    // All spaces go where the model removes those that are too many.
                    self.has_dropped_space = !normalizer.removes_extra_whitespaces();
                }
                self.text.push_str(&text.replace(SPACE_MARK, " "));
            }
        }
        Ok(())
    }

    /// Adds text that is no piece of the model.
    pub(in crate::tokenizer) fn push_text(&mut self, text: &str) {
        self.write_bytes();
        self.text.push_str(text);
    }

    /// All text; bytes that make no character are replaced.
    pub(in crate::tokenizer) fn finish(mut self) -> Result<String, EngineError> {
        self.write_bytes();
        match &self.model.denormalizer {
            None => Ok(self.text),
            Some(denormalizer) => {
                let nothing = PrefixTrie::new([]);
                let text = denormalizer.normalize(&nothing, &self.text, DummyPrefix::AsTrained)?;
                Ok(text.text)
            }
        }
    }

    /// Every byte that begins no character becomes a replacement character of its own.
    fn write_bytes(&mut self) {
        for chunk in self.bytes.utf8_chunks() {
            self.text.push_str(chunk.valid());
            for _ in chunk.invalid() {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.bytes.clear();
    }
}
