//! Memory before loading: what a model needs on a device, what there is, and what would fit.

mod available;
mod capacity;
mod check;
mod left_as_stored;
mod model_sizes;
mod need;
mod pair;
mod plan;
mod report;
mod resident;

pub use available::available_memory;
pub use capacity::DeviceCapacity;
pub use check::{Fit, check_memory, check_memory_of_loaded, fit};
pub use left_as_stored::left_as_stored;
pub use model_sizes::{ModelSizes, WeightBytes};
pub use need::{MemoryNeed, PassSize, Placement, WeightForm, memory_need};
pub use pair::check_memory_of_pair;
pub use report::{MemoryReport, memory_reports};
pub use resident::resident_memory;
