//! The tokens that choose an expert.

use std::collections::BTreeSet;

use moescope_core::Progress;

use super::{ExpertConfig, TokenList, TopToken, VocabularyValue};
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{ALL, Selection, piece_label},
    find,
    inference::{
        Blocks, CellSource, TokenClass, TokenUse, by_count, by_share, for_vocabulary_tables,
        lacks_predictions, needs_token_weighting, tokens_of_experts,
    },
};

/// Lists of tokens, and what is not known for them.
#[derive(Default)]
pub(super) struct Tokens {
    pub(super) lists: Vec<TokenList>,
    pub(super) missing: Vec<String>,
}

/// The tokens of an expert at the one layer of a request, by every kind of id that the trace knows.
pub(super) fn tokens(
    data: &TraceData,
    request: &MeasureRequest,
    config: &ExpertConfig,
    progress: &dyn Progress,
) -> Result<Tokens, AnalyticsError> {
    needs_token_weighting(request, "the list of tokens")?;
    let all = [TokenClass::Input, TokenClass::Predicted, TokenClass::Next];
    let mut missing = Vec::new();
    let uses = match uses(data, request, config, &all, progress) {
        Err(error) if lacks_predictions(&error) => {
            missing.push("predicted tokens; the source of this trace did not know them".to_owned());
            let known = [TokenClass::Input, TokenClass::Next];
            uses(data, request, config, &known, progress)?
        }
        other => other?,
    };
    let lists: Vec<(TokenClass, f64, usize, [Vec<TokenUse>; 2])> = uses
        .into_iter()
        .map(|(class, share, tokens)| {
            let lists = [by_count(&tokens, config.top), by_share(&tokens, config.top)];
            (class, share, tokens.len(), lists)
        })
        .collect();
    let ids: BTreeSet<u32> = lists
        .iter()
        .flat_map(|(.., lists)| lists.iter().flatten().map(|token| token.id))
        .collect();
    let pieces = data.pieces(&ids, progress)?;
    let top = |share: f64, tokens: Vec<TokenUse>| -> Vec<TopToken> {
        tokens
            .into_iter()
            .map(|token| TopToken {
                id: token.id,
                text: piece_label(&pieces, token.id),
                count: whole(token.count),
                occurrences: whole(token.occurrences),
                share: token.share(),
                lift: token.share() / share,
            })
            .collect()
    };
    Ok(Tokens {
        lists: lists
            .into_iter()
            .map(|(class, share, distinct, [count, lift])| TokenList {
                class: class.name().to_owned(),
                distinct,
                by_count: top(share, count),
                by_lift: top(share, lift),
            })
            .collect(),
        missing,
    })
}

/// Of each class: the share of tokens that choose the expert, and those tokens.
fn uses(
    data: &TraceData,
    request: &MeasureRequest,
    config: &ExpertConfig,
    classes: &[TokenClass],
    progress: &dyn Progress,
) -> Result<Vec<(TokenClass, f64, Vec<TokenUse>)>, AnalyticsError> {
    let metric = "top_tokens";
    let selection = Selection::new(data, request, metric, progress)?.under_one_label(request);
    let blocks = Blocks::new(&selection, 1, request.seed);
    let source = CellSource {
        data,
        selection: &selection,
        blocks: &blocks,
        request,
        metric,
        progress,
    };
    let experts = usize::from(data.model().num_experts);
    let top_k = f64::from(data.model().top_k);
    let mut found = Vec::new();
    for_vocabulary_tables(source, classes, &mut |cells| {
        let mut tokens = tokens_of_experts(&cells, experts, top_k);
        let count = |tokens: &[TokenUse]| tokens.iter().map(|t| t.count).sum::<f64>();
        let all: f64 = tokens.iter().map(|tokens| count(tokens)).sum::<f64>() / top_k;
        let own = std::mem::take(&mut tokens[usize::from(config.expert)]);
        found.push((cells.class, count(&own) / all, own));
        Ok(())
    })?;
    found.sort_by_key(|(class, ..)| *class);
    Ok(found
        .into_iter()
        .map(|(class, share, tokens)| (classes[class], share, tokens))
        .collect())
}

/// The layer's `vocabulary_specialization`.
pub(super) fn vocabulary(
    data: &TraceData,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Vec<VocabularyValue>, AnalyticsError> {
    let request = if request.scope.labels.is_empty() {
        request.divided_by(ALL)
    } else {
        request.clone()
    };
    let metric = find("vocabulary_specialization")?;
    let found = metric.measure(data, &request, progress)?.remove(0);
    let (labels, variants) = (&found.axes[1].labels, &found.axes[2].labels);
    Ok(labels
        .iter()
        .flat_map(|label| variants.iter().map(move |variant| (label, variant)))
        .enumerate()
        .map(|(place, (label, variant))| VocabularyValue {
            label: label.clone(),
            variant: variant.clone(),
            value: Some(found.values[place]).filter(|value| value.is_finite()),
            interval: found.intervals.as_ref().and_then(|all| all[place]),
            null_mean: found
                .nulls
                .as_ref()
                .and_then(|nulls| nulls[place])
                .map(|null| null.null_mean),
        })
        .collect())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of tokens"
)]
fn whole(count: f64) -> u64 {
    count.round() as u64
}
