//! All integration tests of the crate as one program: each program is linked with everything, so one takes far less time
//! to build than many.

mod growth;
mod kernel_precision;
mod kernels;
mod layer_reader;
mod oracle;
mod paired;
mod precision;
mod required_tensors;
mod support;
mod tokenizers;
