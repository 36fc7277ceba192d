//! Several traces side by side: which documents and tokens they share, and what differs.
//!
//! Documents are matched by id. Within a document tokens are matched one to one where both traces counted the same
//! tokens, and by the bytes they cover where another tokenizer cut the same text; where texts differ, only distributions
//! can be compared.

mod agreement;
mod difference;
mod documents;
pub(crate) mod expert_pairs;
mod in_step;
mod matching;
mod pair;
mod stack;
mod tables;
mod tokens;
mod trace_set;

pub use difference::difference_of_traces;
pub use trace_set::TraceSet;

pub(crate) use difference::{Contrast, contrast_traces};
pub(crate) use in_step::{InStep, MatchedDocument};
pub(crate) use matching::MatchingCounts;
pub(crate) use tables::AgreementTables;
