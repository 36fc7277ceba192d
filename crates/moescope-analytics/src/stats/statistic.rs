//! A vector-valued function of each label's sums at one layer.

/// What is computed from the sums of all labels at one layer.
pub(crate) struct Statistic<'a> {
    /// Number of values.
    pub(crate) len: usize,
    /// From sums `[labels, columns]` to values `[len]`.
    pub(crate) evaluate: &'a (dyn Fn(&[f64], &mut [f64]) + Sync),
    /// The labels that value `i` depends on.
    pub(crate) sides: &'a (dyn Fn(usize) -> Sides + Sync),
}

/// The labels that a value depends on: each must have enough groups for an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sides {
    /// One label.
    One(usize),
    /// A difference or divergence of two.
    Two(usize, usize),
    /// All labels together.
    All,
}

impl Sides {
    /// Whether the value depends on a label.
    pub(crate) fn contains(self, label: usize) -> bool {
        match self {
            Self::One(a) => a == label,
            Self::Two(a, b) => a == label || b == label,
            Self::All => true,
        }
    }
}

impl Statistic<'_> {
    /// The values at one layer for given sums.
    pub(crate) fn values(&self, sums: &[f64]) -> Vec<f64> {
        let mut values = vec![0.0; self.len];
        (self.evaluate)(sums, &mut values);
        values
    }
}
