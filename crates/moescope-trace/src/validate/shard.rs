//! The rows of one shard: that keys agree across its tables, and each document's own checks.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use moescope_core::TokenRow;
use parquet::errors::ParquetError;

use super::{ViolationKind, Work, by_sample::BySample, decisions, profiles};
use crate::{
    columns::{profiles as profile_rows, routing::RoutingRows, samples::SampleRow, tokens},
    error::TraceError,
    manifest::Shard,
    profile::Profile,
    samples_reader,
    schema::Table,
    table_file::TableFile,
};

pub(crate) fn check_rows(
    work: &mut Work<'_>,
    shard: &Shard,
    samples: &TableFile,
    [tokens, routing, profiles]: [&TableFile; 3],
) -> Result<(), TraceError> {
    let rows = samples_reader::read_all(samples, &work.manifest)?;
    work.report.shards += 1;
    check_samples(work, shard, &rows);
    let mut token_runs = Runs::new(Table::Tokens, tokens)?;
    let mut routing_runs = Runs::new(Table::Routing, routing)?;
    let mut profile_runs = Runs::new(Table::Profiles, profiles)?;
    for row in &rows {
        work.tick()?;
        let document = DocumentRows {
            tokens: read(tokens, &token_runs.take(work, row.sample)?, |batches| {
                let rows = batches.iter().map(tokens::from_batch);
                Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
            })?,
            routing: read(routing, &routing_runs.take(work, row.sample)?, |batches| {
                let mut rows = RoutingRows::default();
                batches.iter().try_for_each(|batch| rows.append(batch))?;
                Ok(rows)
            })?,
            profiles: read(profiles, &profile_runs.take(work, row.sample)?, |batches| {
                let rows = batches.iter().map(profile_rows::from_batch);
                Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
            })?,
        };
        check_document(work, row, document);
    }
    for runs in [&mut token_runs, &mut routing_runs, &mut profile_runs] {
        runs.report_rest(work)?;
    }
    Ok(())
}

fn read<T>(
    file: &TableFile,
    batches: &[RecordBatch],
    decode: impl FnOnce(&[RecordBatch]) -> Result<T, ParquetError>,
) -> Result<T, TraceError> {
    decode(batches).map_err(|error| TraceError::parquet("read a shard", file.path(), error))
}

/// What the tables hold of one document.
struct DocumentRows {
    tokens: Vec<TokenRow>,
    routing: RoutingRows,
    profiles: Vec<Profile>,
}

fn check_document(work: &mut Work<'_>, sample: &SampleRow, document: DocumentRows) {
    let DocumentRows {
        tokens,
        routing,
        profiles: found,
    } = document;
    let manifest = &work.manifest;
    let report = &mut *work.report;
    report.samples += 1;
    report.tokens += tokens.len() as u64;
    report.decisions += routing.len() as u64;
    report.profiles += found.len() as u64;
    let place = format!("sample {} ('{}')", sample.sample, short(&sample.meta.id));
    check_tokens(report, manifest, sample, &tokens, &place);
    let are_sound = decisions::check(report, manifest, &tokens, &routing, &place);
    let (experts, top_k) = (
        usize::from(manifest.model.num_experts),
        usize::from(manifest.model.top_k),
    );
    profiles::check_shape(report, manifest, &found, &place);
    if manifest.profiles_only {
        return;
    }
    // Sums of unsound decisions mean nothing, and those decisions were reported.
    if are_sound {
        match routing.into_decisions(experts, top_k) {
            Ok(decisions) => {
                profiles::check_sums(report, manifest, &tokens, &decisions, &found, &place);
            }
            Err(reason) => report.add(ViolationKind::ListLength, || format!("{place}: {reason}")),
        }
    }
}

fn check_samples(work: &mut Work<'_>, shard: &Shard, rows: &[SampleRow]) {
    let mut expected = shard.first_sample;
    for row in rows {
        if row.sample != expected {
            work.report.add(ViolationKind::Order, || {
                format!(
                    "samples of shard {}: sample {} where {expected} was expected",
                    shard.index, row.sample
                )
            });
        }
        expected = row.sample.saturating_add(1);
        if !work.ids.insert(row.meta.id.clone()) {
            work.report.add(ViolationKind::DuplicateId, || {
                format!("sample {}: '{}'", row.sample, short(&row.meta.id))
            });
        }
    }
}

fn check_tokens(
    report: &mut super::ValidationReport,
    manifest: &crate::manifest::Manifest,
    sample: &SampleRow,
    tokens: &[TokenRow],
    place: &str,
) {
    if !manifest.profiles_only && usize::try_from(sample.num_tokens) != Ok(tokens.len()) {
        report.add(ViolationKind::TokenCount, || {
            format!(
                "{place} has {} tokens, its row says {}",
                tokens.len(),
                sample.num_tokens
            )
        });
    }
    for pair in tokens.windows(2) {
        if pair[0].position >= pair[1].position {
            report.add(ViolationKind::Order, || {
                format!(
                    "tokens of {place}: position {} follows {}",
                    pair[1].position, pair[0].position
                )
            });
        }
    }
    for token in tokens {
        let problem = if token.is_routed && token.phase.is_none() {
            "is routed in no phase"
        } else if token
            .surprisal
            .is_some_and(|nats| nats.is_nan() || nats < 0.0)
        {
            "has a surprisal below 0"
        } else if token.byte_start > token.byte_end {
            "ends before it begins"
        } else {
            continue;
        };
        report.add(ViolationKind::ValueRange, || {
            format!(
                "{place}: the token at position {} {problem}",
                token.position
            )
        });
    }
}

/// A table's runs, matched with the rows of `samples`.
struct Runs<'a> {
    table: Table,
    rows: BySample<'a>,
    /// Samples whose run was given out, to tell a sample that returns from one that is not there.
    taken: BTreeSet<u32>,
}

impl<'a> Runs<'a> {
    fn new(table: Table, file: &'a TableFile) -> Result<Self, TraceError> {
        Ok(Self {
            table,
            rows: BySample::new(file)?,
            taken: BTreeSet::new(),
        })
    }

    /// The rows of a sample; none where the table goes on with a later one.
    fn take(&mut self, work: &mut Work<'_>, sample: u32) -> Result<Vec<RecordBatch>, TraceError> {
        while let Some(next) = self.rows.peek()? {
            if next > sample {
                break;
            }
            let run = self
                .rows
                .next_run()?
                .map(|(_, rows)| rows)
                .unwrap_or_default();
            if next == sample {
                self.taken.insert(sample);
                return Ok(run);
            }
            self.report_run(work, next, &run);
        }
        Ok(Vec::new())
    }

    fn report_rest(&mut self, work: &mut Work<'_>) -> Result<(), TraceError> {
        while let Some((sample, run)) = self.rows.next_run()? {
            self.report_run(work, sample, &run);
        }
        Ok(())
    }

    fn report_run(&self, work: &mut Work<'_>, sample: u32, run: &[RecordBatch]) {
        let rows: usize = run.iter().map(RecordBatch::num_rows).sum();
        let (kind, why) = if self.taken.contains(&sample) {
            (ViolationKind::Order, "come after those of a later sample")
        } else {
            (ViolationKind::UnknownSample, "have no row in samples there")
        };
        work.report.add(kind, || {
            format!("{rows} rows of sample {sample} in {} {why}", self.table)
        });
    }
}

fn short(id: &str) -> String {
    id.chars().take(60).collect()
}
