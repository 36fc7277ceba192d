//! A dense matrix of f64.

/// Row-major numbers, `[rows, columns]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// A matrix of `values.len() / columns` rows.
    ///
    /// # Panics
    /// When the values do not fill whole rows.
    pub(crate) fn new(columns: usize, values: Vec<f64>) -> Self {
        assert!(
            columns > 0 && values.len().is_multiple_of(columns),
            "whole rows"
        );
        Self { columns, values }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// One row, `[columns]`.
    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// All numbers.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// All rows.
    pub(crate) fn iter_rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns)
    }

    /// The same with every row divided by its Euclidean length; rows of zeros stay.
    pub(crate) fn normalized_rows(&self) -> Self {
        let mut values = self.values.clone();
        for row in values.chunks_exact_mut(self.columns) {
            let length = dot(row, row).sqrt();
            if length > 0.0 {
                for x in row {
                    *x /= length;
                }
            }
        }
        Self {
            columns: self.columns,
            values,
        }
    }

    /// The same with the mean of every column subtracted.
    pub(crate) fn centred(&self) -> Self {
        let mut means = vec![0.0; self.columns];
        for row in self.iter_rows() {
            means.iter_mut().zip(row).for_each(|(m, x)| *m += x);
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of documents")]
        let rows = self.rows() as f64;
        let mut values = self.values.clone();
        for row in values.chunks_exact_mut(self.columns) {
            row.iter_mut().zip(&means).for_each(|(x, m)| *x -= m / rows);
        }
        Self {
            columns: self.columns,
            values,
        }
    }
}

/// Σ a b.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Σ (a − b)².
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}
