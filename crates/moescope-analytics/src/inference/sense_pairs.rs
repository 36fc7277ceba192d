//! Pairs of samples that use a word in one sense or in two, and the tokens that they are compared at.

use std::collections::{BTreeMap, BTreeSet};

use moescope_core::Progress;

use crate::{
    AnalyticsError, TraceData,
    data::{Selection, TokenText},
};

/// The column that links two samples.
const PAIR: &str = "pair";
/// The column that tells a word's sense.
const SENSE: &str = "sense";
/// The column with the word.
const TARGET: &str = "target";

/// Two samples that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SensePair {
    /// Indices into the trace's documents.
    pub(crate) documents: [usize; 2],
    /// Whether both use the word in one sense.
    pub(crate) is_same: bool,
}

/// The pairs of a selection.
#[derive(Debug)]
pub(crate) struct SensePairs {
    pub(crate) pairs: Vec<SensePair>,
    /// Pairs of one sample, or of more than two.
    pub(crate) left_out: usize,
}

impl SensePairs {
    /// Finds the pairs among the documents of a selection.
    ///
    /// # Errors
    /// When the samples have no pairs or no senses, or one kind of pair is missing.
    pub(crate) fn find(
        data: &TraceData,
        selection: &Selection,
        metric: &str,
    ) -> Result<Self, AnalyticsError> {
        let documents = data.documents();
        for column in [PAIR, SENSE] {
            if selection
                .documents
                .iter()
                .all(|d| documents[*d].label(column).is_none())
            {
                return Err(AnalyticsError::MissingInput {
                    metric: metric.to_owned(),
                    missing: format!("the label column '{column}' of samples"),
                    help: format!(
                        "'{PAIR}' links the two samples of a pair and '{SENSE}' is equal for both where the word has one sense; keep them when capturing, with --keep-columns {SENSE},{TARGET}"
                    ),
                });
            }
        }
        let mut of_pair: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
        for document in &selection.documents {
            let labels = &documents[*document];
            if let (Some(pair), Some(sense)) = (labels.label(PAIR), labels.label(SENSE)) {
                of_pair.entry(pair).or_default().push((*document, sense));
            }
        }
        let mut found = Self {
            pairs: Vec::new(),
            left_out: 0,
        };
        for members in of_pair.values() {
            match members[..] {
                [(a, sense_a), (b, sense_b)] => found.pairs.push(SensePair {
                    documents: [a, b],
                    is_same: sense_a == sense_b,
                }),
                _ => found.left_out += 1,
            }
        }
        let same = found.pairs.iter().filter(|pair| pair.is_same).count();
        if same == 0 || same == found.pairs.len() {
            return Err(AnalyticsError::TooLittle {
                metric: metric.to_owned(),
                found: format!(
                    "{same} pairs of one sense and {} of two",
                    found.pairs.len() - same
                ),
                help: format!(
                    "give samples that share '{PAIR}' equal and different values of '{SENSE}'"
                ),
            });
        }
        Ok(found)
    }
}

/// The positions of each document's target, where its samples name one; `None` without the column.
pub(crate) fn targets(
    data: &TraceData,
    pairs: &[SensePair],
    progress: &dyn Progress,
) -> Result<Option<BTreeMap<usize, BTreeSet<u32>>>, AnalyticsError> {
    let documents: BTreeSet<usize> = pairs.iter().flat_map(|pair| pair.documents).collect();
    let word = |document: usize| data.documents()[document].label(TARGET);
    if documents.iter().all(|document| word(*document).is_none()) {
        return Ok(None);
    }
    let texts = data.token_texts(&documents, progress)?;
    Ok(Some(
        texts
            .into_iter()
            .filter_map(|(document, tokens)| {
                Some((document, positions_of(&tokens, word(document)?)?))
            })
            .collect(),
    ))
}

/// The positions of the tokens that spell the first occurrence of a word.
fn positions_of(tokens: &[TokenText], word: &str) -> Option<BTreeSet<u32>> {
    let mut text = String::new();
    let mut ends = Vec::new();
    for token in tokens {
        text.push_str(token.text.as_deref().unwrap_or_default());
        ends.push(text.len());
    }
    let first = text.to_lowercase().find(&word.to_lowercase())?;
    let last = first + word.len();
    let start_of = |place: usize| place.checked_sub(1).map_or(0, |before| ends[before]);
    Some(
        tokens
            .iter()
            .enumerate()
            .filter(|(place, _)| ends[*place] > first && start_of(*place) < last)
            .map(|(_, token)| token.position)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_across_pieces() {
        let token = |position, text: &str| TokenText {
            position,
            id: None,
            text: Some(text.into()),
        };
        let tokens = [
            token(0, "<s>"),
            token(1, "The"),
            token(2, " Ba"),
            token(3, "nk"),
            token(4, " of"),
        ];
        let found = positions_of(&tokens, "bank").unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(positions_of(&tokens, "river"), None);
    }
}
