//! How much memory the process holds.

/// Bytes of memory that are resident, where the system tells them.
pub(crate) fn resident_bytes() -> Option<u64> {
    moescope_pipeline::resident_memory()
}
