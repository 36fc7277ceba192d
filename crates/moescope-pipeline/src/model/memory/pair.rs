//! Whether two loads of one model fit side by side.

use moescope_engine::{Checkpoint, ComputeDevice, WeightType};

use super::{
    DeviceCapacity, Fit, MemoryNeed, ModelSizes, PassSize, Placement, WeightForm, fit, memory_need,
};
use crate::{error::PipelineError, sizes::bytes};

/// Refuses to load a model beside itself with stored weights where both cannot fit; returns a warning where it will be
/// slow.
///
/// One pass runs at a time, but what the first recorded is kept while the second runs.
///
/// # Errors
/// [`PipelineError::Memory`] with what is needed, what there is and what would fit.
pub fn check_memory_of_pair(
    checkpoint: &Checkpoint,
    device: &ComputeDevice,
    variant: WeightType,
    pass: &PassSize,
) -> Result<Option<String>, PipelineError> {
    let placement = Placement::of(device.kind);
    let sizes = ModelSizes::of(checkpoint)?;
    let stored = WeightForm::Kept(WeightType::Stored);
    let reference = memory_need(&sizes, pass, placement, stored);
    let left = beside(&reference, DeviceCapacity::of(device));
    let taken = || bytes(reference.weights.saturating_add(reference.pass));
    match fit(&sizes, variant, pass, placement, &left) {
        Fit::Fits | Fit::Unknown => Ok(None),
        Fit::Slow(warning) => Ok(Some(warning)),
        Fit::TooLarge(reason) => Err(PipelineError::Memory(format!(
            "with weights as {variant} beside the reference, which takes {}: {reason}",
            taken()
        ))),
    }
}

/// What a device has left beside a model's weights and the record of a pass.
fn beside(reference: &MemoryNeed, has: DeviceCapacity) -> DeviceCapacity {
    let less = |bytes: Option<u64>, taken: u64| bytes.map(|bytes| bytes.saturating_sub(taken));
    DeviceCapacity {
        memory: less(has.memory, reference.weights.saturating_add(reference.pass)),
        system: less(has.system, reference.host),
        ..has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_reference_takes_is_not_there_for_the_variant() {
        let reference = MemoryNeed {
            mapped: 1000,
            weights: 30,
            cache: 500,
            pass: 20,
            loading: 0,
            host: 7,
        };
        let has = DeviceCapacity {
            memory: Some(100),
            system: Some(5),
            largest_tensor: Some(9),
            is_shared: false,
        };
        let left = beside(&reference, has);
        // 100 − 30 − 20; mapped weights are the system's to drop, and the cache is gone when the variant runs.
        assert_eq!((left.memory, left.system), (Some(50), Some(0)));
        assert_eq!(left.largest_tensor, Some(9));
    }
}
