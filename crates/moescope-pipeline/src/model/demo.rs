//! The embedded model, so that the binary alone can show everything.
//!
//! The engine maps weights into memory, so the files are unpacked once into the user's cache folder. They appear there
//! whole or not at all, and are checked by length and checksum at every use.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::ModelFolder;
use crate::{cache_folder::cache_folder, checksum, error::PipelineError};

/// What the embedded model is called on the command line.
pub const DEMO: &str = "demo";
/// Its name in manifests.
pub const DEMO_NAME: &str = "scidfm-mini";

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/models/scidfm-mini/", $name)).as_slice())),+]
    };
}

/// Every file of the model and its content.
static FILES: [(&str, &[u8]); 6] = embedded![
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// Puts the model's files where the engine can map them.
pub(super) fn unpack() -> Result<ModelFolder, PipelineError> {
    let sums: Vec<String> = FILES
        .iter()
        .map(|(_, content)| checksum::sha256_of_bytes(content))
        .collect();
    let key = checksum::sha256_of_bytes(sums.concat().as_bytes());
    let folder = |path, temporary| ModelFolder {
        path,
        name: DEMO_NAME.to_owned(),
        revision: None,
        temporary,
    };
    if let Some(cache) = cache_folder() {
        let path = cache.join(format!("demo-{}", &key[..16]));
        if is_whole(&path, &sums) || install(&cache, &path, &sums).is_ok() {
            return Ok(folder(path, None));
        }
    }
    // No home, or one that cannot be written: the files live as long as this process.
    let path = std::env::temp_dir().join(format!(
        "moescope-demo-{}-{}",
        &key[..16],
        std::process::id()
    ));
    let failed = |error| PipelineError::io("unpack the embedded model", &path, error);
    write_files(&path).map_err(failed)?;
    let temporary = TemporaryFolder(path.clone());
    Ok(folder(path.clone(), Some(temporary)))
}

/// A folder that is removed with the value.
#[derive(Debug)]
pub(super) struct TemporaryFolder(PathBuf);

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of temporary folders.
        drop(fs::remove_dir_all(&self.0));
    }
}

fn is_whole(path: &Path, sums: &[String]) -> bool {
    FILES.iter().zip(sums).all(|((name, content), sum)| {
        let file = path.join(name);
        fs::metadata(&file).is_ok_and(|found| found.len() == content.len() as u64)
            && checksum::sha256_of(&file).is_ok_and(|found| found == *sum)
    })
}

/// Writes the files beside their place and moves the folder there, so that another process never sees half of it.
fn install(cache: &Path, path: &Path, sums: &[String]) -> io::Result<()> {
    fs::create_dir_all(cache)?;
    // Those that come at once take turns, so that a whole copy, which another may have opened, is never removed. Where the
    // file system knows no locks, the names of drafts still keep processes apart.
    let turn = fs::File::create(cache.join(".demo.lock"))?;
    drop(turn.lock());
    if is_whole(path, sums) {
        return Ok(());
    }
    let draft = cache.join(format!(".demo-{}", std::process::id()));
    let result = write_files(&draft).and_then(|()| {
        if path.exists() {
            // A damaged copy; it must go before another can take its place.
            fs::remove_dir_all(path)?;
        }
        fs::rename(&draft, path)
    });
    if result.is_err() {
        drop(fs::remove_dir_all(&draft));
    }
    // Without locks, another process may have been faster; its copy is as good.
    if is_whole(path, sums) { Ok(()) } else { result }
}

fn write_files(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir(folder)?;
    FILES
        .iter()
        .try_for_each(|(name, content)| fs::write(folder.join(name), content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums() -> Vec<String> {
        let sum = |(_, content): &(_, &[u8])| checksum::sha256_of_bytes(content);
        FILES.iter().map(sum).collect()
    }

    #[test]
    fn a_damaged_copy_is_noticed_and_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let (path, sums) = (cache.path().join("demo"), sums());
        install(cache.path(), &path, &sums).unwrap();
        assert!(is_whole(&path, &sums));
        // The same length, another content.
        let mut config = fs::read(path.join("config.json")).unwrap();
        config[0] ^= 1;
        fs::write(path.join("config.json"), config).unwrap();
        assert!(!is_whole(&path, &sums));
        install(cache.path(), &path, &sums).unwrap();
        assert!(is_whole(&path, &sums));
        assert_eq!(
            fs::read_dir(cache.path()).unwrap().count(),
            2,
            "no draft is left, only the copy and the lock"
        );
    }

    #[test]
    fn of_many_that_come_at_once_one_makes_the_copy() {
        let cache = tempfile::tempdir().unwrap();
        let (path, sums) = (cache.path().join("demo"), sums());
        let made = || {
            install(cache.path(), &path, &sums).unwrap();
            fs::metadata(path.join("config.json"))
                .unwrap()
                .modified()
                .unwrap()
        };
        let times: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(made)).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
    }
}
