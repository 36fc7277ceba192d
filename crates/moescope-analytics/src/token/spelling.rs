//! How a trace spells the entries of its vocabulary.

use moescope_core::Progress;
use serde::Serialize;

use crate::{AnalyticsError, TraceData};

/// A piece of text that stands for a token.
///
/// A tokenizer may spell one entry in two ways, such as without its space at the beginning of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TokenSpelling {
    /// The piece, with its spaces.
    pub text: String,
    /// Entry of the vocabulary.
    pub id: u32,
    /// How often the trace spells it so, in all documents and phases.
    pub occurrences: u64,
}

/// Every spelling of every token that occurs in a trace, sorted by text; parts of characters have none.
///
/// Special tokens are among them, whatever the scope of a measurement is. Of a trace without the text of tokens the list is
/// empty.
///
/// # Errors
/// When a table is malformed, or the work is cancelled.
pub fn token_spellings(
    data: &TraceData,
    progress: &dyn Progress,
) -> Result<Vec<TokenSpelling>, AnalyticsError> {
    let counted = data.spellings(progress)?.into_iter();
    let mut spellings: Vec<TokenSpelling> = counted
        .map(|((id, text), occurrences)| TokenSpelling {
            text,
            id,
            occurrences,
        })
        .collect();
    spellings.sort_unstable();
    Ok(spellings)
}
