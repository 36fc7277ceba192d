//! Documents that are in memory: those of a running capture, and those of tests.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use moescope_core::{
    DecisionBatch, DecisionStats, LayerId, ModelSpec, Phase, PhaseSelection, Progress, Sample,
    TokenRow,
};

use moescope_trace::Profile;

use super::{
    DecisionNeeds, DecisionShard, DocumentTensor, ProfileColumn, TokenSelection, TraceData,
    decisions::{DocumentRows, TokenColumns},
    source::digest,
    steps::Steps,
    texts::{TokenText, VisitTexts},
};
use crate::AnalyticsError;

/// One captured document in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryDocument {
    /// The document's id and labels.
    pub sample: Sample,
    /// Its tokens, by position.
    pub tokens: Vec<TokenRow>,
    /// Its decisions, sorted by position, then layer; `None` where only sums are known.
    pub decisions: Option<DecisionBatch>,
    /// Its sums per layer and phase, over routed tokens that are neither special nor template.
    pub profiles: Vec<Profile>,
}

impl MemoryDocument {
    /// A document with its decisions, whose profiles are summed here.
    ///
    /// Sums that need weights or logits are left out where the decisions lack them.
    #[must_use]
    pub fn from_decisions(
        model: &ModelSpec,
        sample: Sample,
        tokens: Vec<TokenRow>,
        decisions: DecisionBatch,
    ) -> Self {
        let profiles = sum_profiles(model, &tokens, &decisions);
        Self {
            sample,
            tokens,
            decisions: Some(decisions),
            profiles,
        }
    }
}

/// Sums the decisions of content tokens by layer and phase.
fn sum_profiles(model: &ModelSpec, tokens: &[TokenRow], decisions: &DecisionBatch) -> Vec<Profile> {
    let phases: HashMap<u32, Phase> = tokens
        .iter()
        .filter(|token| token.is_content())
        .map(|token| (token.position, token.phase.unwrap_or(Phase::Prefill)))
        .collect();
    let mut rows: BTreeMap<(LayerId, Phase), Vec<usize>> = BTreeMap::new();
    for row in 0..decisions.len() {
        if let Some(phase) = phases.get(&decisions.position[row]) {
            rows.entry((decisions.layer[row], *phase))
                .or_default()
                .push(row);
        }
    }
    rows.into_iter()
        .map(|((layer, phase), rows)| sum_rows(model, decisions, layer, phase, &rows))
        .collect()
}

/// The profile of some decisions of one layer and phase.
fn sum_rows(
    model: &ModelSpec,
    decisions: &DecisionBatch,
    layer: LayerId,
    phase: Phase,
    rows: &[usize],
) -> Profile {
    let experts = decisions.num_experts();
    let mut counts = vec![0; experts];
    let zeros = || vec![0.0; experts];
    let (mut weights, mut probabilities, mut logits, mut last) =
        (zeros(), zeros(), zeros(), zeros());
    for row in rows {
        for (slot, expert) in decisions.experts(*row).iter().enumerate() {
            counts[usize::from(*expert)] += 1;
            if let Some(row_weights) = decisions.weights(*row) {
                weights[usize::from(*expert)] += f64::from(row_weights[slot]);
            }
        }
        if let Some(row_logits) = decisions.logits(*row) {
            last = DecisionStats::probabilities(row_logits, &model.gating);
            for expert in 0..experts {
                probabilities[expert] += last[expert];
                logits[expert] += f64::from(row_logits[expert]);
            }
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "profiles are kept as f32")]
    let narrow = |sums: Vec<f64>| sums.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let has_logits = decisions.router_logits.is_some();
    let has_weights = decisions.routing_weights.is_some();
    Profile {
        layer,
        moe_layer: decisions.moe_layer[rows[0]],
        phase,
        n_tokens: u32::try_from(rows.len()).expect("positions are 32-bit"),
        counts,
        weight_sum: has_weights.then(|| narrow(weights)),
        prob_sum: has_logits.then(|| narrow(probabilities)),
        logit_sum: has_logits.then(|| narrow(logits)),
        last_prob: has_logits.then(|| narrow(last)),
    }
}

