//! One shard of a table, read row group by row group into plain slices.

use std::{
    fs::File,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use moescope_core::Phase;
use parquet::{
    arrow::arrow_reader::ArrowReaderMetadata,
    column::reader::{ColumnReader, get_column_reader},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType},
    errors::ParquetError,
    file::{serialized_reader::SerializedPageReader, statistics::Statistics},
    schema::types::ColumnDescPtr,
};

use crate::{
    column_values::{Values, fill_lists, fill_numbers, read_scalars},
    columns::tokens::phase_of,
    error::TraceError,
    manifest::Manifest,
    schema::{PHASE, Table},
    table_file::{TableFile, decode, samples_of},
};

pub use crate::column_values::Number;

/// One shard of one table, whose footer was read and fits the table's schema.
///
/// For analyses that need a few columns of very many rows: values go straight into slices of the caller's, any number of
/// row groups may be read at the same time, and no file stays open in between.
#[derive(Debug)]
pub struct TableReader {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
}

impl TableReader {
    /// Reads the footer of a file whose checksum was compared.
    pub(crate) fn open(path: &Path, table: Table, manifest: &Manifest) -> Result<Self, TraceError> {
        let metadata = TableFile::open(path, table, manifest)?.into_metadata();
        Ok(Self {
            path: path.to_owned(),
            metadata,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of row groups.
    #[must_use]
    pub fn num_row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Rows of a row group, from 0.
    #[must_use]
    pub fn rows(&self, group: usize) -> usize {
        let rows = self.metadata.metadata().row_group(group).num_rows();
        // The footer was checked: no number of rows is negative.
        usize::try_from(rows).unwrap_or(0)
    }

    /// The numbers of the samples that a row group may hold rows of, by the footer's statistics.
    #[must_use]
    pub fn samples(&self, group: usize) -> RangeInclusive<u32> {
        samples_of(self.metadata.metadata().row_group(group))
    }

    /// How many rows of a row group the footer says to be NULL in a column; `None` where it does not say.
    #[must_use]
    pub fn nulls(&self, group: usize, column: &str) -> Option<u64> {
        let chunk = self
            .metadata
            .metadata()
            .row_group(group)
            .column(self.leaf(column)?);
        chunk.statistics().and_then(Statistics::null_count_opt)
    }

    /// Whether the footer says that a column of a row group has `width` values for each row.
    ///
    /// To be asked before memory for them is taken: footers come from strangers.
    #[must_use]
    pub fn has_lists_of(&self, group: usize, column: &str, width: usize) -> bool {
        let chunk = self
            .leaf(column)
            .map(|leaf| self.metadata.metadata().row_group(group).column(leaf));
        let values = chunk.and_then(|chunk| usize::try_from(chunk.num_values()).ok());
        values.is_some() && values == self.rows(group).checked_mul(width)
    }

    /// Opens the file to read a row group.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn row_group(&self, group: usize) -> Result<RowGroup<'_>, TraceError> {
        let file =
            File::open(&self.path).map_err(|error| TraceError::opening(&self.path, error))?;
        Ok(RowGroup {
            table: self,
            group,
            file: Arc::new(file),
        })
    }

    /// The place of a column among the file's leaves.
    fn leaf(&self, column: &str) -> Option<usize> {
        let schema = self.metadata.parquet_schema();
        (0..schema.num_columns()).find(|leaf| {
            schema
                .column(*leaf)
                .path()
                .parts()
                .first()
                .is_some_and(|name| name == column)
        })
    }
}

/// A row group whose columns are read one by one.
///
/// Every method takes a slice for exactly the row group's values and fails where the column holds fewer or more.
#[derive(Debug)]
pub struct RowGroup<'a> {
    table: &'a TableReader,
    group: usize,
    /// Its own handle: reading moves a file's position, which copies of a handle share.
    file: Arc<File>,
}

impl RowGroup<'_> {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.table.rows(self.group)
    }

    /// Reads a column of numbers, `[rows]`, and says how many are NULL; in their place is [`Number::NULL`].
    ///
    /// # Errors
    /// When the column does not decode to one number a row.
    pub fn numbers<N: Number>(&self, column: &str, out: &mut [N]) -> Result<usize, TraceError> {
        self.check_len(out.len(), 1);
        self.read(column, |reader, description| {
            fill_numbers(reader, description, out)
        })
    }

    /// Reads a column of lists of `width` numbers each, `[rows × width]`; `false` where a list is NULL, and then `out`
    /// holds nothing of use.
    ///
    /// # Errors
    /// When the column does not decode to one list a row, or a list has another length.
    pub fn lists<N: Number>(
        &self,
        column: &str,
        width: usize,
        out: &mut [N],
    ) -> Result<bool, TraceError> {
        self.check_len(out.len(), width);
        self.read(column, |reader, description| {
            fill_lists(reader, description, width, out)
        })
    }

    /// Reads a column of flags, `[rows]`; NULL is false.
    ///
    /// # Errors
    /// As [`Self::numbers`].
    pub fn flags(&self, column: &str, out: &mut [bool]) -> Result<(), TraceError> {
        self.check_len(out.len(), 1);
        self.read(column, |reader: Values<BoolType>, description| {
            read_scalars(reader, description, out.len(), |row, value| {
                out[row] = value.copied().unwrap_or(false);
                Ok(())
            })
        })
    }

    /// Reads the column of phases, `[rows]`.
    ///
    /// # Errors
    /// As [`Self::numbers`], and when a text is no phase.
    pub fn phases(&self, out: &mut [Option<Phase>]) -> Result<(), TraceError> {
        self.check_len(out.len(), 1);
        self.read(PHASE, |reader: Values<ByteArrayType>, description| {
            read_scalars(reader, description, out.len(), |row, value| {
                out[row] = value.map(phase).transpose()?;
                Ok(())
            })
        })
    }

    /// Reads a column of text, `[rows]`.
    ///
    /// # Errors
    /// As [`Self::numbers`], and when a text is not UTF-8.
    pub fn texts(&self, column: &str, out: &mut [Option<String>]) -> Result<(), TraceError> {
        self.check_len(out.len(), 1);
        self.read(column, |reader: Values<ByteArrayType>, description| {
            read_scalars(
                reader,
                description,
                out.len(),
                |row, value: Option<&ByteArray>| {
                    out[row] = value
                        .map(ByteArray::as_utf8)
                        .transpose()?
                        .map(ToOwned::to_owned);
                    Ok(())
                },
            )
        })
    }

    fn check_len(&self, len: usize, width: usize) {
        assert_eq!(
            len,
            self.rows() * width,
            "a slice for a row group's values has their number"
        );
    }

    /// Hands over the values of a column, and makes errors of what the decoder does on broken files.
    fn read<D: DataType, T>(
        &self,
        column: &str,
        work: impl FnOnce(Values<D>, &ColumnDescPtr) -> Result<T, ParquetError>,
    ) -> Result<T, TraceError> {
        let path = &self.table.path;
        let leaf = self
            .table
            .leaf(column)
            .ok_or_else(|| TraceError::damaged(path, format!("it has no column '{column}'")))?;
        let metadata = &self.table.metadata;
        let description = metadata.parquet_schema().column(leaf);
        let chunk = metadata.metadata().row_group(self.group).column(leaf);
        decode(path, "read a shard", || {
            let pages =
                SerializedPageReader::new(Arc::clone(&self.file), chunk, self.rows(), None)?;
            let reader: ColumnReader = get_column_reader(description.clone(), Box::new(pages));
            let reader = D::get_column_reader(reader)
                .ok_or_else(|| ParquetError::General(format!("column '{column}' is mistyped")))?;
            work(reader, &description)
        })
    }
}

fn phase(name: &ByteArray) -> Result<Phase, ParquetError> {
    phase_of(name.as_utf8()?)
}
