//! Whether a model fits, and in words what would.

use moescope_engine::{Checkpoint, ComputeDevice, WeightType};
use serde::Serialize;

use super::{
    DeviceCapacity, ModelSizes,
    need::{MemoryNeed, PassSize, Placement, WeightForm, memory_need},
};
use crate::{error::PipelineError, sizes};

/// Whether a model fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fit", content = "reason", rename_all = "snake_case")]
pub enum Fit {
    /// It does.
    Fits,
    /// It will run, at the speed of the disk; why.
    Slow(String),
    /// It cannot; why, and what would fit.
    TooLarge(String),
    /// The device does not say how much memory it has.
    Unknown,
}

/// Compares what a model needs with what a device has.
#[must_use]
pub fn fit(model: &ModelSizes, pass: &PassSize, placement: Placement, has: &DeviceCapacity) -> Fit {
    let need = memory_need(model, pass, placement, WeightForm::Stored);
    if let Some(reason) = too_large_tensor(model, pass, has) {
        return Fit::TooLarge(reason);
    }
    let device = match placement {
        Placement::Cpu => "the CPU",
        Placement::Gpu => "the GPU",
    };
    let allocated = match (placement, has.is_shared) {
        (Placement::Gpu, true) => need.allocated().saturating_add(need.host),
        _ => need.allocated(),
    };
    let bytes = sizes::bytes;
    match has.memory {
        Some(memory) if allocated > memory => {
            return Fit::TooLarge(format!(
                "the model needs {} on {device} ({}), and {} {}; what would fit: {}",
                bytes(allocated),
                parts(&need),
                bytes(memory),
                if placement == Placement::Cpu || has.is_shared {
                    "are available"
                } else {
                    "is all that it has"
                },
                what_would_fit(model, pass, placement, has, memory)
            ));
        }
        Some(memory) if need.mapped > 0 && need.total() > memory => {
            return Fit::Slow(format!(
                "the weights ({}) stay in their files and are read as they are needed, but with {} available they do not \
                 all stay in memory: every pass reads from the disk again, at the disk's speed; at full speed it needs {}",
                bytes(need.mapped),
                bytes(memory),
                bytes(need.total())
            ));
        }
        _ => {}
    }
    if let Some(system) = has.system
        && need.host > system
    {
        return Fit::TooLarge(format!(
            "while the weights are loaded {} of system memory are needed, and {} are available",
            bytes(need.host),
            bytes(system)
        ));
    }
    if has.memory.is_none() {
        return Fit::Unknown;
    }
    Fit::Fits
}

/// `weights 2 GB, key-value cache of 512 tokens …`.
fn parts(need: &MemoryNeed) -> String {
    let bytes = sizes::bytes;
    let mut parts = Vec::new();
    if need.weights > 0 {
        parts.push(format!("weights {}", bytes(need.weights)));
    }
    parts.push(format!("key-value cache {}", bytes(need.cache)));
    parts.push(format!("a pass about {}", bytes(need.pass)));
    if need.host > 0 {
        parts.push(format!("system memory besides {}", bytes(need.host)));
    }
    parts.join(", ")
}

fn what_would_fit(
    model: &ModelSizes,
    pass: &PassSize,
    placement: Placement,
    has: &DeviceCapacity,
    memory: u64,
) -> String {
    let tokens = most_tokens(model, pass, placement, memory);
    if tokens > 0 {
        return format!(
            "{tokens} tokens at a time instead of {} (a smaller --batch-tokens or --max-tokens, or shorter texts)",
            pass.cached_tokens
        );
    }
    let cpu = memory_need(model, pass, Placement::Cpu, WeightForm::Stored);
    match (placement, has.system) {
        (Placement::Gpu, Some(system)) if cpu.allocated() <= system => format!(
            "--device cpu, which needs {}{} of the {} that are available",
            sizes::bytes(cpu.total()),
            if cpu.mapped > 0 {
                " with weights as stored"
            } else {
                ""
            },
            sizes::bytes(system)
        ),
        (Placement::Gpu, _) => format!(
            "a GPU or a machine with {}",
            sizes::bytes(memory_need(model, pass, placement, WeightForm::Stored).allocated())
        ),
        (Placement::Cpu, _) => format!(
            "a machine or job with {} of free memory, or a copy of the weights in bf16, which are used as they lie in \
             their files",
            sizes::bytes(cpu.allocated())
        ),
    }
}

/// The most tokens whose cache and pass fit beside the weights; 0 where not even a few do.
fn most_tokens(model: &ModelSizes, pass: &PassSize, placement: Placement, memory: u64) -> u64 {
    let fits = |tokens: u64| {
        let smaller = PassSize {
            tokens: pass.tokens.min(tokens),
            cached_tokens: tokens,
            sequences: pass.sequences.min(tokens),
            ..*pass
        };
        let need = memory_need(model, &smaller, placement, WeightForm::Stored);
        need.allocated() <= memory
    };
    // A bisection: the need only grows with the tokens.
    let (mut low, mut high) = (0, pass.cached_tokens);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    // Less is no use to anybody.
    if low >= 16 { low } else { 0 }
}

