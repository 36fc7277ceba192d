//! What the load of an expert is a sum of.

use serde::{Deserialize, Serialize};

use super::ProfileColumn;

/// What every counted token adds to the load of the experts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadMass {
    /// Assignments: 1 for each of the chosen experts.
    #[default]
    Counts,
    /// The weights of the chosen experts.
    Weights,
    /// The router's probabilities of all experts.
    Probabilities,
    /// The router's probabilities of all experts, at the last counted token of each document alone.
    LastProbabilities,
}

impl LoadMass {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Counts,
        Self::Weights,
        Self::Probabilities,
        Self::LastProbabilities,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Weights => "weights",
            Self::Probabilities => "probabilities",
            Self::LastProbabilities => "last_probabilities",
        }
    }

    /// What is summed, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Counts => "assignments of all counted tokens",
            Self::Weights => "weights of the chosen experts of all counted tokens",
            Self::Probabilities => "router probabilities of all counted tokens",
            Self::LastProbabilities => {
                "router probabilities at the last counted token of each document"
            }
        }
    }

    /// The column of the profiles that holds it.
    pub(crate) fn column(self) -> ProfileColumn {
        match self {
            Self::Counts => ProfileColumn::Counts,
            Self::Weights => ProfileColumn::WeightSum,
            Self::Probabilities => ProfileColumn::ProbSum,
            Self::LastProbabilities => ProfileColumn::LastProb,
        }
    }
}
