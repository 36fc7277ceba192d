//! Which values a corrected p sets apart.

use moescope_core::{Measurement, NullComparison};

use crate::ticks;

/// The level at which a corrected p counts, and how it is written.
#[derive(Clone, Copy, Debug)]
pub struct Significance {
    /// One less the level of the intervals, or 0.05.
    alpha: f64,
    is_corrected: bool,
}

impl Significance {
    /// The level for a measurement; `None` where it has no null.
    #[must_use]
    pub fn of(measurement: &Measurement) -> Option<Self> {
        let nulls = measurement.nulls.as_ref()?;
        let level = measurement.protocol.level.filter(|l| *l > 0.0 && *l < 1.0);
        Some(Self {
            // Rounded, because 1 − 0.95 is not 0.05 in binary.
            alpha: level.map_or(0.05, |level| ((1.0 - level) * 1e9).round() / 1e9),
            is_corrected: nulls
                .iter()
                .flatten()
                .any(|null| null.p_corrected.is_some()),
        })
    }

    /// Whether a value's corrected p (or p, where none was corrected) is at most the level.
    #[must_use]
    pub fn holds(self, null: Option<NullComparison>) -> bool {
        let p = null.and_then(|null| {
            if self.is_corrected {
                null.p_corrected
            } else {
                Some(null.p)
            }
        });
        p.is_some_and(|p| p <= self.alpha)
    }

    /// `q ≤ 0.05`, or `p ≤ 0.05 (not corrected)`.
    #[must_use]
    pub fn words(self) -> String {
        let alpha = ticks::short(self.alpha);
        if self.is_corrected {
            format!("q ≤ {alpha}")
        } else {
            format!("p ≤ {alpha} (not corrected)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_correction_is_not_significant_among_corrected_ones() {
        let significance = Significance {
            alpha: 0.05,
            is_corrected: true,
        };
        let null = |p, p_corrected| {
            Some(NullComparison {
                null_mean: 0.0,
                p,
                p_corrected,
            })
        };
        assert!(significance.holds(null(0.001, Some(0.05))));
        assert!(!significance.holds(null(0.001, Some(0.06))));
        assert!(!significance.holds(null(0.001, None)));
        assert!(!significance.holds(None));
        assert_eq!(significance.words(), "q ≤ 0.05");
    }
}
