//! Where one token of the vocabulary occurs in a trace, and which experts it goes to there.

mod count;
mod experts;
mod spelling;

use std::collections::BTreeSet;

use moescope_core::{LayerId, Progress};
use serde::Serialize;

use crate::{
    AnalyticsError, ExpertsOrder, MeasureRequest, TraceData,
    data::{Selection, TokenText, is_spelling, spelled},
};

pub use experts::TokenExpert;
pub use spelling::{TokenSpelling, token_spellings};

/// What to tell of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenConfig {
    /// Entry of the vocabulary that the trace was made with.
    pub id: u32,
    /// Occurrences to show in their text.
    pub contexts: usize,
    /// Tokens to show before and after each.
    pub window: usize,
}

/// A token of the vocabulary: how often it occurs, in which texts, and which experts it goes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenProfile {
    /// Entry of the vocabulary.
    pub id: u32,
    /// Its piece of text at one of its occurrences; absent where the trace keeps none, or it is a part of a character.
    pub text: Option<String>,
    /// What was counted, in words.
    pub scope: String,
    /// The label column of `labels`.
    pub by: String,
    /// How often it occurs.
    pub occurrences: u64,
    /// In how many documents.
    pub documents: u64,
    /// All tokens in scope.
    pub tokens: u64,
    /// The labels that it occurs under, most often first.
    pub labels: Vec<TokenLabel>,
    /// The layers of the numbers that follow, in the model's numbering.
    pub layers: Vec<LayerId>,
    /// Experts of a layer.
    pub num_experts: usize,
    /// Occurrences whose heaviest expert this is, `[layers × experts]`; empty where the trace does not rank experts.
    pub first_choices: Vec<u64>,
    /// The same of all tokens in scope.
    pub first_choices_of_all: Vec<u64>,
    /// The experts that it chooses, by layer, most often chosen first.
    pub experts: Vec<TokenExpert>,
    /// Occurrences in their text, a uniform sample of all.
    pub contexts: Vec<TokenContext>,
    /// What the trace does not hold, and what would help.
    pub missing: Vec<String>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// How often a token occurs under a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenLabel {
    /// The label.
    pub label: String,
    /// Occurrences in its documents.
    pub occurrences: u64,
    /// All tokens of its documents.
    pub tokens: u64,
}

/// An occurrence of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenContext {
    /// The document's id.
    pub sample: String,
    /// Its label.
    pub label: String,
    /// The token's position.
    pub position: u32,
    /// The text around it; absent where the trace keeps none.
    pub excerpt: Option<Excerpt>,
    /// Its experts at each of the profile's layers, heaviest first where the trace ranks them.
    pub experts: Vec<Vec<u16>>,
}

/// A token in its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The text before.
    pub before: String,
    /// The token.
    pub token: String,
    /// The text after.
    pub after: String,
}

/// How often occurrences of a token have a given heaviest expert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FirstChoiceAgreement {
    /// Decisions with that expert first.
    pub agreeing: u64,
    /// Decisions that were compared: one an occurrence and layer.
    pub compared: u64,
    /// Decisions that would have it first if occurrences chose as all tokens in scope do.
    pub expected: f64,
}

impl FirstChoiceAgreement {
    /// The share of decisions that would agree if occurrences chose as all tokens in scope do; NaN where nothing was
    /// compared.
    #[must_use]
    pub fn expected_share(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of decisions")]
        let compared = self.compared as f64;
        self.expected / compared
    }
}

impl TokenProfile {
    /// How often occurrences have the same heaviest experts as a token elsewhere; layers that the trace lacks do not
    /// count.
    ///
    /// `expected` is Σ over layers of the occurrences times the share of all tokens in scope with that expert first: an
    /// expert that most tokens go to first agrees often, whatever the token.
    #[must_use]
    pub fn agreement(
        &self,
        heaviest: impl IntoIterator<Item = (LayerId, u16)>,
    ) -> FirstChoiceAgreement {
        let mut found = FirstChoiceAgreement::default();
        for (layer, expert) in heaviest {
            let place = self.layers.iter().position(|known| *known == layer);
            let expert = usize::from(expert);
            let (Some(place), true) = (place, expert < self.num_experts) else {
                continue;
            };
            let row = place * self.num_experts..(place + 1) * self.num_experts;
            let (Some(own), Some(all)) = (
                self.first_choices.get(row.clone()),
                self.first_choices_of_all.get(row),
            ) else {
                continue;
            };
            let compared: u64 = own.iter().sum();
            let tokens: u64 = all.iter().sum();
            found.agreeing += own[expert];
            found.compared += compared;
            if tokens > 0 {
                #[expect(clippy::cast_precision_loss, reason = "counts of tokens")]
                let [compared, with_it, tokens] = [compared, all[expert], tokens].map(|n| n as f64);
                found.expected += compared * with_it / tokens;
            }
        }
        found
    }
}

