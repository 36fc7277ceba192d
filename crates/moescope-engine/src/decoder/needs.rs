//! The tensors of a checkpoint that its model uses.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{Layout, Need};
use crate::{
    blocks::{BLOCK, BlockType},
    checkpoint::Checkpoint,
    config::{ConfigJson, DecoderConfig},
    error::EngineError,
    families,
    precision::WeightType,
};

/// A tensor that the model needs and the checkpoint has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededTensor {
    /// Its name.
    pub name: String,
    /// What it is a part of.
    pub class: TensorClass,
    /// Its storage type, as safetensors names it.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether its values are put into another order, so that they cannot stay in the mapped file.
    pub is_rearranged: bool,
    /// Weights in a row of its matrices, where its class may be kept in blocks; `None` for all else: norms, biases,
    /// routers, embeddings.
    pub row_width: Option<usize>,
}

/// The parts of a model that weights belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TensorClass {
    /// The embedding table, and the head where the two are one.
    Embeddings,
    /// All norms but those within attention.
    Norms,
    /// Attention, with its norms.
    Attention,
    /// Routers, their biases, and what gates shared experts.
    Router,
    /// Routed experts.
    Experts,
    /// Experts that every token passes.
    SharedExperts,
    /// Feed-forward parts of layers without a router.
    Dense,
    /// The head.
    Head,
}

impl TensorClass {
    /// The name in manifests and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Norms => "norms",
            Self::Attention => "attention",
            Self::Router => "router",
            Self::Experts => "experts",
            Self::SharedExperts => "shared_experts",
            Self::Dense => "dense",
            Self::Head => "lm_head",
        }
    }
}

impl TensorClass {
    /// Whether `--weights` is about these tensors.
    #[must_use]
    pub fn is_quantisable(self) -> bool {
        match self {
            Self::Attention | Self::Experts | Self::SharedExperts | Self::Dense | Self::Head => {
                true
            }
            Self::Embeddings | Self::Norms | Self::Router => false,
        }
    }
}

impl NeededTensor {
    /// The type of its weights: `f32`, `bf16`, `f16`, `fp8`, `mxfp4`; `None` for scales, which are no weights.
    #[must_use]
    pub fn weight_type(&self) -> Option<String> {
        match self.dtype.as_str() {
            _ if self.name.ends_with("_scale_inv") => None,
            "U8" => self.name.ends_with("_blocks").then(|| "mxfp4".to_owned()),
            "F8_E4M3" => Some("fp8".to_owned()),
            other => Some(other.to_lowercase()),
        }
    }

    /// Weights in it; a byte of four-bit floats holds two.
    #[must_use]
    pub fn weights(&self) -> u64 {
        let entries = self
            .shape
            .iter()
            .fold(1u64, |product, size| product.saturating_mul(*size as u64));
        match self.weight_type().as_deref() {
            None => 0,
            Some("mxfp4") => entries.saturating_mul(2),
            Some(_) => entries,
        }
    }

    /// Bytes that the CPU computes with: bf16 and MXFP4 as two a weight, everything else as f32; in blocks, what the
    /// blocks take.
    #[must_use]
    pub fn cpu_bytes(&self, weights: WeightType) -> u64 {
        if let Some(kind) = self.block_type(weights) {
            let blocks = self.weights() / BLOCK as u64;
            return blocks.saturating_mul(kind.bytes() as u64);
        }
        self.weights().saturating_mul(self.value_bytes())
    }

    /// Bytes of a weight on the CPU outside blocks.
    fn value_bytes(&self) -> u64 {
        match self.weight_type().as_deref() {
            Some("bf16" | "mxfp4") => 2,
            _ => 4,
        }
    }

    /// Weights of what is loaded in one piece: experts that are fused into one tensor are loaded one by one.
    #[must_use]
    pub fn piece(&self) -> u64 {
        let pieces = match self.shape[..] {
            [experts, _, _, ..] => (experts as u64).max(1),
            _ => 1,
        };
        self.weights() / pieces
    }

    /// Bytes that a piece takes on the CPU on its way into memory, besides what is kept of it: a copy that is put into
    /// another order, a copy of another type that becomes blocks. What is read where it lies in the file takes none.
    #[must_use]
    pub fn loading_bytes(&self, weights: WeightType) -> u64 {
        let is_plain = !self.is_rearranged && matches!(self.dtype.as_str(), "F32" | "BF16");
        let becomes_blocks = self.block_type(weights).is_some() && !is_plain;
        let copies = u64::from(self.is_rearranged) + u64::from(becomes_blocks);
        self.piece()
            .saturating_mul(self.value_bytes())
            .saturating_mul(copies)
    }

    /// The blocks that its rows are kept in.
    fn block_type(&self, weights: WeightType) -> Option<BlockType> {
        block_type(weights, self.row_width)
    }

