//! Tokenising texts, and deciding about those that are too long.

use std::{collections::HashSet, ops::Range};

use moescope_core::Sample;
use moescope_engine::Tokenizer;
use moescope_trace::OverlongPolicy;

use super::{
    overlong::{self, Frame},
    planned::{PlannedSample, PlannedToken},
};
use crate::{Problems, data::SourcedSample, error::PipelineError};

/// Turns texts into samples with tokens, and notes what cannot be used.
pub(super) struct Planner<'t> {
    pub(super) tokenizer: &'t Tokenizer,
    pub(super) vocab_size: usize,
    pub(super) policy: OverlongPolicy,
    pub(super) max_tokens: usize,
    pub(super) samples: Vec<PlannedSample>,
    pub(super) problems: Problems,
    pub(super) touched: Vec<String>,
}

impl Planner<'_> {
    /// Takes one text; what is wrong with it is noted.
    pub(super) fn add(&mut self, text: SourcedSample) {
        let SourcedSample { sample, at } = text;
        match self.plan(sample) {
            Ok(()) => {}
            Err(what) => self.problems.push(at, what),
        }
    }

    fn plan(&mut self, mut sample: Sample) -> Result<(), String> {
        let tokens = self.tokens(&sample.text)?;
        let frame = Frame::of(&tokens);
        let content = frame.content(&tokens);
        if content.is_empty() {
            return Err("the tokenizer makes no token of the text".to_owned());
        }
        if tokens.len() <= self.max_tokens {
            self.samples.push(PlannedSample { sample, tokens });
            return Ok(());
        }
        let room = frame.room(self.max_tokens);
        if room == 0 && self.policy != OverlongPolicy::Skip {
            return Err(format!(
                "the limit of {} tokens leaves no room beside the special ones",
                self.max_tokens
            ));
        }
        match self.policy {
            OverlongPolicy::Error => {
                return Err(format!(
                    "'{}' has {} tokens, the limit is {}; see --overlong and --max-tokens",
                    sample.id.chars().take(80).collect::<String>(),
                    tokens.len(),
                    self.max_tokens
                ));
            }
            OverlongPolicy::Skip => self.touched.push(sample.id),
            OverlongPolicy::Truncate => {
                let piece = &content[..overlong::piece_len(content, room)];
                let bytes = overlong::covered(piece);
                let tokens = overlong::framed(&tokens, frame, piece, &bytes);
                self.touched.push(sample.id.clone());
                sample.text = slice(&sample.text, &bytes);
                self.samples.push(PlannedSample { sample, tokens });
            }
            OverlongPolicy::Chunk => self.chunk(&sample, &tokens, frame, room),
        }
        Ok(())
    }

    /// Pieces `id#0`, `id#1`, …, all of the parent's group.
    fn chunk(&mut self, parent: &Sample, tokens: &[PlannedToken], frame: Frame, room: usize) {
        self.touched.push(parent.id.clone());
        let mut rest = frame.content(tokens);
        let mut number = 0;
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(overlong::piece_len(rest, room));
            let bytes = overlong::covered(piece);
            let sample = Sample {
                id: format!("{}#{number}", parent.id),
                group: Some(parent.group_or_id().to_owned()),
                text: slice(&parent.text, &bytes),
                ..parent.clone()
            };
            let tokens = overlong::framed(tokens, frame, piece, &bytes);
            self.samples.push(PlannedSample { sample, tokens });
            rest = others;
            number += 1;
        }
    }

    fn tokens(&self, text: &str) -> Result<Vec<PlannedToken>, String> {
        let tokens = self
            .tokenizer
            .encode(text)
            .map_err(|error| error.to_string())?;
        if let Some(token) = tokens
            .iter()
            .find(|token| token.id as usize >= self.vocab_size)
        {
            return Err(format!(
                "its token {} ('{}') is outside the model's vocabulary of {}; is this the model's own tokenizer?",
                token.id, token.text, self.vocab_size
            ));
        }
        Ok(tokens
            .iter()
            .map(|token| {
                let is_special = token.is_special || self.tokenizer.is_special(token.id);
                PlannedToken::new(token.id, token.bytes, is_special)
            })
            .collect())
    }

    /// The samples, and the ids of the documents that were too long.
    pub(super) fn finish(mut self) -> Result<(Vec<PlannedSample>, Vec<String>), PipelineError> {
        if self.policy == OverlongPolicy::Chunk {
            self.check_piece_ids();
        }
        if !self.problems.is_empty() {
            return Err(PipelineError::Data {
                heading: format!(
                    "{} of {} texts cannot be captured:",
                    self.problems.total(),
                    self.samples.len() as u64 + self.problems.total()
                ),
                problems: self.problems,
            });
        }
        if self.samples.is_empty() {
            return Err(PipelineError::Settings(format!(
                "there is nothing to capture: all {} texts are longer than {} tokens and were to be skipped",
                self.touched.len(),
                self.max_tokens
            )));
        }
        if u32::try_from(self.samples.len()).is_err() {
            return Err(PipelineError::Settings(format!(
                "{} samples are more than a trace can number",
                self.samples.len()
            )));
        }
        Ok((self.samples, self.touched))
    }

    /// A document may already be called `a#0`.
    fn check_piece_ids(&mut self) {
        let mut seen = HashSet::with_capacity(self.samples.len());
        for planned in &self.samples {
            if !seen.insert(planned.sample.id.as_str()) {
                self.problems.push(
                    planned.sample.id.clone(),
                    "a piece of an overlong document would have the same id as another document",
                );
            }
        }
    }
}

/// The text at some bytes; whole characters, should a tokenizer have cut inside one.
fn slice(text: &str, bytes: &Range<u32>) -> String {
    let (mut start, mut end) = (bytes.start as usize, (bytes.end as usize).min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    text[start..end].to_owned()
}