/// Checks that everything fits the model, so that later code may index without asking.
pub(super) fn check(model: &ModelSpec, documents: &[MemoryDocument]) -> Result<(), AnalyticsError> {
    let experts = usize::from(model.num_experts);
    let error = |id: &str, reason: String| {
        Err(AnalyticsError::Malformed {
            table: "documents",
            reason: format!("document '{id}': {reason}"),
            path: "(in memory)".into(),
        })
    };
    if model.num_experts == 0 || !(1..=model.num_experts).contains(&model.top_k) {
        return error(
            "",
            "the model chooses no expert, or more than it has".to_owned(),
        );
    }
    if !model.moe_layers.is_sorted_by(|a, b| a < b) {
        return error(
            "",
            "the model's layers are not in ascending order".to_owned(),
        );
    }
    for document in documents {
        let id = &document.sample.id;
        for profile in &document.profiles {
            let sums = [
                &profile.weight_sum,
                &profile.prob_sum,
                &profile.logit_sum,
                &profile.last_prob,
            ];
            if profile.counts.len() != experts
                || sums.into_iter().flatten().any(|sum| sum.len() != experts)
            {
                return error(id, format!("a profile does not have {experts} experts"));
            }
            if model.moe_layers.binary_search(&profile.layer).is_err() {
                return error(id, format!("layer {} is no MoE layer", profile.layer));
            }
        }
        if let Some(batch) = &document.decisions {
            if batch.num_experts() != experts || batch.top_k() != usize::from(model.top_k) {
                return error(id, "decisions of another number of experts".to_owned());
            }
            if batch
                .selected_experts
                .iter()
                .any(|e| usize::from(*e) >= experts)
            {
                return error(id, format!("an expert id is not below {experts}"));
            }
            if batch
                .layer
                .iter()
                .any(|l| model.moe_layers.binary_search(l).is_err())
            {
                return error(id, "a decision at a layer that is no MoE layer".to_owned());
            }
        }
    }
    Ok(())
}

pub(super) fn tensor(
    data: &TraceData,
    documents: &[MemoryDocument],
    column: ProfileColumn,
    phase: PhaseSelection,
    metric: &str,
) -> Result<DocumentTensor, AnalyticsError> {
    let width = column.width(usize::from(data.model().num_experts));
    let rows = documents.iter().map(|d| d.profiles.len()).sum();
    let mut tensor = DocumentTensor::zeros(
        documents.len(),
        data.layers().len(),
        width,
        rows,
        Path::new("(in memory)"),
    )?;
    for (number, document) in (0u32..).zip(documents) {
        let index = data
            .index_of(number)
            .expect("every document in memory was numbered");
        for profile in &document.profiles {
            if !phase.contains(profile.phase) {
                continue;
            }
            let layer = data
                .layer_index(profile.layer)
                .expect("layers were checked");
            let missing = || column.missing(metric);
            let sum = |sum: &Option<Vec<f32>>| -> Result<Vec<f64>, AnalyticsError> {
                let sum = sum.as_ref().ok_or_else(missing)?;
                Ok(sum.iter().map(|x| f64::from(*x)).collect())
            };
            let values = match column {
                ProfileColumn::Tokens => vec![f64::from(profile.n_tokens)],
                ProfileColumn::Counts => profile.counts.iter().map(|c| f64::from(*c)).collect(),
                ProfileColumn::WeightSum => sum(&profile.weight_sum)?,
                ProfileColumn::ProbSum => sum(&profile.prob_sum)?,
                ProfileColumn::LogitSum => sum(&profile.logit_sum)?,
                ProfileColumn::LastProb => {
                    // Decoding comes after prefill, so its last token is the last.
                    let row = tensor.row_mut(index, layer);
                    if profile.phase == Phase::Decode || row.iter().all(|x| *x == 0.0) {
                        row.copy_from_slice(&sum(&profile.last_prob)?);
                    }
                    continue;
                }
            };
            tensor.add(index, layer, values);
        }
    }
    Ok(tensor)
}

