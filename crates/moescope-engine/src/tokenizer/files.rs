//! The JSON files beside a tokenizer: what the special tokens are called, which tokens were added, what comes first.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::{
    checkpoint::{hex, read_text},
    error::EngineError,
};

/// Largest of these files that is read.
const LARGEST: u64 = 64 << 20;
/// Longest name of an added token; a text is compared with all of them at every place.
const LONGEST_NAME: usize = 1024;
/// Most added tokens.
const MOST_ADDED: usize = 1 << 20;

const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";
/// The attributes that transformers knows, in its order.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];
const MORE: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

/// A token that was added to a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the file"
)]
pub(super) struct AddedToken {
    pub(super) content: String,
    /// Whether it takes the white space on its left.
    pub(super) strips_left: bool,
    /// Whether it takes the white space on its right.
    pub(super) strips_right: bool,
    /// Whether it counts only beside spaces.
    pub(super) is_single_word: bool,
    /// Whether it is no text.
    pub(super) is_special: bool,
}

/// What the files say together.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenizerFiles {
    /// `tokenizer_config.json`, where there is one.
    pub(super) config: Map<String, Value>,
    /// Special tokens by attribute; an attribute that a file sets to null is there without a name.
    pub(super) names: BTreeMap<String, Option<String>>,
    /// Special tokens without an attribute.
    pub(super) more_names: Vec<String>,
    /// Added tokens by id.
    pub(super) added: BTreeMap<u32, AddedToken>,
    /// SHA-256 of each file that was read.
    pub(super) sha256: BTreeMap<String, String>,
}

impl TokenizerFiles {
    /// Reads the files that a folder has.
    pub(super) fn open(folder: &Path) -> Result<Self, EngineError> {
        let mut texts = BTreeMap::new();
        for name in [CONFIG, SPECIAL, ADDED] {
            let path = folder.join(name);
            if path.is_file() {
                texts.insert(name, read_text(&path, LARGEST)?);
            }
        }
        let text = |name| texts.get(name).map(String::as_str);
        Self::parse(text(CONFIG), text(SPECIAL), text(ADDED)).map_err(|error| match error {
            EngineError::Tokenizer(what) => {
                EngineError::Tokenizer(format!("{what}: {}", folder.display()))
            }
            other => other,
        })
    }

    /// Reads the files' texts the way transformers 4.40 does: `added_tokens_decoder` replaces the other two files.
    pub(super) fn parse(
        config: Option<&str>,
        special: Option<&str>,
        added: Option<&str>,
    ) -> Result<Self, EngineError> {
        let mut files = Self::default();
        for (name, text) in [(CONFIG, config), (SPECIAL, special), (ADDED, added)] {
            if let Some(text) = text {
                files
                    .sha256
                    .insert(name.to_owned(), hex(&Sha256::digest(text.as_bytes())));
            }
        }
        files.config = object(CONFIG, config)?;
        let config = std::mem::take(&mut files.config);
        files.read_names(&config);
        if let Some(decoder) = config.get("added_tokens_decoder") {
            let decoder = decoder
                .as_object()
                .ok_or_else(|| wrong(CONFIG, "added_tokens_decoder is no object"))?;
            for (id, token) in decoder {
                let id = id
                    .parse()
                    .map_err(|_| wrong(CONFIG, &format!("'{id}' is no token id")))?;
                let token = added_token(token).ok_or_else(|| {
                    wrong(CONFIG, &format!("the added token {id} has no content"))
                })?;
                files.add(id, token)?;
            }
        } else {
            files.read_names(&object(SPECIAL, special)?);
            let special_names = files.special_names();
            for (content, id) in object(ADDED, added)? {
                let id = id
                    .as_u64()
                    .and_then(|id| u32::try_from(id).ok())
                    .ok_or_else(|| wrong(ADDED, &format!("'{content}' has no token id")))?;
                let is_special = special_names.contains(&content);
                files.add(id, AddedToken::plain(content, is_special))?;
            }
        }
        files.config = config;
        Ok(files)
    }

    fn add(&mut self, id: u32, token: AddedToken) -> Result<(), EngineError> {
        if token.content.is_empty() || token.content.len() > LONGEST_NAME {
            return Err(wrong(
                "the list of added tokens",
                &format!(
                    "the token {id} has {} bytes; 1 to {LONGEST_NAME} are possible",
                    token.content.len()
                ),
            ));
        }
        if self.added.len() == MOST_ADDED {
            return Err(wrong("the list of added tokens", "it is too long"));
        }
        self.added.insert(id, token);
        Ok(())
    }

