//! One row per value, as CSV, Parquet or JSON lines.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use moescope_core::{LongRow, Measurement};
use polars::prelude::{
    Column, CsvWriter, DataFrame, NamedFrom as _, ParquetWriter, PolarsResult, SerWriter as _,
    Series,
};

use crate::AnalyticsError;

/// Measurements in long form, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct LongTable {
    rows: Vec<LongRow>,
}

/// Puts measurements into long form, one row per value, in their order.
///
/// ```
/// use moescope_core::{Axis, AxisKind, Measurement, Protocol};
///
/// let measurement = Measurement {
///     metric: "jsd".into(),
///     title: "Divergence".into(),
///     unit: "bits".into(),
///     axes: vec![Axis::new(AxisKind::Layer, vec!["3".into()])],
///     values: vec![0.25],
///     intervals: None,
///     nulls: None,
///     reference: None,
///     protocol: Protocol::default(),
/// };
/// let mut csv = Vec::new();
/// moescope_analytics::long_table(&[measurement]).write_csv(&mut csv)?;
/// let csv = String::from_utf8(csv).unwrap();
/// assert!(csv.starts_with("metric,layer,phase,by,group_a"));
/// assert!(csv.contains("jsd,3,"));
/// # Ok::<(), moescope_analytics::AnalyticsError>(())
/// ```
#[must_use]
pub fn long_table(measurements: &[Measurement]) -> LongTable {
    LongTable {
        rows: measurements
            .iter()
            .flat_map(Measurement::long_rows)
            .collect(),
    }
}

impl LongTable {
    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[LongRow] {
        &self.rows
    }

    /// Writes CSV with a header; missing cells are empty.
    ///
    /// # Errors
    /// When the destination refuses.
    pub fn write_csv(&self, destination: &mut dyn Write) -> Result<(), AnalyticsError> {
        let mut csv = Vec::new();
        self.frame()
            .and_then(|mut frame| CsvWriter::new(&mut csv).finish(&mut frame))
            .map_err(|error| AnalyticsError::Write(error.to_string()))?;
        destination.write_all(&csv).map_err(|error| refused(&error))
    }

    /// Writes one JSON object per row and line.
    ///
    /// # Errors
    /// When the destination refuses.
    pub fn write_json_lines(&self, destination: &mut dyn Write) -> Result<(), AnalyticsError> {
        for row in &self.rows {
            serde_json::to_writer(&mut *destination, row)
                .map_err(|error| AnalyticsError::Write(error.to_string()))?;
            destination
                .write_all(b"\n")
                .map_err(|error| refused(&error))?;
        }
        Ok(())
    }

    /// Writes a Parquet file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_parquet(&self, path: &Path) -> Result<(), AnalyticsError> {
        let write = || -> PolarsResult<()> {
            let mut frame = self.frame()?;
            ParquetWriter::new(File::create(path)?).finish(&mut frame)?;
            Ok(())
        };
        write().map_err(|source| AnalyticsError::Polars {
            action: "write the measurements",
            source,
            path: path.to_owned(),
        })
    }

    /// The columns in the order of `docs/METRICS.md`.
    fn frame(&self) -> PolarsResult<DataFrame> {
        let text = |name: &str, cell: fn(&LongRow) -> Option<&str>| {
            let cells: Vec<Option<&str>> = self.rows.iter().map(cell).collect();
            Column::from(Series::new(name.into(), cells))
        };
        let number = |name: &str, cell: fn(&LongRow) -> Option<f64>| {
            let cells: Vec<Option<f64>> = self.rows.iter().map(cell).collect();
            Column::from(Series::new(name.into(), cells))
        };
        let count = |name: &str, cell: fn(&LongRow) -> u64| {
            let cells: Vec<u64> = self.rows.iter().map(cell).collect();
            Column::from(Series::new(name.into(), cells))
        };
        DataFrame::new(
            self.rows.len(),
            vec![
                text("metric", |row| Some(&row.metric)),
                text("layer", |row| row.layer.as_deref()),
                text("phase", |row| Some(&row.phase)),
                text("by", |row| Some(&row.by)),
                text("group_a", |row| row.group_a.as_deref()),
                text("group_b", |row| row.group_b.as_deref()),
                text("expert", |row| row.expert.as_deref()),
                text("expert_b", |row| row.expert_b.as_deref()),
                text("layer_b", |row| row.layer_b.as_deref()),
                text("document", |row| row.document.as_deref()),
                text("token", |row| row.token.as_deref()),
                text("trace", |row| row.trace.as_deref()),
                text("variant", |row| row.variant.as_deref()),
                text("bin", |row| row.bin.as_deref()),
                number("value", |row| row.value),
                text("unit", |row| Some(&row.unit)),
                number("low", |row| row.low),
                number("high", |row| row.high),
                number("level", |row| row.level),
                text("interval_method", |row| Some(&row.interval_method)),
                number("null_mean", |row| row.null_mean),
                number("p", |row| row.p),
                number("q", |row| row.q),
                count("n_tokens", |row| row.n_tokens),
                count("n_documents", |row| row.n_documents),
                count("n_groups", |row| row.n_groups),
                text("protocol", |row| Some(&row.protocol)),
            ],
        )
    }
}

fn refused(error: &io::Error) -> AnalyticsError {
    AnalyticsError::Write(error.to_string())
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, AxisKind, Interval, Protocol};

    use super::*;

    fn example() -> LongTable {
        long_table(&[Measurement {
            metric: "jsd".into(),
            title: "Divergence".into(),
            unit: "bits".into(),
            axes: vec![Axis::new(
                AxisKind::Group,
                vec!["law, civil".into(), "math".into()],
            )],
            values: vec![0.1, f64::NAN],
            intervals: Some(vec![
                Some(Interval {
                    low: 0.05,
                    high: 0.2,
                }),
                None,
            ]),
            nulls: None,
            reference: None,
            protocol: Protocol {
                level: Some(0.95),
                n_tokens: 7,
                ..Protocol::default()
            },
        }])
    }

    #[test]
    fn csv_quotes_what_needs_it_and_leaves_missing_cells_empty() {
        let mut csv = Vec::new();
        example().write_csv(&mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(
            lines[0],
            "metric,layer,phase,by,group_a,group_b,expert,expert_b,layer_b,document,token,trace,variant,bin,value,unit,low,high,level,interval_method,null_mean,p,q,n_tokens,n_documents,n_groups,protocol"
        );
        assert!(
            lines[1].contains("\"law, civil\",,,,,,,,,,0.1,bits,0.05,0.2,0.95,"),
            "{}",
            lines[1]
        );
        assert!(lines[2].contains("math,,,,,,,,,,,bits,,,,"), "{}", lines[2]);
    }

    #[test]
    fn json_lines_are_one_object_per_value() {
        let mut json = Vec::new();
        example().write_json_lines(&mut json).unwrap();
        let json = String::from_utf8(json).unwrap();
        let rows: Vec<serde_json::Value> = json
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["low"], 0.05);
        assert!(rows[1]["value"].is_null());
    }
}
