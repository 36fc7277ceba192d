//! The prompt of a branch: a text or a conversation, framed and in tokens.

use moescope_core::{Role, Sample};
use moescope_engine::ChatMessage;

use crate::{
    capture::PlannedSample,
    error::PipelineError,
    model::LoadedModel,
    prompt::{Conversation, PromptConfig, PromptDescription, Prompter, prompt_id},
};

/// A prompt as the model reads it.
pub(super) struct Prompt {
    /// The conversation, where it is one.
    pub(super) messages: Vec<ChatMessage>,
    pub(super) planned: PlannedSample,
    pub(super) description: PromptDescription,
    pub(super) stop_tokens: Vec<u32>,
}

impl Prompt {
    /// Frames a text and takes it apart; in a conversation it is the user's next message after the earlier ones.
    ///
    /// # Errors
    /// When it has no token, or does not fit the frame.
    pub(super) fn read(
        loaded: &LoadedModel,
        framing: &PromptConfig,
        earlier: &[ChatMessage],
        text: &str,
    ) -> Result<Self, PipelineError> {
        let prompter = Prompter::open(&loaded.files, framing)?;
        let mut messages = earlier.to_vec();
        messages.push(ChatMessage {
            role: Role::User,
            content: text.to_owned(),
        });
        let Conversation { text, tokens } = prompter.conversation(&messages)?;
        if tokens.is_empty() {
            return Err(PipelineError::Settings(
                "the prompt is empty, and this model's tokenizer puts no token first; write some text".to_owned(),
            ));
        }
        let mut description = prompter.describe()?;
        if framing.chat.is_none() {
            messages.clear();
        } else if messages.len() > 1 {
            description.add_messages(&messages);
        }
        Ok(Self {
            messages,
            planned: PlannedSample {
                sample: Sample {
                    id: prompt_id(&text),
                    text,
                    ..Sample::default()
                },
                tokens,
            },
            description,
            stop_tokens: prompter.stop_tokens(&loaded.model.config().eos_token_ids),
        })
    }

    pub(super) fn ids(&self) -> Vec<u32> {
        self.planned.tokens.iter().map(|token| token.id).collect()
    }
}
