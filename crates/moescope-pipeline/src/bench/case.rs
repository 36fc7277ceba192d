//! The cases that are measured.

use std::time::Duration;

use moescope_engine::RunConfig;

use crate::{error::PipelineError, model::PassSize};

/// Tokens generated per sequence in a decode case.
const DECODED: usize = 32;
/// Prompt of a decode case.
const DECODE_PROMPT: usize = 16;
/// Tokens of the case with surprisal.
const SURPRISAL_TOKENS: usize = 512;
/// Longest prefill and most sequences that may be asked for.
const LARGEST: usize = 1 << 17;

/// What a case does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchPhase {
    /// A text at once.
    Prefill,
    /// Token by token.
    Decode,
    /// A text at once, with the surprisal of every token.
    Surprisal,
}

/// What is kept of the routers' decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Nothing.
    Off,
    /// Ids, weights and all derived numbers.
    Routing,
    /// The router logits as well.
    Logits,
}

impl Recording {
    /// Its name in tables and rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Routing => "routing",
            Self::Logits => "logits",
        }
    }
}

/// What is measured, and for how long at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchConfig {
    /// What the cases do.
    pub phases: Vec<BenchPhase>,
    /// Lengths of the prefills in tokens; those beyond the model's context are left out.
    pub prefill: Vec<usize>,
    /// Sequences at a time when decoding.
    pub batches: Vec<usize>,
    /// What is kept meanwhile.
    pub recordings: Vec<Recording>,
    /// The whole measurement stays within about this time: cases that would not are left out.
    pub limit: Duration,
}

impl Default for BenchConfig {
    fn default() -> Self {
        Self {
            phases: vec![
                BenchPhase::Prefill,
                BenchPhase::Decode,
                BenchPhase::Surprisal,
            ],
            prefill: vec![16, 128, 512, 2048],
            batches: vec![1, 8],
            recordings: vec![Recording::Off, Recording::Routing, Recording::Logits],
            limit: Duration::from_mins(20),
        }
    }
}

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) phase: BenchPhase,
    /// Tokens per sequence: of the prompt, or generated.
    pub(super) tokens: usize,
    pub(super) batch: usize,
    pub(super) recording: Recording,
}

impl Case {
    pub(super) fn is_decode(self) -> bool {
        self.phase == BenchPhase::Decode
    }

    /// Tokens of a sequence before any is generated.
    pub(super) fn prompt(self) -> usize {
        if self.is_decode() {
            DECODE_PROMPT
        } else {
            self.tokens
        }
    }

    pub(super) fn run_config(self) -> RunConfig {
        RunConfig {
            records_routing: self.recording != Recording::Off,
            records_surprisal: self.phase == BenchPhase::Surprisal,
            // One more than is fed, since the last drawn token goes nowhere.
            max_new_tokens: if self.is_decode() { self.tokens + 1 } else { 0 },
            ..RunConfig::default()
        }
    }

    /// The case in words: `prefill of 512 tokens`.
    pub(super) fn describe(self) -> String {
        let Self { tokens, batch, .. } = self;
        match self.phase {
            BenchPhase::Prefill => format!("prefill of {tokens} tokens"),
            BenchPhase::Decode => format!("decode at batch {batch}"),
            BenchPhase::Surprisal => format!("prefill of {tokens} tokens with surprisal"),
        }
    }
}

impl BenchConfig {
    /// Refuses numbers that no case can have.
    ///
    /// # Errors
    /// When a list is empty, or a number is 0 or absurd.
    pub fn check(&self) -> Result<(), PipelineError> {
        let empty = [
            ("phase", self.phases.is_empty()),
            ("recording", self.recordings.is_empty()),
            ("length of a prefill", self.prefill.is_empty()),
            ("number of sequences", self.batches.is_empty()),
        ];
        if let Some((what, _)) = empty.iter().find(|(_, is_empty)| *is_empty) {
            return Err(PipelineError::Settings(format!(
                "at least one {what} is needed"
            )));
        }
        let numbers = self.prefill.iter().chain(&self.batches);
        if let Some(wrong) = numbers.copied().find(|n| !(1..=LARGEST).contains(n)) {
            return Err(PipelineError::Settings(format!(
                "prefills have 1 to {LARGEST} tokens, and 1 to {LARGEST} sequences are decoded at a time; found {wrong}"
            )));
        }
        Ok(())
    }

    /// The largest pass of all cases of a model with this context, as memory sees it.
    #[must_use]
    pub fn pass_size(&self, longest: usize) -> PassSize {
        let cases = || self.groups(longest).into_iter().flatten();
        let most = |of: &dyn Fn(Case) -> usize| cases().map(of).max().unwrap_or(1) as u64;
        PassSize {
            tokens: most(&|case| case.batch * case.prompt()),
            cached_tokens: most(&|case| {
                let generated = if case.is_decode() { case.tokens + 1 } else { 0 };
                case.batch * (case.prompt() + generated)
            }),
            sequences: most(&|case| case.batch),
            records_routing: true,
        }
    }

    /// The cases that fit into a context, those that differ only in recording together.
    pub(super) fn groups(&self, longest: usize) -> Vec<Vec<Case>> {
        let mut groups = Vec::new();
        for phase in &self.phases {
            match phase {
                BenchPhase::Prefill => {
                    let fitting = self.prefill.iter().filter(|tokens| **tokens <= longest);
                    groups.extend(fitting.map(|tokens| self.recordings(*phase, *tokens, 1)));
                }
                BenchPhase::Decode if DECODE_PROMPT + DECODED < longest => {
                    let batches = self.batches.iter();
                    groups.extend(batches.map(|batch| self.recordings(*phase, DECODED, *batch)));
                }
                BenchPhase::Decode => {}
                BenchPhase::Surprisal => groups.push(vec![Case {
                    phase: *phase,
                    tokens: SURPRISAL_TOKENS.min(longest),
                    batch: 1,
                    recording: Recording::Routing,
                }]),
            }
        }
        groups
    }

    fn recordings(&self, phase: BenchPhase, tokens: usize, batch: usize) -> Vec<Case> {
        let case = |recording: &Recording| Case {
            phase,
            tokens,
            batch,
            recording: *recording,
        };
        self.recordings.iter().map(case).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_beyond_the_context_are_left_out() {
        let config = BenchConfig::default();
        let lengths = |longest| {
            let groups = config.groups(longest);
            groups
                .iter()
                .map(|group| group[0].tokens)
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths(4096), [16, 128, 512, 2048, 32, 32, 512]);
        assert_eq!(lengths(130), [16, 128, 32, 32, 130]);
        assert_eq!(lengths(48), [16, 48]);
        let pass = config.pass_size(4096);
        assert_eq!((pass.tokens, pass.sequences), (2048, 8));
        assert_eq!(config.pass_size(130).cached_tokens, 8 * (16 + 33));
    }

    #[test]
    fn what_no_case_can_have_is_refused() {
        let check = |change: fn(&mut BenchConfig)| {
            let mut config = BenchConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(check(|c| c.phases.clear()).contains("phase"));
        assert!(check(|c| c.prefill = vec![16, 0]).contains("found 0"));
        assert!(check(|c| c.batches = vec![1 << 20]).contains("found 1048576"));
        BenchConfig::default().check().unwrap();
    }
}
