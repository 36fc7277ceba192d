//! Running the real binary, and looking at what it left.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use moescope_testkit::TinyModel;
use moescope_trace::{Document, RoutingTrace};
use tempfile::TempDir;

/// What a run of the binary ended with.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The binary on the CPU, with a cache folder of the tests' own.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moescope"));
    if !args.contains(&"--device") {
        command.args(["--device", "cpu"]);
    }
    command
        .args(args)
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    command(args).output().unwrap().into()
}

/// Starts the binary and does not wait.
pub(crate) fn start(args: &[&str]) -> Child {
    command(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the binary, which must succeed.
pub(crate) fn succeed(args: &[&str]) -> Ran {
    let ran = run(args);
    assert_eq!(ran.code, Some(0), "{args:?}\n{}{}", ran.stdout, ran.stderr);
    ran
}

/// Runs the binary, which must refuse with exit status 2 and say all of `words`.
#[track_caller]
pub(crate) fn refuse(args: &[&str], words: &[&str]) {
    let ran = run(args);
    assert_eq!(ran.code, Some(2), "{args:?}\n{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(
            ran.stderr.contains(word),
            "'{word}' is not in\n{}",
            ran.stderr
        );
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

/// A folder with a tiny model in `model`, and room for more.
pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        TinyModel::default()
            .write(&folder.path().join("model"))
            .unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path as the command line takes it.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).unwrap();
        self.arg(name)
    }
}

/// All documents of a trace, in order.
pub(crate) fn documents(trace: &Path) -> Vec<Document> {
    let trace = RoutingTrace::open(trace).unwrap();
    let samples = trace.samples().unwrap();
    samples
        .iter()
        .map(|row| trace.document(&row.meta.id).unwrap())
        .collect()
}

/// The prompt sets of the repository.
pub(crate) fn discipline_files() -> Vec<String> {
    dataset_files("disciplines")
}

/// The repository's texts that are not in the demo's trace.
pub(crate) fn held_out_files() -> Vec<String> {
    dataset_files("held-out")
}

fn dataset_files(name: &str) -> Vec<String> {
    let datasets = moescope_testkit::repository_root().join("datasets");
    let folder = datasets.join(name).join("data");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    files
}
