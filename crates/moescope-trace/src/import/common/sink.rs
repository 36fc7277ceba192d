//! What a format hands over while it reads.

use moescope_core::{Cancelled, DecisionBatch, LayerId, ModelSpec, TokenRow};

use super::{files::SourceFile, provenance::Derived};
use crate::{ExpertsOrder, Profile, error::TraceError};

/// Reading ends at once: the user cancelled, or the trace cannot be written.
#[derive(Debug)]
pub(crate) struct Stop(pub(crate) TraceError);

impl From<TraceError> for Stop {
    fn from(error: TraceError) -> Self {
        Self(error)
    }
}

impl From<Cancelled> for Stop {
    fn from(cancelled: Cancelled) -> Self {
        Self(cancelled.into())
    }
}

/// Takes what a format reads, in the order of the trace.
pub(crate) trait Sink {
    /// Tells what holds for the whole source; called once, before the first document.
    fn begin(&mut self, facts: Facts) -> Result<(), Stop>;
    /// Takes one document.
    fn document(&mut self, document: Imported) -> Result<(), Stop>;
    /// Notes something that cannot be used; reading goes on, so that all of it is found at once.
    fn problem(&mut self, at: &str, what: String);
    /// Notes that a file was read to its end.
    fn file(&mut self, file: &SourceFile, digest: [u8; 32]);
}

/// What holds for a whole source.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) model: ModelSpec,
    /// The layers that the source knows, where not all of them.
    pub(crate) layers: Option<Vec<LayerId>>,
    pub(crate) experts_order: ExpertsOrder,
    /// The program that ran the model.
    pub(crate) engine: &'static str,
    pub(crate) engine_version: Option<String>,
    /// The repository or the name that the source gives its model.
    pub(crate) checkpoint: Option<String>,
    pub(crate) is_profiles_only: bool,
    /// Columns that were computed from others because the source lacks them.
    pub(crate) derived: Vec<Derived>,
}

/// One document as its source has it.
#[derive(Clone, Debug)]
pub(crate) struct Imported {
    /// Where it stands: `FILE:LINE` or `FILE`.
    pub(crate) at: String,
    pub(crate) id: String,
    /// The discipline that the source itself names.
    pub(crate) discipline: Option<String>,
    pub(crate) content: Content,
}

/// What is known of a document.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Its decisions.
    Decisions {
        tokens: Vec<TokenRow>,
        num_prompt_tokens: Option<u32>,
        decisions: Box<DecisionBatch>,
    },
    /// Only sums.
    Profiles {
        num_tokens: u32,
        profiles: Vec<Profile>,
    },
}
