//! Feeding readers with broken files: a driver of mutations that the same seed repeats exactly.
//!
//! A [`Target`] is a reader with a corpus of good files.
//! A [`Mutator`] makes the input of any number from seed and corpus alone, so a process that died can be asked again for
//! the input that killed it.
//! [`execute`] watches one execution: panics, time, and memory where [`CountingAllocator`] is the global allocator.
//! A [`Worker`] runs a range of inputs in a process of its own, [`supervise`] starts such processes and outlives them,
//! and [`smallest`] cuts a finding down to what matters.

mod byte_edits;
mod execute;
mod json_edits;
mod memory;
mod mutator;
mod report;
mod shrink;
mod supervise;
mod target;
mod worker;

pub use execute::{Bounds, Failure, Observation, execute};
pub use memory::CountingAllocator;
pub use mutator::Mutator;
pub use report::{Finding, Report};
pub use shrink::smallest;
pub use supervise::{Campaign, supervise};
pub use target::{Reader, Shape, Target};
pub use worker::Worker;
