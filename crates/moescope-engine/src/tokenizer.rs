//! From text to token ids with their places in the text, and back.

use std::path::Path;

use crate::{
    checkpoint::{hex, read_text},
    error::EngineError,
};
use sha2::{Digest as _, Sha256};

/// Largest `tokenizer.json` that is read.
const LARGEST: u64 = 256 << 20;

/// A model's own tokenizer, read from `tokenizer.json`.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    sha256: String,
}

/// One token of an encoded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextToken {
    /// Entry of the vocabulary.
    pub id: u32,
    /// The piece of text; for special tokens their name.
    pub text: String,
    /// Bytes `start..end` of the text; absent for tokens that the tokenizer added.
    pub bytes: Option<(u32, u32)>,
    /// Whether the tokenizer added it (BOS and the like).
    pub is_special: bool,
}

impl Tokenizer {
    /// Reads `tokenizer.json` from a model folder.
    ///
    /// # Errors
    /// When the file is missing or broken.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let path = folder.join("tokenizer.json");
        if !path.is_file() {
            return Err(EngineError::Tokenizer(format!(
                "the model folder has no tokenizer.json; save one with the model's own tokenizer \
                 (transformers: tokenizer.save_pretrained): {}",
                folder.display()
            )));
        }
        let text = read_text(&path, LARGEST)?;
        let mut inner: tokenizers::Tokenizer = text.parse().map_err(|error| {
            EngineError::Tokenizer(format!(
                "cannot read the tokenizer: {error}: {}",
                path.display()
            ))
        })?;
        // A capture decides about length itself; a tokenizer must neither cut nor pad.
        inner.with_truncation(None).map_err(|error| {
            EngineError::Tokenizer(format!("cannot switch off truncation: {error}"))
        })?;
        inner.with_padding(None);
        Ok(Self {
            inner,
            sha256: hex(&Sha256::digest(text.as_bytes())),
        })
    }

    /// SHA-256 of `tokenizer.json`, in hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Entries of the vocabulary, added tokens included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Encodes a text; special tokens such as BOS are added as `tokenizer.json` says.
    ///
    /// # Errors
    /// When the tokenizer cannot encode the text.
    pub fn encode(&self, text: &str) -> Result<Vec<TextToken>, EngineError> {
        let encoding = self
            .inner
            .encode(text, true)
            .map_err(|error| EngineError::Tokenizer(format!("cannot tokenise a text: {error}")))?;
        let special = encoding.get_special_tokens_mask();
        Ok(encoding
            .get_ids()
            .iter()
            .zip(encoding.get_offsets())
            .zip(encoding.get_tokens())
            .zip(special)
            .map(|(((id, (start, end)), piece), special)| {
                let is_special = *special == 1;
                let slice = text.get(*start..*end).filter(|_| !is_special);
                let narrow = |at: usize| u32::try_from(at).ok();
                TextToken {
                    id: *id,
                    text: slice.map_or_else(|| piece.clone(), str::to_owned),
                    bytes: slice.and_then(|_| narrow(*start).zip(narrow(*end))),
                    is_special,
                }
            })
            .collect())
    }

    /// The text of some tokens; special ones left out.
    ///
    /// # Errors
    /// When the tokenizer cannot decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, EngineError> {
        self.inner.decode(ids, true).map_err(|error| {
            EngineError::Tokenizer(format!("cannot turn tokens into text: {error}"))
        })
    }

    /// The text of one token on its own, special ones by their name.
    #[must_use]
    pub fn piece(&self, id: u32) -> String {
        self.inner
            .decode(&[id], false)
            .ok()
            .filter(|text| !text.is_empty())
            .or_else(|| self.inner.id_to_token(id))
            .unwrap_or_default()
    }

    /// The id of a token by its name, `</s>` for example.
    #[must_use]
    pub fn token_id(&self, name: &str) -> Option<u32> {
        self.inner.token_to_id(name)
    }

    /// Whether a token is one of the special ones.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.inner
            .get_added_tokens_decoder()
            .get(&id)
            .is_some_and(|token| token.special)
    }
}
