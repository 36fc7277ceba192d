//! Memory before loading: what a model needs on a device, what there is, and what would fit.

mod available;
mod check;
mod need;
mod report;

pub use available::available_memory;
pub use check::{DeviceCapacity, Fit, check_memory, fit};
pub use need::{MemoryNeed, ModelSizes, PassSize, Placement, WeightForm, memory_need};
pub use report::{MemoryReport, memory_reports};
