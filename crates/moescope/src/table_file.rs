//! Tables in long form as files.

use std::path::Path;

use anyhow::{Context as _, bail};
use moescope_analytics::long_table;
use moescope_core::Measurement;

/// The formats of `--out`.
#[derive(Clone, Copy)]
pub(crate) enum TableFile {
    Csv,
    Json,
    Parquet,
}

impl TableFile {
    /// The format of a file, by its ending.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("json" | "jsonl") => Ok(Self::Json),
            Some("parquet") => Ok(Self::Parquet),
            _ => bail!(
                "--out takes a file that ends in .csv, .parquet or .json, found: {}",
                path.display()
            ),
        }
    }

    /// Writes measurements in long form.
    pub(crate) fn write(self, measurements: &[Measurement], path: &Path) -> anyhow::Result<()> {
        let table = long_table(measurements);
        let mut bytes = Vec::new();
        match self {
            Self::Parquet => return Ok(table.write_parquet(path)?),
            Self::Csv => table.write_csv(&mut bytes)?,
            Self::Json => table.write_json_lines(&mut bytes)?,
        }
        std::fs::write(path, bytes)
            .with_context(|| format!("cannot write the table: {}", path.display()))
    }
}
