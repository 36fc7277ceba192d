//! One batch of a model's routing, saved as named tensors.

use moescope_core::{ModelSpec, Phase, ScoreFunction};

use super::{
    super::ScoreKind,
    array::Array,
    batch_decisions::Decisions,
    derive::Rule,
    names,
    provenance::Derived,
    sink::{Content, Facts},
    stack::Stack,
    tensor_file::{TensorFile, parse_npz, parse_safetensors},
    tokens::bare_token,
};
use crate::ExpertsOrder;

const LOGITS: &str = "router_logits";
const SELECTED: &str = "selected_experts";
const WEIGHTS: &str = "routing_weights";
const INPUT_IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const SPECIAL: &str = "special_tokens_mask";
const IDS: &str = "ids";

/// A file that holds one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `.safetensors`
    Safetensors,
    /// `.npz`
    Npz,
}

/// What the tensors of a file allow to tell; the same in all files of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    logits: bool,
    selected: bool,
    weights: bool,
}

/// One saved batch, checked as far as its shapes go.
#[derive(Debug)]
pub struct Batch<'m> {
    pub(super) model: &'m ModelSpec,
    pub(super) scores: ScoreKind,
    pub(crate) ids: Vec<String>,
    /// Tokens of each sequence, padding included.
    length: usize,
    pub(super) logits: Option<Stack>,
    pub(super) selected: Option<Stack>,
    pub(super) weights: Option<Stack>,
    input_ids: Option<Array>,
    mask: Option<Array>,
    special: Option<Array>,
    checkpoint: Option<String>,
    version: Option<String>,
}

impl<'m> Batch<'m> {
    /// Reads a batch from the bytes of a file; `stem` names its samples where the file does not.
    ///
    /// # Errors
    /// When the file is broken, its shapes contradict one another or the model, or its scores are of the other kind.
    pub fn parse(
        bytes: &[u8],
        container: Container,
        stem: &str,
        model: &'m ModelSpec,
        scores: ScoreKind,
    ) -> Result<Self, String> {
        let file = match container {
            Container::Safetensors => parse_safetensors(bytes, is_wanted),
            Container::Npz => parse_npz(bytes, is_wanted),
        }?;
        Self::from_tensors(file, stem, model, scores)
    }

    fn from_tensors(
        mut file: TensorFile,
        stem: &str,
        model: &'m ModelSpec,
        scores: ScoreKind,
    ) -> Result<Self, String> {
        let mut stack = |name| Stack::take(&mut file, name, model);
        let (logits, selected, weights) = (stack(LOGITS)?, stack(SELECTED)?, stack(WEIGHTS)?);
        let Some(any) = logits.as_ref().or(selected.as_ref()) else {
            let names: Vec<&str> = file.names.iter().take(10).map(String::as_str).collect();
            return Err(format!(
                "it holds neither {LOGITS}.0, … nor {SELECTED}.0, …; its arrays are {}",
                names.join(", ")
            ));
        };
        if weights.is_some() && selected.is_none() {
            return Err(format!(
                "it holds {WEIGHTS} without {SELECTED}, so nobody knows whose weights they are"
            ));
        }
        let rows = any.rows();
        let (input_ids, mask) = (file.arrays.remove(INPUT_IDS), file.arrays.remove(MASK));
        let special = file.arrays.remove(SPECIAL);
        let shape = [&input_ids, &mask, &special]
            .into_iter()
            .flatten()
            .map(|array| array.shape().to_vec())
            .next()
            .or_else(|| any.batch_shape())
            .unwrap_or_else(|| vec![rows]);
        let (sequences, length) = match shape[..] {
            [length] => (1, length),
            [sequences, length] => (sequences, length),
            _ => {
                return Err(format!(
                    "its {INPUT_IDS} have shape {shape:?}, expected [batch, tokens]"
                ));
            }
        };
        if sequences.checked_mul(length) != Some(rows) {
            return Err(format!(
                "its tensors have {rows} rows, its batch is {sequences} sequences of {length} tokens; save what one \
                 forward pass returned, with the inputs of that pass"
            ));
        }
        for (name, array) in [(INPUT_IDS, &input_ids), (MASK, &mask), (SPECIAL, &special)] {
            let Some(array) = array else { continue };
            array
                .check_integers()
                .map_err(|what| format!("{name} {what}"))?;
            if array.len() != rows {
                return Err(format!(
                    "{name} has {} entries, expected {rows}",
                    array.len()
                ));
            }
        }
        let columns = [
            (LOGITS, &logits, model.num_experts),
            (SELECTED, &selected, model.top_k),
            (WEIGHTS, &weights, model.top_k),
        ];
        for (name, stack, width) in columns {
            if let Some(stack) = stack {
                stack.check(name, rows, width.into(), name == SELECTED)?;
            }
        }
        let batch = Self {
            ids: sample_ids(&mut file, stem, sequences)?,
            checkpoint: file
                .metadata
                .get("model")
                .map(|name| names::last_part(name)),
            version: file.metadata.get("transformers").cloned(),
            model,
            scores,
            length,
            logits,
            selected,
            weights,
            input_ids,
            mask,
            special,
        };
        batch.check_scores()?;
        Ok(batch)
    }