/// A tensor that the adapter cannot hold in one piece.
fn too_large_tensor(model: &ModelSizes, pass: &PassSize, has: &DeviceCapacity) -> Option<String> {
    let most = has.largest_tensor?;
    let (name, values) = &model.largest;
    let bytes = values.saturating_mul(4);
    if bytes > most {
        return Some(format!(
            "the tensor {name} needs {} in one piece on the GPU, and its driver gives {} at most; what would fit: \
             --device cpu",
            sizes::bytes(bytes),
            sizes::bytes(most)
        ));
    }
    let cache_row = model.keys.saturating_mul(4);
    (cache_row.saturating_mul(pass.cached_tokens) > most).then(|| {
        format!(
            "the keys of {} tokens need {} in one piece on the GPU, and its driver gives {} at most; what would fit: {} \
             tokens at a time (a smaller --batch-tokens or --max-tokens), or --device cpu",
            pass.cached_tokens,
            sizes::bytes(cache_row.saturating_mul(pass.cached_tokens)),
            sizes::bytes(most),
            most / cache_row.max(1)
        )
    })
}

/// Refuses to load what cannot fit; returns a warning where it will be slow.
///
/// Only headers are read: no weight is touched.
///
/// # Errors
/// [`PipelineError::Memory`] with what is needed, what there is and what would fit.
pub fn check_memory(
    checkpoint: &Checkpoint,
    device: &ComputeDevice,
    weights: WeightType,
    pass: &PassSize,
) -> Result<Option<String>, PipelineError> {
    let placement = match device.kind {
        "cpu" => Placement::Cpu,
        _ => Placement::Gpu,
    };
    let sizes = ModelSizes::of(checkpoint, weights)?;
    match fit(&sizes, pass, placement, &DeviceCapacity::of(device)) {
        Fit::Fits | Fit::Unknown => Ok(None),
        Fit::Slow(warning) => Ok(Some(warning)),
        Fit::TooLarge(reason) => Err(PipelineError::Memory(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of one layer with weights of `mapped` and `converted` bytes, and 100 values in all.
    fn model(mapped: u64, converted: u64) -> ModelSizes {
        ModelSizes {
            mapped_bytes: mapped,
            converted_bytes: converted,
            values: 100,
            largest: ("lm_head.weight".to_owned(), 60),
            layers: 1,
            moe_layers: 1,
            hidden: 1,
            queries: 1,
            keys: 1,
            value_heads: 1,
            expert_width: 1,
            experts: 2,
            top_k: 1,
            vocab: 1,
        }
    }

    fn cpu(memory: u64) -> DeviceCapacity {
        DeviceCapacity {
            memory: Some(memory),
            system: Some(memory),
            largest_tensor: None,
            is_shared: true,
        }
    }

    fn gpu(memory: Option<u64>, largest_tensor: u64) -> DeviceCapacity {
        DeviceCapacity {
            memory,
            system: Some(10_000),
            largest_tensor: Some(largest_tensor),
            is_shared: false,
        }
    }

    #[test]
    fn mapped_weights_that_are_larger_than_memory_are_slow_and_not_refused() {
        let pass = PassSize::prefill(1);
        let check = |model: &ModelSizes, memory| fit(model, &pass, Placement::Cpu, &cpu(memory));
        assert_eq!(check(&model(5000, 0), 10_000), Fit::Fits);
        assert!(
            matches!(check(&model(50_000, 0), 10_000), Fit::Slow(words) if words.contains("50.0 kB"))
        );
        // What must be allocated is another matter.
        let Fit::TooLarge(words) = check(&model(0, 50_000), 10_000) else {
            panic!("refused");
        };
        assert!(words.contains("weights 50.0 kB"), "{words}");
        assert!(words.contains("10.0 kB are available"), "{words}");
        assert!(
            words.contains("what would fit: a machine or job"),
            "{words}"
        );
    }

    #[test]
    fn too_many_tokens_are_told_with_how_many_fit() {
        let pass = PassSize::prefill(1000);
        let Fit::TooLarge(words) = fit(&model(0, 0), &pass, Placement::Cpu, &cpu(20_000)) else {
            panic!("refused");
        };
        // Per token: cache 2 × 8; activations 4 × 9; record 16 + 72; 64 rows of the head 4 each.
        // 140 t + 256 ≤ 20,000 up to t = 141.
        assert!(
            words.contains("141 tokens at a time instead of 1000"),
            "{words}"
        );
    }

    #[test]
    fn a_gpu_is_asked_for_its_memory_and_its_largest_tensor() {
        let pass = PassSize::prefill(1);
        let check = |has: DeviceCapacity| fit(&model(200, 0), &pass, Placement::Gpu, &has);
        // 100 values as f32, and a little.
        assert_eq!(check(gpu(Some(1000), 1000)), Fit::Fits);
        assert_eq!(check(gpu(None, 1000)), Fit::Unknown);
        let Fit::TooLarge(words) = check(gpu(Some(300), 1000)) else {
            panic!("refused");
        };
        assert!(words.contains("300 B is all that it has"), "{words}");
        assert!(words.contains("--device cpu"), "{words}");
        // 60 values as f32 are 240 bytes.
        let Fit::TooLarge(words) = check(gpu(Some(1000), 239)) else {
            panic!("refused");
        };
        assert!(
            words.contains("lm_head.weight") && words.contains("240 B"),
            "{words}"
        );
    }
}
