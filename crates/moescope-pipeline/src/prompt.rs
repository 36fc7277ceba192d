//! From a text to the tokens that the model reads: plain, as a message in a conversation, in science units.
//!
//! Whatever is put around a text, its own tokens keep their places in it, and all others are marked as the template's.

use std::{cell::Cell, collections::BTreeMap, ops::Range};

use moescope_core::Role;
use moescope_engine::{
    ChatClock, ChatMessage, ChatTemplate, EngineError, ScienceUnits, TextToken, Tokenizer, UnitKind,
};
use serde_json::{Value, json};

use crate::{
    capture::PlannedToken, checksum::sha256_of_bytes, clock, error::PipelineError,
    model::ModelFiles,
};

/// So many hexadecimal digits of a prompt's checksum are in its id.
const ID_DIGITS: usize = 8;

/// The id of a prompt's sample in a trace, by its text: traces of one prompt are compared as one document, and traces of
/// different prompts are not.
///
/// ```
/// # use moescope_pipeline::prompt_id;
/// assert_eq!(prompt_id("The enzyme"), prompt_id("The enzyme"));
/// assert_ne!(prompt_id("The enzyme"), prompt_id("The catalyst"));
/// ```
#[must_use]
pub fn prompt_id(text: &str) -> String {
    let checksum = sha256_of_bytes(text.as_bytes());
    format!("prompt-{}", &checksum[..ID_DIGITS])
}

/// How a text becomes what the model reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptConfig {
    /// Make it the user's message in a conversation.
    pub chat: Option<ChatConfig>,
    /// Wrap texts of the disciplines `smiles` and `protein` as `SciDFM` was trained on them.
    pub wraps_science_units: bool,
}

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatConfig {
    /// The instructions before it.
    pub system: Option<String>,
    /// The date that a template is told, should it ask; today in UTC where it is not given.
    pub date: Option<ChatClock>,
}

/// What a manifest says of prompts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PromptDescription {
    pub(crate) chat_template: Option<String>,
    pub(crate) bos_policy: String,
    pub(crate) settings: BTreeMap<String, Value>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

impl PromptDescription {
    /// Says what was said before a reply; the system message has a place of its own.
    pub(crate) fn add_messages(&mut self, messages: &[ChatMessage]) {
        let messages = messages
            .iter()
            .map(|message| json!({"role": message.role.as_str(), "content": message.content}));
        let messages: Vec<Value> = messages.collect();
        let chat = self.settings.entry("chat".to_owned());
        chat.or_insert_with(|| json!({}))["messages"] = json!(messages);
    }
}

/// Makes tokens of texts.
#[derive(Debug)]
pub(crate) struct Prompter<'m> {
    tokenizer: &'m Tokenizer,
    chat: Option<Chat>,
    units: Option<ScienceUnits>,
}

#[derive(Debug)]
struct Chat {
    template: ChatTemplate,
    system: Option<String>,
    clock: ChatClock,
    /// Whether the template has asked for the date.
    has_asked: Cell<bool>,
    writes_bos: bool,
}

/// A text with something around it.
#[derive(Debug)]
struct Framed {
    text: String,
    /// Stretches of the source, ascending.
    own: Vec<Stretch>,
    /// Where the system message stands.
    system: Range<usize>,
}

/// A stretch of the source within another text.
#[derive(Clone, Debug)]
struct Stretch {
    /// Where it stands.
    at: Range<usize>,
    /// Its first byte in the source.
    source: usize,
    /// Whose words it is.
    role: Role,
}

/// A message of a conversation, with the stretches of the source in it.
#[derive(Debug)]
struct Turn {
    message: ChatMessage,
    own: Vec<Stretch>,
}

/// A conversation as one text, and its tokens with their places in it.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// All messages, an empty line between them.
    pub(crate) text: String,
    pub(crate) tokens: Vec<PlannedToken>,
}

/// What stands between the messages of a conversation's text.
pub(crate) const BETWEEN: &str = "\n\n";

impl<'m> Prompter<'m> {
    /// Opens what the configuration asks for, and tries a chat template on a first text.
    pub(crate) fn open(
        files: &'m ModelFiles,
        config: &PromptConfig,
    ) -> Result<Self, PipelineError> {
        let folder = &files.folder.path;
        let tokenizer = &files.tokenizer;
        let units = config
            .wraps_science_units
            .then(|| ScienceUnits::open(folder, tokenizer))
            .transpose()?;
        let mut prompter = Self {
            tokenizer,
            chat: None,
            units,
        };
        if let Some(chat) = &config.chat {
            let family = files.checkpoint.model_spec().family;
            let template = ChatTemplate::open(folder)?
                .or_else(|| ChatTemplate::built_in(&family, tokenizer))
                .ok_or_else(|| {
                    PipelineError::Settings(format!(
                        "'{}' has no chat template: there is neither chat_template.jinja nor a chat_template in \
                         tokenizer_config.json; do without the chat (leave --chat out), or put the template that the \
                         model was trained with there",
                        files.folder.name
                    ))
                })?;
            prompter.chat = Some(Chat::new(template, chat, tokenizer)?);
        }
        Ok(prompter)
    }