    /// Reads every sequence and says how many there are, for whoever wants to know only whether they can be read.
    ///
    /// # Errors
    /// When one of them cannot.
    pub fn check(&self) -> Result<usize, String> {
        for sequence in 0..self.ids.len() {
            self.sequence(sequence)?;
        }
        Ok(self.ids.len())
    }

    pub(crate) fn known(&self) -> Known {
        Known {
            logits: self.logits.is_some(),
            selected: self.selected.is_some(),
            weights: self.weights.is_some(),
        }
    }

    /// Whether weights are there, or follow from the logits.
    pub(super) fn has_weights(&self) -> bool {
        let rule = Rule::new(&self.model.gating);
        self.weights.is_some() || (self.logits.is_some() && rule.weight_problem().is_none())
    }

    pub(crate) fn facts(&self) -> Result<Facts, String> {
        let rule = Rule::new(&self.model.gating);
        let mut derived = Vec::new();
        if self.selected.is_none() {
            if let Some(reason) = rule.selection_problem() {
                return Err(format!(
                    "the chosen experts of this model cannot be told from its logits: {reason}; save {SELECTED}.0, … too"
                ));
            }
            derived.push(Derived::new(
                "routing.experts",
                "the largest router logits, ties to the lower id; the source saved no choice",
            ));
        }
        if self.weights.is_none() && self.has_weights() {
            derived.push(Derived::new(
                "routing.weights",
                "the router logits under the model's gating, in double precision; the source saved no weights",
            ));
        }
        if self.scores == ScoreKind::Probabilities && self.logits.is_some() {
            derived.push(Derived::new(
                "routing.margin",
                "probabilities that the source saved in place of logits, as are entropy, topk_mass and runner_up",
            ));
        }
        Ok(Facts {
            model: self.model.clone(),
            layers: None,
            experts_order: if self.has_weights() {
                ExpertsOrder::ByWeight
            } else {
                ExpertsOrder::Unspecified
            },
            engine: "transformers",
            engine_version: self.version.clone(),
            checkpoint: self.checkpoint.clone(),
            is_profiles_only: false,
            derived,
        })
    }