    /// Whether it is of a class that is kept in blocks, and its rows are no whole blocks, so that it stays as stored.
    #[must_use]
    pub fn is_left_as_stored(&self, weights: WeightType) -> bool {
        BlockType::of(weights).is_some()
            && self.row_width.is_some()
            && self.weight_type().is_some()
            && self.block_type(weights).is_none()
    }

    /// The type that its weights are kept in; `None` for what does not count: scales, and beside matrices in blocks
    /// the vectors of their class.
    fn kept_type(&self, weights: WeightType) -> Option<String> {
        let stored = self.weight_type()?;
        match (self.block_type(weights), weights, self.row_width) {
            (Some(_), ..) => Some(weights.name().to_owned()),
            (None, WeightType::Q8 | WeightType::Q4, None) if self.class.is_quantisable() => None,
            _ => Some(stored),
        }
    }

    /// Whether the CPU uses it where it lies in the mapped file.
    #[must_use]
    pub fn is_mapped(&self, weights: WeightType) -> bool {
        self.block_type(weights).is_none()
            && !self.is_rearranged
            && matches!(self.dtype.as_str(), "F32" | "BF16")
    }
}

/// The blocks that rows of a width are kept in; none where they are no whole blocks.
pub(super) fn block_type(weights: WeightType, row_width: Option<usize>) -> Option<BlockType> {
    BlockType::of(weights).filter(|_| row_width.is_some_and(|width| width.is_multiple_of(BLOCK)))
}

/// The types of weights by the name of their class; several are joined by `+`.
fn types_by_class(types: impl Iterator<Item = (TensorClass, String)>) -> BTreeMap<String, String> {
    let mut by_class: BTreeMap<TensorClass, BTreeSet<String>> = BTreeMap::new();
    for (class, kind) in types {
        by_class.entry(class).or_default().insert(kind);
    }
    let joined = |kinds: BTreeSet<String>| kinds.into_iter().collect::<Vec<_>>().join("+");
    by_class
        .into_iter()
        .map(|(class, kinds)| (class.name().to_owned(), joined(kinds)))
        .collect()
}

impl Checkpoint {
    /// The types of the weights by class of tensors, like `experts` → `q4`, where they are kept in a type; several are
    /// joined by `+`. Classes in blocks are told by their matrices.
    ///
    /// # Errors
    /// As [`Self::needed_tensors`].
    pub fn types_kept(&self, weights: WeightType) -> Result<BTreeMap<String, String>, EngineError> {
        let tensors = self.needed_tensors()?;
        let types = tensors
            .iter()
            .filter_map(|tensor| Some((tensor.class, tensor.kept_type(weights)?)));
        Ok(types_by_class(types))
    }

    /// The tensors that the model will load, from configuration and headers alone; those that are missing are left
    /// out, and those that no decoder needs (layers for multi-token prediction, image encoders) as well.
    ///
    /// # Errors
    /// When the checkpoint lacks most of what its configuration promises.
    pub fn needed_tensors(&self) -> Result<Vec<NeededTensor>, EngineError> {
        let (_, catalogue) = Layout::of(self)?;
        let found = catalogue.needs().iter().filter_map(|need| {
            let stored = self.files().get(&need.name)?;
            Some(NeededTensor {
                name: need.name.clone(),
                class: need.class,
                dtype: format!("{:?}", stored.dtype),
                shape: stored.shape.clone(),
                is_rearranged: need.is_rearranged,
                row_width: need.row_width,
            })
        });
        Ok(found.collect())
    }
}

impl ConfigJson {
    /// The tensors that a model of this configuration needs, without any checkpoint: the family's published layout,
    /// everything in bf16 but experts that the configuration says are in MXFP4.
    ///
    /// # Errors
    /// When the configuration describes no model that is computed.
    ///
    /// ```
    /// # let text = r#"{"model_type": "mixtral", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
    /// #   "num_attention_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2, "vocab_size": 9}"#;
    /// let tensors = moescope_engine::ConfigJson::parse(text)?.required_tensors()?;
    /// assert_eq!(tensors[0].name, "model.embed_tokens.weight");
    /// assert_eq!(tensors[0].shape, [9, 8]);
    /// # Ok::<(), moescope_engine::EngineError>(())
    /// ```
    pub fn required_tensors(&self) -> Result<Vec<NeededTensor>, EngineError> {
        let config = DecoderConfig::from_json(self)?;
        let method = match self.object(&["quantization_config"])? {
            Some(quantization) => quantization.text_opt(&["quant_method"])?.map(str::to_owned),
            None => None,
        };
        let is_mxfp4 = method.as_deref() == Some("mxfp4");
        let catalogue = Layout::needs(&config, families::find(self)?, is_mxfp4)?;
        let tensor = |need: &Need| NeededTensor {
            name: need.name.clone(),
            class: need.class,
            dtype: if need.is_packed { "U8" } else { "BF16" }.to_owned(),
            shape: need.shape.clone(),
            is_rearranged: need.is_rearranged,
            row_width: need.row_width,
        };
        Ok(catalogue.needs().iter().map(tensor).collect())
    }
}
