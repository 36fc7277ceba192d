//! Many small complaints as one list, so that a user mends all of them at once.

use std::fmt;

use serde::Serialize;

/// At most this many are kept and shown; the others are counted.
const SHOWN: usize = 20;

/// One record that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it is: `FILE:LINE` or a sample's id.
    pub at: String,
    /// What is wrong with it.
    pub what: String,
}

/// Records that cannot be used: the first twenty, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problems {
    total: u64,
    shown: Vec<Problem>,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.total += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(Problem {
                at: at.into(),
                what: what.into(),
            });
        }
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Self) {
        self.total += other.total;
        let room = SHOWN - self.shown.len();
        self.shown.extend(other.shown.into_iter().take(room));
    }

    /// How many there are, shown or not.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The first of them.
    #[must_use]
    pub fn shown(&self) -> &[Problem] {
        &self.shown
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.shown {
            write!(f, "\n  {}: {}", problem.at, problem.what)?;
        }
        let more = self.total - self.shown.len() as u64;
        if more > 0 {
            write!(f, "\n  … and {more} more")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_twenty_are_shown_and_all_are_counted() {
        let mut problems = Problems::default();
        for line in 1..=15 {
            problems.push(format!("a:{line}"), "bad");
        }
        let mut others = Problems::default();
        for line in 1..=10 {
            others.push(format!("b:{line}"), "bad");
        }
        problems.extend(others);
        let text = problems.to_string();
        assert_eq!(problems.total(), 25);
        assert!(text.contains("b:5: bad") && !text.contains("b:6"), "{text}");
        assert!(text.ends_with("… and 5 more"), "{text}");
    }
}
