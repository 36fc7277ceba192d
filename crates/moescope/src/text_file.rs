//! One text from a file.

use std::{fs, io::Read as _, path::Path};

use anyhow::{Context as _, bail};

/// Largest file in bytes; more fits no context.
const LARGEST: u64 = 64 << 20;

/// The text of a file, or of standard input where the path is `-`; `what` is what errors call it.
pub(crate) fn read(path: &Path, what: &str) -> anyhow::Result<String> {
    let failed = || format!("cannot read the {what}: {}", path.display());
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(LARGEST + 1).read_to_string(&mut text)
    } else {
        fs::File::open(path)
            .with_context(failed)?
            .take(LARGEST + 1)
            .read_to_string(&mut text)
    };
    if read.with_context(failed)? as u64 > LARGEST {
        bail!("the {what} is longer than 64 MiB: {}", path.display());
    }
    Ok(text)
}
