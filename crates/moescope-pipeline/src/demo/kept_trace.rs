//! The demo's trace, captured once and kept in the user's cache folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use moescope_core::Progress;
use moescope_engine::{ComputeDevice, DeviceChoice};
use moescope_trace::RoutingTrace;

use super::{capture, prompt_sets::PROMPT_SETS, write_prompts};
use crate::{cache_folder::cache_folder, checksum, error::PipelineError};

/// The embedded model's trace of the embedded prompt sets.
///
/// It is captured at the first call and found at the next; the texts stand beside it, as JSON lines.
///
/// # Errors
/// When there is no folder to keep it in, the capture fails, or `progress` cancels.
pub fn kept_trace(choice: DeviceChoice, progress: &dyn Progress) -> Result<PathBuf, PipelineError> {
    let Some(cache) = cache_folder() else {
        return Err(PipelineError::Settings(
            "there is no folder to keep the demo trace in; set HOME or XDG_CACHE_HOME, or run moescope demo --out FOLDER and open its trace"
                .to_owned(),
        ));
    };
    trace_in(&cache, choice, progress)
}

fn trace_in(
    cache: &Path,
    choice: DeviceChoice,
    progress: &dyn Progress,
) -> Result<PathBuf, PipelineError> {
    let folder = cache.join(format!("demo-trace-{}", &key()[..16]));
    let trace = folder.join("trace");
    if RoutingTrace::open(&trace).is_ok() {
        return Ok(trace);
    }
    fs::create_dir_all(cache)
        .map_err(|source| PipelineError::io("make the folder", cache, source))?;
    // Written beside its place and moved there, so that another process never sees half of it.
    let draft = cache.join(format!(".demo-trace-{}", std::process::id()));
    let result = fill(&draft, choice, progress).and_then(|()| {
        if folder.exists() {
            // What cannot be opened must go before another can take its place.
            fs::remove_dir_all(&folder)
                .map_err(|source| PipelineError::io("replace the demo trace", &folder, source))?;
        }
        fs::rename(&draft, &folder)
            .map_err(|source| PipelineError::io("keep the demo trace", &folder, source))
    });
    if result.is_err() {
        // What cannot be removed is overwritten by the next attempt of this process.
        drop(fs::remove_dir_all(&draft));
    }
    // Another process may have been faster; its trace is as good.
    if RoutingTrace::open(&trace).is_ok() {
        Ok(trace)
    } else {
        result.map(|()| trace)
    }
}

fn fill(draft: &Path, choice: DeviceChoice, progress: &dyn Progress) -> Result<(), PipelineError> {
    if draft.exists() {
        fs::remove_dir_all(draft)
            .map_err(|source| PipelineError::io("clear the folder", draft, source))?;
    }
    let prompts = write_prompts(draft)?;
    let device = ComputeDevice::open(choice)?;
    capture(prompts, draft.join("trace"), device, progress)?;
    Ok(())
}

/// Changes with the prompt sets and with the version of the program, whose numbers may differ in the last bits.
fn key() -> String {
    let mut parts = vec![env!("CARGO_PKG_VERSION").to_owned()];
    parts.extend(
        PROMPT_SETS
            .iter()
            .map(|file| checksum::sha256_of_bytes(file.text.as_bytes())),
    );
    checksum::sha256_of_bytes(parts.concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use moescope_core::NoProgress;

    use super::*;

    #[test]
    fn the_trace_is_captured_once_and_a_broken_one_is_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let get = || trace_in(cache.path(), DeviceChoice::Cpu, &NoProgress).unwrap();
        let trace = get();
        let manifest = trace.join("manifest.json");
        let written = fs::metadata(&manifest).unwrap().modified().unwrap();
        assert_eq!(get(), trace);
        assert_eq!(
            fs::metadata(&manifest).unwrap().modified().unwrap(),
            written
        );
        fs::write(&manifest, "{").unwrap();
        assert_eq!(get(), trace);
        assert_eq!(
            RoutingTrace::open(&trace)
                .unwrap()
                .manifest()
                .counts
                .samples,
            240
        );
        assert_eq!(
            fs::read_dir(cache.path()).unwrap().count(),
            1,
            "no draft is left"
        );
    }
}
