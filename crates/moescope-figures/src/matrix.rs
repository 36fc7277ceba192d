//! A matrix of pairs, and the order in which its rows and columns are shown.

use moescope_core::{Axis, AxisKind, Measurement, NullComparison};

use crate::{
    FigureError, FigureOptions,
    options::CellOrder,
    order::{by_similarity, row_distance},
    scale::ValueScale,
    slice::{Needs, slice},
};

/// What a caption says of a matrix in the order of similarity.
pub(crate) const ORDER_REMARK: &str =
    "Rows in order of similarity (average linkage of the differences between rows)";

/// Values of pairs with their labels.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    /// Labels of the rows.
    pub(crate) rows: Vec<String>,
    /// Labels of the columns.
    pub(crate) columns: Vec<String>,
    /// Values, row by row.
    pub(crate) values: Vec<f64>,
    /// The null of each value.
    pub(crate) nulls: Vec<Option<NullComparison>>,
}

impl Matrix {
    /// The pairs of two axes of a measurement, the other axes fixed by the options; with what they are fixed to.
    ///
    /// # Errors
    /// As [`slice`].
    pub(crate) fn of(
        needs: Needs,
        measurement: &Measurement,
        kinds: [AxisKind; 2],
        options: &FigureOptions,
    ) -> Result<(Self, Vec<String>), FigureError> {
        let slice = slice(needs, measurement, kinds, options)?;
        let [rows, columns] = slice.axes.map(Axis::len);
        let flat: Vec<usize> = (0..rows * columns)
            .map(|i| slice.flat([i / columns, i % columns]))
            .collect();
        let matrix = Self {
            rows: slice.labels(0),
            columns: slice.labels(1),
            values: flat.iter().map(|i| measurement.values[*i]).collect(),
            nulls: flat
                .iter()
                .map(|i| measurement.nulls.as_ref().and_then(|all| all[*i]))
                .collect(),
        };
        Ok((matrix, slice.fixed))
    }

    /// The rows and columns of some indices, in their order.
    pub(crate) fn reordered(&self, order: &[usize]) -> Self {
        let cell = |row: usize, column: usize| row * self.columns.len() + column;
        let cells = || {
            order
                .iter()
                .flat_map(|row| order.iter().map(move |column| (*row, *column)))
        };
        Self {
            rows: order.iter().map(|i| self.rows[*i].clone()).collect(),
            columns: order.iter().map(|i| self.columns[*i].clone()).collect(),
            values: cells().map(|(r, c)| self.values[cell(r, c)]).collect(),
            nulls: cells().map(|(r, c)| self.nulls[cell(r, c)]).collect(),
        }
    }
}

/// The order that puts like rows together; `None` where the given one is wanted, or rows and columns differ.
///
/// Rows are compared as a reader sees them: by where their values stand among the colours.
pub(crate) fn order(
    matrix: &Matrix,
    options: &FigureOptions,
    scale: &ValueScale,
) -> Option<Vec<usize>> {
    let n = matrix.rows.len();
    if options.order == CellOrder::Given || n < 3 || matrix.rows != matrix.columns {
        return None;
    }
    let shares: Vec<f64> = matrix.values.iter().map(|v| scale.share(*v)).collect();
    Some(by_similarity(n, |a, b| row_distance(&shares, n, a, b)))
}
