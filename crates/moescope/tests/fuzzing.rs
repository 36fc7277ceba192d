//! Readers of files from strangers meet broken ones: a short run of the fuzzing that `docs/FUZZING.md` describes, and
//! every input that once broke a reader.

#[path = "../examples/fuzz/targets/mod.rs"]
mod targets;

use std::{fs, path::PathBuf};

use moescope_testkit::{
    fuzz::{Bounds, CountingAllocator, Mutator, Report, Target, execute},
    repository_root,
};
use targets::TARGETS;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Inputs of each target, fewer where one execution decodes whole tables or runs a model.
fn executions(target: &Target) -> u64 {
    match target.name.split('_').next() {
        Some("trace") => 40,
        Some("model" | "weights" | "chat") => 300,
        _ => 1500,
    }
}

/// The inputs that once broke a reader: `tests/fixtures/fuzz/TARGET/*`.
fn found(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = repository_root()
        .join("tests/fixtures/fuzz")
        .join(target.name);
    let mut found: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    found.sort();
    found
}

/// One test, because memory is counted for the whole process.
#[test]
fn no_reader_panics_or_breaks_a_bound() {
    let bounds = Bounds::default();
    let mut problems = Vec::new();
    for target in TARGETS {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = (target.open)(folder.path());
        let mutator = Mutator::new(target, 1);
        let mut report = Report::default();
        for number in 0..executions(target) {
            let input = mutator.input(number);
            let result = execute(&mut reader, &input, &bounds);
            let is_good_file = number < mutator.corpus_len() as u64;
            assert!(
                !is_good_file || result.as_ref().is_ok_and(|seen| seen.is_accepted),
                "{}: good file {number} is refused: {result:?}",
                target.name
            );
            report.add(number, result);
        }
        assert!(report.peak > 0, "memory is not counted");
        // Mutations that are all accepted, or never, would not reach a reader's checks.
        assert!(
            report.accepted < report.executions && report.accepted > mutator.corpus_len() as u64,
            "{}: {report}",
            target.name
        );
        problems.extend(
            report
                .findings
                .iter()
                .map(|finding| format!("{} {}: {}", target.name, finding.number, finding.failure)),
        );
        for (path, input) in found(target) {
            if let Err(failure) = execute(&mut reader, &input, &bounds) {
                problems.push(format!("{}: {failure}", path.display()));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_folder_of_found_inputs_belongs_to_a_target() {
    let folder = repository_root().join("tests/fixtures/fuzz");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || TARGETS.iter().any(|target| target.name == name),
            "{name}"
        );
    }
}
