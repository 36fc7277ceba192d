//! The text files of ESFT (arXiv 2407.01906): `expert_weights_L.txt` for each layer, one document a line.
//!
//! A line holds, separated by tabs, the ids of all tokens' experts, `top_k` for each token, then an empty field, then as
//! many weights with four decimals. The experts of a token are in no order. Tokens themselves are not there.
//! The published files are of DeepSeek-V2-Lite, whose description is used where none is given.

use std::path::Path;

use moescope_core::{DecisionBatch, LayerId, ModelSpec, Phase};
use serde_json::json;

use super::{
    Format, Request,
    common::{
        files::{self, Lines, SourceFile},
        routed::sort_by_weight,
        sink::{Content, Facts, Imported, Sink, Stop},
        tokens::bare_token,
    },
};
use crate::ExpertsOrder;

pub(super) const FORMAT: Format = Format {
    name: "esft",
    summary: "expert_weights_L.txt of ESFT's scripts, with per-token experts and weights",
    paths: "folders with expert_weights_L.txt, one for each task; the folder's name is the discipline",
    needs_model: false,
    options: &[],
    unknown: "tokens and texts; entropy, margin and all that needs the other experts' scores",
    read,
};

/// DeepSeek-V2-Lite as its published `config.json` describes it: the model of ESFT's published files.
fn deepseek_v2_lite() -> ModelSpec {
    let layers: Vec<u16> = (1..27).collect();
    let spec = json!({
        "family": "deepseek_v2",
        "num_layers": 27,
        "moe_layers": layers,
        "num_experts": 64,
        "top_k": 6,
        "num_shared_experts": 2,
        "hidden_size": 2048,
        "vocab_size": 102_400,
        "gating": {
            "score_function": "softmax",
            "has_correction_bias": false,
            "normalization": "none",
            "scaling": 1.0,
        },
    });
    serde_json::from_value(spec).expect("the fields of a model's description")
}

fn read(request: &Request<'_>, sink: &mut dyn Sink) -> Result<(), Stop> {
    let assumed = deepseek_v2_lite();
    let model = request.model.unwrap_or(&assumed);
    let mut began = false;
    for folder in request.paths {
        let Some(mut task) = Task::open(folder, model, sink) else {
            continue;
        };
        if !began {
            began = true;
            sink.begin(Facts {
                model: model.clone(),
                layers: None,
                experts_order: ExpertsOrder::ByWeight,
                engine: "ESFT",
                engine_version: None,
                checkpoint: request
                    .model
                    .is_none()
                    .then(|| "deepseek-ai/DeepSeek-V2-Lite".to_owned()),
                is_profiles_only: false,
                derived: Vec::new(),
            })?;
        }
        task.read(model, sink)?;
    }
    Ok(())
}

/// The files of one folder, read line by line side by side.
struct Task {
    name: String,
    files: Vec<(LayerId, SourceFile, Lines)>,
}

impl Task {
    fn open(folder: &Path, model: &ModelSpec, sink: &mut dyn Sink) -> Option<Self> {
        let shown = folder.display().to_string();
        if !folder.is_dir() {
            sink.problem(
                &shown,
                "there is no such folder; give the folder that holds expert_weights_1.txt, …"
                    .to_owned(),
            );
            return None;
        }
        let name = folder
            .canonicalize()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .unwrap_or_else(|| "esft".to_owned());
        let mut files = Vec::new();
        for layer in &model.moe_layers {
            let file = SourceFile::new(folder.join(format!("expert_weights_{layer}.txt")));
            match Lines::open(&file.path) {
                Ok(lines) => files.push((*layer, file, lines)),
                Err(error) => sink.problem(&file.shown, files::describe(&error)),
            }
        }
        (files.len() == model.moe_layers.len()).then_some(Self { name, files })
    }

    fn read(&mut self, model: &ModelSpec, sink: &mut dyn Sink) -> Result<(), Stop> {
        for number in 1u64.. {
            let mut layers = Vec::with_capacity(self.files.len());
            let mut ended = 0;
            let mut broken = false;
            for (layer, file, lines) in &mut self.files {
                let at = format!("{}:{number}", file.shown);
                match lines.next_line() {
                    Ok(None) => ended += 1,
                    Ok(Some(line)) => match parse_line(line, model) {
                        Ok(routing) => layers.push((*layer, routing)),
                        Err(what) => {
                            sink.problem(&at, what);
                            broken = true;
                        }
                    },
                    Err(error) => {
                        sink.problem(&at, files::describe(&error));
                        return Ok(());
                    }
                }
            }
            if ended == self.files.len() {
                break;
            }
            let id = format!("{}-{:04}", self.name, number - 1);
            let at = format!("{}:{number}", self.files[0].1.shown);
            if ended > 0 {
                let what = format!("{ended} files of other layers have fewer lines than this one");
                sink.problem(&at, what);
                return Ok(());
            }
            if broken {
                continue;
            }
            match join(&layers, model) {
                Ok(content) => sink.document(Imported {
                    at,
                    id,
                    discipline: Some(self.name.clone()),
                    content,
                })?,
                Err(what) => sink.problem(&at, what),
            }
        }
        for (_, file, lines) in std::mem::take(&mut self.files) {
            sink.file(&file, lines.digest());
        }
        Ok(())
    }
}

