//! What a `tokenizer.model` says: the messages of `sentencepiece_model.proto`, checked.

use super::wire::{Field, Fields, broken};
use crate::error::EngineError;

/// Most pieces of a vocabulary; the largest published ones have about 300,000.
const MOST_PIECES: usize = 1 << 21;
/// `SentencePiece` refuses pieces of this many bytes.
const LONGEST_PIECE: usize = 8000;

/// What a piece stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// An entry of the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) text: Box<str>,
    pub(super) score: f32,
    pub(super) kind: PieceKind,
}

/// How text is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Bpe,
    Unigram,
}

/// The parts of the trainer's settings that encoding needs.
#[derive(Clone, Debug)]
pub(super) struct TrainerSpec {
    pub(super) algorithm: Algorithm,
    pub(super) treats_whitespace_as_suffix: bool,
    pub(super) has_byte_fallback: bool,
    pub(super) bos_id: Option<u32>,
    pub(super) eos_id: Option<u32>,
    /// What `<unk>` is decoded to.
    pub(super) unk_surface: String,
}

/// How text is changed before it is cut.
#[derive(Clone, Debug)]
pub(super) struct NormalizerSpec<'b> {
    pub(super) precompiled_charsmap: &'b [u8],
    pub(super) adds_dummy_prefix: bool,
    pub(super) removes_extra_whitespaces: bool,
    pub(super) escapes_whitespaces: bool,
}

/// A whole file.
#[derive(Clone, Debug)]
pub(super) struct ModelFile<'b> {
    pub(super) pieces: Vec<Piece>,
    pub(super) trainer: TrainerSpec,
    pub(super) normalizer: NormalizerSpec<'b>,
    pub(super) denormalizer: Option<NormalizerSpec<'b>>,
}

impl<'b> ModelFile<'b> {
    /// Reads a file's bytes; messages that come twice are merged, as protocol buffers have it.
    pub(super) fn parse(bytes: &'b [u8]) -> Result<Self, EngineError> {
        let mut file = Self {
            pieces: Vec::new(),
            trainer: TrainerSpec::default(),
            normalizer: NormalizerSpec::default(),
            denormalizer: None,
        };
        for field in Fields::new(bytes) {
            match field? {
                (1, field) => {
                    if file.pieces.len() == MOST_PIECES {
                        return Err(broken(&format!("it has more than {MOST_PIECES} pieces")));
                    }
                    let number = file.pieces.len();
                    file.pieces.push(Piece::parse(field.bytes()?, number)?);
                }
                (2, field) => file.trainer.merge(field.bytes()?)?,
                (3, field) => file.normalizer.merge(field.bytes()?)?,
                (5, field) => file
                    .denormalizer
                    .get_or_insert_default()
                    .merge(field.bytes()?)?,
                _ => {}
            }
        }
        if file.pieces.is_empty() {
            return Err(broken("it has no pieces"));
        }
        Ok(file)
    }
}

impl Piece {
    fn parse(message: &[u8], number: usize) -> Result<Self, EngineError> {
        let wrong = |what: &str| broken(&format!("piece {number} {what}"));
        let mut text: &[u8] = &[];
        let (mut score, mut kind) = (0.0, PieceKind::Normal);
        for field in Fields::new(message) {
            match field? {
                (1, field) => text = field.bytes()?,
                (2, field) => score = field.float()?,
                (3, field) => {
                    kind = match field.integer()? {
                        1 => PieceKind::Normal,
                        2 => PieceKind::Unknown,
                        3 => PieceKind::Control,
                        4 => PieceKind::UserDefined,
                        5 => PieceKind::Unused,
                        6 => PieceKind::Byte,
                        other => return Err(wrong(&format!("has the unknown type {other}"))),
                    }
                }
                _ => {}
            }
        }
        let text = std::str::from_utf8(text).map_err(|_| wrong("is not UTF-8"))?;
        if text.is_empty() || text.contains('\0') {
            return Err(wrong("is empty or has a null character"));
        }
        if text.len() >= LONGEST_PIECE {
            return Err(wrong("has 8,000 bytes or more"));
        }
        if !score.is_finite() {
            return Err(wrong(&format!("has the score {score}")));
        }
        Ok(Self {
            text: text.into(),
            score,
            kind,
        })
    }
}

impl Default for TrainerSpec {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Unigram,
            treats_whitespace_as_suffix: false,
            has_byte_fallback: false,
            bos_id: Some(1),
            eos_id: Some(2),
            unk_surface: " \u{2047} ".to_owned(),
        }
    }
}

impl TrainerSpec {
    fn merge(&mut self, message: &[u8]) -> Result<(), EngineError> {
        for field in Fields::new(message) {
            match field? {
                (3, field) => {
                    self.algorithm = match field.integer()? {
                        1 => Algorithm::Unigram,
                        2 => Algorithm::Bpe,
                        other => {
                            let name = match other {
                                3 => "WORD",
                                4 => "CHAR",
                                _ => "unknown",
                            };
                            return Err(EngineError::Tokenizer(format!(
                                "the SentencePiece model is of type {name} ({other}); BPE and Unigram are supported"
                            )));
                        }
                    }
                }
                (24, field) => self.treats_whitespace_as_suffix = field.flag()?,
                (35, field) => self.has_byte_fallback = field.flag()?,
                (41, field) => self.bos_id = id(field)?,
                (42, field) => self.eos_id = id(field)?,
                (44, field) => {
                    self.unk_surface = String::from_utf8_lossy(field.bytes()?).into_owned();
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// An id; negative ones, which are stored as large numbers, mean that there is none.
fn id(field: Field<'_>) -> Result<Option<u32>, EngineError> {
    Ok(u32::try_from(field.integer()?)
        .ok()
        .filter(|id| i32::try_from(*id).is_ok()))
}

impl Default for NormalizerSpec<'_> {
    fn default() -> Self {
        Self {
            precompiled_charsmap: &[],
            adds_dummy_prefix: true,
            removes_extra_whitespaces: true,
            escapes_whitespaces: true,
        }
    }
}

impl<'b> NormalizerSpec<'b> {
    fn merge(&mut self, message: &'b [u8]) -> Result<(), EngineError> {
        for field in Fields::new(message) {
            match field? {
                (2, field) => self.precompiled_charsmap = field.bytes()?,
                (3, field) => self.adds_dummy_prefix = field.flag()?,
                (4, field) => self.removes_extra_whitespaces = field.flag()?,
                (5, field) => self.escapes_whitespaces = field.flag()?,
                _ => {}
            }
        }
        Ok(())
    }
}
