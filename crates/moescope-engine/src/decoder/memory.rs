//! What a checkpoint's weights will take on a device, from its headers alone.

use safetensors::Dtype;

use super::layout::Layout;
use crate::{checkpoint::Checkpoint, error::EngineError};

/// Weights of a model and the memory that they take on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightMemory {
    /// Weights, packed ones unpacked; of tensors that the model uses.
    pub parameters: u64,
    /// Bytes that stay in the mapped files: the system can drop and read them again.
    pub mapped_bytes: u64,
    /// Bytes that must be allocated.
    pub allocated_bytes: u64,
}

impl Checkpoint {
    /// What the weights will take on the CPU, or on a graphics adapter, where all of them are f32.
    ///
    /// # Errors
    /// When the checkpoint lacks most of what its configuration promises.
    pub fn weight_memory(&self, is_cpu: bool) -> Result<WeightMemory, EngineError> {
        let (_, catalogue) = Layout::of(self)?;
        let parameters = catalogue.parameters();
        if !is_cpu {
            return Ok(WeightMemory {
                parameters,
                mapped_bytes: 0,
                allocated_bytes: 4 * parameters,
            });
        }
        let mut memory = WeightMemory {
            parameters,
            ..WeightMemory::default()
        };
        for need in catalogue.needs() {
            let Some(stored) = self.files().get(&need.name) else {
                continue;
            };
            let bytes = stored.len() as u64;
            match stored.dtype {
                Dtype::F32 | Dtype::BF16 if need.is_rearranged || stored.shape.len() == 1 => {
                    memory.allocated_bytes += bytes;
                }
                Dtype::F32 | Dtype::BF16 => memory.mapped_bytes += bytes,
                Dtype::F16 => memory.allocated_bytes += 2 * bytes,
                Dtype::F8_E4M3 => memory.allocated_bytes += 4 * bytes,
                // A byte of four-bit floats becomes two bf16; the exponents are multiplied in.
                Dtype::U8 if need.name.ends_with("_blocks") => memory.allocated_bytes += 4 * bytes,
                _ => {}
            }
        }
        Ok(memory)
    }
}
