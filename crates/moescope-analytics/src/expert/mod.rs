//! Everything that a trace tells of one expert.

mod companions;
mod occurrences;
mod positions;
mod shares;
mod tokens;

use moescope_core::{Interval, LayerId, LayerSelection, Measurement, Progress, Weighting};
use serde::Serialize;

use crate::{AnalyticsError, MeasureRequest, TraceData, data::Selection};

/// What to tell of an expert.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertConfig {
    /// The layer, in the model's numbering.
    pub layer: LayerId,
    /// The expert.
    pub expert: u16,
    /// Entries of each list.
    pub top: usize,
    /// Occurrences to show in their text.
    pub contexts: usize,
    /// Tokens to show before and after each.
    pub window: usize,
}

/// One expert: who chooses it, together with what, where, and in which texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExpertProfile {
    /// The layer, in the model's numbering.
    pub layer: LayerId,
    /// The expert.
    pub expert: u16,
    /// Experts of the layer.
    pub num_experts: u16,
    /// Experts that a token chooses.
    pub top_k: u16,
    /// The decisions that were counted, in words.
    pub scope: String,
    /// The label column of `labels`.
    pub by: String,
    /// Tokens, documents and groups in scope.
    pub sizes: [u64; 3],
    /// Level of all intervals, where there are some.
    pub level: Option<f64>,
    /// How the intervals of `labels` were made, or why there are none.
    pub interval_method: String,
    /// The share of all tokens in scope that choose the expert, weighted as `labels` are.
    pub share: f64,
    /// The same of each label, as `domain_specialization` measures it at this layer.
    pub labels: Vec<LabelShare>,
    /// The shares of `labels` as a table, layer × group × variant with this expert alone.
    #[serde(skip)]
    pub label_shares: Measurement,
    /// The experts that are chosen with it, most over chance first; as `co_activation` and `co_activation_lift`.
    pub companions: Vec<Companion>,
    /// Its tokens by their own ids, by what the model predicts after them, and by what follows.
    pub tokens: Vec<TokenList>,
    /// `vocabulary_specialization` of the layer.
    pub vocabulary: Vec<VocabularyValue>,
    /// Its share of assignments by position; as `position_profile`.
    pub positions: Vec<PositionShare>,
    /// Occurrences in their text, a uniform sample of all.
    pub contexts: Vec<Context>,
    /// What the trace does not hold, and what would help.
    pub missing: Vec<String>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// How much of a label's text chooses the expert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelShare {
    /// The label.
    pub label: String,
    /// Share of the label's tokens.
    pub share: f64,
    /// Its interval, where there are enough groups.
    pub interval: Option<Interval>,
    /// `share` over the share of all tokens in scope.
    pub lift: f64,
    /// Its interval.
    pub lift_interval: Option<Interval>,
    /// p of the share against labels permuted over groups.
    pub p: Option<f64>,
    /// p corrected for all labels and experts of the layer.
    pub q: Option<f64>,
}

/// An expert that tokens choose together with this one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Companion {
    /// The other expert.
    pub expert: u16,
    /// Share of this expert's tokens that choose the other as well.
    pub co_activation: f64,
    /// Its interval.
    pub interval: Option<Interval>,
    /// Over what chance gives, exactly k experts a token with these loads.
    pub lift_given_k: f64,
    /// Its interval.
    pub lift_interval: Option<Interval>,
    /// Over the mean of the hypergeometric null.
    pub lift: f64,
    /// Standard deviations of that null, as if tokens were independent.
    pub z: f64,
    /// False discovery rate of `lift_given_k` over the layer's pairs.
    pub q: Option<f64>,
}

/// Lists of tokens that choose the expert, told apart in one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenList {
    /// `input`: their own ids; `predicted`: the ids that the model thinks most likely next; `next`: the ids that follow.
    pub class: String,
    /// Ids that occur with the expert.
    pub distinct: usize,
    /// The most frequent.
    pub by_count: Vec<TopToken>,
    /// Those with the largest lift, of those that occur ten times or more.
    pub by_lift: Vec<TopToken>,
}

/// A token in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopToken {
    /// Entry of the vocabulary.
    pub id: u32,
    /// Its piece of text, or its id after a `#`.
    pub text: String,
    /// Occurrences that choose the expert.
    pub count: u64,
    /// Occurrences.
    pub occurrences: u64,
    /// `count` over `occurrences`.
    pub share: f64,
    /// `share` over the share of all tokens that choose the expert.
    pub lift: f64,
}

/// A value of `vocabulary_specialization` at the layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VocabularyValue {
    /// The label; `all` unless the scope chooses labels.
    pub label: String,
    /// The variant.
    pub variant: String,
    /// The value; `None` where it is not defined.
    pub value: Option<f64>,
    /// Its interval.
    pub interval: Option<Interval>,
    /// Its mean with ids shuffled over the tokens of each document.
    pub null_mean: Option<f64>,
}

/// A range of positions, as `position_profile` measures it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PositionShare {
    /// The range, like `8-15`.
    pub positions: String,
    /// Share of the assignments there that go to the expert.
    pub share: f64,
    /// Its interval.
    pub interval: Option<Interval>,
    /// `share` minus what the same documents give with their tokens in random order.
    pub excess: f64,
    /// Its interval.
    pub excess_interval: Option<Interval>,
    /// Corrected p of the excess.
    pub q: Option<f64>,
}

