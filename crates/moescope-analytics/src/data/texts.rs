//! The tokens' pieces of text, which no number needs and every reader wants.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use moescope_core::Progress;

use super::{TraceData, memory, source::Source};
use crate::AnalyticsError;

/// One token's id and piece of text, where they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenText {
    /// The token's place in its document.
    pub(crate) position: u32,
    /// Entry of the vocabulary.
    pub(crate) id: Option<u32>,
    /// Its piece of text.
    pub(crate) text: Option<String>,
}

/// Takes a document's tokens, and says whether more are wanted.
pub(super) type VisitTexts<'a> = dyn FnMut(usize, Vec<TokenText>) -> bool + 'a;

impl TraceData {
    /// The tokens of some documents, by position; a document without tokens is left out.
    pub(crate) fn token_texts(
        &self,
        documents: &BTreeSet<usize>,
        progress: &dyn Progress,
    ) -> Result<BTreeMap<usize, Vec<TokenText>>, AnalyticsError> {
        let mut found = BTreeMap::new();
        self.visit_texts(
            &|document| documents.contains(&document),
            progress,
            &mut |document, tokens| {
                found.insert(document, tokens);
                found.len() < documents.len()
            },
        )?;
        Ok(found)
    }

    /// The text of some entries of the vocabulary, as it first occurs; entries that occur nowhere are left out.
    pub(crate) fn pieces(
        &self,
        ids: &BTreeSet<u32>,
        progress: &dyn Progress,
    ) -> Result<BTreeMap<u32, String>, AnalyticsError> {
        let mut found = BTreeMap::new();
        self.visit_texts(&|_| true, progress, &mut |_, tokens| {
            for token in tokens {
                if let (Some(id), Some(text)) = (token.id, token.text)
                    && ids.contains(&id)
                {
                    found.entry(id).or_insert(text);
                }
            }
            found.len() < ids.len()
        })?;
        Ok(found)
    }

    /// How often each entry of the vocabulary is spelled in each way; tokens without a spelling are left out.
    pub(crate) fn spellings(
        &self,
        progress: &dyn Progress,
    ) -> Result<HashMap<(u32, String), u64>, AnalyticsError> {
        let mut found = HashMap::new();
        self.visit_texts(&|_| true, progress, &mut |_, tokens| {
            for token in tokens {
                if let (Some(id), Some(text)) = (token.id, token.text)
                    && is_spelling(&text)
                {
                    *found.entry((id, text)).or_insert(0) += 1;
                }
            }
            true
        })?;
        Ok(found)
    }

    fn visit_texts(
        &self,
        is_wanted: &dyn Fn(usize) -> bool,
        progress: &dyn Progress,
        visit: &mut VisitTexts<'_>,
    ) -> Result<(), AnalyticsError> {
        match &self.source {
            Source::Memory(documents) => {
                memory::visit_texts(self, documents, is_wanted, visit);
                Ok(())
            }
            Source::Parquet(trace) => trace.visit_texts(self, is_wanted, progress, visit),
            // Whoever compares traces reads each by itself.
            Source::Joined(_) => Ok(()),
        }
    }
}

/// The text of some tokens; what is not kept is shown as such.
pub(crate) fn spelled(tokens: &[TokenText]) -> String {
    tokens
        .iter()
        .map(|token| token.text.as_deref().unwrap_or("\u{fffd}"))
        .collect()
}

/// A piece of text as a label: a token that is nowhere spelled out, or is part of a character, is named by its id.
pub(crate) fn piece_label(pieces: &BTreeMap<u32, String>, id: u32) -> String {
    pieces
        .get(&id)
        .filter(|piece| is_spelling(piece))
        .map_or_else(|| format!("#{id}"), Clone::clone)
}

/// Whether a piece of text says which token it is of: it is not empty, and holds no part of a character.
pub(crate) fn is_spelling(piece: &str) -> bool {
    !piece.is_empty() && !piece.contains(char::REPLACEMENT_CHARACTER)
}
