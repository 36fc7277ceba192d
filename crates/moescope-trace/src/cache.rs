//! Derived numbers that are kept beside a trace, so that the next run need not read it again.
//!
//! A cache may be lost, copied in part or belong to another trace: an entry counts only where its whole key and its
//! checksum fit, and everything else is as if nothing were there. Nothing here fails, for a folder that cannot be
//! written to is no reason not to measure.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use crate::{durable::hex, routing_trace::RoutingTrace};

/// The cache's folder within the trace's.
pub(crate) const CACHE_FOLDER: &str = ".moescope-cache";
/// What every entry begins with; the number changes with the layout.
const MAGIC: &[u8; 16] = b"moescope cache 1";
const CHECKSUM_BYTES: usize = 32;
/// The longest entry that is kept.
const MAX_ENTRY_BYTES: u64 = 256 << 20;
/// All entries of a trace together; the oldest go first.
const MAX_BYTES: u64 = 1 << 30;
/// The file that tells programs for backups and archives to leave a folder out (bford.info/cachedir).
const TAG: (&str, &str) = (
    "CACHEDIR.TAG",
    "Signature: 8a477f597d28d172789f06886806bc55\n# Numbers that moescope can compute again; may be deleted at any time.\n",
);
/// Keeps version control, and uploads that follow it, from taking the cache along.
const IGNORE: (&str, &str) = (".gitignore", "*\n");

/// Numbers that were computed from a trace, each kept under a key that says from what.
#[derive(Clone, Debug)]
pub struct TraceCache {
    folder: PathBuf,
    max_bytes: u64,
}

impl RoutingTrace {
    /// The cache beside this trace; nothing is touched before it is used.
    #[must_use]
    pub fn cache(&self) -> TraceCache {
        TraceCache {
            folder: self.path().join(CACHE_FOLDER),
            max_bytes: MAX_BYTES,
        }
    }
}

impl TraceCache {
    /// What was kept under a key; `None` where nothing was, or where it is not whole.
    #[must_use]
    pub fn read(&self, key: &str) -> Option<Vec<u8>> {
        let path = self.folder.join(entry_name(key));
        let length = fs::metadata(&path).ok()?.len();
        if !is_own_folder(&self.folder) || length > max_file_bytes(key) {
            return None;
        }
        let mut entry = fs::read(&path).ok()?;
        let body = entry.len().checked_sub(CHECKSUM_BYTES)?;
        let header = header(key);
        let is_whole = entry[..body].starts_with(&header)
            && Sha256::digest(&entry[..body]).as_slice() == &entry[body..];
        if !is_whole {
            return None;
        }
        entry.truncate(body);
        entry.drain(..header.len());
        Some(entry)
    }

    /// Keeps something under a key, if it is not too long and the folder lets it.
    ///
    /// The entry appears whole or not at all. It is not forced onto the disk: what a power cut leaves of it does not fit
    /// its checksum.
    pub fn write(&self, key: &str, content: &[u8]) {
        let bytes = content.len() as u64;
        if bytes <= MAX_ENTRY_BYTES.min(self.max_bytes) {
            // Without a cache everything is only slower.
            drop(self.try_write(key, content));
        }
    }

    fn try_write(&self, key: &str, content: &[u8]) -> io::Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        self.make_folder()?;
        self.make_room(content.len() as u64)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{}-{count}.tmp", process::id()));
        let written = write_entry(&temporary, key, content)
            .and_then(|()| fs::rename(&temporary, self.folder.join(entry_name(key))));
        if written.is_err() {
            drop(fs::remove_file(&temporary));
        }
        written
    }

    fn make_folder(&self) -> io::Result<()> {
        match fs::create_dir(&self.folder) {
            Ok(()) => {
                for (name, content) in [TAG, IGNORE] {
                    fs::write(self.folder.join(name), content)?;
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if is_own_folder(&self.folder) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the oldest entries until there is room for so many bytes.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)?
            .filter_map(Result::ok)
            .filter(|entry| is_ours(&entry.file_name().to_string_lossy()))
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in entries {
            if total + bytes <= self.max_bytes {
                break;
            }
            fs::remove_file(path)?;
            total -= length;
        }
        Ok(())
    }
}

/// Whether the folder is one and no link: a trace from elsewhere must not lead out of its own folder.
fn is_own_folder(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir())
}