/// An occurrence in its text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Context {
    /// The document's id.
    pub sample: String,
    /// Its label.
    pub label: String,
    /// The token's position.
    pub position: u32,
    /// The expert's rank among the token's choices from 1, where the trace ranks them.
    pub rank: Option<usize>,
    /// The text before.
    pub before: String,
    /// The token.
    pub token: String,
    /// The text after.
    pub after: String,
    /// What the model thought most likely next, where it is known.
    pub predicted: Option<String>,
    /// What follows.
    pub next: Option<String>,
}

/// Tells all of an expert; what the trace does not hold is named in `missing`.
///
/// Every number is that of the metric it is named after, with the same request at this layer. Labels are matched in the
/// shares alone, and a list of tokens counts every occurrence once; `notes` say so where the request asks for more.
///
/// # Errors
/// When the trace has no such layer or expert, the request makes no sense, a table is malformed, or the work is cancelled.
pub fn expert_profile(
    data: &TraceData,
    request: &MeasureRequest,
    config: &ExpertConfig,
    progress: &dyn Progress,
) -> Result<ExpertProfile, AnalyticsError> {
    let mut request = request.clone();
    request.scope.layers = LayerSelection::Ranges(vec![(config.layer.0, config.layer.0)]);
    check(data, &request, config)?;
    let matched = Selection::new(data, &request, shares::NAME, progress)?;
    let mut protocol = matched.protocol(&request);
    protocol.notes.extend(notes_on_weights(&request));
    let mut missing = Vec::new();
    let shares = shares::shares(data, &matched, &request, config.expert, progress)?;
    // No label divides what follows, so there is nothing to match.
    request.match_on.clear();
    let companions = or_missing(
        companions::companions(data, &request, config, progress),
        &mut missing,
    )?;
    let positions = or_missing(
        positions::positions(data, &request, config.expert, progress),
        &mut missing,
    )?;
    // An occurrence in a list has the weight of one.
    request.scope.weighting = Weighting::Token;
    let tokens = or_missing(
        tokens::tokens(data, &request, config, progress),
        &mut missing,
    )?;
    let vocabulary = or_missing(tokens::vocabulary(data, &request, progress), &mut missing)?;
    let selection = Selection::new(data, &request, "the expert", progress)?;
    let drawn = or_missing(
        occurrences::occurrences(data, &selection, &request, config, progress),
        &mut missing,
    )?;
    let contexts = occurrences::contexts(data, &selection, config, &drawn, progress)?;
    missing.extend(tokens.missing);
    missing.extend(contexts.missing);
    missing.sort();
    missing.dedup();
    Ok(ExpertProfile {
        layer: config.layer,
        expert: config.expert,
        num_experts: data.model().num_experts,
        top_k: data.model().top_k,
        scope: protocol.scope,
        by: request.by.clone(),
        sizes: [protocol.n_tokens, protocol.n_documents, protocol.n_groups],
        level: shares.level,
        interval_method: shares.interval_method,
        share: shares.all,
        labels: shares.labels,
        label_shares: shares.table,
        companions,
        tokens: tokens.lists,
        vocabulary,
        positions,
        contexts: contexts.shown,
        missing,
        notes: protocol.notes,
    })
}

/// What parts of the profile leave out of a request's weights.
fn notes_on_weights(request: &MeasureRequest) -> Vec<String> {
    let mut notes = Vec::new();
    if request.scope.weighting == Weighting::Document {
        notes.push(
            "tokens, vocabulary and contexts are counted by occurrences, each with the weight of one; all else weights documents alike"
                .to_owned(),
        );
    }
    if !request.match_on.is_empty() {
        notes.push(
            "shares and lifts are of matched labels; companions, tokens, vocabulary, positions and contexts are of all documents in scope"
                .to_owned(),
        );
    }
    notes
}

fn check(
    data: &TraceData,
    request: &MeasureRequest,
    config: &ExpertConfig,
) -> Result<(), AnalyticsError> {
    if request.contrast.is_some() {
        return Err(AnalyticsError::Request(
            "an expert is told of, not contrasted; --by compares its labels".to_owned(),
        ));
    }
    if data.layer_index(config.layer).is_none() {
        let available: Vec<String> = data.layers().iter().map(ToString::to_string).collect();
        return Err(AnalyticsError::NoLayers {
            selection: config.layer.to_string(),
            available: available.join(","),
        });
    }
    let experts = data.model().num_experts;
    if config.expert >= experts {
        return Err(AnalyticsError::Request(format!(
            "there is no expert {}; the model has experts 0 to {}",
            config.expert,
            experts - 1
        )));
    }
    Ok(())
}

/// Notes what the trace does not hold and goes on with nothing; any other error ends the work.
fn or_missing<T: Default>(
    part: Result<T, AnalyticsError>,
    missing: &mut Vec<String>,
) -> Result<T, AnalyticsError> {
    match part {
        Err(AnalyticsError::MissingInput {
            missing: what,
            help,
            ..
        }) => {
            missing.push(format!("{what}; {help}"));
            Ok(T::default())
        }
        other => other,
    }
}
