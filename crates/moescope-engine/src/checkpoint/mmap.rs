//! The one place where a file becomes memory.
#![expect(
    unsafe_code,
    reason = "mapping a file is unsafe by nature; lengths are checked before any use"
)]

use std::{fs::File, path::Path};

use crate::error::EngineError;

/// A read-only file in memory, shared without copying.
///
/// The operating system ends the process if another program truncates the file while it is mapped; checkpoints are
/// not written to while a model runs.
pub(super) fn map(path: &Path) -> Result<bytes::Bytes, EngineError> {
    let file =
        File::open(path).map_err(|source| EngineError::io("open the weight file", path, source))?;
    // SAFETY: the mapping is read-only and private, and every access goes through the checked slice below.
    let map = unsafe { memmap2::MmapOptions::new().map(&file) }
        .map_err(|source| EngineError::io("map the weight file", path, source))?;
    Ok(bytes::Bytes::from_owner(map))
}
