//! How fast a model runs here: prefill and decode, with and without recording, against the machine's own limits.
//!
//! A model that is measured may have no weights of its own: [`Geometry`] is the shape of a real one, and
//! [`RandomCheckpoint`] gives it random weights, which are as fast as any.

mod case;
mod checkpoint_writer;
mod geometry;
mod machine;
mod model;
mod random_weights;
mod row;
mod work;

pub use case::{BenchConfig, BenchPhase, Recording};
pub use checkpoint_writer::RandomCheckpoint;
pub use geometry::Geometry;
pub use machine::{MachineLimits, forget_peak, peak_bytes, stream_bandwidth};
pub use model::{BenchModel, BenchOutcome};
pub use row::BenchRow;
