//! The one place where a file becomes memory.
#![expect(
    unsafe_code,
    reason = "mapping a file is unsafe by nature; lengths are checked before any use"
)]

use std::{fs::File, ops::Range, path::Path, sync::Arc};

use memmap2::{Mmap, MmapOptions};

use crate::error::EngineError;

/// A read-only file in memory, shared without copying.
///
/// The operating system ends the process if another program truncates the file while it is mapped; checkpoints are
/// not written to while a model runs.
pub(super) struct Mapping {
    map: Arc<Mmap>,
}

/// The owner that slices of a mapping share.
struct Owner(Arc<Mmap>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapping {
    pub(super) fn open(path: &Path) -> Result<Self, EngineError> {
        let file = File::open(path)
            .map_err(|source| EngineError::io("open the weight file", path, source))?;
        // SAFETY: the mapping is read-only and private, and every access goes through checked slices.
        let map = unsafe { MmapOptions::new().map(&file) }
            .map_err(|source| EngineError::io("map the weight file", path, source))?;
        Ok(Self { map: Arc::new(map) })
    }

    /// All bytes of the file.
    pub(super) fn bytes(&self) -> bytes::Bytes {
        bytes::Bytes::from_owner(Owner(Arc::clone(&self.map)))
    }

    /// Tells the system that a part will hardly be read again, so that it counts no more as this process's memory.
    ///
    /// The bytes stay readable: they come from the file again. A system that does not know the advice ignores it.
    pub(super) fn release(&self, part: Range<usize>) {
        #[cfg(unix)]
        {
            // SAFETY: the mapping is read-only and of a file, so what is dropped is read again from the file.
            let advised = unsafe {
                self.map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    part.start,
                    part.len(),
                )
            };
            // An advice that is not taken costs memory and nothing else.
            drop(advised);
        }
        #[cfg(not(unix))]
        let _ = part;
    }
}
