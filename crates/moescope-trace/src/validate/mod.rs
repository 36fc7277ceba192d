//! Whether a trace is what its manifest and the format say.

mod by_sample;
mod decisions;
mod profiles;
mod report;
mod shard;

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use moescope_core::Progress;

pub use report::{ValidationReport, Violation, ViolationKind};

use crate::{
    durable,
    error::TraceError,
    folder,
    manifest::{MANIFEST_FILE, Manifest, Shard, json_schema},
    schema::{Table, nullable_columns, qualified},
    table_file::TableFile,
};
use report::MAX_EXAMPLES;

/// So often at most a trace is looked at from its start, because a capture merged what was checked already.
const MOST_LOOKS: usize = 4;

/// Checks a whole trace: manifest, files, checksums, columns, order, keys, decisions, weights and profiles.
///
/// Progress is counted in bytes.
/// A file that is missing, or whose checksum is wrong, is reported and not decoded; its shard's rows are then not checked.
/// Where a capture that is running has merged a shard meanwhile, the one that took its place is checked instead.
///
/// # Errors
/// When there is no trace at all, when it is newer than this crate, when a capture merges its shards faster than they are
/// read ([`TraceError::Gone`]), or when the caller cancels.
/// What is wrong with the trace is in the report, not in the error.
pub fn validate(path: &Path, progress: &dyn Progress) -> Result<ValidationReport, TraceError> {
    for _ in 1..MOST_LOOKS {
        match look_at(path, progress) {
            Err(TraceError::Gone { .. }) => {}
            ended => return ended,
        }
    }
    look_at(path, progress)
}

/// Checks a trace once; [`TraceError::Gone`] where shards that were checked already became part of a merged one.
fn look_at(path: &Path, progress: &dyn Progress) -> Result<ValidationReport, TraceError> {
    let mut report = ValidationReport::default();
    let stamp = Stamp::of(path);
    let value = match Manifest::read_value(path) {
        Err(TraceError::Manifest { reason, .. }) => {
            report.add(ViolationKind::Manifest, || reason);
            return Ok(report);
        }
        other => other?,
    };
    for problem in json_schema::violations(&value, MAX_EXAMPLES) {
        report.add(ViolationKind::Manifest, || problem);
    }
    let manifest = match Manifest::from_value(value, path) {
        Err(TraceError::Manifest { reason, .. }) => {
            report.add(ViolationKind::Manifest, || reason);
            return Ok(report);
        }
        other => other?,
    };
    if !manifest.complete {
        report.add(ViolationKind::Incomplete, || {
            "the capture did not reach its end; resume it".to_owned()
        });
    }
    for file in unlisted_files(path, &manifest)? {
        report.add(ViolationKind::StrayFile, || shown(path, &file));
    }
    let mut work = Work {
        path,
        bytes_done: 0,
        bytes_total: bytes_of(&manifest.shards),
        stamp,
        manifest,
        report: &mut report,
        ids: HashSet::new(),
        progress,
        seen_columns: BTreeSet::new(),
    };
    work.check_shards()?;
    work.check_unknown_columns();
    check_counts(&work.manifest, work.report);
    Ok(report)
}

/// Files that readers of the folder would find and no manifest lists: not this one, nor one that a capture which is running
/// has put in its place.
pub(crate) fn unlisted_files(path: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>, TraceError> {
    let mut unlisted = folder::stray_files(path, manifest)?;
    if !(manifest.complete || unlisted.is_empty()) {
        let still = folder::stray_files(path, &Manifest::read(path)?)?;
        unlisted.retain(|file| still.contains(file));
    }
    Ok(unlisted)
}

/// Bytes of all files of some shards.
fn bytes_of(shards: &[Shard]) -> u64 {
    let files = shards.iter().flat_map(|shard| shard.tables.values());
    files.fold(0, |sum: u64, file| sum.saturating_add(file.bytes))
}

/// When a manifest was written and its length, so that one that nobody replaced is not read again for each missing file.
struct Stamp(Option<(SystemTime, u64)>);

impl Stamp {
    fn of(folder: &Path) -> Self {
        let written = fs::metadata(folder.join(MANIFEST_FILE)).ok();
        Self(written.and_then(|file| Some((file.modified().ok()?, file.len()))))
    }

    /// Whether the manifest is certainly still the same.
    fn holds(&self, folder: &Path) -> bool {
        self.0.is_some() && self.0 == Self::of(folder).0
    }
}

/// What the checks of all shards share.
struct Work<'a> {
    path: &'a Path,
    manifest: Manifest,
    stamp: Stamp,
    report: &'a mut ValidationReport,
    ids: HashSet<String>,
    progress: &'a dyn Progress,
    bytes_done: u64,
    bytes_total: u64,
    /// Nullable columns that have a value somewhere, as `table.column`.
    seen_columns: BTreeSet<String>,
}

