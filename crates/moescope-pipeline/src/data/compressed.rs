//! Reading zstd without being filled up by a small file that unpacks to a huge one.

use std::{
    fs::File,
    io::{self, BufReader, Read},
};

/// Text rarely compresses below a twentieth; a file that claims far more is refused once this much has come out.
const LARGEST_RATIO: u64 = 256;
/// What any file may unpack to.
const ALWAYS_ALLOWED: u64 = 64 << 20;
/// zstd's own default bound on a decoder's window, 128 MiB.
const LARGEST_WINDOW_LOG: u32 = 27;

/// A reader of the unpacked bytes.
pub(super) fn open(file: File) -> io::Result<impl Read> {
    let packed = file.metadata()?.len();
    let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::new(file))?;
    decoder.window_log_max(LARGEST_WINDOW_LOG)?;
    Ok(Bounded {
        inner: decoder,
        left: ALWAYS_ALLOWED.max(packed.saturating_mul(LARGEST_RATIO)),
    })
}

struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!(
                "it unpacks to more than {LARGEST_RATIO} times its size; unpack it first if that is meant"
            ))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_was_allowed_is_an_error() {
        let mut reader = Bounded {
            inner: &b"abcdef"[..],
            left: 4,
        };
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("256 times"), "{error}");
    }
}
