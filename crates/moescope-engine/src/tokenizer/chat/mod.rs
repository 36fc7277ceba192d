//! From a conversation to the text that a model was trained to see.
//!
//! A model's chat template is a Jinja program. It is rendered as transformers renders it, except that it sees the system
//! and user messages of this toolkit only: no tools, no documents, no pictures.

mod clock;
mod environment;
mod generation;
mod methods;
mod python_json;
mod spans;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use minijinja::{Environment, Error, ErrorKind, Value};
use moescope_core::Role;

use super::files::TokenizerFiles;
use crate::{checkpoint::read_text, error::EngineError};

pub use clock::ChatClock;
pub use spans::{ContentSpan, RenderedChat};

/// Largest template that is read.
const LARGEST: u64 = 4 << 20;
/// The file that a template may have to itself; it counts before the one in `tokenizer_config.json`.
const FILE: &str = "chat_template.jinja";
/// A template nests values as deep as its fuel lets it, and they are written and dropped recursively.
const STACK_BYTES: usize = 256 << 20;

/// A model's chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    source: String,
    origin: String,
    special: BTreeMap<String, Value>,
    jinja: Environment<'static>,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who says it: [`Role::System`], [`Role::User`] or [`Role::Assistant`].
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl ChatTemplate {
    /// Reads the template of a model folder: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json` (its
    /// template `default`, where several are named). `None` where there is neither.
    ///
    /// # Errors
    /// When a file is broken, or the template is no Jinja template.
    pub fn open(folder: &Path) -> Result<Option<Self>, EngineError> {
        let files = TokenizerFiles::open(folder)?;
        let path = folder.join(FILE);
        let (source, origin) = if path.is_file() {
            (read_text(&path, LARGEST)?, FILE)
        } else {
            match template_of(&files)? {
                Some(source) => (source, "tokenizer_config.json"),
                None => return Ok(None),
            }
        };
        Self::with_files(source, origin, &files).map(Some)
    }

    /// Reads a template from its text and, for the names of special tokens, the text of `tokenizer_config.json`.
    ///
    /// # Errors
    /// When it is no Jinja template, or the configuration is broken.
    pub fn parse(
        source: &str,
        origin: &str,
        tokenizer_config: Option<&str>,
    ) -> Result<Self, EngineError> {
        let files = TokenizerFiles::parse(tokenizer_config, None, None)?;
        Self::with_files(source.to_owned(), origin, &files)
    }

    /// The `chat_template` of a `tokenizer_config.json`, where it has one.
    ///
    /// # Errors
    /// When the configuration is broken, or names templates and none is the default.
    pub fn in_config(tokenizer_config: &str) -> Result<Option<String>, EngineError> {
        template_of(&TokenizerFiles::parse(Some(tokenizer_config), None, None)?)
    }

    fn with_files(
        source: String,
        origin: &str,
        files: &TokenizerFiles,
    ) -> Result<Self, EngineError> {
        if source.len() as u64 > LARGEST {
            return Err(EngineError::Tokenizer(format!(
                "the chat template in {origin} has {} bytes; {LARGEST} are the most",
                source.len()
            )));
        }
        let mut jinja = environment::environment();
        jinja
            .add_template_owned(environment::NAME, generation::replace_tags(&source))
            .map_err(|error| {
                EngineError::Tokenizer(format!(
                    "the chat template in {origin} is no Jinja template: {}",
                    described(&error)
                ))
            })?;
        let names = files.names.iter().filter_map(|(attribute, name)| {
            Some((attribute.clone(), Value::from(name.as_deref()?)))
        });
        let mut special: BTreeMap<String, Value> = names.collect();
        if !files.more_names.is_empty() {
            let more = Value::from(files.more_names.clone());
            special.insert("additional_special_tokens".to_owned(), more);
        }
        Ok(Self {
            source,
            origin: origin.to_owned(),
            special,
            jinja,
        })
    }

    /// The template itself.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Where it comes from: the name of a file, or what it is built in for.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The text of the beginning of a sequence, where the tokenizer's files name one.
    #[must_use]
    pub fn bos_token(&self) -> Option<&str> {
        self.special.get("bos_token")?.as_str()
    }

    /// The conversation as text, up to where the model is to reply, and whether the template asked for the time.
    ///
    /// # Errors
    /// When the template refuses the conversation, fails, or wants more work or memory than a template needs.
    pub fn render(
        &self,
        messages: &[ChatMessage],
        clock: ChatClock,
    ) -> Result<(String, bool), EngineError> {
        let asked = Arc::new(AtomicBool::new(false));
        let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
        let work = || self.render_here(messages, clock, &asked, bytes);
        let text = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, work)
                .map_err(|error| format!("no thread could be started for it: {error}"))?
                .join()
                .unwrap_or_else(|_| Err("it made the renderer fail".to_owned()))
        });
        let text = text.map_err(|what| {
            EngineError::Tokenizer(match what.split_once(environment::RAISED) {
                Some((_, why)) => format!("the model's chat template refuses: {why}"),
                None => format!("cannot apply the chat template in {}: {what}", self.origin),
            })
        })?;
        Ok((text, asked.load(Ordering::Relaxed)))
    }

    fn render_here(
        &self,
        messages: &[ChatMessage],
        clock: ChatClock,
        asked: &Arc<AtomicBool>,
        bytes: usize,
    ) -> Result<String, String> {
        let mut jinja = self.jinja.clone();
        jinja.set_fuel(Some(environment::fuel(bytes)));
        let asked = Arc::clone(asked);
        jinja.add_function("strftime_now", move |format: &str| {
            asked.store(true, Ordering::Relaxed);
            clock
                .strftime(format)
                .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
        });
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| {
                Value::from_iter([
                    ("role", Value::from(message.role.as_str())),
                    ("content", Value::from(message.content.as_str())),
                ])
            })
            .collect();
        // As in transformers, tools and documents are there and nothing.
        let context: Value = self
            .special
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .chain([
                ("messages", Value::from(messages)),
                ("tools", Value::from(())),
                ("documents", Value::from(())),
                ("add_generation_prompt", Value::from(true)),
            ])
            .collect();
        jinja
            .get_template(environment::NAME)
            .and_then(|template| template.render(context))
            .map_err(|error| described(&error))
    }
}

