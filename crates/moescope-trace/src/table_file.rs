//! One Parquet file of a trace, opened with distrust.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::File,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use arrow_array::{RecordBatch, types::UInt32Type};
use arrow_schema::Field;
use moescope_core::contain_panic;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
            ParquetRecordBatchReaderBuilder,
        },
    },
    errors::ParquetError,
    file::{
        metadata::{PageIndexPolicy, RowGroupMetaData},
        statistics::Statistics,
    },
};

use crate::{
    columns::numbers,
    error::TraceError,
    manifest::Manifest,
    schema::{SAMPLE, Table},
};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 4096;
/// No writer makes longer row groups; a longer one is a broken or hostile file.
const MAX_ROWS_PER_GROUP: i64 = 1 << 24;
/// Beyond this many rows in a row group, more than this crate writes, there must be bytes for them.
const MANY_ROWS: i64 = 1 << 20;
/// Sample and position together cannot be constant, so that even rows without anything else compress to no more than this.
const MAX_ROWS_PER_BYTE: i64 = 64;
/// Beyond this many values in a row group, more than this crate writes, a column must have bytes for them.
const MANY_VALUES: i64 = 1 << 23;
/// Constant columns compress to about this; more values per byte are a decompression bomb.
const MAX_VALUES_PER_BYTE: i64 = 4096;