/// Experts and weights of one document at one layer, `[tokens × top_k]`, heaviest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The experts.
    pub experts: Vec<u16>,
    /// Their weights.
    pub weights: Vec<f32>,
}

/// Reads one line of one file.
///
/// # Errors
/// When a field is no number, the two halves differ in length, or a token's experts are not `top_k` existing ones.
pub fn parse_line(line: &str, model: &ModelSpec) -> Result<Line, String> {
    let top_k = usize::from(model.top_k);
    let (ids, numbers) = line
        .split_once("\t\t")
        .ok_or("it has no empty field between experts and weights")?;
    let mut experts: Vec<u16> = Vec::new();
    for field in ids.split('\t') {
        let expert = field
            .trim()
            .parse()
            .ok()
            .filter(|e| *e < model.num_experts)
            .ok_or_else(|| format!("'{}' is no expert of {}", short(field), model.num_experts))?;
        experts.push(expert);
    }
    let mut weights: Vec<f32> = Vec::with_capacity(experts.len());
    for field in numbers.split('\t') {
        let weight = field
            .trim()
            .parse()
            .ok()
            .filter(|w: &f32| w.is_finite() && *w >= 0.0)
            .ok_or_else(|| format!("'{}' is no weight", short(field)))?;
        weights.push(weight);
    }
    if weights.len() != experts.len() || !experts.len().is_multiple_of(top_k) {
        return Err(format!(
            "it has {} experts and {} weights, expected as many of both, {top_k} for each token",
            experts.len(),
            weights.len()
        ));
    }
    let decisions = experts.chunks_mut(top_k).zip(weights.chunks_mut(top_k));
    for (token, (experts, weights)) in decisions.enumerate() {
        sort_by_weight(experts, weights);
        let twice = (1..experts.len()).find(|i| experts[..*i].contains(&experts[*i]));
        if let Some(i) = twice {
            return Err(format!(
                "token {token}: expert {} is chosen twice",
                experts[i]
            ));
        }
    }
    Ok(Line { experts, weights })
}

fn short(field: &str) -> String {
    field.chars().take(20).collect()
}

fn join(layers: &[(LayerId, Line)], model: &ModelSpec) -> Result<Content, String> {
    let top_k = usize::from(model.top_k);
    let values = layers[0].1.experts.len();
    if let Some((layer, line)) = layers.iter().find(|(_, line)| line.experts.len() != values) {
        return Err(format!(
            "layer {layer} has {} tokens in this line, layer {} has {}",
            line.experts.len() / top_k,
            layers[0].0,
            values / top_k
        ));
    }
    let count = u32::try_from(values / top_k).map_err(|_| "it has too many tokens")?;
    let mut decisions = DecisionBatch::ids_only(model.num_experts.into(), top_k);
    let mut weights = Vec::with_capacity(values * layers.len());
    for position in 0..count {
        let slots = position as usize * top_k..(position as usize + 1) * top_k;
        for (moe_layer, (layer, line)) in (0u16..).zip(layers) {
            decisions.position.push(position);
            decisions.layer.push(*layer);
            decisions.moe_layer.push(moe_layer);
            decisions
                .selected_experts
                .extend(&line.experts[slots.clone()]);
            weights.extend(&line.weights[slots.clone()]);
        }
    }
    decisions.routing_weights = Some(weights);
    Ok(Content::Decisions {
        tokens: (0..count)
            .map(|position| bare_token(position, Some(Phase::Prefill)))
            .collect(),
        num_prompt_tokens: Some(count),
        decisions: Box::new(decisions),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelSpec {
        ModelSpec {
            num_experts: 8,
            top_k: 2,
            ..deepseek_v2_lite()
        }
    }

    #[test]
    fn a_line_is_experts_then_weights() {
        let line = parse_line("5\t1\t0\t7\t\t0.1\t0.4\t0.2\t0.2", &model()).unwrap();
        assert_eq!(line.experts, [1, 5, 0, 7]);
        assert_eq!(line.weights, [0.4, 0.1, 0.2, 0.2]);
    }

    #[test]
    fn broken_lines_say_what_is_wrong() {
        for (line, word) in [
            ("1\t2", "no empty field"),
            ("1\t8\t\t0.1\t0.2", "'8' is no expert of 8"),
            ("1\t2\t\t0.1\tnan", "'nan' is no weight"),
            ("1\t2\t\t0.1\t-0.1", "'-0.1' is no weight"),
            ("1\t2\t3\t\t0.1\t0.2\t0.3", "3 experts and 3 weights"),
            ("1\t2\t\t0.1", "2 experts and 1 weights"),
            ("1\t1\t\t0.1\t0.2", "expert 1 is chosen twice"),
            ("", "no empty field"),
        ] {
            let error = parse_line(line, &model()).err().unwrap();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
