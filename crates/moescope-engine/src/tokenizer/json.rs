//! A tokenizer in the format of Hugging Face's `tokenizers`: `tokenizer.json`.

use moescope_core::contain_panic;

use super::{TextToken, json_charsmap};
use crate::error::EngineError;

/// What the file describes.
#[derive(Clone, Debug)]
pub(super) struct JsonTokenizer {
    inner: tokenizers::Tokenizer,
}

impl JsonTokenizer {
    pub(super) fn parse(text: &str) -> Result<Self, EngineError> {
        json_charsmap::check(text)?;
        let mut inner: tokenizers::Tokenizer = guard("read the tokenizer", || text.parse())?;
        // A capture decides about length itself; a tokenizer must neither cut nor pad.
        inner.with_truncation(None).map_err(|error| {
            EngineError::Tokenizer(format!("cannot switch off truncation: {error}"))
        })?;
        inner.with_padding(None);
        Ok(Self { inner })
    }

    pub(super) fn algorithm(&self) -> &'static str {
        use tokenizers::models::ModelWrapper;
        match self.inner.get_model() {
            ModelWrapper::BPE(_) => "BPE",
            ModelWrapper::WordPiece(_) => "WordPiece",
            ModelWrapper::WordLevel(_) => "WordLevel",
            ModelWrapper::Unigram(_) => "Unigram",
        }
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The tokens of a text; `adds_special` says whether the file's own frame is put around them.
    pub(super) fn encode(
        &self,
        text: &str,
        adds_special: bool,
    ) -> Result<Vec<TextToken>, EngineError> {
        let encoding = guard("tokenise a text", || self.inner.encode(text, adds_special))?;
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

    pub(super) fn decode(&self, ids: &[u32]) -> Result<String, EngineError> {
        guard("turn tokens into text", || self.inner.decode(ids, true))
    }

    pub(super) fn piece(&self, id: u32) -> String {
        guard("turn a token into text", || self.inner.decode(&[id], false))
            .ok()
            .filter(|text| !text.is_empty())
            .or_else(|| self.inner.id_to_token(id))
            .unwrap_or_default()
    }

    pub(super) fn token_id(&self, name: &str) -> Option<u32> {
        self.inner.token_to_id(name)
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.inner
            .get_added_tokens_decoder()
            .get(&id)
            .is_some_and(|token| token.special)
    }
}

/// Runs a part of the library and makes an error of its panics.
///
/// `tokenizers` 0.23.2 unwraps what a hostile file leaves out: in `normalizers/mod.rs` a broken `precompiled_charsmap`,
/// in `decoders/mod.rs` parts of a decoder, in `processors/template.rs` a special token without an entry. All were found
/// by fuzzing.
fn guard<T>(
    action: &str,
    work: impl FnOnce() -> Result<T, tokenizers::Error>,
) -> Result<T, EngineError> {
    match contain_panic(work) {
        Some(Ok(done)) => Ok(done),
        Some(Err(error)) => Err(EngineError::Tokenizer(format!("cannot {action}: {error}"))),
        None => Err(EngineError::Tokenizer(format!(
            "cannot {action}: the tokenizers library gave up on the content of {}; save it again with the model's own \
             tokenizer",
            super::JSON_FILE
        ))),
    }
}