    pub(crate) fn tokenizer(&self) -> &'m Tokenizer {
        self.tokenizer
    }

    /// The tokens of a text.
    pub(crate) fn tokens(
        &self,
        text: &str,
        discipline: Option<&str>,
    ) -> Result<Vec<PlannedToken>, EngineError> {
        let kind = match discipline {
            Some("smiles") => Some(UnitKind::Smiles),
            Some("protein") => Some(UnitKind::Protein),
            _ => None,
        };
        let units = self.units.as_ref().zip(kind);
        if self.chat.is_none() && units.is_none() {
            let tokens = self.tokenizer.encode(text)?;
            return Ok(tokens.iter().map(|token| self.plain(token)).collect());
        }
        let (wrapped, places) = match units {
            Some((units, kind)) => {
                let wrapped = units.wrap(kind, text)?;
                (wrapped.text, wrapped.places)
            }
            None => (text.to_owned(), vec![(0..text.len(), 0)]),
        };
        let role = if self.chat.is_some() {
            Role::User
        } else {
            Role::Document
        };
        let places = places.into_iter();
        let own = places.map(|(at, source)| Stretch { at, source, role });
        let own: Vec<Stretch> = own.collect();
        let framed = match &self.chat {
            Some(chat) => {
                let message = ChatMessage {
                    role,
                    content: wrapped,
                };
                chat.frame(&[Turn { message, own }])?
            }
            None => Framed {
                text: wrapped,
                own,
                system: 0..0,
            },
        };
        self.framed_tokens(&framed)
    }

    /// The tokens of a conversation up to where the model is to reply; nothing but the text where there is no chat.
    pub(crate) fn conversation(
        &self,
        messages: &[ChatMessage],
    ) -> Result<Conversation, EngineError> {
        let contents: Vec<&str> = messages.iter().map(|m| m.content.as_str()).collect();
        let text = contents.join(BETWEEN);
        let Some(chat) = &self.chat else {
            let tokens = self.tokens(&text, None)?;
            return Ok(Conversation { text, tokens });
        };
        let mut source = 0;
        let turns = messages.iter().map(|message| {
            let stretch = Stretch {
                at: 0..message.content.len(),
                source,
                role: message.role,
            };
            source += message.content.len() + BETWEEN.len();
            Turn {
                message: message.clone(),
                own: vec![stretch],
            }
        });
        let turns: Vec<Turn> = turns.collect();
        let tokens = self.framed_tokens(&chat.frame(&turns)?)?;
        Ok(Conversation { text, tokens })
    }

    fn framed_tokens(&self, framed: &Framed) -> Result<Vec<PlannedToken>, EngineError> {
        let mut tokens = Vec::new();
        let writes_bos = self.chat.as_ref().is_some_and(|chat| chat.writes_bos);
        let is_own_template = self
            .chat
            .as_ref()
            .is_some_and(|chat| !chat.template.is_built_in());
        if !writes_bos && !is_own_template {
            let encoded = self.tokenizer.encode(&framed.text)?;
            let before = encoded.iter().take_while(|t| t.is_special);
            tokens.extend(before.map(|token| self.plain(token)));
        }
        for token in self.tokenizer.encode_as_is(&framed.text)? {
            tokens.push(self.placed(&token, framed));
        }
        Ok(tokens)
    }

    fn plain(&self, token: &TextToken) -> PlannedToken {
        let is_special = token.is_special || self.tokenizer.is_special(token.id);
        PlannedToken::new(token.id, token.bytes, is_special)
    }

    /// A token of a framed text: the source's own where it has at least one byte of it.
    fn placed(&self, token: &TextToken, framed: &Framed) -> PlannedToken {
        let is_special = self.tokenizer.is_special(token.id);
        let Some((start, end)) = token.bytes else {
            return PlannedToken::of_template(token.id, None, is_special);
        };
        let place = start as usize..end as usize;
        let overlap = |range: &Range<usize>| {
            let common = range.start.max(place.start)..range.end.min(place.end);
            (!common.is_empty()).then_some(common)
        };
        let first = framed
            .own
            .partition_point(|stretch| stretch.at.end <= place.start);
        let mut source: Option<(Range<usize>, Role)> = None;
        for stretch in &framed.own[first..] {
            let Some(common) = overlap(&stretch.at) else {
                break;
            };
            let moved = |byte| byte - stretch.at.start + stretch.source;
            let piece = moved(common.start)..moved(common.end);
            source = Some(match source {
                Some((source, role)) => (source.start..piece.end, role),
                None => (piece, stretch.role),
            });
        }
        if let Some((source, role)) = source {
            let narrow = |place| u32::try_from(place).unwrap_or(u32::MAX - 1);
            let bytes = (narrow(source.start), narrow(source.end));
            PlannedToken::new(token.id, Some(bytes), is_special).of_role(role)
        } else {
            let role = overlap(&framed.system).map(|_| Role::System);
            PlannedToken::of_template(token.id, role, is_special)
        }
    }

    /// The tokens that end a generation.
    pub(crate) fn stop_tokens(&self, configured: &[u32]) -> Vec<u32> {
        let more = self
            .chat
            .iter()
            .flat_map(|chat| chat.template.more_end_tokens());
        let mut tokens = configured.to_vec();
        tokens.extend(more.filter_map(|name| self.tokenizer.token_id(name)));
        tokens
    }

    /// What a manifest says, once all texts have been tokenised.
    pub(crate) fn describe(&self) -> Result<PromptDescription, PipelineError> {
        let mut description = PromptDescription {
            bos_policy: self.tokenizer.bos_policy()?,
            ..PromptDescription::default()
        };
        if self.units.is_some() {
            let settings = &mut description.settings;
            settings.insert("science_units".to_owned(), json!(true));
            description.notes.push(
                "texts of the disciplines smiles and protein are wrapped in SciDFM's marks, whose spelling is assumed"
                    .to_owned(),
            );
        }
        if let Some(chat) = &self.chat {
            let template = &chat.template;
            description.chat_template = Some(template.source().to_owned());
            let mut settings =
                json!({"template": template.origin(), "add_generation_prompt": true});
            if let Some(system) = &chat.system {
                settings["system"] = json!(system);
            }
            if chat.has_asked.get() {
                settings["date"] = json!(chat.clock.date());
            }
            description.settings.insert("chat".to_owned(), settings);
            if chat.writes_bos {
                description.bos_policy = format!(
                    "the chat template writes '{}' first; nothing is added",
                    template.bos_token().unwrap_or_default()
                );
            } else if !template.is_built_in() {
                let none = "none: the chat template writes none, and nothing is added to it";
                none.clone_into(&mut description.bos_policy);
            }
            if template.is_built_in() {
                description.notes.push(format!(
                    "the model ships no chat template; {} is used, which is known from a third party",
                    template.origin()
                ));
            }
        }
        Ok(description)
    }
}

