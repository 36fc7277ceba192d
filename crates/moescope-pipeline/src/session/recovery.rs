//! What sessions left that did not end in good order: their journals become traces.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use moescope_core::Progress;
use moescope_trace::{JournalledSample, TraceError, read_journal};
use serde_json::json;

use super::{
    journal::folder::SessionFolder,
    save::{SESSION, write},
};
use crate::error::PipelineError;

/// Where journals are put that cannot be read.
const DAMAGED: &str = "damaged";
/// Those together take at most this much, besides the last one; the oldest go first.
const DAMAGED_BYTES: u64 = 256 << 20;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Branches that are traces now.
    pub branches: Vec<RecoveredBranch>,
    /// What could not be done, for people.
    pub problems: Vec<String>,
}

/// A branch of a session that did not end in good order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredBranch {
    /// Its trace, complete as far as the branch had come.
    pub path: PathBuf,
    /// Its prompt.
    pub prompt: String,
    /// Tokens that had been drawn.
    pub drawn: usize,
    /// Bytes at the end of its journal that were not whole.
    pub lost_bytes: u64,
}

/// Writes what sessions left below `unfinished` as traces `recovered-N` into a folder, and removes their journals.
///
/// Journals of sessions that live, in this process or another, are not touched. One that cannot be read is put aside
/// and told; one whose trace cannot be written stays for the next time.
///
/// # Errors
/// When `progress` cancels; what was recovered until then stays.
pub fn recover(
    unfinished: &Path,
    traces: &Path,
    progress: &dyn Progress,
) -> Result<Recovery, PipelineError> {
    let mut recovery = Recovery::default();
    let folders = match folders(unfinished) {
        Ok(folders) => folders,
        Err(error) => {
            recovery.problems.push(error.to_string());
            return Ok(recovery);
        }
    };
    for folder in folders {
        progress.report(0, 0, "recovering what an interrupted run wrote")?;
        let journals = match SessionFolder::take_over(&folder) {
            Ok(None) => continue,
            Ok(Some(held)) => held.journals().map(|journals| (held, journals)),
            Err(error) => Err(error),
        };
        let (held, journals) = match journals {
            Ok(found) => found,
            Err(error) => {
                recovery.problems.push(error.to_string());
                continue;
            }
        };
        for journal in journals {
            progress.report(0, 0, "recovering what an interrupted run wrote")?;
            match recover_one(&journal, traces) {
                Ok(branch) => recovery.branches.extend(branch),
                Err(error) => recovery.problems.push(problem(&journal, unfinished, error)),
            }
        }
        held.remove_if_empty();
    }
    Ok(recovery)
}

/// Folders of sessions; none where there never was one.
fn folders(unfinished: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let failed = |error| PipelineError::io("look for unfinished replies", unfinished, error);
    let entries = match fs::read_dir(unfinished) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != DAMAGED) {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Makes a trace of a journal and removes it; `None` where it holds no token.
fn recover_one(journal: &Path, traces: &Path) -> Result<Option<RecoveredBranch>, TraceOrDisk> {
    let found = read_journal(journal).map_err(TraceOrDisk::of)?;
    let recovered = found.map(|sample| trace_of(sample, journal, traces));
    let recovered = recovered.transpose()?;
    fs::remove_file(journal).map_err(|error| {
        TraceOrDisk::Disk(PipelineError::io("remove a journal", journal, error))
    })?;
    Ok(recovered)
}

fn trace_of(
    sample: JournalledSample,
    journal: &Path,
    traces: &Path,
) -> Result<RecoveredBranch, TraceOrDisk> {
    let JournalledSample {
        head,
        record,
        elapsed_secs,
        lost_bytes,
    } = sample;
    let disk =
        |action, path: &Path, error| TraceOrDisk::Disk(PipelineError::io(action, path, error));
    let given = record.num_prompt_tokens.unwrap_or(0) as usize;
    let drawn = record.tokens.len().saturating_sub(given);
    let prompt = head.meta.text.clone();
    let mut manifest = head.manifest;
    let origin = manifest.settings.entry(SESSION.to_owned());
    let origin = origin.or_insert_with(|| json!({}));
    if !origin.is_object() {
        *origin = json!({});
    }
    origin["recovered"] = json!(true);
    // Under another name until it is whole: a kill now must leave nothing that looks like a trace.
    let draft = traces.join(draft_name(journal));
    match fs::remove_dir_all(&draft) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(disk("remove an unfinished trace", &draft, error)),
    }
    write(&draft, manifest, record, elapsed_secs, None).map_err(|error| match error {
        PipelineError::Trace(error) => TraceOrDisk::of(error),
        other => TraceOrDisk::Disk(other),
    })?;
    let path = name(&draft, traces).map_err(|error| disk("name the trace", &draft, error))?;
    Ok(RecoveredBranch {
        path,
        prompt,
        drawn,
        lost_bytes,
    })
}

/// One name for one journal, so that the next attempt finds what this one leaves.
fn draft_name(journal: &Path) -> String {
    let name = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    format!(".{}-{}", name(journal.parent()), name(Some(journal)))
}

/// Gives a trace the first name `recovered-N` that nothing has.
fn name(draft: &Path, traces: &Path) -> io::Result<PathBuf> {
    for number in 1..u32::MAX {
        let path = traces.join(format!("recovered-{number}"));
        if path.exists() {
            continue;
        }
        match fs::rename(draft, &path) {
            Ok(()) => return Ok(path),
            // Somebody was faster.
            Err(_) if path.exists() => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Why a journal did not become a trace.
enum TraceOrDisk {
    /// The journal is at fault, and will be the next time.
    Trace(TraceError),
    /// The disk is; the next time it may not be.
    Disk(PipelineError),
}

impl TraceOrDisk {
    fn of(error: TraceError) -> Self {
        match error {
            TraceError::Journal { .. }
            | TraceError::Record { .. }
            | TraceError::Manifest { .. } => Self::Trace(error),
            other => Self::Disk(other.into()),
        }
    }
}

/// Says what is wrong with a journal; one that is at fault is put aside, so that it is told once.
fn problem(journal: &Path, unfinished: &Path, error: TraceOrDisk) -> String {
    let error = match error {
        TraceOrDisk::Disk(error) => {
            return format!("a reply of an interrupted run is not recovered yet: {error}");
        }
        TraceOrDisk::Trace(error) => error,
    };
    let aside = unfinished.join(DAMAGED);
    let path = aside.join(draft_name(journal).trim_start_matches('.'));
    let told = format!("a reply of an interrupted run cannot be recovered: {error}");
    match fs::create_dir_all(&aside).and_then(|()| fs::rename(journal, &path)) {
        Ok(()) => {
            trim(&aside, &path);
            format!("{told}; its journal is now {}", path.display())
        }
        Err(_) => told,
    }
}

/// Keeps what was put aside within its bound, but for the file that was put there last.
fn trim(aside: &Path, last: &Path) {
    let Ok(entries) = fs::read_dir(aside) else {
        return;
    };
    let about = |entry: fs::DirEntry| {
        let about = entry.metadata().ok()?;
        let time = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Some((time, about.len(), entry.path()))
    };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries.flatten().filter_map(about).collect();
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, of_file, path) in files {
        if bytes <= DAMAGED_BYTES {
            break;
        }
        if path != last && fs::remove_file(path).is_ok() {
            bytes -= of_file;
        }
    }
}
