//! From a checkpoint to weights on a device: every name and shape is checked before the first tensor is loaded.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor};
use moescope_core::Progress;

use super::weights::{DecoderWeights, ExpertWeights, LayerWeights};
use crate::{
    checkpoint::{Checkpoint, StoredTensor, TensorFiles},
    device::ComputeDevice,
    error::EngineError,
    families::TensorNames,
};

/// Loads all weights, reporting each layer.
pub(super) fn load(
    checkpoint: &Checkpoint,
    device: &ComputeDevice,
    progress: &dyn Progress,
) -> Result<DecoderWeights, EngineError> {
    let layout = Layout::of(checkpoint);
    layout.check(checkpoint)?;
    let config = checkpoint.config();
    let loader = Loader {
        files: checkpoint.files(),
        device: device.device(),
        is_cpu: device.is_cpu(),
    };
    let (hidden, vocab) = (config.hidden_size, config.vocab_size);
    let total = config.num_layers as u64;
    progress.report(0, total, "loading weights")?;
    let embed_tokens = loader.matrix(&layout.embed_tokens, [vocab, hidden])?;
    let mut layers = Vec::with_capacity(config.num_layers);
    for (number, names) in layout.layers.iter().enumerate() {
        layers.push(loader.layer(checkpoint, names)?);
        device.sync()?;
        progress.report(number as u64 + 1, total, "loading weights")?;
    }
    let norm = loader.vector(&layout.norm, hidden)?;
    let lm_head = layout
        .lm_head
        .as_ref()
        .map(|name| loader.matrix(name, [vocab, hidden]))
        .transpose()?;
    device.sync()?;
    Ok(DecoderWeights {
        embed_tokens,
        layers,
        norm,
        lm_head,
    })
}

/// The names under which this checkpoint keeps what the model needs.
struct Layout {
    embed_tokens: String,
    norm: String,
    lm_head: Option<String>,
    layers: Vec<LayerNames>,
}

struct LayerNames {
    input_layernorm: String,
    post_attention_layernorm: String,
    attention: [String; 4],
    router: String,
    experts: ExpertNames,
}

enum ExpertNames {
    /// gate, up, down of every expert.
    Separate(Vec<[String; 3]>),
    /// `[E, 2I, H]`, gate rows first, and `[E, H, I]`.
    Fused([String; 2]),
}

impl Layout {
    fn of(checkpoint: &Checkpoint) -> Self {
        let (config, names, files) = (
            checkpoint.config(),
            checkpoint.family().names,
            checkpoint.files(),
        );
        let is_untied = !config.tie_word_embeddings;
        Self {
            embed_tokens: names.embed_tokens.to_owned(),
            norm: names.norm.to_owned(),
            lm_head: is_untied.then(|| names.lm_head.to_owned()),
            layers: (0..config.num_layers)
                .map(|number| LayerNames::of(names, files, number, config.router.num_experts))
                .collect(),
        }
    }

    /// Every needed name with its shape.
    fn needs(&self, checkpoint: &Checkpoint) -> Vec<(&str, Vec<usize>)> {
        let config = checkpoint.config();
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let (inner, experts) = (config.expert_intermediate_size, config.router.num_experts);
        let queries = config.attention.heads * config.attention.head_dim;
        let keys = config.attention.kv_heads * config.attention.head_dim;
        let mut needs: Vec<(&str, Vec<usize>)> = vec![
            (&self.embed_tokens, vec![vocab, hidden]),
            (&self.norm, vec![hidden]),
        ];
        needs.extend(
            self.lm_head
                .as_deref()
                .map(|name| (name, vec![vocab, hidden])),
        );
        for layer in &self.layers {
            needs.push((&layer.input_layernorm, vec![hidden]));
            needs.push((&layer.post_attention_layernorm, vec![hidden]));
            let shapes = [
                [queries, hidden],
                [keys, hidden],
                [keys, hidden],
                [hidden, queries],
            ];
            needs.extend(
                layer
                    .attention
                    .iter()
                    .zip(shapes)
                    .map(|(name, shape)| (name.as_str(), shape.to_vec())),
            );
            needs.push((&layer.router, vec![experts, hidden]));
            match &layer.experts {
                ExpertNames::Separate(all) => {
                    needs.extend(all.iter().flat_map(|[gate, up, down]| {
                        [
                            (gate.as_str(), vec![inner, hidden]),
                            (up.as_str(), vec![inner, hidden]),
                            (down.as_str(), vec![hidden, inner]),
                        ]
                    }));
                }
                ExpertNames::Fused([gate_up, down]) => {
                    needs.push((gate_up, vec![experts, 2 * inner, hidden]));
                    needs.push((down, vec![experts, hidden, inner]));
                }
            }
        }
        needs
    }

