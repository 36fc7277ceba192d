//! From text to token ids with their places in the text, and back; and from a conversation to text.

mod added_tokens;
mod chat;
mod files;
mod json;
mod json_charsmap;
mod llama;
mod scidfm;
mod sentencepiece;

use std::{collections::BTreeMap, path::Path};

use sha2::{Digest as _, Sha256};

use crate::{
    checkpoint::{hex, read_text},
    error::EngineError,
};
use files::TokenizerFiles;
use json::JsonTokenizer;
use llama::LlamaTokenizer;

pub use chat::{ChatClock, ChatMessage, ChatTemplate, ContentSpan, RenderedChat};
pub use scidfm::{ScienceUnits, UnitKind, WrappedText};
pub use sentencepiece::{EncodedPiece, SentencePieceModel};

/// Largest `tokenizer.json` that is read.
const LARGEST_JSON: u64 = 256 << 20;
/// Largest `tokenizer.model` that is read.
const LARGEST_MODEL: u64 = 64 << 20;

const JSON_FILE: &str = "tokenizer.json";
const MODEL_FILE: &str = "tokenizer.model";

/// A model's own tokenizer, read from `tokenizer.json` or, where there is none, from `tokenizer.model`.
///
/// `tokenizer.model` is a [`SentencePieceModel`] with the rules of transformers' `LlamaTokenizer`: `tokenizer_config.json`,
/// `special_tokens_map.json` and `added_tokens.json` are read with it.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    kind: Kind,
    identity: TokenizerSource,
}

#[derive(Clone, Debug)]
enum Kind {
    Json(Box<JsonTokenizer>),
    Llama(Box<LlamaTokenizer>),
}

/// Which files a tokenizer was read from, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerSource {
    /// `tokenizer.json` or `tokenizer.model`.
    pub file: String,
    /// `BPE`, `Unigram`, `WordPiece` or `WordLevel`, after `SentencePiece` where it is such a model.
    pub algorithm: String,
    /// SHA-256 of that file, in hex.
    pub sha256: String,
    /// SHA-256 of the other files that its tokens depend on, by name.
    pub other_files: BTreeMap<String, String>,
}

/// One token of an encoded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextToken {
    /// Entry of the vocabulary.
    pub id: u32,
    /// The piece of text; for special tokens their name.
    pub text: String,
    /// Bytes `start..end` of the text.
    ///
    /// Absent for tokens that stand for nothing of it: those that the tokenizer added, and the space that a
    /// `SentencePiece` model puts first. Tokens that are bytes of one character all have the bytes of that character.
    pub bytes: Option<(u32, u32)>,
    /// Whether the tokenizer added it (BOS and the like).
    pub is_special: bool,
}

