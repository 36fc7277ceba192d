//! A model's files from the Hub into the cache.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use moescope_core::{Cancelled, Progress};

use super::{
    blob::{self, BlobJob},
    cache::{self, RepositoryFolder},
    client::Client,
    error::HubError,
    failure::shown,
    listing::{self, HubFile, Listing},
    meter::Meter,
    needed::{self, INDEX, SINGLE},
    settings::HubSettings,
};

/// Largest listing of a repository that is read.
const LARGEST_LISTING: u64 = 32 << 20;
/// Room that is left on the disk.
const SPARE_BYTES: u64 = 64 << 20;
/// Downloads at the same time have drafts of their own: in this process by this number, beside others by theirs.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// Downloads what a model needs of a repository and gives the commit that it is of.
///
/// Descriptions come first, then the shard index, then the weights that it names. The branch or tag is noted only when
/// everything is there, so an interrupted download never hides an older whole one.
pub(super) fn download(
    settings: &HubSettings,
    cache: &Path,
    id: &str,
    revision: &str,
    progress: &dyn Progress,
) -> Result<String, HubError> {
    let client = Client::new(settings)?;
    let folder = RepositoryFolder::new(cache, id);
    let listing = list(&client, id, revision, &mut || {
        progress.report(0, 0, &format!("asking the Hub for {id}"))
    })?;
    let snapshot = folder.snapshot(&listing.commit);
    for part in [folder.path.join("blobs"), snapshot.clone()] {
        fs::create_dir_all(&part)
            .map_err(|error| HubError::io("make the cache's folder", &part, error))?;
    }
    let job = |file| Placed {
        blob: BlobJob {
            client: &client,
            folder: &folder,
            id,
            commit: &listing.commit,
            file,
        },
        snapshot: &snapshot,
    };
    let mut files: Vec<&HubFile> = listing
        .files
        .iter()
        .filter(|file| needed::is_description(&file.name))
        .collect();
    if let Some(index) = find(&listing, INDEX) {
        let path = job(index).run(&mut Meter::new(progress, 0, "downloading the shard index"))?;
        files.extend(shards(&listing, &path, id)?);
    } else if let Some(single) = find(&listing, SINGLE) {
        files.push(single);
    } else {
        let names: Vec<&str> = listing.files.iter().map(|f| f.name.as_str()).collect();
        return Err(HubError::NoWeights {
            id: id.to_owned(),
            found: needed::other_weights(&names),
        });
    }
    let total = files.iter().filter_map(|file| file.size).sum();
    check_space(cache, files.iter().map(|file| job(file).missing()).sum())?;
    let mut meter = Meter::new(progress, total, &format!("downloading {id}"));
    for file in files {
        job(file).run(&mut meter)?;
    }
    if revision != listing.commit {
        note_reference(&folder, revision, &listing.commit)?;
    }
    Ok(listing.commit)
}

fn list(
    client: &Client,
    id: &str,
    revision: &str,
    tick: &mut dyn FnMut() -> Result<(), Cancelled>,
) -> Result<Listing, HubError> {
    let mut url = client.url(
        ["api", "models"]
            .into_iter()
            .chain(id.split('/'))
            .chain(["revision", revision]),
    );
    url.set_query(Some("blobs=true"));
    let action = format!("ask the Hub for '{id}'");
    let body = client.patiently(&action, &url, tick, &mut |tick, _| {
        let response = client.get(id, &url, 0, tick)?;
        client.body(response, LARGEST_LISTING, tick)
    })?;
    listing::parse(&body).map_err(|reason| HubError::Answer {
        reason,
        url: shown(&url),
    })
}

fn find<'l>(listing: &'l Listing, name: &str) -> Option<&'l HubFile> {
    listing.files.iter().find(|file| file.name == name)
}

/// The weight files that the index names.
fn shards<'l>(listing: &'l Listing, index: &Path, id: &str) -> Result<Vec<&'l HubFile>, HubError> {
    let bad = |reason| HubError::Answer {
        reason,
        url: format!("{id}/{INDEX}"),
    };
    let text = cache::read_bounded(index, cache::LARGEST_INDEX)
        .map_err(|error| HubError::io("read the shard index", index, error))?;
    cache::shards(&text)
        .map_err(bad)?
        .iter()
        .map(|name| {
            find(listing, name).ok_or_else(|| {
                bad(format!(
                    "the index names {name}, which the repository lacks"
                ))
            })
        })
        .collect()
}

/// A file and the snapshot that it belongs to.
struct Placed<'j> {
    blob: BlobJob<'j>,
    snapshot: &'j Path,
}

impl Placed<'_> {
    /// Bytes that are neither in the snapshot nor in a blob.
    fn missing(&self) -> u64 {
        let (file, folder) = (self.blob.file, self.blob.folder);
        let name = file.blob(self.blob.commit);
        if self.is_placed() || blob::is_whole(&folder.blob(&name), file.size) {
            return 0;
        }
        let arrived = fs::metadata(folder.partial(&name)).map_or(0, |found| found.len());
        file.size.unwrap_or(0).saturating_sub(arrived)
    }

    fn is_placed(&self) -> bool {
        blob::is_whole(
            &self.snapshot.join(&self.blob.file.name),
            self.blob.file.size,
        )
    }

    /// Makes the file be in the snapshot and gives its path there.
    fn run(&self, meter: &mut Meter<'_>) -> Result<PathBuf, HubError> {
        let path = self.snapshot.join(&self.blob.file.name);
        if self.is_placed() {
            meter.skip(self.blob.file.size.unwrap_or(0));
            return Ok(path);
        }
        let blob = self.blob.run(meter)?;
        place(&blob, &path, &self.blob.folder.path)
            .map_err(|error| HubError::io("put the file into the snapshot", &path, error))?;
        Ok(path)
    }
}

/// Puts a blob into a snapshot: as a relative link where the system has them, else as a second name or a copy.
///
/// It is made beside the snapshots and renamed into place, so that another process sees the file whole or not at all.
fn place(blob: &Path, path: &Path, repository: &Path) -> io::Result<()> {
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = repository.join(format!(".draft-{}-{number}", std::process::id()));
    let name = blob.file_name().unwrap_or_default();
    let target = Path::new("..").join("..").join("blobs").join(name);
    link(&target, &draft)
        .or_else(|_| fs::hard_link(blob, &draft))
        .or_else(|_| fs::copy(blob, &draft).map(|_| ()))?;
    fs::rename(&draft, path).inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}

#[cfg(not(any(unix, windows)))]
fn link(_target: &Path, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Refuses a download that cannot fit, before its first byte.
fn check_space(cache: &Path, missing: u64) -> Result<(), HubError> {
    if missing == 0 {
        return Ok(());
    }
    let free = fs4::available_space(cache)
        .map_err(|error| HubError::io("ask how much room the disk has", cache, error))?;
    if missing.saturating_add(SPARE_BYTES) > free {
        return Err(HubError::NoSpace {
            needed: Some(missing),
            free: Some(free),
            path: cache.to_owned(),
        });
    }
    Ok(())
}

/// Notes which commit a branch or tag stands for.
fn note_reference(folder: &RepositoryFolder, revision: &str, commit: &str) -> Result<(), HubError> {
    let path = folder.reference(revision);
    let failed = |error| HubError::io("note the revision", &path, error);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let draft_number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let mut draft = path.clone().into_os_string();
    draft.push(format!(".{}-{draft_number}.draft", std::process::id()));
    fs::write(&draft, commit)
        .and_then(|()| fs::rename(&draft, &path))
        .map_err(failed)
}