    /// Lists everything that does not fit in one error.
    fn check(&self, checkpoint: &Checkpoint) -> Result<(), EngineError> {
        let files = checkpoint.files();
        let names = checkpoint.family().names;
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        let mut known = BTreeSet::new();
        for (name, shape) in self.needs(checkpoint) {
            known.insert(name.to_owned());
            match files.get(name) {
                None => missing.push(name.to_owned()),
                Some(stored) if stored.shape != shape => {
                    misshapen.push(format!(
                        "{name}: found {:?}, config.json needs {shape:?}",
                        stored.shape
                    ));
                }
                Some(_) => {}
            }
        }
        let extra: Vec<String> = files
            .names()
            .filter(|name| !known.contains(*name))
            .filter(|name| !(checkpoint.config().tie_word_embeddings && *name == names.lm_head))
            .filter(|name| {
                !names
                    .ignored_suffixes
                    .iter()
                    .any(|suffix| name.ends_with(suffix))
            })
            .map(str::to_owned)
            .collect();
        if missing.is_empty() && extra.is_empty() && misshapen.is_empty() {
            Ok(())
        } else {
            Err(EngineError::Tensors {
                missing,
                extra,
                misshapen,
            })
        }
    }
}

impl LayerNames {
    fn of(names: &TensorNames, files: &TensorFiles, number: usize, num_experts: usize) -> Self {
        let prefix = names.layer.replace("{}", &number.to_string());
        let name = |suffix: &str| format!("{prefix}{suffix}");
        let present = |suffix: &str| files.get(&name(suffix)).is_some();
        let [published_router, fused_router] = names.router;
        let experts = if present(names.fused[0]) || present(names.fused[1]) {
            ExpertNames::Fused(names.fused.map(name))
        } else {
            ExpertNames::Separate(
                (0..num_experts)
                    .map(|expert| {
                        let expert = names.expert.replace("{}", &expert.to_string());
                        names
                            .expert_matrices
                            .map(|matrix| name(&format!("{expert}{matrix}")))
                    })
                    .collect(),
            )
        };
        Self {
            input_layernorm: name(names.input_layernorm),
            post_attention_layernorm: name(names.post_attention_layernorm),
            attention: names.attention.map(name),
            router: name(if present(fused_router) && !present(published_router) {
                fused_router
            } else {
                published_router
            }),
            experts,
        }
    }
}

struct Loader<'a> {
    files: &'a TensorFiles,
    device: &'a Device,
    is_cpu: bool,
}

impl Loader<'_> {
    fn stored(&self, name: &str) -> &StoredTensor {
        self.files
            .get(name)
            .expect("`Layout::check` has seen every name")
    }

    fn matrix(&self, name: &str, dims: [usize; 2]) -> Result<Tensor<2>, EngineError> {
        self.files.load(
            self.stored(name),
            0..dims[0] * dims[1],
            dims,
            self.device,
            self.is_cpu,
        )
    }

    /// A norm's weight; always f32, since it is small and multiplied in f32.
    fn vector(&self, name: &str, len: usize) -> Result<Tensor<1>, EngineError> {
        let row = self
            .files
            .load(self.stored(name), 0..len, [1, len], self.device, false)?;
        Ok(row.reshape([len]))
    }

    fn layer(
        &self,
        checkpoint: &Checkpoint,
        names: &LayerNames,
    ) -> Result<LayerWeights, EngineError> {
        let config = checkpoint.config();
        let hidden = config.hidden_size;
        let queries = config.attention.heads * config.attention.head_dim;
        let keys = config.attention.kv_heads * config.attention.head_dim;
        let [q_proj, k_proj, v_proj, o_proj] = &names.attention;
        Ok(LayerWeights {
            input_layernorm: self.vector(&names.input_layernorm, hidden)?,
            q_proj: self.matrix(q_proj, [queries, hidden])?,
            k_proj: self.matrix(k_proj, [keys, hidden])?,
            v_proj: self.matrix(v_proj, [keys, hidden])?,
            o_proj: self.matrix(o_proj, [hidden, queries])?,
            post_attention_layernorm: self.vector(&names.post_attention_layernorm, hidden)?,
            router: self.matrix(&names.router, [config.router.num_experts, hidden])?,
            experts: self.experts(checkpoint, &names.experts)?,
        })
    }

    fn experts(
        &self,
        checkpoint: &Checkpoint,
        names: &ExpertNames,
    ) -> Result<ExpertWeights, EngineError> {
        let config = checkpoint.config();
        let (hidden, inner) = (config.hidden_size, config.expert_intermediate_size);
        let mut weights = ExpertWeights {
            gate: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
        };
        match names {
            ExpertNames::Separate(all) => {
                for [gate, up, down] in all {
                    weights.gate.push(self.matrix(gate, [inner, hidden])?);
                    weights.up.push(self.matrix(up, [inner, hidden])?);
                    weights.down.push(self.matrix(down, [hidden, inner])?);
                }
            }
            ExpertNames::Fused([gate_up, down]) => {
                let size = inner * hidden;
                let part = |name: &str, number: usize, dims: [usize; 2]| {
                    self.files.load(
                        self.stored(name),
                        number * size..(number + 1) * size,
                        dims,
                        self.device,
                        self.is_cpu,
                    )
                };
                for expert in 0..config.router.num_experts {
                    weights
                        .gate
                        .push(part(gate_up, 2 * expert, [inner, hidden])?);
                    weights
                        .up
                        .push(part(gate_up, 2 * expert + 1, [inner, hidden])?);
                    weights.down.push(part(down, expert, [hidden, inner])?);
                }
            }
        }
        Ok(weights)
    }
}
