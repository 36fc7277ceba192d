//! How measurements are printed or written; shared by every verb that measures.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use moescope_analytics::{long_table, table};
use moescope_core::Measurement;
use moescope_pipeline::measurements_to_json;

use crate::output;

/// The form of the tables, and where they go.
#[derive(Args, Debug)]
pub(crate) struct TableArgs {
    /// The output's format
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write to this file instead of standard output (needed for parquet)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The form of tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// Aligned text for people.
    #[default]
    Table,
    /// One object a line.
    Json,
    Csv,
    Parquet,
    /// One JSON object with everything, which `moescope figure` draws.
    Measurements,
}

impl TableArgs {
    /// The format that was asked for.
    pub(crate) fn format(&self) -> TableFormat {
        if self.json {
            TableFormat::Json
        } else {
            self.format
        }
    }

    /// Refuses before any work what could not be written in the end.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.format() == TableFormat::Parquet && self.out.is_none() {
            bail!("parquet is not for the terminal; name a file with --out");
        }
        Ok(())
    }

    /// Prints or writes measurements.
    pub(crate) fn write(&self, measurements: &[Measurement]) -> anyhow::Result<()> {
        self.check()?;
        let mut bytes = Vec::new();
        match (self.format(), &self.out) {
            (TableFormat::Parquet, Some(out)) => {
                return Ok(long_table(measurements).write_parquet(out)?);
            }
            (TableFormat::Json, _) => long_table(measurements).write_json_lines(&mut bytes)?,
            (TableFormat::Measurements, _) => {
                bytes.extend_from_slice(measurements_to_json(measurements)?.as_bytes());
            }
            (TableFormat::Csv, _) => long_table(measurements).write_csv(&mut bytes)?,
            _ => {
                let tables: Vec<String> = measurements.iter().map(table).collect();
                bytes.extend_from_slice(tables.join("\n").as_bytes());
            }
        }
        self.write_bytes(&bytes)
    }

    /// Prints or writes what is ready.
    pub(crate) fn write_bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match &self.out {
            Some(out) => write_file(out, bytes)?,
            None => output::raw(bytes)?,
        }
        std::io::stdout().flush()?;
        Ok(())
    }
}

fn write_file(out: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(out, bytes).with_context(|| format!("cannot write the table: {}", out.display()))
}
