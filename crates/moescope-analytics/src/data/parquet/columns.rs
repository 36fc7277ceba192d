//! One shard of one table as plain vectors; polars does not leave this file.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use moescope_core::{Phase, contain_panic};
use moescope_trace::schema;
use polars::prelude::{
    ChunkedArray, Column, DataFrame, DataType, ParquetReader, PolarsError, PolarsNumericType,
    SerReader as _, Series,
};

use crate::AnalyticsError;

/// Some columns of a shard of a table.
pub(super) struct Frame {
    table: &'static str,
    path: PathBuf,
    rows: DataFrame,
}

impl Frame {
    /// Reads the named columns.
    pub(super) fn read(
        table: &'static str,
        path: &Path,
        columns: &[&str],
    ) -> Result<Self, AnalyticsError> {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let rows = decode(table, "read a table of the trace", path, |file| {
            ParquetReader::new(file)
                .with_columns(Some(columns))
                .finish()
        })?;
        Ok(Self {
            table,
            path: path.to_owned(),
            rows,
        })
    }

    /// The names of all columns of a shard.
    pub(super) fn column_names(
        table: &'static str,
        path: &Path,
    ) -> Result<Vec<String>, AnalyticsError> {
        let schema = decode(table, "read the columns of a table", path, |file| {
            ParquetReader::new(file).schema()
        })?;
        let names: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
        if names.iter().any(|name| name == schema::SAMPLE) {
            Ok(names)
        } else {
            Err(AnalyticsError::Malformed {
                table,
                reason: "it has no column 'sample'".to_owned(),
                path: path.to_owned(),
            })
        }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows.height()
    }

    /// A broken rule in this table.
    pub(super) fn malformed(&self, reason: String) -> AnalyticsError {
        AnalyticsError::Malformed {
            table: self.table,
            reason,
            path: self.path.clone(),
        }
    }

    /// A column without NULLs.
    pub(super) fn u32s(&self, name: &str) -> Result<Vec<u32>, AnalyticsError> {
        let column = self.column(name)?;
        column
            .u32()
            .map_err(|_| self.wrong_type(name, column))
            .and_then(|values| self.without_nulls(name, values))
    }

    /// A column without NULLs.
    pub(super) fn u16s(&self, name: &str) -> Result<Vec<u16>, AnalyticsError> {
        let column = self.column(name)?;
        column
            .u16()
            .map_err(|_| self.wrong_type(name, column))
            .and_then(|values| self.without_nulls(name, values))
    }

    /// A column with NULLs.
    pub(super) fn optional_u32s(&self, name: &str) -> Result<Vec<Option<u32>>, AnalyticsError> {
        let column = self.column(name)?;
        let values = column.u32().map_err(|_| self.wrong_type(name, column))?;
        Ok(values.iter().collect())
    }

    /// A column with NULLs.
    pub(super) fn optional_u16s(&self, name: &str) -> Result<Vec<Option<u16>>, AnalyticsError> {
        let column = self.column(name)?;
        let values = column.u16().map_err(|_| self.wrong_type(name, column))?;
        Ok(values.iter().collect())
    }

    /// A column with NULLs.
    pub(super) fn optional_f32s(&self, name: &str) -> Result<Vec<Option<f32>>, AnalyticsError> {
        let column = self.column(name)?;
        let values = column.f32().map_err(|_| self.wrong_type(name, column))?;
        Ok(values.iter().collect())
    }

    /// A column, or `None` where it holds a NULL.
    pub(super) fn f32s(&self, name: &str) -> Result<Option<Vec<f32>>, AnalyticsError> {
        Ok(self.optional_f32s(name)?.into_iter().collect())
    }

    /// A column of text.
    pub(super) fn strings(&self, name: &str) -> Result<Vec<Option<String>>, AnalyticsError> {
        let column = self.column(name)?;
        let values = column.str().map_err(|_| self.wrong_type(name, column))?;
        Ok(values.iter().map(|v| v.map(ToOwned::to_owned)).collect())
    }

    /// A column of flags; NULL is false.
    pub(super) fn flags(&self, name: &str) -> Result<Vec<bool>, AnalyticsError> {
        let column = self.column(name)?;
        let values = column.bool().map_err(|_| self.wrong_type(name, column))?;
        Ok(values.iter().map(|v| v.unwrap_or(false)).collect())
    }

    /// The column of phases.
    pub(super) fn phases(&self) -> Result<Vec<Option<Phase>>, AnalyticsError> {
        let column = self.column(schema::PHASE)?;
        let values = column
            .str()
            .map_err(|_| self.wrong_type(schema::PHASE, column))?;
        values
            .iter()
            .map(|phase| match phase {
                None => Ok(None),
                Some("prefill") => Ok(Some(Phase::Prefill)),
                Some("decode") => Ok(Some(Phase::Decode)),
                Some(other) => Err(self.malformed(format!("'{other}' is no phase"))),
            })
            .collect()
    }

