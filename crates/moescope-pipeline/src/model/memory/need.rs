//! How much memory a model needs, computed from sizes alone.

use moescope_engine::WeightType;
use serde::Serialize;

use super::ModelSizes;

/// Bytes of a number in the arithmetic.
const F32: u64 = 4;
/// Rows whose logits are computed at once for surprisal; the engine's own numbers.
const CPU_HEAD_ROWS: u64 = 64;
const GPU_HEAD_ROWS: u64 = 256;
/// Bytes per decision of what is derived from its logits: position, layer, entropy, margin and so on.
const DERIVED_BYTES: u64 = 40;

/// Where weights and activations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The system's memory; weights stay in the mapped files where their type allows it.
    Cpu,
    /// A graphics adapter's memory; every weight is f32.
    Gpu,
}

impl Placement {
    /// That of a kind of device: `cpu`, or else a GPU.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        match kind {
            "cpu" => Self::Cpu,
            _ => Self::Gpu,
        }
    }
}

/// How weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightForm {
    /// In a type that `--weights` names, as far as the device computes with it.
    Kept(WeightType),
    /// Every weight as f32.
    F32,
}

/// The largest forward pass that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassSize {
    /// Tokens that go through the model together.
    pub tokens: u64,
    /// Tokens that the key-value cache has room for, all sequences together.
    pub cached_tokens: u64,
    /// Sequences that logits are kept for, to draw a next token from.
    pub sequences: u64,
    /// Whether router decisions are recorded.
    pub records_routing: bool,
}

impl PassSize {
    /// A prefill of so many tokens with its routing recorded and nothing generated.
    #[must_use]
    pub fn prefill(tokens: u64) -> Self {
        Self {
            tokens,
            cached_tokens: tokens,
            sequences: 0,
            records_routing: true,
        }
    }
}

/// What a model needs, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryNeed {
    /// Weights that stay in the mapped files: the system reads them as they are used and can drop them again.
    pub mapped: u64,
    /// Weights that are allocated.
    pub weights: u64,
    /// Keys and values of the tokens so far.
    pub cache: u64,
    /// Activations, logits and recorded routing of one pass: an estimate.
    pub pass: u64,
    /// What one tensor takes on its way into the system's memory, before the first pass. 0 on a GPU, where it is a part
    /// of `host`.
    pub loading: u64,
    /// System memory that is needed besides an adapter's: one tensor on its way, and what is read back. 0 on the CPU.
    pub host: u64,
}

impl MemoryNeed {
    /// What must be allocated on the device at most: the weights with a tensor on its way, or with a pass.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        let running = self.cache.saturating_add(self.pass);
        self.weights.saturating_add(running.max(self.loading))
    }

    /// What must be in memory for the model to run at memory's speed.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.mapped.saturating_add(self.allocated())
    }
}

/// What a model needs for a pass on a device.
#[must_use]
pub fn memory_need(
    sizes: &ModelSizes,
    pass: &PassSize,
    placement: Placement,
    form: WeightForm,
) -> MemoryNeed {
    let all_f32 = sizes.values.saturating_mul(F32);
    let (mapped, weights, loading) = match (placement, form) {
        (Placement::Cpu, WeightForm::Kept(weights)) => {
            let bytes = sizes.weight_bytes(weights);
            (bytes.mapped, bytes.converted, bytes.loading)
        }
        _ => (0, all_f32, 0),
    };
    // Keys and values of every layer, and one layer's while it is written anew.
    let cache_row = sizes
        .keys
        .saturating_add(sizes.value_heads)
        .saturating_mul(F32);
    let cache = cache_row
        .saturating_mul(pass.cached_tokens)
        .saturating_mul(sizes.layers.saturating_add(1));
    let (device_record, host_record) = recording(sizes, pass);
    let logits = sizes
        .vocab
        .saturating_mul(F32)
        .saturating_mul(pass.sequences);
    let work = pass.tokens.saturating_mul(activations(sizes, placement));
    // Logits of a few rows; on a GPU their logarithms and an intermediate besides.
    let head_values = match placement {
        Placement::Cpu => CPU_HEAD_ROWS.min(pass.tokens),
        Placement::Gpu => GPU_HEAD_ROWS.min(pass.tokens).saturating_mul(3),
    };
    let head = sizes.vocab.saturating_mul(F32).saturating_mul(head_values);
    let on_device = work
        .saturating_add(head)
        .saturating_add(device_record)
        .saturating_add(logits);
    // Read back, and then kept by sequence.
    let on_host = host_record.saturating_add(logits.saturating_mul(2));
    match placement {
        Placement::Cpu => MemoryNeed {
            mapped,
            weights,
            cache,
            pass: on_device.saturating_add(on_host),
            loading,
            host: 0,
        },
        Placement::Gpu => MemoryNeed {
            mapped,
            weights,
            cache,
            pass: on_device,
            loading,
            // A tensor as f32, and the driver's copy of it.
            host: on_host.max(sizes.largest.1.saturating_mul(2 * F32)),
        },
    }
}

