//! Values of one column of a row group, taken from the Parquet decoder piece by piece.
//!
//! The decoder's own reader of lists builds offsets for lists of any length; here a list of another length is an error, so
//! that levels are compared with the pattern that they must have and values go where they belong at once.

use parquet::{
    column::reader::ColumnReaderImpl,
    data_type::{DataType, FloatType, Int32Type},
    errors::ParquetError,
    schema::types::ColumnDescPtr,
};

/// Values decoded at a time: with their levels they stay in the second-level cache.
const VALUES_AT_A_TIME: usize = 1 << 14;

/// The decoder of a column's values.
pub(crate) type Values<D> = ColumnReaderImpl<D>;

/// A number as the tables hold them: `u16`, `u32` or `f32`.
pub trait Number: sealed::Stored {
    /// What stands for NULL where a column may hold it: the largest id, or NaN.
    const NULL: Self;
}

/// How numbers are stored; not for implementing elsewhere.
pub(crate) mod sealed {
    use parquet::data_type::DataType;

    /// A number's stored type.
    pub trait Stored: Copy + Send + Sync {
        /// The Parquet type that it is stored as.
        type Physical: DataType;

        /// Puts stored values in place, each of which must fit.
        fn put(stored: &[<Self::Physical as DataType>::T], out: &mut [Self]) -> bool;
    }
}

impl Number for u16 {
    const NULL: Self = Self::MAX;
}

impl sealed::Stored for u16 {
    type Physical = Int32Type;

    fn put(stored: &[i32], out: &mut [Self]) -> bool {
        let mut bits = 0;
        for (to, from) in out.iter_mut().zip(stored) {
            bits |= from.cast_unsigned();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "higher bits are looked at below"
            )]
            {
                *to = from.cast_unsigned() as Self;
            }
        }
        bits <= u32::from(Self::MAX)
    }
}

impl Number for u32 {
    const NULL: Self = Self::MAX;
}

impl sealed::Stored for u32 {
    type Physical = Int32Type;

    fn put(stored: &[i32], out: &mut [Self]) -> bool {
        for (to, from) in out.iter_mut().zip(stored) {
            *to = from.cast_unsigned();
        }
        true
    }
}

impl Number for f32 {
    const NULL: Self = Self::NAN;
}

impl sealed::Stored for f32 {
    type Physical = FloatType;

    fn put(stored: &[f32], out: &mut [Self]) -> bool {
        out.copy_from_slice(stored);
        true
    }
}

/// Fills `out` with a column of numbers and says how many are NULL.
pub(crate) fn fill_numbers<N: Number>(
    mut reader: Values<N::Physical>,
    description: &ColumnDescPtr,
    out: &mut [N],
) -> Result<usize, ParquetError> {
    let deepest = levels(description, 0)?;
    let mut buffers = Buffers::default();
    let mut nulls = 0;
    for out in out.chunks_mut(VALUES_AT_A_TIME) {
        let rows = out.len();
        buffers.read(&mut reader, rows)?;
        if buffers.values.len() == rows {
            put(&buffers.values, out, description)?;
            continue;
        }
        nulls += rows - buffers.values.len();
        let mut values = buffers.values.chunks(1);
        for (to, level) in out.iter_mut().zip(&buffers.definition) {
            *to = N::NULL;
            if *level == deepest {
                let value = values.next().ok_or_else(|| fewer(description))?;
                put(value, std::slice::from_mut(to), description)?;
            }
        }
    }
    buffers.check_end(&mut reader, description)?;
    Ok(nulls)
}

/// Fills `out` with a column of lists that all have `width` values; `false` where one is NULL.
pub(crate) fn fill_lists<N: Number>(
    mut reader: Values<N::Physical>,
    description: &ColumnDescPtr,
    width: usize,
    out: &mut [N],
) -> Result<bool, ParquetError> {
    let deepest = levels(description, 1)?;
    let width = width.max(1);
    let rows_at_a_time = (VALUES_AT_A_TIME / width).max(1);
    let values_at_a_time = rows_at_a_time * width;
    // A list of `width` values: it begins anew once, and every value is there.
    let repetition: Vec<i16> = (0..values_at_a_time)
        .map(|value| i16::from(value % width != 0))
        .collect();
    let definition = vec![deepest; values_at_a_time];
    let mut buffers = Buffers::default();
    for out in out.chunks_mut(values_at_a_time) {
        let values = out.len();
        buffers.read(&mut reader, values / width)?;
        if buffers.definition.as_slice() != &definition[..values]
            || buffers.repetition.as_slice() != &repetition[..values]
            || buffers.values.len() != values
        {
            // The first level of an optional list says whether it is there.
            let has_null = deepest == 2 && buffers.definition.contains(&0);
            return if has_null {
                Ok(false)
            } else {
                Err(ParquetError::General(format!(
                    "a list of column '{}' does not have {width} values",
                    name(description)
                )))
            };
        }
        put(&buffers.values, out, description)?;
    }
    buffers.check_end(&mut reader, description)?;
    Ok(true)
}

