//! Whether a trace is what its manifest and the format say.

mod by_sample;
mod decisions;
mod profiles;
mod report;
mod shard;

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use moescope_core::Progress;

pub use report::{ValidationReport, Violation, ViolationKind};

use crate::{
    durable,
    error::TraceError,
    folder,
    manifest::{Manifest, Shard, json_schema},
    schema::{Table, nullable_columns, qualified},
    table_file::TableFile,
};
use report::MAX_EXAMPLES;

/// Checks a whole trace: manifest, files, checksums, columns, order, keys, decisions, weights and profiles.
///
/// Progress is counted in bytes.
/// A file that is missing, or whose checksum is wrong, is reported and not decoded; its shard's rows are then not checked.
///
/// # Errors
/// When there is no trace at all, when it is newer than this crate, or when the caller cancels.
/// What is wrong with the trace is in the report, not in the error.
pub fn validate(path: &Path, progress: &dyn Progress) -> Result<ValidationReport, TraceError> {
    let mut report = ValidationReport::default();
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
    for file in folder::stray_files(path, &manifest)? {
        report.add(ViolationKind::StrayFile, || shown(path, &file));
    }
    let mut work = Work {
        path,
        manifest: &manifest,
        report: &mut report,
        ids: HashSet::new(),
        progress,
        bytes_done: 0,
        bytes_total: manifest
            .shards
            .iter()
            .flat_map(|shard| shard.tables.values())
            .fold(0, |sum: u64, file| sum.saturating_add(file.bytes)),
        seen_columns: BTreeSet::new(),
    };
    for shard in &manifest.shards {
        work.check_shard(shard)?;
    }
    work.check_unknown_columns();
    check_counts(&manifest, &mut report);
    Ok(report)
}

/// What the checks of all shards share.
struct Work<'a> {
    path: &'a Path,
    manifest: &'a Manifest,
    report: &'a mut ValidationReport,
    ids: HashSet<String>,
    progress: &'a dyn Progress,
    bytes_done: u64,
    bytes_total: u64,
    /// Nullable columns that have a value somewhere, as `table.column`.
    seen_columns: BTreeSet<String>,
}

impl Work<'_> {
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
        match TableFile::open(&path, table, self.manifest) {
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
