//! What a model needs on either kind of device, and whether it fits here: for people who have not decided yet.

use moescope_engine::{Checkpoint, ComputeDevice, WeightType};
use serde::Serialize;

use super::{
    DeviceCapacity, ModelSizes,
    check::{Fit, fit},
    need::{MemoryNeed, PassSize, Placement, WeightForm, memory_need},
};
use crate::{capture::usual_batch_tokens, error::PipelineError, model::ModelFolder};

/// What a model needs on one kind of device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryReport {
    /// `cpu` or `gpu`.
    pub device: &'static str,
    /// The device's name, where there is one here.
    pub name: Option<String>,
    /// Tokens that go through the model together in a usual capture; the numbers are for them.
    pub batch_tokens: u64,
    /// Bytes with weights as they are kept there by `--weights stored`: on the CPU as stored, on a GPU as f32.
    pub stored: MemoryNeed,
    /// Bytes with `--weights q8`; on a GPU as f32.
    pub q8: MemoryNeed,
    /// Bytes with `--weights q4`; on a GPU as f32.
    pub q4: MemoryNeed,
    /// Bytes with every weight as f32.
    pub f32: MemoryNeed,
    /// What the device has; absent where there is none here or it was not asked for.
    pub has: Option<DeviceCapacity>,
    /// Whether it fits with weights as stored; absent where there is no device.
    pub verdict: Option<Fit>,
}

/// Reports on the CPU, and on a GPU whether or not one is here.
///
/// # Errors
/// When a header of the model cannot be read.
pub fn memory_reports(
    folder: &ModelFolder,
    device: &ComputeDevice,
) -> Result<[MemoryReport; 2], PipelineError> {
    let sizes = ModelSizes::of(&Checkpoint::open(&folder.path)?)?;
    Ok(["cpu", "gpu"].map(|kind| {
        let placement = Placement::of(kind);
        let batch_tokens = usual_batch_tokens(kind) as u64;
        let pass = PassSize::prefill(batch_tokens);
        let has = match (placement, device.kind == kind) {
            (_, true) => Some(DeviceCapacity::of(device)),
            (Placement::Cpu, _) => Some(DeviceCapacity::cpu()),
            (Placement::Gpu, _) => None,
        };
        let need = |form| memory_need(&sizes, &pass, placement, form);
        MemoryReport {
            device: kind,
            name: (device.kind == kind).then(|| device.name.clone()),
            batch_tokens,
            stored: need(WeightForm::Kept(WeightType::Stored)),
            q8: need(WeightForm::Kept(WeightType::Q8)),
            q4: need(WeightForm::Kept(WeightType::Q4)),
            f32: need(WeightForm::F32),
            verdict: has.map(|has| fit(&sizes, WeightType::Stored, &pass, placement, &has)),
            has,
        }
    }))
}