/// A file whose footer was read and fits the table's schema and its own length.
pub(crate) struct TableFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl TableFile {
    /// Reads the footer and compares it with what the table must look like.
    pub(crate) fn open(path: &Path, table: Table, manifest: &Manifest) -> Result<Self, TraceError> {
        let file = File::open(path).map_err(|error| TraceError::opening(path, error))?;
        let bytes = file
            .metadata()
            .map_err(|error| TraceError::io("open a shard", path, error))?
            .len();
        // The embedded Arrow schema and the page index are not needed, so nothing in them can do harm.
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_page_index_policy(PageIndexPolicy::Skip);
        let metadata = decode(path, "read a shard's footer", || {
            ArrowReaderMetadata::load(&file, options)
        })?;
        let opened = Self {
            path: path.to_owned(),
            file,
            metadata,
        };
        opened.check_columns(table, manifest)?;
        opened.check_sizes(bytes, manifest)?;
        Ok(opened)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The footer, for readers that open the file anew.
    pub(crate) fn into_metadata(self) -> ArrowReaderMetadata {
        self.metadata
    }

    pub(crate) fn rows(&self) -> u64 {
        let rows = self.metadata.metadata().file_metadata().num_rows();
        u64::try_from(rows).unwrap_or(0)
    }

    /// The nullable columns that have a value, by the footer's counts of NULLs.
    pub(crate) fn columns_with_values(&self) -> BTreeSet<String> {
        let schema = self.metadata.schema();
        let groups = self.metadata.metadata().row_groups();
        groups
            .iter()
            .flat_map(RowGroupMetaData::columns)
            .filter(|column| {
                let nulls = column.statistics().and_then(Statistics::null_count_opt);
                nulls.is_some_and(|nulls| {
                    i64::try_from(nulls).is_ok_and(|n| n < column.num_values())
                })
            })
            .filter_map(|column| column.column_path().parts().first().cloned())
            .filter(|name| schema.field_with_name(name).is_ok_and(Field::is_nullable))
            .collect()
    }

    /// All rows, in order.
    pub(crate) fn scan(&self) -> Result<Scan, TraceError> {
        self.read(None, None)
    }

    /// All rows of some columns, in order.
    pub(crate) fn scan_columns(&self, names: &[&str]) -> Result<Scan, TraceError> {
        self.read(None, Some(names))
    }

    /// The rows of one sample; other row groups are not read.
    ///
    /// Rows of other samples are decoded and dropped: `parquet` 60.1 can skip them (`RowSelection`), but skips for ever where
    /// a list's levels end too early (found by fuzzing).
    pub(crate) fn scan_sample(&self, sample: u32) -> Result<Scan, TraceError> {
        let groups: Vec<usize> = (0..self.metadata.metadata().num_row_groups())
            .filter(|group| self.may_hold(*group, sample))
            .collect();
        let mut scan = self.read(Some(groups), None)?;
        scan.only = Some(sample);
        Ok(scan)
    }

    fn read(
        &self,
        groups: Option<Vec<usize>>,
        columns: Option<&[&str]>,
    ) -> Result<Scan, TraceError> {
        let file = self
            .file
            .try_clone()
            .map_err(|error| TraceError::io("read a shard", &self.path, error))?;
        let reader = decode(&self.path, "read a shard", || {
            let mut builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                    .with_batch_size(BATCH_ROWS);
            if let Some(groups) = groups {
                builder = builder.with_row_groups(groups);
            }
            if let Some(columns) = columns {
                let mask =
                    ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
                builder = builder.with_projection(mask);
            }
            builder.build()
        })?;
        Ok(Scan {
            path: self.path.clone(),
            reader: Some(reader),
            only: None,
            found: VecDeque::new(),
        })
    }

    /// Whether a row group's statistics admit the sample.
    fn may_hold(&self, group: usize, sample: u32) -> bool {
        samples_of(self.metadata.metadata().row_group(group)).contains(&sample)
    }

    fn check_columns(&self, table: Table, manifest: &Manifest) -> Result<(), TraceError> {
        let expected = table.schema(&manifest.label_columns);
        let found = self.metadata.schema();
        let shown = |field: &Field| {
            let null = if field.is_nullable() {
                ", nullable"
            } else {
                ""
            };
            format!("'{}' ({}{null})", field.name(), field.data_type())
        };
        let same = |a: &Field, b: &Field| {
            a.name() == b.name()
                && a.data_type() == b.data_type()
                && a.is_nullable() == b.is_nullable()
        };
        let pairs = expected.fields().iter().zip(found.fields());
        for (wanted, column) in pairs {
            if !same(wanted, column) {
                return Err(TraceError::damaged(
                    &self.path,
                    format!(
                        "column {} was expected, found {}",
                        shown(wanted),
                        shown(column)
                    ),
                ));
            }
        }
        if expected.fields().len() != found.fields().len() {
            return Err(TraceError::damaged(
                &self.path,
                format!(
                    "table {table} has {} columns, expected {}",
                    found.fields().len(),
                    expected.fields().len()
                ),
            ));
        }
        Ok(())
    }

    /// Bounds what decoding may allocate by what a true trace of this model and length would hold.
    fn check_sizes(&self, bytes: u64, manifest: &Manifest) -> Result<(), TraceError> {
        let damaged = |reason: String| Err(TraceError::damaged(&self.path, reason));
        let experts = i64::from(manifest.model.num_experts);
        let mut rows: i64 = 0;
        for (index, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let is_plausible = group.num_rows() <= MANY_ROWS
                || group.num_rows() / MAX_ROWS_PER_BYTE <= group.compressed_size();
            if !(is_plausible && (0..=MAX_ROWS_PER_GROUP).contains(&group.num_rows())) {
                return damaged(format!(
                    "row group {index} claims {} rows",
                    group.num_rows()
                ));
            }
            rows += group.num_rows();
            for column in group.columns() {
                let is_list = column.column_descr().max_rep_level() > 0;
                let width = if is_list { experts } else { 1 };
                let starts = [column.data_page_offset()]
                    .into_iter()
                    .chain(column.dictionary_page_offset());
                let fits = starts
                    .chain([column.compressed_size()])
                    .all(|offset| u64::try_from(offset).is_ok_and(|offset| offset <= bytes));
                let count = column.num_values();
                let is_plausible =
                    count <= MANY_VALUES || count / MAX_VALUES_PER_BYTE <= column.compressed_size();
                let is_in_range = (group.num_rows()..=group.num_rows() * width).contains(&count);
                if !(fits && is_plausible && is_in_range) {
                    return damaged(format!(
                        "column '{}' of row group {index} claims {count} values in {} bytes",
                        column.column_path(),
                        column.compressed_size()
                    ));
                }
            }
        }
        let claimed = self.metadata.metadata().file_metadata().num_rows();
        if rows != claimed {
            return damaged(format!(
                "the footer claims {claimed} rows, its row groups {rows}"
            ));
        }
        Ok(())
    }
}

/// Batches of rows in order.
pub(crate) struct Scan {
    path: PathBuf,
    /// `None` after an error: a reader that failed is in no known state.
    reader: Option<ParquetRecordBatchReader>,
    /// The only sample whose rows are wanted.
    only: Option<u32>,
    /// Its rows in the last batch that was read.
    found: VecDeque<RecordBatch>,
}

impl Scan {
    pub(crate) fn next_batch(&mut self) -> Result<Option<RecordBatch>, TraceError> {
        let Some(only) = self.only else {
            return self.decode_batch();
        };
        while self.found.is_empty() {
            let Some(batch) = self.decode_batch()? else {
                return Ok(None);
            };
            self.found = rows_of(&batch, only)
                .map_err(|error| TraceError::parquet("read a shard", &self.path, error))?;
        }
        Ok(self.found.pop_front())
    }