    /// Refuses probabilities in place of logits, and logits in place of probabilities.
    fn check_scores(&self) -> Result<(), String> {
        let Some(logits) = &self.logits else {
            return Ok(());
        };
        let are_probabilities = logits.rows() > 0
            && (0..self.model.moe_layers.len()).all(|layer| {
                (0..logits.rows()).all(|row| is_distribution(logits.floats(layer, row)))
            });
        match (self.scores, are_probabilities) {
            (ScoreKind::Logits, true) if self.model.num_experts > 1 => Err(format!(
                "its {LOGITS} are probabilities: every row is non-negative and sums to 1. transformers 5.0.0 returned \
                 those for some families, 4.57 and 5.23 return logits; capture again with one of these, or say \
                 --scores probabilities, and logsumexp and the logits stay unknown"
            )),
            (ScoreKind::Probabilities, false) => Err(format!(
                "its {LOGITS} are no probabilities: some row does not sum to 1; leave --scores out"
            )),
            (ScoreKind::Probabilities, true)
                if self.model.gating.score_function != ScoreFunction::Softmax =>
            {
                Err(
                    "--scores probabilities is for models whose score function is softmax"
                        .to_owned(),
                )
            }
            _ => Ok(()),
        }
    }

    /// One sequence without its padding.
    pub(crate) fn sequence(&self, sequence: usize) -> Result<Content, String> {
        let start = sequence * self.length;
        let kept: Vec<usize> = (start..start + self.length)
            .filter(|row| {
                self.mask
                    .as_ref()
                    .is_none_or(|mask| mask.integer(*row) != Some(0))
            })
            .collect();
        if kept.is_empty() {
            return Err("the attention mask hides every token".to_owned());
        }
        let mut tokens = Vec::with_capacity(kept.len());
        let mut decisions = Decisions::new(self);
        for (position, row) in kept.into_iter().enumerate() {
            let position =
                u32::try_from(position).map_err(|_| "it has too many tokens".to_owned())?;
            let mut token = bare_token(position, Some(Phase::Prefill));
            if let Some(ids) = &self.input_ids {
                let id = ids.integer(row).and_then(|id| u32::try_from(id).ok());
                token.token_id = Some(
                    id.ok_or_else(|| format!("the token id at position {position} is no id"))?,
                );
            }
            token.is_special = self
                .special
                .as_ref()
                .map(|special| special.integer(row) != Some(0));
            tokens.push(token);
            for layer in 0..self.model.moe_layers.len() {
                decisions.push(layer, row, position).map_err(|what| {
                    let number = self.model.moe_layers[layer];
                    format!("position {position}, layer {number}: {what}")
                })?;
            }
        }
        Ok(Content::Decisions {
            tokens,
            num_prompt_tokens: None,
            decisions: Box::new(decisions.finish()),
        })
    }
}

fn is_wanted(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    [LOGITS, SELECTED, WEIGHTS, INPUT_IDS, MASK, SPECIAL, IDS].contains(&stem)
}

/// A row that is a distribution, as far as half precision can tell.
fn is_distribution(row: impl Iterator<Item = f32>) -> bool {
    let mut sum = 0.0f64;
    for value in row {
        if value < 0.0 {
            return false;
        }
        sum += f64::from(value);
    }
    (sum - 1.0).abs() < 0.02
}

/// The ids that the file gives its sequences, or the file's own name.
fn sample_ids(file: &mut TensorFile, stem: &str, sequences: usize) -> Result<Vec<String>, String> {
    let ids = if let Some(array) = file.arrays.remove(IDS) {
        Some(
            array
                .texts()
                .ok_or_else(|| format!("'{IDS}' is not a list of texts"))?,
        )
    } else if let Some(list) = file.metadata.get(IDS) {
        Some(serde_json::from_str::<Vec<String>>(list).map_err(|error| {
            format!("its metadata '{IDS}' is not a JSON list of texts: {error}")
        })?)
    } else {
        None
    };
    match ids {
        Some(ids) if ids.len() == sequences => Ok(ids),
        Some(ids) => Err(format!(
            "it names {} samples, its batch has {sequences}",
            ids.len()
        )),
        None if sequences == 1 => Ok(vec![stem.to_owned()]),
        None => Ok((0..sequences).map(|n| format!("{stem}#{n}")).collect()),
    }
}
