//! All integration tests of the crate as one program: each program is linked with everything, so one takes far less time
//! to build than many.

mod ablate;
mod analysis;
mod app;
mod bad_data;
mod bad_models;
mod bench;
mod capture;
mod chat;
mod compare;
mod compare_weights;
mod demo_model;
mod effect;
mod families;
mod hub;
mod imports;
mod interruption;
mod layering;
mod memory;
mod precision;
mod support;
mod traces;
