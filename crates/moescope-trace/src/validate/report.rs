//! What a validation found.

use serde::{Deserialize, Serialize};

/// Examples that are kept of each kind of violation.
pub(crate) const MAX_EXAMPLES: usize = 20;

/// What a validation looked at and what it found wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// Shards whose rows were read.
    pub shards: u64,
    /// Documents that were read.
    pub samples: u64,
    /// Tokens that were read.
    pub tokens: u64,
    /// Decisions that were read.
    pub decisions: u64,
    /// Profiles that were read.
    pub profiles: u64,
    /// What is wrong, one entry for each kind; empty for a valid trace.
    pub violations: Vec<Violation>,
}

/// Everything of one kind that is wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The rule that is broken.
    pub kind: ViolationKind,
    /// How often it is broken.
    pub count: u64,
    /// The first twenty places.
    pub examples: Vec<String>,
}

/// A rule of the format that a trace can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViolationKind {
    /// The manifest is not what its schema says, or contradicts itself.
    Manifest,
    /// The capture did not reach its end.
    Incomplete,
    /// A file that readers of the folder would find is not in the manifest.
    StrayFile,
    /// A file in the manifest is not there.
    MissingFile,
    /// A file has another length than the manifest says.
    FileSize,
    /// A file has another checksum than the manifest says.
    Checksum,
    /// A file cannot be decoded, or has other columns than its table.
    Unreadable,
    /// A table has other rows than the manifest says.
    RowCount,
    /// Rows are not sorted, or occur twice.
    Order,
    /// Two documents have one id.
    DuplicateId,
    /// A table has rows of a document that `samples` lacks or that belongs to another shard.
    UnknownSample,
    /// A document has another number of tokens than its row says.
    TokenCount,
    /// A routed token lacks its decision at a recorded layer.
    MissingDecision,
    /// A decision belongs to no routed token, to no recorded layer, or is there twice.
    UnexpectedDecision,
    /// A list of experts, weights or logits has another length than the model says.
    ListLength,
    /// An expert number is not below the number of experts.
    ExpertRange,
    /// A decision lists an expert twice.
    RepeatedExpert,
    /// Experts are not in the order that the manifest declares.
    ExpertOrder,
    /// Weights do not obey the declared gating.
    Weights,
    /// A number lies outside what it can be, such as a negative entropy.
    ValueRange,
    /// The manifest is wrong about which columns are NULL throughout.
    UnknownColumn,
    /// A profile is missing, superfluous, or not the sum of the decisions.
    Profile,
}

impl ViolationKind {
    /// Whether a violation of this kind means that some rows were not looked at.
    pub(crate) fn hides_rows(self) -> bool {
        matches!(
            self,
            Self::MissingFile | Self::FileSize | Self::Checksum | Self::Unreadable
        )
    }
}

impl ValidationReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.violations.is_empty()
    }

    /// How often a rule is broken.
    #[must_use]
    pub fn count(&self, kind: ViolationKind) -> u64 {
        self.violations
            .iter()
            .find(|violation| violation.kind == kind)
            .map_or(0, |violation| violation.count)
    }

    /// Counts a violation, and keeps it as an example while there are few of its kind.
    pub(crate) fn add(&mut self, kind: ViolationKind, describe: impl FnOnce() -> String) {
        let known = self.violations.iter().position(|v| v.kind == kind);
        let index = known.unwrap_or(self.violations.len());
        if known.is_none() {
            self.violations.push(Violation {
                kind,
                count: 0,
                examples: Vec::new(),
            });
        }
        let violation = &mut self.violations[index];
        violation.count += 1;
        if violation.examples.len() < MAX_EXAMPLES {
            violation.examples.push(describe());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_twenty_examples_are_kept_and_all_are_counted() {
        let mut report = ValidationReport::default();
        assert!(report.is_valid());
        for row in 0..30 {
            report.add(ViolationKind::Order, || format!("row {row}"));
        }
        assert!(!report.is_valid());
        assert_eq!(report.count(ViolationKind::Order), 30);
        assert_eq!(report.violations[0].examples.len(), 20);
        assert_eq!(report.count(ViolationKind::Weights), 0);
    }
}