pub(super) fn visit_shards(
    data: &TraceData,
    documents: &[MemoryDocument],
    needs: &DecisionNeeds,
    metric: &str,
    progress: &dyn Progress,
    visit: &mut dyn FnMut(&DecisionShard) -> Result<(), AnalyticsError>,
) -> Result<(), AnalyticsError> {
    let steps = Steps::new(documents.len() as u64, "reading decisions");
    for (number, document) in (0u32..).zip(documents) {
        let mut shard = read_shard(data, number as usize, document, needs, metric)?;
        shard.steps = steps.clone();
        steps.add(1, progress)?;
        visit(&shard)?;
    }
    Ok(())
}

/// One document as a shard of its own.
pub(super) fn read_shard(
    data: &TraceData,
    number: usize,
    document: &MemoryDocument,
    needs: &DecisionNeeds,
    metric: &str,
) -> Result<DecisionShard, AnalyticsError> {
    let number = u32::try_from(number).expect("documents are numbered in 32 bits");
    let index = data
        .index_of(number)
        .expect("every document in memory was numbered");
    let missing = |what: &str| AnalyticsError::MissingInput {
        metric: metric.to_owned(),
        missing: what.to_owned(),
        help: "capture with this toolkit".to_owned(),
    };
    let batch = document
        .decisions
        .as_ref()
        .ok_or_else(|| missing("decisions one by one (it holds sums only)"))?;
    let tokens = token_columns(&document.tokens, needs).map_err(missing)?;
    let places: HashMap<u32, u32> = tokens.position.iter().copied().zip(0..).collect();
    let token: Vec<u32> = batch
        .position
        .iter()
        .map(|position| places.get(position).copied())
        .collect::<Option<_>>()
        .ok_or_else(|| missing("the tokens of some decisions"))?;
    let needed = |is_needed: bool, what: &str, values: &Option<Vec<f32>>| match (is_needed, values)
    {
        (true, None) => Err(missing(what)),
        (true, Some(values)) => Ok(values.clone()),
        (false, _) => Ok(Vec::new()),
    };
    let runner_up = match (needs.runner_up, &batch.runner_up) {
        (true, None) => return Err(missing("runners-up of selections")),
        (true, Some(values)) => values.clone(),
        (false, _) => Vec::new(),
    };
    Ok(DecisionShard {
        steps: Steps::default(),
        top_k: batch.top_k(),
        documents: vec![DocumentRows {
            document: index,
            rows: 0..batch.len(),
            tokens: 0..tokens.position.len(),
        }],
        position: batch.position.clone(),
        layers: batch
            .layer
            .iter()
            .map(|layer| {
                let index = data.layer_index(*layer).expect("layers were checked");
                u16::try_from(index).expect("layers are numbered in 16 bits")
            })
            .collect(),
        counted: token
            .iter()
            .map(|place| tokens.counted[*place as usize])
            .collect(),
        token,
        experts: batch.selected_experts.clone(),
        weights: needed(needs.weights, "routing weights", &batch.routing_weights)?,
        topk_mass: needed(
            needs.topk_mass,
            "the mass of the chosen experts",
            &batch.topk_mass,
        )?,
        entropy: needed(needs.entropy, "routing entropies", &batch.entropy)?,
        margin: needed(needs.margin, "margins of selections", &batch.margin)?,
        runner_up,
        logsumexp: needed(needs.logsumexp, "ln Σ exp(logits)", &batch.logsumexp)?,
        logits: needed(needs.logits, "router logits", &batch.router_logits)?,
        tokens,
    })
}

