//! All integration tests of the crate as one program: each program is linked with everything, so one takes far less time
//! to build than many.

mod closing;
mod common;
mod keyboard;
mod live;
mod opening;
mod views;