/// Tells where a token occurs; what the trace does not hold is named in `missing`.
///
/// Counted are the tokens in the scope of the request, under the labels of its `by`.
///
/// # Errors
/// When the trace holds no ids of tokens or no decisions, nothing is in scope, the request contrasts or matches, a table
/// is malformed, or the work is cancelled.
pub fn token_profile(
    data: &TraceData,
    request: &MeasureRequest,
    config: &TokenConfig,
    progress: &dyn Progress,
) -> Result<TokenProfile, AnalyticsError> {
    const WHAT: &str = "the occurrences of a token";
    if request.contrast.is_some() || !request.match_on.is_empty() {
        return Err(AnalyticsError::Request(
            "occurrences of a token are counted, neither contrasted nor matched".to_owned(),
        ));
    }
    let selection = Selection::new(data, request, WHAT, progress)?;
    // One occurrence tells how the token is spelled.
    let drawn = TokenConfig {
        contexts: config.contexts.max(1),
        ..*config
    };
    let counts = count::count(data, &selection, request, &drawn, WHAT, progress)?;
    let protocol = selection.protocol(request);
    let mut missing = Vec::new();
    let is_ranked = data.experts_order() == ExpertsOrder::ByWeight;
    if !is_ranked {
        missing.push(
            "the rank of experts (manifest: experts_order is unspecified); capture with this toolkit"
                .to_owned(),
        );
    }
    let mut contexts = contexts(data, &selection, config, &counts.drawn, progress)?;
    if !contexts.is_empty() && contexts.iter().all(|c| c.excerpt.is_none()) {
        missing.push(
            "the text of tokens; capture with texts, or import it with the source's tokenizer"
                .to_owned(),
        );
    }
    let excerpts = contexts.iter().filter_map(|c| c.excerpt.as_ref());
    let text = excerpts
        .map(|excerpt| &excerpt.token)
        .find(|token| is_spelling(token))
        .cloned();
    contexts.truncate(config.contexts);
    let layers: Vec<LayerId> = selection.layers.iter().map(|l| data.layers()[*l]).collect();
    let num_experts = usize::from(data.model().num_experts);
    let experts = experts::experts(&counts, &layers, num_experts, is_ranked);
    let ranked = |choices: Vec<u64>| if is_ranked { choices } else { Vec::new() };
    let mut labels: Vec<TokenLabel> = selection
        .labels
        .iter()
        .zip(&counts.of_labels)
        .filter(|(_, [occurrences, _])| *occurrences > 0)
        .map(|(label, [occurrences, tokens])| TokenLabel {
            label: label.clone(),
            occurrences: *occurrences,
            tokens: *tokens,
        })
        .collect();
    // Labels of equal counts stay in display order.
    labels.sort_by_key(|label| std::cmp::Reverse(label.occurrences));
    let sum = |place: usize| -> u64 { counts.of_labels.iter().map(|both| both[place]).sum() };
    Ok(TokenProfile {
        id: config.id,
        text,
        scope: protocol.scope,
        by: request.by.clone(),
        occurrences: sum(0),
        documents: counts.documents,
        tokens: sum(1),
        labels,
        layers,
        num_experts,
        first_choices: ranked(counts.own.first),
        first_choices_of_all: ranked(counts.all.first),
        experts,
        contexts,
        missing,
        notes: protocol.notes,
    })
}

/// Puts drawn occurrences into their text.
fn contexts(
    data: &TraceData,
    selection: &Selection,
    config: &TokenConfig,
    drawn: &[count::Occurrence],
    progress: &dyn Progress,
) -> Result<Vec<TokenContext>, AnalyticsError> {
    let documents: BTreeSet<usize> = drawn.iter().map(|o| o.document).collect();
    let texts = data.token_texts(&documents, progress)?;
    let places = selection.places(data);
    let contexts = drawn.iter().filter_map(|occurrence| {
        let place = places[occurrence.document]?;
        let tokens = texts.get(&occurrence.document);
        Some(TokenContext {
            sample: data.documents()[occurrence.document].id.clone(),
            label: selection.labels[selection.label[place]].clone(),
            position: occurrence.position,
            excerpt: tokens.and_then(|t| excerpt(t, occurrence.position, config.window)),
            experts: occurrence.experts_by_layer(usize::from(data.model().top_k)),
        })
    });
    Ok(contexts.collect())
}

/// The text around a token; `None` where it is not kept.
fn excerpt(tokens: &[TokenText], position: u32, window: usize) -> Option<Excerpt> {
    let at = tokens
        .binary_search_by_key(&position, |token| token.position)
        .ok()?;
    let is_spelled = tokens[at].text.is_some();
    is_spelled.then(|| Excerpt {
        before: spelled(&tokens[at.saturating_sub(window)..at]),
        token: spelled(&tokens[at..=at]),
        after: spelled(&tokens[at + 1..tokens.len().min((at + 1).saturating_add(window))]),
    })
}