/// Bytes of activations per token at the place of a layer where most of them live.
fn activations(sizes: &ModelSizes, placement: Placement) -> u64 {
    let product = |factor: u64, width: u64| factor.saturating_mul(width);
    // The residual stream, its norm, the output; queries and keys before and after rotation, values, the mixture.
    let attention = product(3, sizes.hidden)
        .saturating_add(product(3, sizes.queries))
        .saturating_add(product(3, sizes.keys));
    // The residual stream, its norm, output and sum; per chosen expert its input, gate and up, output.
    let per_expert = product(2, sizes.hidden).saturating_add(product(2, sizes.expert_width));
    let experts = product(4, sizes.hidden).saturating_add(product(sizes.top_k, per_expert));
    // On a GPU one expert sees all tokens: gate, up, their product and what is added.
    let one_by_one = product(6, sizes.hidden).saturating_add(product(4, sizes.expert_width));
    let widest = match placement {
        Placement::Cpu => attention.max(experts),
        Placement::Gpu => attention.max(experts).max(one_by_one),
    };
    widest.saturating_mul(F32)
}

/// Bytes of recorded routing on the device, and on the host once it is read back.
fn recording(sizes: &ModelSizes, pass: &PassSize) -> (u64, u64) {
    if !pass.records_routing {
        return (0, 0);
    }
    let decisions = pass.tokens.saturating_mul(sizes.moe_layers);
    // Logits, and id and weight of each chosen expert.
    let columns = sizes
        .experts
        .saturating_add(sizes.top_k.saturating_mul(2))
        .saturating_mul(F32);
    (
        decisions.saturating_mul(columns),
        // As it was read, and as columns of the trace.
        decisions.saturating_mul(columns.saturating_mul(2).saturating_add(DERIVED_BYTES)),
    )
}

#[cfg(test)]
mod tests {
    use moescope_engine::{NeededTensor, TensorClass, WeightType};

    use super::*;

    /// 2 layers, hidden 8, 2 × 4 queries, 1 × 4 keys, experts 4 wide 16, top-2, vocabulary 10.
    fn sizes() -> ModelSizes {
        ModelSizes {
            layers: 2,
            moe_layers: 2,
            hidden: 8,
            queries: 8,
            keys: 4,
            value_heads: 4,
            expert_width: 16,
            experts: 4,
            top_k: 2,
            vocab: 10,
            ..ModelSizes::default()
        }
    }

    fn tensor(name: &str, dtype: &str, shape: &[usize]) -> NeededTensor {
        NeededTensor {
            name: name.to_owned(),
            class: TensorClass::Experts,
            dtype: dtype.to_owned(),
            shape: shape.to_vec(),
            is_rearranged: false,
            row_width: shape.last().copied(),
        }
    }

    #[test]
    fn weights_are_counted_by_type_and_device() {
        let mut sizes = sizes();
        sizes.add(&tensor("a", "BF16", &[10, 8]));
        sizes.add(&tensor("b", "F32", &[8]));
        sizes.add(&tensor("c", "F16", &[4, 4]));
        sizes.add(&tensor("d", "F8_E4M3", &[2, 4]));
        // 3 rows of 2 blocks of 16 bytes: 3 × 2 × 32 values, and their scales.
        sizes.add(&tensor("e_blocks", "U8", &[3, 2, 16]));
        sizes.add(&tensor("e_scales", "U8", &[3, 2]));
        // BF16 160 + F32 32; F16 64 + F8 32 + MXFP4 as bf16 192 × 2.
        let bytes = sizes.weight_bytes(WeightType::Stored);
        assert_eq!((bytes.mapped, bytes.converted), (192, 64 + 32 + 384));
        assert_eq!(sizes.values, 80 + 8 + 16 + 8 + 192);
        assert_eq!(sizes.largest, ("a".to_owned(), 80));
        let pass = PassSize::prefill(0);
        let need = |placement, form| {
            let need = memory_need(&sizes, &pass, placement, form);
            (need.mapped, need.weights)
        };
        assert_eq!(
            need(Placement::Cpu, WeightForm::Kept(WeightType::Stored)),
            (192, 480)
        );
        assert_eq!(need(Placement::Cpu, WeightForm::F32), (0, 4 * 304));
        assert_eq!(
            need(Placement::Gpu, WeightForm::Kept(WeightType::Stored)),
            (0, 4 * 304)
        );
    }