/// Whether a name is that of an entry, or of one that was not finished.
fn is_ours(name: &str) -> bool {
    let ends = [".entry", ".tmp"];
    ends.iter().any(|end| name.ends_with(end))
}

fn entry_name(key: &str) -> String {
    let name = hex(&Sha256::digest(key));
    format!("{}.entry", &name[..32])
}

fn header(key: &str) -> Vec<u8> {
    [
        MAGIC,
        (key.len() as u64).to_le_bytes().as_slice(),
        key.as_bytes(),
    ]
    .concat()
}

fn max_file_bytes(key: &str) -> u64 {
    MAX_ENTRY_BYTES + (header(key).len() + CHECKSUM_BYTES) as u64
}

fn write_entry(path: &Path, key: &str, content: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    let mut hasher = Sha256::new();
    for part in [header(key).as_slice(), content] {
        hasher.update(part);
        file.write_all(part)?;
    }
    file.write_all(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, max_bytes: u64) -> TraceCache {
        TraceCache {
            folder: folder.join(CACHE_FOLDER),
            max_bytes,
        }
    }

    fn entries(cache: &TraceCache) -> Vec<PathBuf> {
        let listing = fs::read_dir(&cache.folder).unwrap();
        let paths = listing.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| is_ours(&path.to_string_lossy()))
            .collect()
    }

    #[test]
    fn what_was_kept_is_found_under_its_key_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), MAX_BYTES);
        assert_eq!(cache.read("a"), None);
        cache.write("a", b"content");
        assert_eq!(cache.read("a").unwrap(), b"content");
        assert_eq!(cache.read("b"), None);
        cache.write("a", b"");
        assert_eq!(cache.read("a").unwrap(), b"");
        assert_eq!(entries(&cache).len(), 1);
        assert!(cache.folder.join(TAG.0).exists());
    }

    #[test]
    fn an_entry_of_which_any_byte_differs_or_is_missing_is_not_there_and_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), MAX_BYTES);
        cache.write("key", b"content");
        let path = entries(&cache).remove(0);
        let good = fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(cache.read("key"), None, "byte {place}");
            fs::write(&path, &good[..place]).unwrap();
            assert_eq!(cache.read("key"), None, "length {place}");
        }
        cache.write("key", b"content");
        assert_eq!(cache.read("key").unwrap(), b"content");
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let folder = tempfile::tempdir().unwrap();
        // Two entries of 1000 bytes with their headers fit, three do not.
        let cache = cache(folder.path(), 2500);
        for (age, key) in ["oldest", "older", "newest"].into_iter().enumerate() {
            cache.write(key, &[0; 1000]);
            let file = fs::File::options()
                .append(true)
                .open(cache.folder.join(entry_name(key)))
                .unwrap();
            let second = std::time::Duration::from_secs(age as u64 + 1);
            file.set_modified(SystemTime::UNIX_EPOCH + second).unwrap();
        }
        assert_eq!(cache.read("oldest"), None);
        assert!(cache.read("older").is_some() && cache.read("newest").is_some());
        cache.write("longer than all together", &[0; 2501]);
        assert_eq!(entries(&cache).len(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_done_without() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder.path().join("absent"), MAX_BYTES);
        cache.write("key", b"content");
        assert_eq!(cache.read("key"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_another_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), MAX_BYTES);
        std::os::unix::fs::symlink(elsewhere.path(), &cache.folder).unwrap();
        cache.write("key", b"content");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
