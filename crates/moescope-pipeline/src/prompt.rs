//! From a text to the tokens that the model reads: plain, as a message in a conversation, in science units.
//!
//! Whatever is put around a text, its own tokens keep their places in it, and all others are marked as the template's.

use std::{cell::Cell, collections::BTreeMap, ops::Range};

use moescope_core::Role;
use moescope_engine::{
    ChatClock, ChatMessage, ChatTemplate, EngineError, ScienceUnits, TextToken, Tokenizer, UnitKind,
};
use serde_json::{Value, json};

use crate::{capture::PlannedToken, clock, error::PipelineError, model::ModelFiles};

/// How a text becomes what the model reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptConfig {
    /// Make it the user's message in a conversation.
    pub chat: Option<ChatConfig>,
    /// Wrap texts of the disciplines `smiles` and `protein` as `SciDFM` was trained on them.
    pub wraps_science_units: bool,
}

/// A conversation of one question.
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
#[derive(Debug, Default)]
struct Framed {
    text: String,
    /// Stretches of the source, ascending: where they stand, and the first source byte.
    own: Vec<(Range<usize>, usize)>,
    /// Where the system message stands.
    system: Range<usize>,
}

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
                         tokenizer_config.json; leave --chat out, or put the template that the model was trained with there",
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
        let (wrapped, own) = match units {
            Some((units, kind)) => {
                let wrapped = units.wrap(kind, text)?;
                (wrapped.text, wrapped.places)
            }
            None => (text.to_owned(), vec![(0..text.len(), 0)]),
        };
        let framed = match &self.chat {
            Some(chat) => chat.frame(&wrapped, &own)?,
            None => Framed {
                text: wrapped,
                own,
                system: 0..0,
            },
        };
        let mut tokens = Vec::new();
        let writes_bos = self.chat.as_ref().is_some_and(|chat| chat.writes_bos);
        let is_own_template = self
            .chat
            .as_ref()
            .is_some_and(|chat| !chat.template.is_built_in());
        if !writes_bos && !is_own_template {
            let framed = self.tokenizer.encode(&framed.text)?;
            let before = framed.iter().take_while(|t| t.is_special);
            tokens.extend(before.map(|token| self.plain(token)));
        }
        let (own_role, text) = match &self.chat {
            Some(_) => (Role::User, &framed.text),
            None => (Role::Document, &framed.text),
        };
        for token in self.tokenizer.encode_as_is(text)? {
            tokens.push(self.placed(&token, &framed, own_role));
        }
        Ok(tokens)
    }

    fn plain(&self, token: &TextToken) -> PlannedToken {
        let is_special = token.is_special || self.tokenizer.is_special(token.id);
        PlannedToken::new(token.id, token.bytes, is_special)
    }

    /// A token of a framed text: the source's own where it has at least one byte of it.
    fn placed(&self, token: &TextToken, framed: &Framed, own_role: Role) -> PlannedToken {
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
            .partition_point(|(range, _)| range.end <= place.start);
        let mut source: Option<Range<usize>> = None;
        for (range, at) in &framed.own[first..] {
            let Some(common) = overlap(range) else { break };
            let piece = common.start - range.start + at..common.end - range.start + at;
            source = Some(source.map_or(piece.clone(), |source| source.start..piece.end));
        }
        if let Some(source) = source {
            let narrow = |place| u32::try_from(place).unwrap_or(u32::MAX - 1);
            let bytes = (narrow(source.start), narrow(source.end));
            PlannedToken::new(token.id, Some(bytes), is_special).of_role(own_role)
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
        let text = "Text";
        let framed = chat.frame(text, &[(0..text.len(), 0)])?;
        chat.writes_bos = chat.template.bos_token().is_some_and(|bos| {
            !bos.is_empty() && framed.text.starts_with(bos) && tokenizer.token_id(bos).is_some()
        });
        Ok(chat)
    }

    /// The conversation with a text as its question; `own` are stretches of the source in the text.
    fn frame(&self, text: &str, own: &[(Range<usize>, usize)]) -> Result<Framed, EngineError> {
        let message = |role, content: &str| ChatMessage {
            role,
            content: content.to_owned(),
        };
        let system = self.system.iter().map(|text| message(Role::System, text));
        let messages: Vec<ChatMessage> = system.chain([message(Role::User, text)]).collect();
        let rendered = self.template.render_with_spans(&messages, self.clock)?;
        self.has_asked
            .set(self.has_asked.get() || rendered.uses_clock);
        let [others @ .., question] = &rendered.contents[..] else {
            return Ok(Framed::default());
        };
        let kept = question.source_start..question.source_start + question.rendered.len();
        let moved = own.iter().filter_map(|(range, source)| {
            let common = range.start.max(kept.start)..range.end.min(kept.end);
            let at = common.start.checked_sub(kept.start)? + question.rendered.start;
            (!common.is_empty())
                .then(|| (at..at + common.len(), source + common.start - range.start))
        });
        Ok(Framed {
            own: moved.collect(),
            system: others.first().map_or(0..0, |span| span.rendered.clone()),
            text: rendered.text,
        })
    }
}
