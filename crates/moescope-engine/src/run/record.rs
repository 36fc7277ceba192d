//! What a run is asked for, and what it knows of each sequence.

use moescope_core::{DecisionBatch, Phase};

use crate::{recorder::StepRecord, sampling::SamplingConfig};

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
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            records_routing: true,
            records_surprisal: true,
            max_new_tokens: 0,
            sampling: SamplingConfig::default(),
            stop_tokens: Vec::new(),
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

/// Copies a step's token numbers into a sequence: the surprisal computed at a token belongs to the next one.
pub(super) fn note_tokens(
    record: &mut SequenceRecord,
    step: &StepRecord,
    first: usize,
    start: usize,
    len: usize,
    phase: Phase,
) {
    for offset in 0..len {
        let token = &mut record.tokens[start + offset];
        token.phase = Some(phase);
        token.predicted_id = step.predicted.as_ref().map(|ids| ids[first + offset]);
        if let (Some(surprisal), Some(next)) =
            (&step.surprisal, record.tokens.get_mut(start + offset + 1))
        {
            let nats = surprisal[first + offset];
            if !nats.is_nan() {
                next.surprisal = Some(nats);
            }
        }
    }
}
