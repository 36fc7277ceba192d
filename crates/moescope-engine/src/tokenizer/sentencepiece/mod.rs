//! `SentencePiece` models: text to pieces and back, identical to Google's own library.
//!
//! BPE and Unigram models are read, with byte fallback, user-defined symbols and any compiled normalisation.
//! The reference is `sentencepiece` 0.2.3 (<https://github.com/google/sentencepiece>); differences are on the side of
//! caution only: scores that are not numbers and normalisation rules that lead nowhere are refused or ignored.

mod bpe;
mod charsmap;
mod decode;
mod model_file;
mod normalizer;
mod prefix_trie;
mod unigram;
mod vocabulary;
mod wire;

use model_file::{Algorithm, ModelFile, PieceKind};
use normalizer::Normalizer;
use vocabulary::Vocabulary;

pub(super) use normalizer::{DummyPrefix, SPACE_MARK};
pub(super) use prefix_trie::PrefixTrie;

use crate::error::EngineError;

/// A `SentencePiece` model, as in `tokenizer.model`.
///
/// This type never reads files; [`parse`](Self::parse) takes the bytes of one.
#[derive(Clone, Debug)]
pub struct SentencePieceModel {
    vocabulary: Vocabulary,
    normalizer: Normalizer,
    denormalizer: Option<Normalizer>,
    algorithm: Algorithm,
    bos_id: Option<u32>,
    eos_id: Option<u32>,
    unk_surface: String,
}

/// One piece of an encoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedPiece {
    /// Entry of the vocabulary.
    pub id: u32,
    /// First byte in the text.
    pub begin: usize,
    /// One past the last byte; `begin` for a piece that stands for nothing of the text, as the space that is put first.
    ///
    /// A piece that is one byte of a character has the bytes of the whole character.
    pub end: usize,
}

impl SentencePieceModel {
    /// Reads a model from the bytes of its file.
    ///
    /// # Errors
    /// When it is no such model, is of a type other than BPE and Unigram, or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, EngineError> {
        let file = ModelFile::parse(bytes)?;
        let trainer = file.trainer;
        let as_suffix = trainer.treats_whitespace_as_suffix;
        let vocabulary =
            Vocabulary::new(file.pieces, trainer.algorithm, trainer.has_byte_fallback)?;
        Ok(Self {
            normalizer: Normalizer::new(&file.normalizer, as_suffix)?,
            denormalizer: file
                .denormalizer
                .filter(|spec| !spec.precompiled_charsmap.is_empty())
                .map(|spec| Normalizer::new(&spec, false))
                .transpose()?,
            algorithm: trainer.algorithm,
            bos_id: trainer.bos_id.filter(|id| vocabulary.piece(*id).is_some()),
            eos_id: trainer.eos_id.filter(|id| vocabulary.piece(*id).is_some()),
            unk_surface: trainer.unk_surface,
            vocabulary,
        })
    }

    /// `BPE` or `Unigram`.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Bpe => "BPE",
            Algorithm::Unigram => "Unigram",
        }
    }

    /// Whether characters without a piece are spelled in bytes.
    #[must_use]
    pub fn has_byte_fallback(&self) -> bool {
        self.vocabulary.byte_ids().is_some()
    }

    /// Entries of the vocabulary.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The name of a piece, as in the file.
    #[must_use]
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.vocabulary.piece(id).map(|piece| &*piece.text)
    }

    /// The id of a piece by its name.
    #[must_use]
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.vocabulary.id(piece)
    }

    /// The piece that stands for what is unknown.
    #[must_use]
    pub fn unknown_id(&self) -> u32 {
        self.vocabulary.unknown
    }

    /// The beginning of a sequence, where the model was trained with one.
    #[must_use]
    pub fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// The end of a sequence, where the model was trained with one.
    #[must_use]
    pub fn eos_id(&self) -> Option<u32> {
        self.eos_id
    }

    /// Cuts a text into pieces; nothing is put before or after them.
    ///
    /// # Errors
    /// When the text has more than a gibibyte, or the model's normalisation makes it absurdly longer.
    pub fn encode(&self, text: &str) -> Result<Vec<EncodedPiece>, EngineError> {
        self.encode_with(text, DummyPrefix::AsTrained)
    }

    pub(super) fn encode_with(
        &self,
        text: &str,
        dummy_prefix: DummyPrefix,
    ) -> Result<Vec<EncodedPiece>, EngineError> {
        let normalized =
            self.normalizer
                .normalize(&self.vocabulary.user_defined, text, dummy_prefix)?;
        let pieces = match self.algorithm {
            Algorithm::Bpe => bpe::encode(&self.vocabulary, &normalized.text),
            Algorithm::Unigram => unigram::encode(&self.vocabulary, &normalized.text),
        };
        let unknown = self.vocabulary.unknown;
        let mut encoded: Vec<EncodedPiece> = Vec::with_capacity(pieces.len());
        let mut is_after_unknown = false;
        for (range, id) in pieces {
            let begin = normalized.source[range.start] as usize;
            let end = normalized.source[range.end] as usize;
            let is_unknown = id.is_none_or(|id| id == unknown);
            match (self.vocabulary.byte_ids(), encoded.last_mut()) {
                (Some(ids), _) if is_unknown => {
                    let bytes = normalized.text.as_bytes()[range].iter();
                    encoded.extend(bytes.map(|byte| EncodedPiece {
                        id: ids[usize::from(*byte)],
                        begin,
                        end,
                    }));
                }
                // What is unknown in a row is one token.
                (None, Some(last)) if is_unknown && is_after_unknown => last.end = end,
                _ => encoded.push(EncodedPiece {
                    id: id.unwrap_or(unknown),
                    begin,
                    end,
                }),
            }
            is_after_unknown = is_unknown;
        }
        Ok(encoded)
    }

    /// Whether a piece is a byte of a character.
    #[must_use]
    pub fn is_byte(&self, id: u32) -> bool {
        self.vocabulary
            .piece(id)
            .is_some_and(|piece| piece.kind == PieceKind::Byte)
    }
}
