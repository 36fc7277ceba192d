//! What a campaign found, in numbers.

use std::{fmt, time::Duration};

use super::execute::{Failure, Observation};

/// A failure and the number of the input that showed it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The input's number.
    pub number: u64,
    /// What happened.
    pub failure: Failure,
    /// How many inputs showed it.
    pub count: u64,
}

/// Executions of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Inputs that were executed.
    pub executions: u64,
    /// Inputs that the reader took for good.
    pub accepted: u64,
    /// Most memory of one execution, bytes.
    pub peak: usize,
    /// Longest execution.
    pub longest: Duration,
    /// Failures, one of each class.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds one execution.
    pub fn add(&mut self, number: u64, result: Result<Observation, Failure>) {
        self.executions += 1;
        match result {
            Ok(observed) => {
                self.accepted += u64::from(observed.is_accepted);
                self.peak = self.peak.max(observed.peak);
                self.longest = self.longest.max(observed.time);
            }
            Err(failure) => self.find(Finding {
                number,
                failure,
                count: 1,
            }),
        }
    }

    /// Adds another report of the same target.
    pub fn extend(&mut self, other: Self) {
        self.executions += other.executions;
        self.accepted += other.accepted;
        self.peak = self.peak.max(other.peak);
        self.longest = self.longest.max(other.longest);
        for finding in other.findings {
            self.find(finding);
        }
    }

    fn find(&mut self, found: Finding) {
        let class = found.failure.class();
        let known = self
            .findings
            .iter_mut()
            .find(|known| known.failure.class() == class);
        match known {
            Some(known) => {
                known.count += found.count;
                if found.number < known.number {
                    known.number = found.number;
                    known.failure = found.failure;
                }
            }
            None => self.findings.push(found),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let (accepted, peak) = (
            100.0 * self.accepted as f64 / self.executions.max(1) as f64,
            self.peak as f64 / f64::from(1 << 20),
        );
        write!(
            f,
            "{} executions, {accepted:.1} % accepted, peak {peak:.1} MiB, longest {:.1} ms, {} findings",
            self.executions,
            1e3 * self.longest.as_secs_f64(),
            self.findings.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_class_are_one_finding_with_its_first_input() {
        let memory = |peak| Failure::Memory { peak, bound: 1 };
        let mut report = Report::default();
        report.add(9, Err(memory(5)));
        let mut other = Report::default();
        other.add(4, Err(memory(7)));
        other.add(5, Err(Failure::Slow(Duration::from_secs(2))));
        report.extend(other);
        assert_eq!(report.executions, 3);
        let found: Vec<(u64, u64)> = report
            .findings
            .iter()
            .map(|f| (f.number, f.count))
            .collect();
        assert_eq!(found, [(4, 2), (5, 1)]);
    }
}
