//! A text that was typed: the file beside its trace, so that the capture can be repeated, and a copy to plan with.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use moescope_pipeline::PipelineError;
use tempfile::TempDir;

use super::is_in_use;
use crate::choices::CaptureChoice;

/// Where a typed text is kept: `NAME.texts.jsonl` beside the folder NAME.
pub(crate) fn beside(out: &Path) -> PathBuf {
    // A slash at the end would put it into the folder.
    let folder: PathBuf = out.components().collect();
    let mut name = folder.into_os_string();
    name.push(".texts.jsonl");
    PathBuf::from(name)
}

/// Writes a typed text beside its trace, where files were not chosen.
///
/// # Errors
/// When the file cannot be written, or holds another text from which the trace in the folder was captured.
pub(crate) fn keep_text(choice: &CaptureChoice) -> Result<(), PipelineError> {
    if !choice.files.is_empty() {
        return Ok(());
    }
    let path = beside(&choice.out);
    let record = record(choice);
    if fs::read_to_string(&path).is_ok_and(|found| found == record) {
        return Ok(());
    }
    if path.exists() && is_in_use(&choice.out) {
        return Err(PipelineError::Settings(format!(
            "what is in the folder was captured from another text, which would be overwritten; choose another folder: {}",
            choice.out.display()
        )));
    }
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&path, record))
        .map_err(|error| failed(&path, error))
}

/// The only line of the file.
fn record(choice: &CaptureChoice) -> String {
    let mut record = serde_json::json!({ "id": "text", "text": choice.text });
    let label = choice.text_label.trim();
    if !label.is_empty() {
        record["discipline"] = label.into();
    }
    format!("{record}\n")
}

/// A copy of a typed text under its file's name, elsewhere: what is only planned leaves nothing beside the trace.
#[derive(Debug)]
pub(super) struct Draft {
    folder: TempDir,
    name: OsString,
}

impl Draft {
    /// Writes the copy; it goes with the value.
    pub(super) fn write(choice: &CaptureChoice) -> Result<Self, PipelineError> {
        let folder = tempfile::Builder::new()
            .prefix("moescope-draft-")
            .tempdir()
            .map_err(|error| failed(&env::temp_dir(), error))?;
        let kept = beside(&choice.out);
        let name = kept.file_name().unwrap_or(kept.as_os_str()).to_owned();
        let draft = Self { folder, name };
        let path = draft.path();
        fs::write(&path, record(choice)).map_err(|error| failed(&path, error))?;
        Ok(draft)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }
}

fn failed(path: &Path, source: io::Error) -> PipelineError {
    PipelineError::Io {
        action: "write the text",
        source,
        path: path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(out: &Path, text: &str) -> CaptureChoice {
        CaptureChoice {
            text: text.to_owned(),
            text_label: "law".to_owned(),
            out: out.to_owned(),
            ..CaptureChoice::default()
        }
    }

    #[test]
    fn a_typed_text_is_kept_and_never_takes_the_place_of_a_traces_own() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("trace");
        assert_eq!(
            beside(&out.join("")),
            folder.path().join("trace.texts.jsonl")
        );
        keep_text(&typed(&out, "one")).unwrap();
        let kept = || fs::read_to_string(beside(&out)).unwrap();
        let found: serde_json::Value = serde_json::from_str(&kept()).unwrap();
        let expected = serde_json::json!({"id": "text", "text": "one", "discipline": "law"});
        assert_eq!(found, expected);
        // Nothing was captured from it yet.
        keep_text(&typed(&out, "two")).unwrap();
        fs::create_dir(&out).unwrap();
        fs::write(out.join("manifest.json"), "{}").unwrap();
        let told = keep_text(&typed(&out, "three")).unwrap_err().to_string();
        assert!(told.contains("another text"), "{told}");
        assert!(kept().contains("two"));
        keep_text(&typed(&out, "two")).unwrap();
    }

    #[test]
    fn a_draft_has_the_files_name_and_content_and_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let choice = typed(&folder.path().join("trace"), "one");
        let draft = Draft::write(&choice).unwrap();
        let path = draft.path();
        assert!(path.ends_with("trace.texts.jsonl"));
        let drafted = fs::read_to_string(&path).unwrap();
        assert!(!beside(&choice.out).exists());
        keep_text(&choice).unwrap();
        assert_eq!(fs::read_to_string(beside(&choice.out)).unwrap(), drafted);
        drop(draft);
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }
}