/// What a metric asked for of some tokens, or the name of what is unknown.
fn token_columns(tokens: &[TokenRow], needs: &DecisionNeeds) -> Result<TokenColumns, &'static str> {
    let mut columns = TokenColumns {
        position: tokens.iter().map(|token| token.position).collect(),
        counted: tokens
            .iter()
            .map(|token| is_counted(token, &needs.tokens))
            .collect(),
        ..TokenColumns::default()
    };
    if needs.token_ids {
        let ids: Option<_> = tokens.iter().map(|token| token.token_id).collect();
        columns.ids = ids.ok_or("token ids")?;
    }
    if needs.byte_ranges {
        let range = |token: &TokenRow| token.byte_start.zip(token.byte_end).unwrap_or_default();
        columns.byte_ranges = tokens.iter().map(range).collect();
    }
    if needs.surprisal {
        if tokens.iter().all(|token| token.surprisal.is_none()) {
            return Err("surprisals");
        }
        let values = tokens.iter().map(|t| t.surprisal.unwrap_or(f32::NAN));
        columns.surprisal = values.collect();
    }
    if needs.predicted_ids {
        if tokens.iter().all(|token| token.predicted_id.is_none()) {
            return Err("predicted tokens");
        }
        let values = tokens.iter().map(|t| t.predicted_id.unwrap_or(u32::MAX));
        columns.predicted_ids = values.collect();
    }
    Ok(columns)
}

pub(super) fn token_counts(
    data: &TraceData,
    documents: &[MemoryDocument],
    tokens: &TokenSelection,
    metric: &str,
) -> Result<Vec<Vec<(u32, u32)>>, AnalyticsError> {
    let mut found = vec![Vec::new(); documents.len()];
    for (number, document) in (0u32..).zip(documents) {
        let index = data
            .index_of(number)
            .expect("every document in memory was numbered");
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        let counted = document.tokens.iter().filter(|t| is_counted(t, tokens));
        for token in counted {
            let id = token.token_id.ok_or_else(|| AnalyticsError::MissingInput {
                metric: metric.to_owned(),
                missing: "token ids".to_owned(),
                help: "capture with this toolkit".to_owned(),
            })?;
            *counts.entry(id).or_default() += 1;
        }
        found[index] = counts.into_iter().collect();
    }
    Ok(found)
}

pub(super) fn visit_texts(
    data: &TraceData,
    documents: &[MemoryDocument],
    is_wanted: &dyn Fn(usize) -> bool,
    visit: &mut VisitTexts<'_>,
) {
    for (number, document) in (0u32..).zip(documents) {
        let index = data
            .index_of(number)
            .expect("every document in memory was numbered");
        if !is_wanted(index) || document.tokens.is_empty() {
            continue;
        }
        let text = |token: &TokenRow| TokenText {
            position: token.position,
            id: token.token_id,
            text: token.text.clone(),
        };
        if !visit(index, document.tokens.iter().map(text).collect()) {
            return;
        }
    }
}

/// A digest of each sample's text; one without text is as if it had not been kept.
pub(super) fn text_digests(documents: &[MemoryDocument]) -> HashMap<u32, u64> {
    let texts = (0u32..).zip(documents.iter().map(|document| &document.sample.text));
    texts
        .filter(|(_, text)| !text.is_empty())
        .map(|(number, text)| (number, digest(text)))
        .collect()
}

/// Whether a column, as `table.column`, is known throughout; asked about a few columns only.
pub(super) fn knows(documents: &[MemoryDocument], column: &str) -> bool {
    let mut tokens = documents.iter().flat_map(|document| &document.tokens);
    match column {
        "tokens.token_id" => tokens.all(|token| token.token_id.is_some()),
        "tokens.byte_start" => tokens.any(|token| token.byte_start.is_some()),
        "routing.margin" => documents.iter().all(|document| {
            let decisions = document.decisions.as_ref();
            decisions.is_none_or(|decisions| decisions.margin.is_some())
        }),
        _ => true,
    }
}

fn is_counted(token: &TokenRow, tokens: &TokenSelection) -> bool {
    token.is_routed
        && tokens.holds(token.phase, token.position)
        && (tokens.include_special || token.is_content())
}
