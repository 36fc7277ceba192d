//! Expert ids of a served request, `[tokens, layers, top_k]`, as decisions.

use moescope_core::{DecisionBatch, ModelSpec, Phase};

use super::{array::Array, sink::Content, tokens::bare_token};

/// What stands for an expert where a token's routing is unknown.
const MISSING: i64 = -1;

/// Tokens of which nothing is known but that a reply counts them; a longer claim is not believed.
const MOST_UNKNOWN: usize = 1 << 20;

/// A request with its routing, before it is trusted.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Tokens of the prompt.
    pub(crate) prompt: usize,
    /// Tokens of the reply.
    pub(crate) generated: usize,
    /// Ids of all tokens, where the source has them.
    pub(crate) token_ids: Option<Vec<u32>>,
    /// Runs of consecutive tokens with known routing: the first one's place, and `[tokens, layers, top_k]`.
    pub(crate) runs: Vec<(usize, Array)>,
}

impl Request {
    /// Turns the arrays into decisions.
    pub(crate) fn into_content(self, model: &ModelSpec) -> Result<Content, String> {
        let total = self.prompt.saturating_add(self.generated);
        if u32::try_from(total).is_err() {
            return Err("it has too many tokens".to_owned());
        }
        if let Some(ids) = self.token_ids.as_ref().filter(|ids| ids.len() != total) {
            return Err(format!("it has {} token ids for {total} tokens", ids.len()));
        }
        let covered: usize = self
            .runs
            .iter()
            .map(|(_, array)| array.shape().first().copied().unwrap_or(0))
            .sum();
        if self.token_ids.is_none() && total > covered.saturating_add(MOST_UNKNOWN) {
            return Err(format!(
                "it claims {total} tokens, but has the routing of {covered} and no token ids"
            ));
        }
        let runs: Vec<Run<'_>> = self
            .runs
            .iter()
            .map(|(first, array)| Run::new(*first, array, model))
            .collect::<Result<_, _>>()?;
        if let Some(run) = runs.iter().find(|run| run.first + run.len > total) {
            return Err(format!(
                "its routing ends at token {}, but it has {total} tokens",
                run.first + run.len
            ));
        }
        let mut decisions = DecisionBatch::ids_only(model.num_experts.into(), model.top_k.into());
        let mut tokens = Vec::new();
        for position in 0..total {
            let phase = if position < self.prompt {
                Phase::Prefill
            } else {
                Phase::Decode
            };
            let run = runs
                .iter()
                .find(|run| (run.first..run.first + run.len).contains(&position));
            let place = u32::try_from(position).expect("checked above");
            let is_known = match run {
                Some(run) => run.push(position, place, model, &mut decisions)?,
                None => false,
            };
            let mut token = bare_token(place, is_known.then_some(phase));
            token.token_id = self.token_ids.as_ref().map(|ids| ids[position]);
            tokens.push(token);
        }
        if decisions.is_empty() {
            return Err("the routing of none of its tokens is known".to_owned());
        }
        Ok(Content::Decisions {
            tokens,
            num_prompt_tokens: u32::try_from(self.prompt).ok(),
            decisions: Box::new(decisions),
        })
    }
}

/// One array with its place in the request.
struct Run<'a> {
    first: usize,
    len: usize,
    array: &'a Array,
    /// Which row of the array's second axis is a layer with a router.
    rows_of_layers: Vec<usize>,
    layers: usize,
}

impl<'a> Run<'a> {
    fn new(first: usize, array: &'a Array, model: &ModelSpec) -> Result<Self, String> {
        array
            .check_integers()
            .map_err(|what| format!("its routing {what}"))?;
        let [len, layers, top_k] = array.shape() else {
            return Err(format!(
                "its routing has shape {:?}, expected [tokens, layers, experts per token]",
                array.shape()
            ));
        };
        if *top_k != usize::from(model.top_k) {
            return Err(format!(
                "its routing has {top_k} experts for each token, the model's description says {}",
                model.top_k
            ));
        }
        let rows_of_layers: Vec<usize> = if *layers == usize::from(model.num_layers) {
            model.moe_layers.iter().map(|layer| layer.index()).collect()
        } else if *layers == model.moe_layers.len() {
            (0..*layers).collect()
        } else {
            return Err(format!(
                "its routing has {layers} layers, the model's description has {} of which {} have a router",
                model.num_layers,
                model.moe_layers.len()
            ));
        };
        Ok(Self {
            first,
            len: *len,
            array,
            rows_of_layers,
            layers: *layers,
        })
    }

    /// Adds the decisions of one token; false where the source says that it does not know them.
    fn push(
        &self,
        token: usize,
        position: u32,
        model: &ModelSpec,
        decisions: &mut DecisionBatch,
    ) -> Result<bool, String> {
        let top_k = usize::from(model.top_k);
        let expert = |row: usize, slot: usize| {
            let index = ((token - self.first) * self.layers + row) * top_k + slot;
            self.array.integer(index).unwrap_or(i64::MAX)
        };
        let is_missing = self
            .rows_of_layers
            .iter()
            .all(|row| (0..top_k).all(|slot| expert(*row, slot) == MISSING));
        if is_missing {
            return Ok(false);
        }
        for (moe_layer, (row, layer)) in self
            .rows_of_layers
            .iter()
            .zip(&model.moe_layers)
            .enumerate()
        {
            let start = decisions.selected_experts.len();
            for slot in 0..top_k {
                let found = expert(*row, slot);
                let known = u16::try_from(found)
                    .ok()
                    .filter(|e| *e < model.num_experts)
                    .ok_or_else(|| {
                        format!(
                            "position {position}, layer {layer}: expert {found} does not exist; there are {}",
                            model.num_experts
                        )
                    })?;
                if decisions.selected_experts[start..].contains(&known) {
                    let hint = if known == 0 {
                        "; engines leave zeros where nothing was routed: is this layer dense, or was the token cached?"
                    } else {
                        ""
                    };
                    return Err(format!(
                        "position {position}, layer {layer}: expert {known} is chosen twice{hint}"
                    ));
                }
                decisions.selected_experts.push(known);
            }
            decisions.position.push(position);
            decisions.layer.push(*layer);
            decisions
                .moe_layer
                .push(u16::try_from(moe_layer).expect("layers are numbered in u16"));
        }
        Ok(true)
    }
}

/// Puts the heaviest expert first, ties to the lower id.
pub(crate) fn sort_by_weight(experts: &mut [u16], weights: &mut [f32]) {
    let mut pairs: Vec<(u16, f32)> = experts
        .iter()
        .copied()
        .zip(weights.iter().copied())
        .collect();
    pairs.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    for (place, (expert, weight)) in pairs.into_iter().enumerate() {
        experts[place] = expert;
        weights[place] = weight;
    }
}
