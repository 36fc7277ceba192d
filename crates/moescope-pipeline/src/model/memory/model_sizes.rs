//! The sizes of a model, from its configuration and headers.

use std::collections::BTreeMap;

use moescope_engine::{Checkpoint, DecoderConfig, EngineError, NeededTensor, WeightType};

/// Bytes of a model's weights on the CPU when they are kept in one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightBytes {
    /// Computed with where they lie in the files: bf16 and f32.
    pub mapped: u64,
    /// Kept in another type than the files': f16 and 8-bit floats as f32, 4-bit ones as bf16, and what is in blocks.
    pub converted: u64,
    /// The most that one tensor takes on its way into memory, besides what is kept of it.
    pub loading: u64,
}

impl WeightBytes {
    fn add(&mut self, tensor: &NeededTensor, weights: WeightType) {
        let bytes = tensor.cpu_bytes(weights);
        let (mapped, converted) = if tensor.is_mapped(weights) {
            (bytes, 0)
        } else {
            (0, bytes)
        };
        self.mapped = self.mapped.saturating_add(mapped);
        self.converted = self.converted.saturating_add(converted);
        self.loading = self.loading.max(tensor.loading_bytes(weights));
    }

    /// All that is computed with.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.mapped.saturating_add(self.converted)
    }
}

/// The sizes of a model that memory depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSizes {
    /// Bytes on the CPU by the type that weights are kept in.
    pub bytes: BTreeMap<WeightType, WeightBytes>,
    /// Values of all weights.
    pub values: u64,
    /// The largest tensor that is loaded in one piece, and its values.
    pub largest: (String, u64),
    /// Decoder layers.
    pub layers: u64,
    /// Layers with a router.
    pub moe_layers: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// All query heads together.
    pub queries: u64,
    /// All key heads together.
    pub keys: u64,
    /// All value heads together.
    pub value_heads: u64,
    /// Width of an expert.
    pub expert_width: u64,
    /// Experts per layer.
    pub experts: u64,
    /// Experts per token.
    pub top_k: u64,
    /// Entries of the vocabulary.
    pub vocab: u64,
}

impl ModelSizes {
    /// Reads the sizes from configuration and headers; no weight is touched.
    ///
    /// # Errors
    /// When the checkpoint lacks most of what its configuration promises.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self, EngineError> {
        let config: &DecoderConfig = checkpoint.config();
        let attention = &config.attention;
        let mut sizes = Self {
            layers: config.num_layers as u64,
            moe_layers: checkpoint.model_spec().moe_layers.len() as u64,
            hidden: config.hidden_size as u64,
            queries: (attention.heads as u64).saturating_mul(attention.head_dim as u64),
            keys: (attention.kv_heads as u64).saturating_mul(attention.head_dim as u64),
            value_heads: (attention.kv_heads as u64).saturating_mul(attention.value_dim as u64),
            expert_width: config.experts.intermediate_size as u64,
            experts: config.router.num_experts as u64,
            top_k: config.router.top_k as u64,
            vocab: config.vocab_size as u64,
            ..Self::default()
        };
        for tensor in checkpoint.needed_tensors()? {
            sizes.add(&tensor);
        }
        Ok(sizes)
    }

    /// Counts one tensor.
    pub(super) fn add(&mut self, tensor: &NeededTensor) {
        for weights in WeightType::ALL {
            self.bytes.entry(weights).or_default().add(tensor, weights);
        }
        self.values = self.values.saturating_add(tensor.weights());
        if tensor.piece() > self.largest.1 {
            self.largest = (tensor.name.clone(), tensor.piece());
        }
    }

    /// Bytes on the CPU when weights are kept in a type.
    #[must_use]
    pub fn weight_bytes(&self, weights: WeightType) -> WeightBytes {
        self.bytes.get(&weights).copied().unwrap_or_default()
    }
}
