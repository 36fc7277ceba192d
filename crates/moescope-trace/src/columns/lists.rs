//! List columns.

use std::sync::Arc;

use arrow_array::{
    Array as _, ArrayRef, ArrowPrimitiveType, ListArray, PrimitiveArray, RecordBatch,
    cast::AsArray as _, new_null_array,
};
use arrow_buffer::{ArrowNativeType, OffsetBuffer};
use arrow_schema::DataType;
use parquet::errors::ParquetError;

use super::column;
use crate::schema::{element_field, list_of};

/// A list column whose rows all have `width` values; NULL in every row where there are no values.
pub(crate) fn list_column<T: ArrowPrimitiveType>(
    values: Option<Vec<T::Native>>,
    width: usize,
    rows: usize,
) -> ArrayRef
where
    PrimitiveArray<T>: From<Vec<T::Native>>,
{
    match values {
        None => null_lists(T::DATA_TYPE, rows),
        Some(values) => Arc::new(ListArray::new(
            element_field(T::DATA_TYPE),
            OffsetBuffer::from_repeated_length(width, rows),
            Arc::new(PrimitiveArray::<T>::from(values)),
            None,
        )),
    }
}

fn null_lists(element: DataType, rows: usize) -> ArrayRef {
    new_null_array(&list_of(element), rows)
}

/// The rows of a list column as they were read: of any length, some of them NULL.
#[derive(Debug)]
pub(crate) struct ListRows<N> {
    values: Vec<N>,
    /// Where each row ends in `values`, and whether it is there at all.
    rows: Vec<(usize, bool)>,
}

impl<N> Default for ListRows<N> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            rows: Vec::new(),
        }
    }
}

impl<N: ArrowNativeType> ListRows<N> {
    pub(crate) fn append<T: ArrowPrimitiveType<Native = N>>(
        &mut self,
        batch: &RecordBatch,
        name: &str,
    ) -> Result<(), ParquetError> {
        let lists: &ListArray = column(batch, name, |array| array.as_list_opt())?;
        let values = lists
            .values()
            .as_primitive_opt::<T>()
            .ok_or_else(|| ParquetError::General(format!("column '{name}' is mistyped")))?
            .values();
        for (row, ends) in lists.value_offsets().windows(2).enumerate() {
            let present = lists.is_valid(row);
            if present {
                let range = usize::try_from(ends[0])
                    .ok()
                    .zip(usize::try_from(ends[1]).ok());
                let list = range
                    .and_then(|(start, end)| values.get(start..end))
                    .ok_or_else(|| {
                        ParquetError::General(format!("column '{name}' has broken offsets"))
                    })?;
                self.values.extend_from_slice(list);
            }
            self.rows.push((self.values.len(), present));
        }
        Ok(())
    }

    pub(crate) fn row(&self, row: usize) -> Option<&[N]> {
        let (end, present) = self.rows[row];
        let start = row.checked_sub(1).map_or(0, |before| self.rows[before].0);
        present.then(|| &self.values[start..end])
    }

    /// All values, where every row has `width` of them; `None` where every row is NULL.
    ///
    /// A mixture is an error, which names the first row that is unlike the first.
    pub(crate) fn into_uniform(self, width: usize) -> Result<Option<Vec<N>>, String> {
        let first_present = self.rows.first().is_some_and(|(_, present)| *present);
        let mut start = 0;
        for (row, (end, present)) in self.rows.iter().enumerate() {
            let expected = if first_present { width } else { 0 };
            if *present != first_present || end - start != expected {
                return Err(format!(
                    "the list of row {row} has {} values, expected {expected}",
                    end - start
                ));
            }
            start = *end;
        }
        Ok(first_present.then_some(self.values))
    }
}
