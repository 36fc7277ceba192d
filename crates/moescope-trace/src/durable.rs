//! Files that appear whole or not at all.
//!
//! A file is written under a temporary name, synced, renamed, and then its folder is synced: after a crash the
//! new name either does not exist or has the whole content. Every step goes through [`step`], so that tests can
//! stop a writer after each of them.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::error::TraceError;

/// A file that knows the checksum and the length of what was written to it.
#[derive(Debug)]
pub(crate) struct HashingFile {
    file: File,
    hasher: Sha256,
    len: u64,
}

impl HashingFile {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        step()?;
        Ok(Self {
            file: File::create(path)?,
            hasher: Sha256::new(),
            len: 0,
        })
    }

    /// Puts the file on the disk and says its length and the SHA-256 of its content.
    pub(crate) fn sync(&mut self) -> io::Result<(u64, String)> {
        step()?;
        sync(&self.file)?;
        Ok((self.len, hex(&self.hasher.finalize_reset())))
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        step()?;
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Replaces the file `name` of a folder by one with the given content.
pub(crate) fn replace_file(
    folder: &Path,
    name: &str,
    temporary_name: &str,
    content: &[u8],
) -> Result<(), TraceError> {
    let temporary = folder.join(temporary_name);
    let write = || -> io::Result<()> {
        let mut file = HashingFile::create(&temporary)?;
        file.write_all(content)?;
        file.sync()?;
        Ok(())
    };
    write().map_err(|error| TraceError::io("write a file", &temporary, error))?;
    rename(&temporary, &folder.join(name))?;
    sync_folder(folder)
}

/// Gives a synced file its final name.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), TraceError> {
    step()
        .and_then(|()| fs::rename(from, to))
        .map_err(|error| TraceError::io("move a finished file into place", to, error))
}

/// Removes a file that is not needed any more.
pub(crate) fn remove(path: &Path) -> Result<(), TraceError> {
    step()
        .and_then(|()| fs::remove_file(path))
        .map_err(|error| TraceError::io("remove a file that was merged", path, error))
}

/// Makes renames and removals within a folder last.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), TraceError> {
    let sync = || -> io::Result<()> {
        step()?;
        // Windows cannot open a folder as a file; its renames are journalled.
        if cfg!(unix) {
            sync(&File::open(folder)?)?;
        }
        Ok(())
    };
    sync().map_err(|error| TraceError::io("sync a folder", folder, error))
}

/// Compares a file's SHA-256 with the one that the manifest has; `report` hears of each piece's length.
pub(crate) fn check_sum(
    path: &Path,
    expected: &str,
    report: impl FnMut(u64) -> Result<(), TraceError>,
) -> Result<(), TraceError> {
    if sha256_of(path, report)? == expected {
        return Ok(());
    }
    Err(TraceError::damaged(
        path,
        "its checksum is not that of the manifest",
    ))
}

/// The SHA-256 of a file, in hexadecimal, read in pieces; `report` hears of each piece's length.
pub(crate) fn sha256_of(
    path: &Path,
    mut report: impl FnMut(u64) -> Result<(), TraceError>,
) -> Result<String, TraceError> {
    use std::io::Read as _;
    let failed = |error| TraceError::io("read a file", path, error);
    let mut file = File::open(path).map_err(|error| TraceError::opening(path, error))?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut piece).map_err(failed)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&piece[..read]);
        report(read as u64)?;
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// Puts a file on the disk.
///
/// Tests survive no power cut, and syncing would be nearly all of their time.
fn sync(file: &File) -> io::Result<()> {
    if cfg!(test) {
        return Ok(());
    }
    file.sync_all()
}

/// Passes, unless a test has asked for a fault at this step.
#[cfg(not(test))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "under test the same function injects faults"
)]
fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
fn step() -> io::Result<()> {
    faults::step()
}

/// Faults for tests: the n-th file operation of this thread fails, and all after it.
#[cfg(test)]
pub(crate) mod faults {
    use std::{cell::Cell, io};

    thread_local! {
        static STEPS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Lets `steps` operations pass and fails all later ones; `None` fails none.
    pub(crate) fn fail_after(steps: Option<u32>) {
        STEPS_LEFT.set(steps);
    }

    pub(super) fn step() -> io::Result<()> {
        match STEPS_LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Some(left) => {
                STEPS_LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_content() {
        // The SHA-256 of "abc" is given in FIPS 180-2, appendix B.1.
        let folder = tempfile::tempdir().unwrap();
        replace_file(folder.path(), "a", ".a.tmp", b"abc").unwrap();
        let sum = sha256_of(&folder.path().join("a"), |_| Ok(())).unwrap();
        assert_eq!(
            sum,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(!folder.path().join(".a.tmp").exists());
    }

    #[test]
    fn a_full_disk_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        faults::fail_after(Some(1));
        let error = replace_file(folder.path(), "a", ".a.tmp", b"abc").unwrap_err();
        faults::fail_after(None);
        assert!(error.to_string().contains("disk is full"), "{error}");
        assert!(!folder.path().join("a").exists());
    }
}
