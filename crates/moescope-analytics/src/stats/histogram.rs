//! Counts of values in fixed bins: sums of histograms are histograms, so groups can be resampled without their values.

/// The edges of bins, ascending; bin `i` reaches from edge `i` to edge `i + 1`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bins {
    edges: Vec<f64>,
}

impl Bins {
    /// `bins` bins of equal width between 0 and 1.
    pub(crate) fn unit_interval(bins: u16) -> Self {
        let edges = (0..=bins).map(|i| f64::from(i) / f64::from(bins)).collect();
        Self { edges }
    }

    /// A bin from 0 to 2^`low`, and from there to 2^`high` bins of which `per_octave` double the value.
    pub(crate) fn octaves(low: i16, high: i16, per_octave: i16) -> Self {
        let steps = (high - low) * per_octave;
        let edge = |i: i16| (f64::from(low) + f64::from(i) / f64::from(per_octave)).exp2();
        let edges = std::iter::once(0.0).chain((0..=steps).map(edge)).collect();
        Self { edges }
    }

    /// Number of bins.
    pub(crate) fn len(&self) -> usize {
        self.edges.len() - 1
    }

    /// The bin of a value; the outermost bins take what lies beyond them.
    pub(crate) fn place(&self, value: f64) -> usize {
        let above = self.edges.partition_point(|edge| *edge <= value);
        above.saturating_sub(1).min(self.len() - 1)
    }

    /// The value below which a part of the counted values lies, linear within its bin; NaN without values.
    pub(crate) fn quantile(&self, counts: &[f64], part: f64) -> f64 {
        let total: f64 = counts.iter().sum();
        if total <= 0.0 {
            return f64::NAN;
        }
        // Sums of weights miss whole counts by rounding, which must not decide between two bins.
        let slack = 1e-9 * total;
        let mut rest = part * total;
        for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let (low, high) = (self.edges[bin], self.edges[bin + 1]);
            if rest <= count + slack {
                return low + (high - low) * (rest / count).min(1.0);
            }
            rest -= count;
        }
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_between_the_edges_of_their_bin() {
        let bins = Bins::unit_interval(4);
        for (value, expected) in [
            (0.0, 0),
            (0.24, 0),
            (0.25, 1),
            (0.99, 3),
            (1.0, 3),
            (-2.0, 0),
            (7.0, 3),
        ] {
            assert_eq!(bins.place(value), expected, "{value}");
        }
        // 0 to ¼, ¼ to ½, ½ to 1, 1 to 2.
        let bins = Bins::octaves(-2, 1, 1);
        assert_eq!(bins.len(), 4);
        for (value, expected) in [(0.0, 0), (0.3, 1), (0.5, 2), (1.9, 3), (100.0, 3)] {
            assert_eq!(bins.place(value), expected, "{value}");
        }
    }

    #[test]
    fn quantiles_interpolate_within_their_bin() {
        let bins = Bins::unit_interval(4);
        // Two values in the first bin, two in the third: half lies below ½ or less, a quarter below ⅛.
        let counts = [2.0, 0.0, 2.0, 0.0];
        for (part, expected) in [(0.25, 0.125), (0.5, 0.25), (0.75, 0.625), (1.0, 0.75)] {
            assert!((bins.quantile(&counts, part) - expected).abs() < 1e-12);
        }
        assert!(bins.quantile(&[0.0; 4], 0.5).is_nan());
    }
}
