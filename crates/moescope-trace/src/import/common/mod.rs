//! What several formats need.

pub(super) mod array;
pub(super) mod batch;
pub(super) mod batch_decisions;
pub(super) mod derive;
pub(super) mod files;
pub(super) mod intake;
pub(super) mod job;
pub(super) mod names;
pub(super) mod npy;
pub(super) mod provenance;
pub(super) mod responses;
pub(super) mod routed;
pub(super) mod served;
pub(super) mod sink;
pub(super) mod stack;
pub(super) mod tensor_file;
pub(super) mod tokens;
pub(super) mod workshop;