    #[test]
    fn blocks_are_counted_where_rows_are_whole_blocks() {
        let mut sizes = sizes();
        sizes.add(&tensor("a", "BF16", &[10, 64]));
        // 48 is no multiple of 32: these stay as they are.
        sizes.add(&tensor("b", "BF16", &[10, 48]));
        sizes.add(&tensor("c", "F16", &[6, 32]));
        // 4 experts of 32 × 64, put into another order.
        sizes.add(&NeededTensor {
            is_rearranged: true,
            row_width: Some(32),
            ..tensor("d", "BF16", &[4, 32, 64])
        });
        let of = |weights| {
            let bytes = sizes.weight_bytes(weights);
            (bytes.mapped, bytes.converted, bytes.loading)
        };
        // Stored: 1280 + 960 mapped; f16 as f32 and the rearranged as bf16; one expert in its old order.
        assert_eq!(of(WeightType::Stored), (2240, 768 + 16_384, 4096));
        // 34 and 18 bytes for 32 weights: 20 + 6 + 256 blocks; an expert in both orders.
        assert_eq!(of(WeightType::Q8), (960, 282 * 34, 8192));
        assert_eq!(of(WeightType::Q4), (960, 282 * 18, 8192));
        let pass = PassSize::prefill(1);
        let need = memory_need(
            &sizes,
            &pass,
            Placement::Cpu,
            WeightForm::Kept(WeightType::Q4),
        );
        // A pass of one token is less than an expert on its way.
        assert_eq!(need.allocated(), 282 * 18 + 8192);
    }

    #[test]
    fn fused_experts_are_loaded_one_by_one() {
        let mut sizes = sizes();
        sizes.add(&tensor("experts.gate_up_proj", "BF16", &[4, 32, 8]));
        assert_eq!(sizes.largest, ("experts.gate_up_proj".to_owned(), 256));
    }

    #[test]
    fn a_pass_is_counted_by_hand() {
        let pass = PassSize {
            tokens: 3,
            cached_tokens: 5,
            sequences: 1,
            records_routing: true,
        };
        let need = memory_need(
            &sizes(),
            &pass,
            Placement::Cpu,
            WeightForm::Kept(WeightType::Stored),
        );
        // Keys and values 2 × 4 × 4 bytes, 5 tokens, 2 layers and one more.
        assert_eq!(need.cache, 32 * 5 * 3);
        // Attention 24 + 24 + 12 = 60 values; experts 32 + 2 × (16 + 32) = 128 values, 512 bytes.
        let work = 3 * 512;
        // 3 rows of 10 logits; on a GPU three times.
        let head = 3 * 10 * 4;
        // 6 decisions of 4 logits, 2 ids, 2 weights; on the host twice and 40 bytes.
        let record = 6 * 32 + 6 * (64 + 40);
        // On the device, read back, by sequence.
        let logits = 3 * 40;
        assert_eq!(need.pass, work + head + record + logits);
        assert_eq!(need.host, 0);

        let need = memory_need(
            &sizes(),
            &pass,
            Placement::Gpu,
            WeightForm::Kept(WeightType::Stored),
        );
        // One expert for all tokens: 48 + 64 = 112 values are fewer than 128.
        assert_eq!(need.pass, work + 3 * head + 6 * 32 + 40);
        assert_eq!(need.host, 6 * (64 + 40) + 80);
    }

    #[test]
    fn absurd_sizes_saturate() {
        let mut sizes = sizes();
        sizes.add(&tensor("a", "F32", &[usize::MAX, usize::MAX]));
        sizes.keys = u64::MAX;
        let need = memory_need(
            &sizes,
            &PassSize::prefill(u64::MAX),
            Placement::Gpu,
            WeightForm::F32,
        );
        assert_eq!(need.total(), u64::MAX);
    }
}