/// Calls `visit` with each of `rows` values of a column that is no list; NULL is `None`.
pub(crate) fn read_scalars<D: DataType>(
    mut reader: Values<D>,
    description: &ColumnDescPtr,
    rows: usize,
    mut visit: impl FnMut(usize, Option<&D::T>) -> Result<(), ParquetError>,
) -> Result<(), ParquetError> {
    let deepest = levels(description, 0)?;
    let mut buffers = Buffers::default();
    for start in (0..rows).step_by(VALUES_AT_A_TIME) {
        let rows = VALUES_AT_A_TIME.min(rows - start);
        buffers.read(&mut reader, rows)?;
        let mut values = buffers.values.iter();
        for row in 0..rows {
            let is_there = deepest == 0 || buffers.definition.get(row) == Some(&deepest);
            let value = if is_there {
                Some(values.next().ok_or_else(|| fewer(description))?)
            } else {
                None
            };
            visit(start + row, value)?;
        }
    }
    buffers.check_end(&mut reader, description)
}

/// What the decoder gave last.
struct Buffers<D: DataType> {
    definition: Vec<i16>,
    repetition: Vec<i16>,
    values: Vec<D::T>,
}

impl<D: DataType> Default for Buffers<D> {
    fn default() -> Self {
        Self {
            definition: Vec::new(),
            repetition: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<D: DataType> Buffers<D> {
    /// Reads so many rows.
    fn read(&mut self, reader: &mut Values<D>, rows: usize) -> Result<(), ParquetError> {
        self.definition.clear();
        self.repetition.clear();
        self.values.clear();
        let (found, ..) = reader.read_records(
            rows,
            Some(&mut self.definition),
            Some(&mut self.repetition),
            &mut self.values,
        )?;
        if found == rows {
            Ok(())
        } else {
            Err(ParquetError::General(format!(
                "a column has fewer rows than its row group: {found} of the last {rows}"
            )))
        }
    }

    /// Checks that nothing is left.
    fn check_end(
        &mut self,
        reader: &mut Values<D>,
        description: &ColumnDescPtr,
    ) -> Result<(), ParquetError> {
        self.values.clear();
        let (more, ..) = reader.read_records(
            1,
            Some(&mut self.definition),
            Some(&mut self.repetition),
            &mut self.values,
        )?;
        if more == 0 {
            Ok(())
        } else {
            Err(ParquetError::General(format!(
                "column '{}' has more rows than its row group",
                name(description)
            )))
        }
    }
}

fn put<N: Number>(
    stored: &[<N::Physical as DataType>::T],
    out: &mut [N],
    description: &ColumnDescPtr,
) -> Result<(), ParquetError> {
    if N::put(stored, out) {
        return Ok(());
    }
    Err(ParquetError::General(format!(
        "column '{}' holds a number that its type does not",
        name(description)
    )))
}

/// The definition level of a value, in a column of so many levels of lists.
fn levels(description: &ColumnDescPtr, lists: i16) -> Result<i16, ParquetError> {
    let deepest = description.max_def_level();
    if description.max_rep_level() == lists && (lists..=lists + 1).contains(&deepest) {
        Ok(deepest)
    } else {
        Err(ParquetError::General(format!(
            "column '{}' is nested in another way",
            name(description)
        )))
    }
}

fn fewer(description: &ColumnDescPtr) -> ParquetError {
    ParquetError::General(format!(
        "column '{}' has fewer values than its levels say",
        name(description)
    ))
}

fn name(description: &ColumnDescPtr) -> &str {
    description
        .path()
        .parts()
        .first()
        .map_or("", String::as_str)
}
