//! The sizes of a model, from its configuration and headers.

use moescope_engine::{Checkpoint, DecoderConfig, EngineError, NeededTensor, WeightType};

/// The sizes of a model that memory depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSizes {
    /// Bytes of weights that the CPU computes with where they lie in the files: bf16 and f32.
    pub mapped_bytes: u64,
    /// Bytes of weights that the CPU must keep in another type: f16 and 8-bit floats as f32, 4-bit ones as bf16,
    /// and what is kept in blocks.
    pub converted_bytes: u64,
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
    pub fn of(checkpoint: &Checkpoint, weights: WeightType) -> Result<Self, EngineError> {
        let config: &DecoderConfig = checkpoint.config();
        let attention = &config.attention;
        let mut sizes = Self {
            mapped_bytes: 0,
            converted_bytes: 0,
            values: 0,
            largest: (String::new(), 0),
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
        };
        for tensor in checkpoint.needed_tensors()? {
            sizes.add(&tensor, weights);
        }
        Ok(sizes)
    }

    /// Counts one tensor.
    pub(super) fn add(&mut self, tensor: &NeededTensor, weights: WeightType) {
        let (values, bytes) = (tensor.weights(), tensor.cpu_bytes(weights));
        let (mapped, converted) = if tensor.is_mapped(weights) {
            (bytes, 0)
        } else {
            (0, bytes)
        };
        self.mapped_bytes = self.mapped_bytes.saturating_add(mapped);
        self.converted_bytes = self.converted_bytes.saturating_add(converted);
        self.values = self.values.saturating_add(values);
        // Experts that are fused into one tensor are loaded one by one.
        let pieces = match tensor.shape[..] {
            [experts, _, _, ..] => (experts as u64).max(1),
            _ => 1,
        };
        if values / pieces > self.largest.1 {
            self.largest = (tensor.name.clone(), values / pieces);
        }
    }
}
