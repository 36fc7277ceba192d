//! What lies in a trace's folder, and what an interrupted writer left there.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    card::CARD_TMP,
    error::TraceError,
    manifest::{MANIFEST_TMP, Manifest},
    schema::Table,
};

/// Held by the process that writes the trace.
pub(crate) const LOCK_FILE: &str = ".lock";

pub(crate) fn is_absent_or_empty(path: &Path) -> Result<bool, TraceError> {
    Ok(entries(path)?.is_empty())
}

/// Whether nothing is there but what a writer makes before its first manifest.
pub(crate) fn is_unstarted(path: &Path) -> Result<bool, TraceError> {
    for name in entries(path)? {
        let is_ours = name == LOCK_FILE || name == MANIFEST_TMP;
        let is_table = Table::ALL.iter().any(|table| table.name() == name);
        if !(is_ours || is_table && entries(&path.join(&name))?.is_empty()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks that every shard's files are there and as long as the manifest says.
pub(crate) fn check_shards(path: &Path, manifest: &Manifest) -> Result<(), TraceError> {
    for shard in &manifest.shards {
        for table in Table::ALL {
            let file = path.join(table.shard_file(shard.index));
            let expected = shard.tables[table.name()].bytes;
            match fs::metadata(&file) {
                Ok(found) if found.len() == expected => {}
                Ok(found) => {
                    return Err(TraceError::damaged(
                        &file,
                        format!(
                            "the file has {} bytes, the manifest says {expected}",
                            found.len()
                        ),
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(TraceError::damaged(&file, "the file is missing"));
                }
                Err(error) => return Err(TraceError::io("look at a shard", &file, error)),
            }
        }
    }
    Ok(())
}

pub(crate) fn create_tables(path: &Path) -> Result<(), TraceError> {
    for table in Table::ALL {
        let folder = path.join(table.name());
        fs::create_dir_all(&folder)
            .map_err(|error| TraceError::io("create a table's folder", &folder, error))?;
    }
    Ok(())
}

/// Removes temporary files and shards that the manifest does not list; touches nothing else.
pub(crate) fn remove_leftovers(path: &Path, manifest: &Manifest) -> Result<(), TraceError> {
    let mut leftovers = stray_files(path, manifest)?;
    leftovers.extend([MANIFEST_TMP, CARD_TMP].map(|name| path.join(name)));
    for file in leftovers {
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(TraceError::io("remove an unfinished file", &file, error)),
        }
    }
    Ok(())
}

/// Files in the tables' folders that look like this crate's and are not in the manifest.
pub(crate) fn stray_files(path: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>, TraceError> {
    let listed: BTreeSet<u32> = manifest.shards.iter().map(|shard| shard.index).collect();
    let mut stray = Vec::new();
    for table in Table::ALL {
        let folder = path.join(table.name());
        for name in entries(&folder)? {
            let is_temporary = name.starts_with(".part-") && name.ends_with(".parquet.tmp");
            let is_listed = shard_index(&name).is_some_and(|index| listed.contains(&index));
            let is_shard = name.starts_with("part-") && name.ends_with(".parquet");
            if is_temporary || (is_shard && !is_listed) {
                stray.push(folder.join(name));
            }
        }
    }
    stray.sort();
    Ok(stray)
}

/// The index in a shard's file name, if it is spelled the one way that shards are.
fn shard_index(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let index: u32 = digits.parse().ok()?;
    (format!("{index:05}") == digits).then_some(index)
}

/// The names in a folder; none where it does not exist.
fn entries(path: &Path) -> Result<Vec<String>, TraceError> {
    let failed = |error| TraceError::io("list a folder", path, error);
    let listing = match fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    listing
        .map(|entry| {
            Ok(entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned())
        })
        .collect()
}
