//! What a device can hold.

use moescope_engine::ComputeDevice;
use serde::Serialize;

use super::available_memory;

/// What a device can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceCapacity {
    /// Bytes of the device's memory: on the CPU what is available now, on a GPU all of it; `None` where it is not known.
    pub memory: Option<u64>,
    /// Bytes of system memory that are available now; `None` where it is not known.
    pub system: Option<u64>,
    /// Bytes of the largest tensor that a GPU takes; `None` on the CPU.
    pub largest_tensor: Option<u64>,
    /// Whether a GPU's memory is the system's.
    pub is_shared: bool,
}

impl DeviceCapacity {
    /// The CPU of this machine.
    #[must_use]
    pub fn cpu() -> Self {
        let system = available_memory();
        Self {
            memory: system,
            system,
            largest_tensor: None,
            is_shared: true,
        }
    }

    /// What a device says of itself.
    #[must_use]
    pub fn of(device: &ComputeDevice) -> Self {
        let cpu = Self::cpu();
        match device.adapter_memory() {
            None => cpu,
            Some(adapter) if adapter.is_system_memory => Self {
                memory: match (adapter.total, cpu.system) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                },
                largest_tensor: Some(adapter.largest_tensor),
                ..cpu
            },
            Some(adapter) => Self {
                memory: adapter.total,
                largest_tensor: Some(adapter.largest_tensor),
                is_shared: false,
                ..cpu
            },
        }
    }
}