    fn decode_batch(&mut self) -> Result<Option<RecordBatch>, TraceError> {
        let Some(mut reader) = self.reader.take() else {
            return Ok(None);
        };
        let batch = decode(&self.path, "read a shard", || {
            reader.next().transpose().map_err(ParquetError::from)
        })?;
        self.reader = Some(reader);
        Ok(batch)
    }
}

/// The runs of rows that belong to a sample: one, where rows are sorted as they must be.
fn rows_of(batch: &RecordBatch, sample: u32) -> Result<VecDeque<RecordBatch>, ParquetError> {
    let samples = numbers::<UInt32Type>(batch, SAMPLE)?.values();
    let mut start = 0;
    let mut found = VecDeque::new();
    for run in samples.chunk_by(|a, b| a == b) {
        if run[0] == sample {
            found.push_back(batch.slice(start, run.len()));
        }
        start += run.len();
    }
    Ok(found)
}

/// The samples that a row group's statistics admit; without statistics all of them.
pub(crate) fn samples_of(group: &RowGroupMetaData) -> RangeInclusive<u32> {
    // The sample is the first column of every table, an unsigned number stored in the bits of an i32.
    match group.columns().first().and_then(|c| c.statistics()) {
        Some(Statistics::Int32(statistics)) => {
            let low = statistics.min_opt().map_or(0, |min| min.cast_unsigned());
            let high = statistics
                .max_opt()
                .map_or(u32::MAX, |max| max.cast_unsigned());
            low..=high
        }
        _ => 0..=u32::MAX,
    }
}

/// Runs the Parquet decoder and makes an error of its panics.
///
/// The `parquet` crate panics on some corrupt files (60.1 unwraps a page header's missing part in `column/page.rs`,
/// found by flipping bytes), and traces come from strangers. Whatever the decoder was working on is dropped, so no broken
/// state survives.
pub(crate) fn decode<T>(
    path: &Path,
    action: &'static str,
    work: impl FnOnce() -> Result<T, ParquetError>,
) -> Result<T, TraceError> {
    match contain_panic(work) {
        Some(result) => result.map_err(|error| TraceError::parquet(action, path, error)),
        None => Err(TraceError::damaged(
            path,
            "the Parquet decoder gave up on its content",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_is_an_error_that_names_the_file() {
        let path = Path::new("routing/part-00000.parquet");
        let error = decode::<()>(path, "read a shard", || panic!("index out of bounds"));
        let message = error.unwrap_err().to_string();
        assert!(message.contains("gave up"), "{message}");
        assert!(message.ends_with("routing/part-00000.parquet"), "{message}");
    }
}
