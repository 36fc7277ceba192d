//! One file's content into the cache: continued where it was, checked, and put in place whole.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{
    Response, StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_RANGE},
};

use super::{
    cache::RepositoryFolder,
    client::{Client, Tick},
    error::HubError,
    failure::{Failure, shown},
    listing::HubFile,
    meter::Meter,
    partial::Partial,
};

/// Largest file whose length neither the Hub's listing nor the answer tells.
const LARGEST_UNKNOWN: u64 = 256 << 20;
/// How often a lock of another process is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// Where a file comes from and where it goes.
pub(super) struct BlobJob<'j> {
    pub(super) client: &'j Client,
    pub(super) folder: &'j RepositoryFolder,
    /// The repository's id.
    pub(super) id: &'j str,
    /// The commit it is taken from.
    pub(super) commit: &'j str,
    pub(super) file: &'j HubFile,
}

impl BlobJob<'_> {
    /// Makes the blob be there and gives its path.
    pub(super) fn run(&self, meter: &mut Meter<'_>) -> Result<PathBuf, HubError> {
        let name = self.file.blob(self.commit);
        let blob = self.folder.blob(&name);
        let lock = self.folder.lock(&name);
        if let Some(parent) = lock.parent() {
            fs::create_dir_all(parent)
                .map_err(|error| HubError::io("make the folder of locks", parent, error))?;
        }
        let guard = lock_file(&lock, meter)?;
        if is_whole(&blob, self.file.size) {
            meter.skip(self.file.size.unwrap_or(0));
            return Ok(blob);
        }
        let partial = match guard {
            Some(_) => self.folder.partial(&name),
            // Without locks two processes must not write into one file; this one cannot be continued later.
            None => self
                .folder
                .partial(&format!("{name}.{}", std::process::id())),
        };
        self.fetch(&partial, meter)?;
        fs::rename(&partial, &blob)
            .map_err(|error| HubError::io("put the download in place", &blob, error))?;
        Ok(blob)
    }

    fn fetch(&self, path: &Path, meter: &mut Meter<'_>) -> Result<(), HubError> {
        let parts = self.id.split('/').chain(["resolve", self.commit]);
        let url = self.client.url(parts.chain(self.file.name.split('/')));
        let mut partial = Partial::open(path, self.file.size, &mut || meter.check())?;
        meter.skip(partial.len());
        let action = format!("download {}", self.file.name);
        // The meter is needed by the work and by the pauses between attempts.
        let meter = std::cell::RefCell::new(meter);
        self.client.patiently(
            &action,
            &url,
            &mut || meter.borrow_mut().check(),
            &mut |tick, has_advanced| {
                let before = partial.len();
                let result = self.attempt(&url, &mut partial, &meter, tick);
                *has_advanced = partial.len() > before;
                result
            },
        )?;
        let found = partial.len();
        let sum = partial.finish()?;
        let reason = match (&self.file.size, &self.file.sha256) {
            (Some(size), _) if *size != found => {
                format!("{size} bytes were promised, {found} came")
            }
            (_, Some(promised)) if *promised != sum => {
                format!("its SHA-256 should be {promised} and is {sum}")
            }
            _ => return Ok(()),
        };
        fs::remove_file(path)
            .map_err(|error| HubError::io("remove the damaged download", path, error))?;
        Err(HubError::Damaged {
            file: self.file.name.clone(),
            reason,
        })
    }

    /// One request for what is missing.
    fn attempt(
        &self,
        url: &Url,
        partial: &mut Partial,
        meter: &std::cell::RefCell<&mut Meter<'_>>,
        tick: Tick<'_>,
    ) -> Result<(), Failure> {
        let from = partial.len();
        if self.file.size == Some(from) {
            return Ok(());
        }
        let mut response = self.client.get(self.id, url, from, tick)?;
        let restart = |partial: &mut Partial| {
            meter.borrow_mut().lose(partial.len());
            partial.restart()
        };
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(from) => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                restart(partial)?;
                return Err(Failure::passing("the server cannot continue at this byte"));
            }
            // The server knows no ranges: everything comes again.
            _ => restart(partial)?,
        }
        let promised = content_length(&response).map(|length| partial.len().saturating_add(length));
        let end = self.file.size.or(promised);
        while let Some(piece) = self.client.chunk(&mut response, tick)? {
            let piece = piece.as_ref();
            let after = partial.len().saturating_add(piece.len() as u64);
            if after > end.unwrap_or(LARGEST_UNKNOWN) {
                return Err(Failure::Final(HubError::Answer {
                    reason: format!("more bytes of {} than were promised", self.file.name),
                    url: shown(url),
                }));
            }
            partial.write(piece)?;
            meter
                .borrow_mut()
                .add(piece.len() as u64, &self.file.name)?;
        }
        match end {
            Some(end) if partial.len() < end => Err(Failure::passing(format!(
                "the answer ended after {} of {end} bytes",
                partial.len()
            ))),
            _ => Ok(()),
        }
    }
}

/// Whether a blob is there with its length; its content was checked before it got its name.
pub(super) fn is_whole(path: &Path, size: Option<u64>) -> bool {
    fs::metadata(path)
        .is_ok_and(|found| found.is_file() && size.is_none_or(|size| found.len() == size))
}

fn content_length(response: &Response) -> Option<u64> {
    response
        .headers()
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The first byte of `Content-Range: bytes 5-9/10`.
fn starts_at(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .trim()
        .parse()
        .ok()
}

/// Takes the lock that `huggingface_hub` takes as well; `None` on a file system without locks.
fn lock_file(path: &Path, meter: &mut Meter<'_>) -> Result<Option<File>, HubError> {
    let failed = |error| HubError::io("lock the cache", path, error);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(failed)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                meter.wait("another process is downloading this file; waiting for it")?;
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::Error(error)) if has_no_locks(&error) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// Network file systems of clusters are often mounted without locks: ENOLCK, ENOSYS and ENOTSUP of Linux.
fn has_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || (cfg!(target_os = "linux") && matches!(error.raw_os_error(), Some(37 | 38 | 95)))
}