/// The template in a configuration: alone, or the one called `default` of several.
fn template_of(files: &TokenizerFiles) -> Result<Option<String>, EngineError> {
    use serde_json::Value as Json;
    let text = |value: Option<&Json>| value.and_then(Json::as_str).map(str::to_owned);
    let list = match files.config.get("chat_template") {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(source)) => return Ok(Some(source.clone())),
        Some(Json::Array(list)) => list,
        Some(_) => {
            return Err(EngineError::Tokenizer(
                "the chat_template of tokenizer_config.json is neither a text nor a list"
                    .to_owned(),
            ));
        }
    };
    let default = list
        .iter()
        .find(|entry| entry.get("name").and_then(Json::as_str) == Some("default"));
    match default.and_then(|entry| text(entry.get("template"))) {
        Some(source) => Ok(Some(source)),
        None => Err(EngineError::Tokenizer(
            "tokenizer_config.json has several chat templates, and none is called 'default'"
                .to_owned(),
        )),
    }
}

/// An error of Jinja with what caused it, without the template's text.
fn described(error: &Error) -> String {
    let mut text = error.detail().map_or_else(
        || error.kind().to_string(),
        |detail| format!("{}: {detail}", error.kind()),
    );
    if let Some(line) = error.line() {
        text.push_str(&format!(" (line {line})"));
    }
    if error.kind() == ErrorKind::OutOfFuel {
        text.push_str("; it wants more work or memory than any template needs");
    }
    text
}
