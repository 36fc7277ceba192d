//! Rows of each table as Arrow columns, and back.

pub(crate) mod profiles;
pub(crate) mod routing;
pub(crate) mod samples;
pub(crate) mod tokens;

mod lists;

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, RecordBatch, StringArray,
    cast::AsArray as _,
};
use parquet::errors::ParquetError;

pub(crate) use lists::ListRows;

/// A column of numbers by name; the error names it where it is missing or of another type.
pub(crate) fn numbers<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, ParquetError> {
    column(batch, name, |array| array.as_primitive_opt())
}

pub(crate) fn strings<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a StringArray, ParquetError> {
    column(batch, name, |array| array.as_string_opt())
}

pub(crate) fn booleans<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a BooleanArray, ParquetError> {
    column(batch, name, |array| array.as_boolean_opt())
}

fn column<'a, T>(
    batch: &'a RecordBatch,
    name: &str,
    cast: impl FnOnce(&'a dyn Array) -> Option<T>,
) -> Result<T, ParquetError> {
    batch
        .column_by_name(name)
        .and_then(|array| cast(array.as_ref()))
        .ok_or_else(|| ParquetError::General(format!("column '{name}' is missing or mistyped")))
}

/// The value of a number column, `None` where it is NULL.
pub(crate) fn number<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    row: usize,
) -> Option<T::Native> {
    array.is_valid(row).then(|| array.value(row))
}

pub(crate) fn string(array: &StringArray, row: usize) -> Option<String> {
    array.is_valid(row).then(|| array.value(row).to_owned())
}

pub(crate) fn boolean(array: &BooleanArray, row: usize) -> Option<bool> {
    array.is_valid(row).then(|| array.value(row))
}

/// A batch of columns that were built for exactly this schema.
pub(crate) fn batch(
    table: crate::schema::Table,
    label_columns: &[String],
    columns: Vec<ArrayRef>,
) -> RecordBatch {
    RecordBatch::try_new(table.schema(label_columns), columns)
        .expect("the columns are built next to the schema, with its types and of one length")
}
