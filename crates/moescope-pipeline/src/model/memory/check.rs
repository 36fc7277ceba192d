//! Whether a model fits, and in words what would.

use moescope_engine::{Checkpoint, ComputeDevice, WeightType};
use serde::Serialize;

use super::{
    DeviceCapacity, ModelSizes,
    need::{MemoryNeed, PassSize, Placement, WeightForm, memory_need},
    plan::Plan,
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

/// Compares what a model needs, its weights kept in a type, with what a device has.
#[must_use]
pub fn fit(
    model: &ModelSizes,
    weights: WeightType,
    pass: &PassSize,
    placement: Placement,
    has: &DeviceCapacity,
) -> Fit {
    let plan = Plan {
        model,
        weights,
        pass,
        placement,
        has,
    };
    let need = plan.need(weights, placement);
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
                plan.what_would_fit(memory)
            ));
        }
        Some(memory) if need.mapped > 0 && need.total() > memory => {
            let smaller = plan
                .smaller_weights(memory)
                .map_or(String::new(), |smaller| {
                    format!("; what would fit: {smaller}")
                });
            return Fit::Slow(format!(
                "the weights ({}) stay in their files and are read as they are needed, but with {} available they do not \
                 all stay in memory: every pass reads from the disk again, at the disk's speed; at full speed it needs \
                 {}{smaller}",
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
    if need.loading > need.cache.saturating_add(need.pass) {
        parts.push(format!(
            "before that {} while a matrix is loaded",
            bytes(need.loading)
        ));
    }
    if need.host > 0 {
        parts.push(format!("system memory besides {}", bytes(need.host)));
    }
    parts.join(", ")
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
    check(checkpoint, device, weights, pass, false)
}

/// As [`check_memory`], of a model that is loaded: the memory that its weights take is not free any more, and not needed
/// a second time.
///
/// # Errors
/// As [`check_memory`].
pub fn check_memory_of_loaded(
    checkpoint: &Checkpoint,
    device: &ComputeDevice,
    weights: WeightType,
    pass: &PassSize,
) -> Result<Option<String>, PipelineError> {
    check(checkpoint, device, weights, pass, true)
}

/// Holds what a model needs against what there is, the memory of its weights included where they are in it already.
fn check(
    checkpoint: &Checkpoint,
    device: &ComputeDevice,
    weights: WeightType,
    pass: &PassSize,
    is_loaded: bool,
) -> Result<Option<String>, PipelineError> {
    let sizes = ModelSizes::of(checkpoint)?;
    let placement = Placement::of(device.kind);
    let mut has = DeviceCapacity::of(device);
    if is_loaded {
        has = with_weights_back(has, &sizes, weights, placement);
    }
    told(fit(&sizes, weights, pass, placement, &has))
}

/// What a device has, together with what a model's weights take of it. An adapter's own memory is told as a whole anyway.
fn with_weights_back(
    has: DeviceCapacity,
    sizes: &ModelSizes,
    weights: WeightType,
    placement: Placement,
) -> DeviceCapacity {
    if placement == Placement::Gpu && !has.is_shared {
        return has;
    }
    let form = WeightForm::Kept(weights);
    let taken = memory_need(sizes, &PassSize::prefill(0), placement, form).weights;
    DeviceCapacity {
        memory: has.memory.map(|memory| memory.saturating_add(taken)),
        ..has
    }
}

/// What of a comparison is told: a warning, or a refusal.
fn told(fit: Fit) -> Result<Option<String>, PipelineError> {
    match fit {
        Fit::Fits | Fit::Unknown => Ok(None),
        Fit::Slow(warning) => Ok(Some(warning)),
        Fit::TooLarge(reason) => Err(PipelineError::Memory(reason)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::memory::WeightBytes;

    /// A model of one layer with weights of `mapped` and `converted` bytes as stored, half of that as q8 and a quarter
    /// as q4; 100 values in all.
    fn model(mapped: u64, converted: u64) -> ModelSizes {
        let all = mapped + converted;
        let bytes = |mapped, converted| WeightBytes {
            mapped,
            converted,
            loading: 0,
        };
        ModelSizes {
            bytes: BTreeMap::from([
                (WeightType::Stored, bytes(mapped, converted)),
                (WeightType::Q8, bytes(0, all / 2)),
                (WeightType::Q4, bytes(0, all / 4)),
            ]),
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
        let stored = WeightType::Stored;
        let check =
            |model: &ModelSizes, memory| fit(model, stored, &pass, Placement::Cpu, &cpu(memory));
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
    fn weights_that_are_in_memory_are_not_needed_twice() {
        let (model, pass) = (model(0, 30_000), PassSize::prefill(1));
        let check = |placement, has| {
            let has = with_weights_back(has, &model, WeightType::Q8, placement);
            fit(&model, WeightType::Q8, &pass, placement, &has)
        };
        // The weights take 15,000; the rest is for the pass.
        assert_eq!(check(Placement::Cpu, cpu(1_000)), Fit::Fits);
        assert!(matches!(check(Placement::Cpu, cpu(1)), Fit::TooLarge(_)));
        // An adapter's own memory is told as a whole.
        assert!(matches!(
            check(Placement::Gpu, gpu(Some(300), 1_000)),
            Fit::TooLarge(_)
        ));
    }

    /// Half of 30,000 and a few hundred bytes of a pass fit into 16,000, a quarter fits into 10,000.
    #[test]
    fn the_most_faithful_weights_that_fit_are_told() {
        let pass = PassSize::prefill(1);
        let check = |model: &ModelSizes, weights, memory| match fit(
            model,
            weights,
            &pass,
            Placement::Cpu,
            &cpu(memory),
        ) {
            Fit::Slow(words) | Fit::TooLarge(words) => words,
            other => panic!("{other:?}"),
        };
        for model in [model(30_000, 0), model(0, 30_000)] {
            let words = check(&model, WeightType::Stored, 16_000);
            assert!(
                words.contains("what would fit: --weights q8, which needs 15."),
                "{words}"
            );
            let words = check(&model, WeightType::Stored, 10_000);
            assert!(
                words.contains("what would fit: --weights q4, which needs 7."),
                "{words}"
            );
            let words = check(&model, WeightType::Q8, 10_000);
            assert!(
                words.contains("what would fit: --weights q4, which needs 7."),
                "{words}"
            );
            let words = check(&model, WeightType::Q4, 5_000);
            assert!(!words.contains("--weights"), "{words}");
        }
        let words = check(&model(30_000, 0), WeightType::Stored, 5_000);
        assert!(!words.contains("what would fit"), "{words}");
    }

    #[test]
    fn too_many_tokens_are_told_with_how_many_fit() {
        let pass = PassSize::prefill(1000);
        let Fit::TooLarge(words) = fit(
            &model(0, 0),
            WeightType::Stored,
            &pass,
            Placement::Cpu,
            &cpu(20_000),
        ) else {
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
        let stored = WeightType::Stored;
        let check = |has: DeviceCapacity| fit(&model(200, 0), stored, &pass, Placement::Gpu, &has);
        // 100 values as f32, and a little.
        assert_eq!(check(gpu(Some(1000), 1000)), Fit::Fits);
        assert_eq!(check(gpu(None, 1000)), Fit::Unknown);
        let Fit::TooLarge(words) = check(gpu(Some(300), 1000)) else {
            panic!("refused");
        };
        assert!(words.contains("300 B is all that it has"), "{words}");
        assert!(words.contains("--device cpu, which"), "{words}");
        // Where the system's memory holds no more than a quarter, the weights are smaller there.
        let small = DeviceCapacity {
            system: Some(10_000),
            ..gpu(Some(300), 1000)
        };
        let Fit::TooLarge(words) = fit(&model(30_000, 0), stored, &pass, Placement::Gpu, &small)
        else {
            panic!("refused");
        };
        assert!(
            words.contains("--device cpu --weights q4, which"),
            "{words}"
        );
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