impl Tokenizer {
    /// Reads the tokenizer of a model folder.
    ///
    /// # Errors
    /// When no file is there, or one is broken or of a kind that is not known.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let (json, model) = (folder.join(JSON_FILE), folder.join(MODEL_FILE));
        let at = |path: &Path, error: EngineError| match error {
            EngineError::Tokenizer(what) => {
                EngineError::Tokenizer(format!("{what}: {}", path.display()))
            }
            other => other,
        };
        if json.is_file() {
            let text = read_text(&json, LARGEST_JSON)?;
            return Self::from_json(&text).map_err(|error| at(&json, error));
        }
        if model.is_file() {
            let bytes = read_bytes(&model)?;
            let files = TokenizerFiles::open(folder)?;
            return Self::from_model(&bytes, &files).map_err(|error| at(&model, error));
        }
        Err(EngineError::Tokenizer(format!(
            "the model folder has neither tokenizer.json nor tokenizer.model; save one with the model's own tokenizer \
             (transformers: tokenizer.save_pretrained): {}",
            folder.display()
        )))
    }

    /// Reads a tokenizer from the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is broken.
    pub fn from_json(text: &str) -> Result<Self, EngineError> {
        let json = JsonTokenizer::parse(text)?;
        Ok(Self {
            identity: TokenizerSource {
                file: JSON_FILE.to_owned(),
                algorithm: json.algorithm().to_owned(),
                sha256: hex(&Sha256::digest(text.as_bytes())),
                other_files: BTreeMap::new(),
            },
            kind: Kind::Json(Box::new(json)),
        })
    }

    /// Reads a tokenizer from the contents of `tokenizer.model` and, where they are there, of `tokenizer_config.json`,
    /// `special_tokens_map.json` and `added_tokens.json`.
    ///
    /// # Errors
    /// When one is broken, or the class that the configuration names is not known.
    pub fn from_sentencepiece(
        model: &[u8],
        config: Option<&str>,
        special_tokens_map: Option<&str>,
        added_tokens: Option<&str>,
    ) -> Result<Self, EngineError> {
        let files = TokenizerFiles::parse(config, special_tokens_map, added_tokens)?;
        Self::from_model(model, &files)
    }

    fn from_model(bytes: &[u8], files: &TokenizerFiles) -> Result<Self, EngineError> {
        let model = SentencePieceModel::parse(bytes)?;
        Ok(Self {
            identity: TokenizerSource {
                file: MODEL_FILE.to_owned(),
                algorithm: format!("SentencePiece {}", model.algorithm()),
                sha256: hex(&Sha256::digest(bytes)),
                other_files: files.sha256.clone(),
            },
            kind: Kind::Llama(Box::new(LlamaTokenizer::new(model, files)?)),
        })
    }

    /// Which files it was read from.
    #[must_use]
    pub fn source(&self) -> &TokenizerSource {
        &self.identity
    }

    /// SHA-256 of the file that it was read from, in hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.identity.sha256
    }

    /// Entries of the vocabulary, added tokens included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        match &self.kind {
            Kind::Json(json) => json.vocab_size(),
            Kind::Llama(llama) => llama.vocab_size(),
        }
    }

    /// Encodes a text; special tokens such as BOS are added as the tokenizer's files say.
    ///
    /// # Errors
    /// When the tokenizer cannot encode the text.
    pub fn encode(&self, text: &str) -> Result<Vec<TextToken>, EngineError> {
        match &self.kind {
            Kind::Json(json) => json.encode(text, true),
            Kind::Llama(llama) => {
                let frame = |id: Option<u32>| id.map(|id| llama.frame(id));
                Ok(frame(llama.bos)
                    .into_iter()
                    .chain(llama.encode(text)?)
                    .chain(frame(llama.eos))
                    .collect())
            }
        }
    }

    /// Encodes a text as it is: nothing is put before or after it, special tokens that stand in it are recognised.
    ///
    /// A chat template writes its special tokens itself.
    ///
    /// # Errors
    /// When the tokenizer cannot encode the text.
    pub fn encode_as_is(&self, text: &str) -> Result<Vec<TextToken>, EngineError> {
        match &self.kind {
            Kind::Json(json) => json.encode(text, false),
            Kind::Llama(llama) => llama.encode(text),
        }
    }

    /// What [`encode`](Self::encode) puts before a text, and who decides so, in words.
    ///
    /// # Errors
    /// When the tokenizer cannot encode anything.
    pub fn bos_policy(&self) -> Result<String, EngineError> {
        let first = self.encode("a")?.into_iter().next();
        let first = first.filter(|token| token.is_special);
        let who = match &self.kind {
            Kind::Json(_) => JSON_FILE,
            Kind::Llama(llama) if llama.says_bos => "add_bos_token of tokenizer_config.json",
            Kind::Llama(_) => "the default of LlamaTokenizer",
        };
        Ok(match first {
            Some(token) => format!("{who} puts '{}' (id {}) first", token.text, token.id),
            None => format!("none: {who} puts no token first"),
        })
    }

    /// The text of some tokens; special ones left out.
    ///
    /// # Errors
    /// When the tokenizer cannot decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, EngineError> {
        match &self.kind {
            Kind::Json(json) => json.decode(ids),
            Kind::Llama(llama) => llama.decode(ids),
        }
    }

    /// The text of one token on its own, special ones by their name.
    #[must_use]
    pub fn piece(&self, id: u32) -> String {
        match &self.kind {
            Kind::Json(json) => json.piece(id),
            Kind::Llama(llama) => llama.piece(id),
        }
    }

    /// The id of a token by its name, `</s>` for example.
    #[must_use]
    pub fn token_id(&self, name: &str) -> Option<u32> {
        match &self.kind {
            Kind::Json(json) => json.token_id(name),
            Kind::Llama(llama) => llama.token_id(name),
        }
    }

    /// Whether a token is one of the special ones.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        match &self.kind {
            Kind::Json(json) => json.is_special(id),
            Kind::Llama(llama) => llama.is_special(id),
        }
    }
}

/// Reads a `SentencePiece` model's file.
fn read_bytes(path: &Path) -> Result<Vec<u8>, EngineError> {
    let io = |source| EngineError::io("read the file", path, source);
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > LARGEST_MODEL {
        return Err(EngineError::Tokenizer(format!(
            "{size} bytes are more than {LARGEST_MODEL}: {}",
            path.display()
        )));
    }
    std::fs::read(path).map_err(io)
}