    /// A column of number lists, flattened; `None` where it holds a NULL.
    pub(super) fn lists(
        &self,
        name: &str,
        width: usize,
    ) -> Result<Option<Vec<f64>>, AnalyticsError> {
        let Some(inner) = self.flat(name, width)? else {
            return Ok(None);
        };
        let inner = inner
            .cast(&DataType::Float64)
            .map_err(|source| failed("convert a column of the trace", source, &self.path))?;
        let values = inner
            .f64()
            .map_err(|source| failed("convert a column of the trace", source, &self.path))?;
        self.without_nulls(name, values).map(Some)
    }

    /// The lists of experts, flattened, each id below `num_experts`.
    pub(super) fn expert_lists(
        &self,
        top_k: usize,
        num_experts: u16,
    ) -> Result<Vec<u16>, AnalyticsError> {
        let name = schema::EXPERTS;
        let inner = self
            .flat(name, top_k)?
            .ok_or_else(|| self.malformed("a decision has no experts".to_owned()))?;
        let values = inner.u16().map_err(|_| {
            self.malformed(format!("column {name} holds lists of {}", inner.dtype()))
        })?;
        let experts = self.without_nulls(name, values)?;
        match experts.iter().find(|expert| **expert >= num_experts) {
            Some(expert) => Err(self.malformed(format!(
                "expert {expert} in a model of {num_experts} experts"
            ))),
            None => Ok(experts),
        }
    }

    /// The elements of a list column whose lists all have `width` elements; `None` where it holds a NULL.
    fn flat(&self, name: &str, width: usize) -> Result<Option<Series>, AnalyticsError> {
        let column = self.column(name)?;
        let lists = column.list().map_err(|_| self.wrong_type(name, column))?;
        if lists.null_count() > 0 {
            return Ok(None);
        }
        for chunk in lists.downcast_iter() {
            if let Some(length) = chunk.offsets().lengths().find(|length| *length != width) {
                return Err(self.malformed(format!(
                    "a list of column {name} has {length} elements, expected {width}"
                )));
            }
        }
        let inner = lists.get_inner();
        if inner.len() == self.rows() * width {
            Ok(Some(inner))
        } else {
            Err(self.malformed(format!("column {name} holds elements outside its lists")))
        }
    }

    /// A column with as many values as the table has rows.
    fn column(&self, name: &str) -> Result<&Series, AnalyticsError> {
        let column = self
            .rows
            .column(name)
            .map(Column::as_materialized_series)
            .map_err(|source| failed("find a column of the trace", source, &self.path))?;
        // polars 0.55 takes a column's length from the footer; its pages may hold fewer values (found by fuzzing).
        let values: usize = column.chunk_lengths().sum();
        if values == self.rows() {
            Ok(column)
        } else {
            Err(self.malformed(format!(
                "column {name} has {values} values in {} rows",
                self.rows()
            )))
        }
    }

    fn without_nulls<T: PolarsNumericType>(
        &self,
        name: &str,
        values: &ChunkedArray<T>,
    ) -> Result<Vec<T::Native>, AnalyticsError> {
        if values.null_count() > 0 {
            return Err(self.malformed(format!("column {name} holds a NULL")));
        }
        Ok(values.into_no_null_iter().collect())
    }

    fn wrong_type(&self, name: &str, column: &Series) -> AnalyticsError {
        self.malformed(format!("column {name} has type {}", column.dtype()))
    }
}

/// Opens a file and runs the Parquet decoder on it, and makes an error of its panics.
///
/// polars 0.55 panics on some corrupt files (lists whose offsets go backwards, pages beyond the end of the file, footers
/// with values of another type; found by fuzzing), and a checksum that fits does not make a file sound.
fn decode<T>(
    table: &'static str,
    action: &'static str,
    path: &Path,
    work: impl FnOnce(File) -> Result<T, PolarsError>,
) -> Result<T, AnalyticsError> {
    contain_panic(|| File::open(path).map_err(PolarsError::from).and_then(work))
        .ok_or_else(|| AnalyticsError::Malformed {
            table,
            reason: "the Parquet decoder gave up on its content".to_owned(),
            path: path.to_owned(),
        })?
        .map_err(|source| failed(action, source, path))
}

fn failed(action: &'static str, source: PolarsError, path: &Path) -> AnalyticsError {
    AnalyticsError::Polars {
        action,
        source,
        path: path.to_owned(),
    }
}