    fn read_names(&mut self, file: &Map<String, Value>) {
        for name in NAMES {
            match file.get(name) {
                Some(Value::Null) => {
                    self.names.insert(name.to_owned(), None);
                }
                Some(value) => {
                    if let Some(content) = content(value) {
                        self.names.insert(name.to_owned(), Some(content.to_owned()));
                    }
                }
                None => {}
            }
        }
        for value in MORE.iter().filter_map(|name| file.get(*name)) {
            let values: Vec<&Value> = match value {
                Value::Array(values) => values.iter().collect(),
                Value::Object(values) => values.values().collect(),
                _ => Vec::new(),
            };
            for content in values.into_iter().filter_map(content) {
                if !self.more_names.iter().any(|known| known == content) {
                    self.more_names.push(content.to_owned());
                }
            }
        }
    }

    /// The special token of an attribute.
    pub(super) fn name(&self, attribute: &str) -> Option<&str> {
        self.names.get(attribute)?.as_deref()
    }

    /// All special tokens that have a name, in the order of transformers.
    pub(super) fn special_names(&self) -> Vec<String> {
        NAMES
            .iter()
            .filter_map(|attribute| self.name(attribute))
            .chain(self.more_names.iter().map(String::as_str))
            .map(str::to_owned)
            .collect()
    }

    /// A switch of `tokenizer_config.json`.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.config.get(key)?.as_bool()
    }

    /// A text of `tokenizer_config.json`.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key)?.as_str()
    }
}

impl AddedToken {
    pub(super) fn plain(content: String, is_special: bool) -> Self {
        Self {
            content,
            strips_left: false,
            strips_right: false,
            is_single_word: false,
            is_special,
        }
    }
}

/// The text of a token, which stands alone or in an object.
fn content(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Object(token) => token.get("content")?.as_str(),
        _ => None,
    }
}

fn added_token(value: &Value) -> Option<AddedToken> {
    let flag = |key| value.get(key).and_then(Value::as_bool).unwrap_or(false);
    Some(AddedToken {
        content: content(value)?.to_owned(),
        strips_left: flag("lstrip"),
        strips_right: flag("rstrip"),
        is_single_word: flag("single_word"),
        is_special: flag("special"),
    })
}

fn object(name: &str, text: Option<&str>) -> Result<Map<String, Value>, EngineError> {
    let Some(text) = text else {
        return Ok(Map::new());
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(wrong(name, "it is no JSON object")),
        Err(error) => Err(wrong(name, &error.to_string())),
    }
}

fn wrong(file: &str, what: &str) -> EngineError {
    EngineError::Tokenizer(format!("cannot read {file}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoder_replaces_the_older_files() {
        let config = r#"{"bos_token": {"content": "<s>"}, "pad_token": null,
            "added_tokens_decoder": {"7": {"content": "<x>", "special": true, "rstrip": true}}}"#;
        let files = TokenizerFiles::parse(
            Some(config),
            Some(r#"{"bos_token": "<other>"}"#),
            Some(r#"{"<y>": 8}"#),
        )
        .unwrap();
        assert_eq!(files.name("bos_token"), Some("<s>"));
        assert_eq!(files.names["pad_token"], None);
        assert_eq!(files.added.keys().collect::<Vec<_>>(), [&7]);
        assert!(files.added[&7].strips_right && files.added[&7].is_special);
    }

    #[test]
    fn older_files_are_read_together() {
        let files = TokenizerFiles::parse(
            Some(r#"{"pad_token": null}"#),
            Some(r#"{"pad_token": "[PAD]", "additional_special_tokens": ["<e>"]}"#),
            Some(r#"{"[PAD]": 3, "<e>": 4, "<user>": 5}"#),
        )
        .unwrap();
        let special: Vec<bool> = files.added.values().map(|token| token.is_special).collect();
        assert_eq!(special, [true, true, false]);
        assert_eq!(files.special_names(), ["[PAD]", "<e>"]);
    }

    #[test]
    fn broken_files_are_named() {
        for (config, added, word) in [
            ("[]", "{}", "tokenizer_config.json"),
            ("{", "{}", "tokenizer_config.json"),
            ("{}", r#"{"a": -1}"#, "added_tokens.json"),
            ("{}", r#"{"a": 5000000000}"#, "added_tokens.json"),
            ("{}", r#"{"": 1}"#, "added tokens"),
            (r#"{"added_tokens_decoder": {"x": "a"}}"#, "{}", "'x'"),
            (r#"{"added_tokens_decoder": []}"#, "{}", "no object"),
        ] {
            let error = TokenizerFiles::parse(Some(config), None, Some(added)).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
