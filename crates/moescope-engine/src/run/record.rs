//! What a run is asked for, and what it knows of each sequence.

use moescope_core::{DecisionBatch, Phase};

use crate::sampling::SamplingConfig;

/// What a run records and generates.
#[derive(Clone, Debug, PartialEq)]
pub struct RunConfig {
    /// Whether router decisions are recorded.
    pub records_routing: bool,
    /// Whether surprisal and arg max of every token are computed, which needs the head for every token.
    pub records_surprisal: bool,
    /// Most tokens to generate per sequence.
    pub max_new_tokens: usize,
    /// How tokens are drawn.
    pub sampling: SamplingConfig,
    /// Tokens that end a sequence.
    pub stop_tokens: Vec<u32>,
    /// Whether the last token that is drawn of a sequence goes through the model as well. Nothing is drawn after it, so this
    /// is for its routing alone.
    pub routes_last: bool,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            records_routing: true,
            records_surprisal: true,
            max_new_tokens: 0,
            sampling: SamplingConfig::default(),
            stop_tokens: Vec::new(),
            routes_last: false,
        }
    }
}

/// One token of a finished sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequenceToken {
    /// Entry of the vocabulary.
    pub id: u32,
    /// The forward pass that routed it; `None` for a last sampled token that was never fed back.
    pub phase: Option<Phase>,
    /// Nats, of this token given those before it; `None` for the first, or where it was not recorded.
    pub surprisal: Option<f32>,
    /// The arg max after this token, where it was recorded.
    pub predicted_id: Option<u32>,
}

/// What a run knows of one sequence.
#[derive(Clone, Debug)]
pub struct SequenceRecord {
    /// Prompt and generated tokens.
    pub tokens: Vec<SequenceToken>,
    /// Tokens of the prompt.
    pub num_prompt_tokens: usize,
    /// Router decisions, by position and layer.
    pub decisions: DecisionBatch,
}

/// Notes what was computed at the `len` tokens from `start` on, where it was asked for: the surprisal of the token after each,
/// NaN where none had come yet, and the arg max.
pub(super) fn note_tokens(
    record: &mut SequenceRecord,
    start: usize,
    len: usize,
    phase: Phase,
    told: Option<&[(f32, u32)]>,
) {
    for offset in 0..len {
        let token = &mut record.tokens[start + offset];
        token.phase = Some(phase);
        let Some((nats, predicted)) = told.map(|told| told[offset]) else {
            continue;
        };
        token.predicted_id = Some(predicted);
        if let Some(next) = record.tokens.get_mut(start + offset + 1)
            && !nats.is_nan()
        {
            next.surprisal = Some(nats);
        }
    }
}
