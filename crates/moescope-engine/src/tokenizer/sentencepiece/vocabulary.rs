//! The pieces of a model, by text and by id.

use std::collections::HashMap;

use super::{
    model_file::{Algorithm, Piece, PieceKind},
    prefix_trie::PrefixTrie,
    wire::broken,
};
use crate::error::EngineError;

/// All pieces of a model.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary {
    pieces: Vec<Piece>,
    ids: HashMap<Box<str>, u32>,
    /// Text that is never changed, cut or joined.
    pub(super) user_defined: PrefixTrie,
    /// What text may be cut into, for Unigram.
    regular: PrefixTrie,
    /// The id of each byte, where unknown characters are spelled in bytes.
    bytes: Option<Box<[u32; 256]>>,
    pub(super) unknown: u32,
    /// The lowest score of a normal piece.
    pub(super) lowest_score: f32,
}

impl Vocabulary {
    pub(super) fn new(
        pieces: Vec<Piece>,
        algorithm: Algorithm,
        has_byte_fallback: bool,
    ) -> Result<Self, EngineError> {
        let mut ids = HashMap::with_capacity(pieces.len());
        let mut bytes = [None; 256];
        let mut unknown = None;
        for (id, piece) in (0..).zip(&pieces) {
            // Unigram may have a control symbol and a piece of one name; the piece is what text is cut into.
            let is_new = match ids.get(&piece.text) {
                None => true,
                Some(_) if algorithm == Algorithm::Bpe => false,
                Some(other) => {
                    let other: &Piece = &pieces[*other as usize];
                    other.is_regular() != piece.is_regular()
                }
            };
            if !is_new {
                return Err(broken(&format!("the piece '{}' comes twice", piece.text)));
            }
            if piece.is_regular() || !ids.contains_key(&piece.text) {
                ids.insert(piece.text.clone(), id);
            }
            match piece.kind {
                PieceKind::Unknown if unknown.is_some() => {
                    return Err(broken("two pieces stand for what is unknown"));
                }
                PieceKind::Unknown => unknown = Some(id),
                PieceKind::Byte => {
                    let byte = byte_of(&piece.text)
                        .filter(|_| has_byte_fallback)
                        .ok_or_else(|| {
                            broken(&format!("the byte piece '{}' is not usable", piece.text))
                        })?;
                    bytes[usize::from(byte)] = Some(id);
                }
                _ => {}
            }
        }
        let unknown = unknown.ok_or_else(|| broken("no piece stands for what is unknown"))?;
        let bytes = match bytes.iter().copied().collect::<Option<Vec<u32>>>() {
            _ if !has_byte_fallback => None,
            Some(ids) => Some(Box::new(
                <[u32; 256]>::try_from(ids).expect("there are 256"),
            )),
            None => return Err(broken("it spells in bytes, and not every byte has a piece")),
        };
        let of_kind = |wanted: fn(&Piece) -> bool| {
            PrefixTrie::new(
                (0..)
                    .zip(&pieces)
                    .filter(|(_, piece)| wanted(piece))
                    .map(|(id, piece)| (&*piece.text, id)),
            )
        };
        Ok(Self {
            user_defined: of_kind(|piece| piece.kind == PieceKind::UserDefined),
            regular: match algorithm {
                Algorithm::Unigram => of_kind(Piece::is_regular),
                Algorithm::Bpe => PrefixTrie::new([]),
            },
            lowest_score: pieces
                .iter()
                .filter(|piece| piece.kind == PieceKind::Normal)
                .map(|piece| piece.score)
                .fold(f32::MAX, f32::min),
            ids,
            bytes,
            unknown,
            pieces,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The id of a piece by its name, whatever it stands for.
    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// The id of a piece that text may be cut into.
    pub(super) fn regular(&self, text: &str) -> Option<u32> {
        self.id(text)
            .filter(|id| self.pieces[*id as usize].is_regular())
    }

    pub(super) fn regular_prefixes<'t>(
        &'t self,
        text: &'t [u8],
    ) -> impl Iterator<Item = (usize, u32)> + 't {
        self.regular.prefixes(text)
    }

    pub(super) fn piece(&self, id: u32) -> Option<&Piece> {
        self.pieces.get(id as usize)
    }

    pub(super) fn byte_ids(&self) -> Option<&[u32; 256]> {
        self.bytes.as_deref()
    }

    pub(super) fn score(&self, id: u32) -> f32 {
        self.pieces[id as usize].score
    }

    pub(super) fn is_unused(&self, id: u32) -> bool {
        self.pieces[id as usize].kind == PieceKind::Unused
    }

    pub(super) fn is_user_defined(&self, id: u32) -> bool {
        self.pieces[id as usize].kind == PieceKind::UserDefined
    }
}

impl Piece {
    /// Whether text may be cut into it: neither control symbol, byte nor `<unk>`.
    pub(super) fn is_regular(&self) -> bool {
        matches!(
            self.kind,
            PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused
        )
    }
}

/// The byte that a piece such as `<0x0A>` stands for.
pub(super) fn byte_of(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_plain = digits.len() == 2
        && digits
            .bytes()
            .all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit));
    is_plain
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}
