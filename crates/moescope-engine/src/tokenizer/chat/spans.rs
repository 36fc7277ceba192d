//! Where the messages stand in the text that a template made of them.

use std::ops::Range;

use moescope_core::Role;

use super::{ChatClock, ChatMessage, ChatTemplate};
use crate::error::EngineError;

/// A conversation as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedChat {
    /// The text, up to where the model is to reply.
    pub text: String,
    /// For each message where it stands in the text.
    pub contents: Vec<ContentSpan>,
    /// Whether the template asked for the time, so that another day gives another text.
    pub uses_clock: bool,
}

/// Where a message stands in a rendered text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentSpan {
    /// Its bytes in the rendered text.
    pub rendered: Range<usize>,
    /// Which byte of the message is the first of them; templates strip white space, and more of replies.
    pub source_start: usize,
}

impl ChatTemplate {
    /// Renders a conversation and finds its messages in the text.
    ///
    /// Each message is found by rendering the conversation once more with another text in its place: what stays the same
    /// around it is the template's.
    ///
    /// # Errors
    /// As [`render`](Self::render), and when a message cannot be found: the template leaves it out, repeats it, or
    /// changes more of it than white space at its ends. Of the model's own replies it may cut more: templates of models
    /// that think leave out what was thought.
    pub fn render_with_spans(
        &self,
        messages: &[ChatMessage],
        clock: ChatClock,
    ) -> Result<RenderedChat, EngineError> {
        let (text, uses_clock) = self.render(messages, clock)?;
        let placeholder = self.placeholder(messages);
        let contents = (0..messages.len())
            .map(|number| {
                let mut others = messages.to_vec();
                others[number].content.clone_from(&placeholder);
                let (other, _) = self.render(&others, clock)?;
                locate(&text, &other, &placeholder, &messages[number]).map_err(|what| {
                    EngineError::Tokenizer(format!(
                        "the chat template {what} the {} message, so its tokens cannot be told from the template's",
                        messages[number].role.as_str()
                    ))
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(RenderedChat {
            text,
            contents,
            uses_clock,
        })
    }

    /// A word that stands neither in the template nor in a message.
    fn placeholder(&self, messages: &[ChatMessage]) -> String {
        (0..=u32::MAX)
            .map(|number| format!("Placeholder{number}Text"))
            .find(|word| {
                !self.source().contains(word)
                    && messages
                        .iter()
                        .all(|message| !message.content.contains(word.as_str()))
            })
            .expect("messages that hold four billion such words fit no memory")
    }
}

/// Finds the message's place: `other` has the placeholder where `text` has it.
fn locate(
    text: &str,
    other: &str,
    placeholder: &str,
    message: &ChatMessage,
) -> Result<ContentSpan, &'static str> {
    let mut places = other.match_indices(placeholder);
    let (start, _) = places.next().ok_or("leaves out")?;
    if places.next().is_some() {
        return Err("repeats");
    }
    let (before, after) = (&other[..start], &other[start + placeholder.len()..]);
    let content = text
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after))
        .ok_or("depends on the words of")?;
    let message_text = message.content.as_str();
    let source_start = if message.role == Role::Assistant {
        // What was thought comes first.
        message_text.rfind(content)
    } else {
        // Stripped white space is all that may differ, so the first place where it stands is the only one.
        message_text.find(content)
    };
    let source_start = source_start.ok_or("changes")?;
    let is_stripped = message_text[..source_start].trim().is_empty()
        && message_text[source_start + content.len()..]
            .trim()
            .is_empty();
    if !is_stripped && message.role != Role::Assistant {
        return Err("cuts");
    }
    Ok(ContentSpan {
        rendered: start..start + content.len(),
        source_start,
    })
}
