//! All integration tests of the crate as one program: each program is linked with everything, so one takes far less time
//! to build than many.

mod catalogue;
mod common;
mod gallery;
mod golden;
mod labels;
mod refusals;
mod structures;
mod values;