impl Chat {
    /// Tries the template: what it refuses whatever the text, it refuses here and once.
    fn new(
        template: ChatTemplate,
        config: &ChatConfig,
        tokenizer: &Tokenizer,
    ) -> Result<Self, PipelineError> {
        let mut chat = Self {
            template,
            system: config.system.clone(),
            clock: config.date.unwrap_or_else(clock::today),
            has_asked: Cell::new(false),
            writes_bos: false,
        };
        let message = ChatMessage {
            role: Role::User,
            content: "Text".to_owned(),
        };
        let own = Vec::new();
        let framed = chat.frame(&[Turn { message, own }])?;
        chat.writes_bos = chat.template.bos_token().is_some_and(|bos| {
            !bos.is_empty() && framed.text.starts_with(bos) && tokenizer.token_id(bos).is_some()
        });
        Ok(chat)
    }

    /// The conversation as the template renders it.
    fn frame(&self, turns: &[Turn]) -> Result<Framed, EngineError> {
        let system = self.system.iter().map(|text| ChatMessage {
            role: Role::System,
            content: text.clone(),
        });
        let others = turns.iter().map(|turn| turn.message.clone());
        let messages: Vec<ChatMessage> = system.chain(others).collect();
        let rendered = self.template.render_with_spans(&messages, self.clock)?;
        self.has_asked
            .set(self.has_asked.get() || rendered.uses_clock);
        let (systems, spans) = rendered.contents.split_at(messages.len() - turns.len());
        let mut own = Vec::new();
        for (turn, span) in turns.iter().zip(spans) {
            let kept = span.source_start..span.source_start + span.rendered.len();
            own.extend(turn.own.iter().filter_map(|stretch| {
                let common = stretch.at.start.max(kept.start)..stretch.at.end.min(kept.end);
                let at = common.start.checked_sub(kept.start)? + span.rendered.start;
                (!common.is_empty()).then(|| Stretch {
                    at: at..at + common.len(),
                    source: stretch.source + common.start - stretch.at.start,
                    role: stretch.role,
                })
            }));
        }
        // A template may put messages in another order.
        own.sort_by_key(|stretch| stretch.at.start);
        Ok(Framed {
            own,
            system: systems.first().map_or(0..0, |span| span.rendered.clone()),
            text: rendered.text,
        })
    }
}