impl Work<'_> {
    /// Checks one shard after the other, by the newest manifest where one is gone.
    fn check_shards(&mut self) -> Result<(), TraceError> {
        let mut place = 0;
        while let Some(shard) = self.manifest.shards.get(place).cloned() {
            let before = self.report.clone();
            match self.check_shard(&shard) {
                Err(TraceError::Gone { path }) => {
                    *self.report = before;
                    self.go_on_with_newest(place, path)?;
                }
                other => {
                    other?;
                    place += 1;
                }
            }
        }
        Ok(())
    }

    /// Takes the newest manifest, whose shards from `place` on are not checked yet.
    fn go_on_with_newest(&mut self, place: usize, gone: PathBuf) -> Result<(), TraceError> {
        self.stamp = Stamp::of(self.path);
        let newest = Manifest::read(self.path)?;
        if newest.shards.get(..place) != self.manifest.shards.get(..place) {
            return Err(TraceError::Gone { path: gone });
        }
        let left = bytes_of(&newest.shards[place..]);
        self.bytes_total = self.bytes_done.saturating_add(left);
        if newest.complete {
            let violations = &mut self.report.violations;
            violations.retain(|violation| violation.kind != ViolationKind::Incomplete);
        }
        self.manifest = newest;
        Ok(())
    }

    /// Whether a capture that is running has merged a shard into another.
    fn is_merged(&self, shard: &Shard) -> Result<bool, TraceError> {
        if self.manifest.complete || self.stamp.holds(self.path) {
            return Ok(false);
        }
        Ok(!Manifest::read(self.path)?.shards.contains(shard))
    }

    fn check_shard(&mut self, shard: &Shard) -> Result<(), TraceError> {
        let mut files = Vec::new();
        for table in Table::ALL {
            if let Some(file) = self.check_file(shard, table)? {
                files.push(file);
            }
        }
        let Ok([samples, tokens, routing, profiles]) = <[TableFile; 4]>::try_from(files) else {
            // What is wrong with the missing one was reported.
            return Ok(());
        };
        match shard::check_rows(self, shard, &samples, [&tokens, &routing, &profiles]) {
            Err(error @ (TraceError::Damaged { .. } | TraceError::Parquet { .. })) => {
                let reason = self.without_folder(&error);
                self.report.add(ViolationKind::Unreadable, || reason);
                Ok(())
            }
            other => other,
        }
    }

    /// Checks a file as a whole; `None` where its rows should not be looked at.
    fn check_file(&mut self, shard: &Shard, table: Table) -> Result<Option<TableFile>, TraceError> {
        let listed = &shard.tables[table.name()];
        let path = self.path.join(table.shard_file(shard.index));
        let bytes = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound && self.is_merged(shard)? {
                    return Err(TraceError::Gone { path });
                }
                self.report.add(ViolationKind::MissingFile, || {
                    format!("{}: {error}", listed.file)
                });
                return Ok(None);
            }
        };
        if bytes != listed.bytes {
            self.report.add(ViolationKind::FileSize, || {
                format!(
                    "{} has {bytes} bytes, the manifest says {}",
                    listed.file, listed.bytes
                )
            });
            return Ok(None);
        }
        let sum = durable::sha256_of(&path, |read| {
            self.bytes_done += read;
            self.progress
                .report(self.bytes_done, self.bytes_total, &listed.file)?;
            Ok(())
        })?;
        if sum != listed.sha256 {
            self.report.add(ViolationKind::Checksum, || {
                format!("{} has another SHA-256 than the manifest says", listed.file)
            });
            return Ok(None);
        }
        match TableFile::open(&path, table, &self.manifest) {
            Ok(file) => {
                let seen = file.columns_with_values();
                self.seen_columns
                    .extend(seen.iter().map(|name| qualified(table, name)));
                if file.rows() == listed.rows {
                    return Ok(Some(file));
                }
                self.report.add(ViolationKind::RowCount, || {
                    format!(
                        "{} has {} rows, the manifest says {}",
                        listed.file,
                        file.rows(),
                        listed.rows
                    )
                });
                Ok(Some(file))
            }
            Err(error @ (TraceError::Damaged { .. } | TraceError::Parquet { .. })) => {
                let reason = self.without_folder(&error);
                self.report.add(ViolationKind::Unreadable, || reason);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The manifest's word on NULL columns holds for the trace as a whole.
    fn check_unknown_columns(&mut self) {
        if self.report.violations.iter().any(|v| v.kind.hides_rows()) {
            return;
        }
        for column in nullable_columns(&self.manifest.label_columns) {
            let problem = match (
                self.manifest.is_unknown(&column),
                self.seen_columns.contains(&column),
            ) {
                (true, true) => "has values, though the manifest calls it unknown",
                (false, false) => "is NULL throughout, which the manifest does not say",
                _ => continue,
            };
            self.report.add(ViolationKind::UnknownColumn, || {
                format!("{column} {problem}")
            });
        }
    }

    /// Reports how far the work is, so that it can be cancelled between documents.
    fn tick(&self) -> Result<(), TraceError> {
        self.progress
            .report(self.bytes_done, self.bytes_total, "checking rows")?;
        Ok(())
    }

    /// An error's text with paths below the trace's folder, so that reports compare equal wherever it lies.
    fn without_folder(&self, error: &TraceError) -> String {
        error
            .to_string()
            .replace(&format!("{}/", self.path.display()), "")
            .replace("; run `moescope validate`", "")
    }
}

/// The manifest's totals are those of the rows that were read.
fn check_counts(manifest: &Manifest, report: &mut ValidationReport) {
    let counts = &manifest.counts;
    let listed = |table: Table| {
        manifest.shards.iter().fold(0u64, |sum, shard| {
            sum.saturating_add(shard.tables[table.name()].rows)
        })
    };
    for (name, claimed, found) in [
        ("tokens", counts.tokens, listed(Table::Tokens)),
        ("decisions", counts.decisions, listed(Table::Routing)),
    ] {
        if claimed != found {
            report.add(ViolationKind::RowCount, || {
                format!("counts.{name} is {claimed}, the shards list {found}")
            });
        }
    }
}

fn shown(folder: &Path, file: &Path) -> String {
    let inner: PathBuf = file.strip_prefix(folder).unwrap_or(file).to_owned();
    inner.display().to_string()
}
