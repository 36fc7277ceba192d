//! Sums per document and layer as one dense array.

use std::{path::Path, sync::Arc};

use moescope_core::Progress;

use super::{DecisionNeeds, DocumentDecisions, Summary, TokenSelection, TraceData};
use crate::AnalyticsError;

/// A column of the profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProfileColumn {
    /// Counted tokens; one number per layer.
    Tokens,
    /// Tokens that chose each expert.
    Counts,
    /// Sum of the weights of each expert where it was chosen.
    WeightSum,
    /// Sum of the probabilities of each expert over all tokens.
    ProbSum,
    /// Sum of the router logits of each expert over all tokens.
    LogitSum,
    /// The distribution at the last counted token.
    LastProb,
}

impl ProfileColumn {
    /// Numbers per document and layer.
    pub(crate) fn width(self, num_experts: usize) -> usize {
        match self {
            Self::Tokens => 1,
            _ => num_experts,
        }
    }

    /// What is missing when the column is, and what would help.
    pub(crate) fn missing(self, metric: &str) -> AnalyticsError {
        let (missing, help) = match self {
            Self::Tokens | Self::Counts => ("expert counts", "capture the trace again"),
            Self::WeightSum => (
                "routing weights (column profiles.weight_sum)",
                "use a quantity of expert ids (assignment_share, esft_token_experts, the fingerprint selection_frequency), or capture with this toolkit",
            ),
            Self::ProbSum => (
                "router probabilities (column profiles.prob_sum)",
                "use --mass counts or the fingerprint selection_frequency or weight_share, or capture with this toolkit",
            ),
            Self::LogitSum => (
                "router logits (column profiles.logit_sum)",
                "use --mass counts or the fingerprint selection_frequency or weight_share, or capture with this toolkit",
            ),
            Self::LastProb => (
                "the last token's router probabilities (column profiles.last_prob)",
                "use --mass counts or the fingerprint selection_frequency or weight_share, or capture with this toolkit",
            ),
        };
        AnalyticsError::MissingInput {
            metric: metric.to_owned(),
            missing: missing.to_owned(),
            help: help.to_owned(),
        }
    }
}

/// Numbers of every document at every layer, `[documents, layers, columns]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DocumentTensor {
    layers: usize,
    columns: usize,
    values: Vec<f64>,
}

impl DocumentTensor {
    /// Zeros, if `rows` rows of a table justify the memory: every document with tokens has a row at every layer.
    pub(crate) fn zeros(
        documents: usize,
        layers: usize,
        columns: usize,
        rows: usize,
        path: &Path,
    ) -> Result<Self, AnalyticsError> {
        let needed = documents.saturating_mul(layers);
        // Documents without a counted token have no row, so a few may be missing, but not most.
        if needed > rows.saturating_mul(16).saturating_add(65_536) {
            return Err(AnalyticsError::Malformed {
                table: "profiles",
                reason: format!(
                    "{documents} documents at {layers} layers need about {needed} rows, found {rows}"
                ),
                path: path.to_owned(),
            });
        }
        Ok(Self::of(documents, layers, columns))
    }

    /// Zeros.
    pub(crate) fn of(documents: usize, layers: usize, columns: usize) -> Self {
        Self {
            layers,
            columns,
            values: vec![0.0; documents * layers * columns],
        }
    }

    /// The numbers of a document, `[layers × columns]`, to change.
    pub(crate) fn document_mut(&mut self, document: usize) -> &mut [f64] {
        let width = self.layers * self.columns;
        &mut self.values[document * width..(document + 1) * width]
    }

    /// Number of layers.
    pub(crate) fn layers(&self) -> usize {
        self.layers
    }

    /// All numbers, `[documents × layers × columns]`.
    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }

    /// The same, to change.
    pub(super) fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// Numbers per document and layer.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The numbers of a document at a layer, `[columns]`.
    pub(crate) fn row(&self, document: usize, layer: usize) -> &[f64] {
        let start = (document * self.layers + layer) * self.columns;
        &self.values[start..start + self.columns]
    }

    /// The same, to change.
    pub(crate) fn row_mut(&mut self, document: usize, layer: usize) -> &mut [f64] {
        let start = (document * self.layers + layer) * self.columns;
        &mut self.values[start..start + self.columns]
    }

    /// Adds to a document's numbers at a layer.
    pub(crate) fn add(
        &mut self,
        document: usize,
        layer: usize,
        values: impl IntoIterator<Item = f64>,
    ) {
        for (sum, value) in self.row_mut(document, layer).iter_mut().zip(values) {
            *sum += value;
        }
    }
}

/// Sums decisions one by one, for scopes that the profiles do not cover.
pub(crate) fn from_decisions(
    data: &TraceData,
    column: ProfileColumn,
    tokens: &TokenSelection,
    metric: &str,
    progress: &dyn Progress,
) -> Result<Arc<DocumentTensor>, AnalyticsError> {
    if !matches!(
        column,
        ProfileColumn::Tokens | ProfileColumn::Counts | ProfileColumn::WeightSum
    ) {
        let (which, without) = match (tokens.positions.is_all(), tokens.include_special) {
            (true, _) => ("that include special tokens", "special tokens"),
            (false, false) => ("of tokens at chosen positions", "--positions"),
            (false, true) => (
                "of tokens at chosen positions",
                "--positions and without special tokens",
            ),
        };
        return Err(AnalyticsError::MissingInput {
            metric: metric.to_owned(),
            missing: format!("probability sums {which}"),
            help: format!(
                "measure without {without}, or use counts and weights (--mass counts, selection_frequency, weight_share)"
            ),
        });
    }
    let columns = column.width(usize::from(data.model().num_experts));
    let add = |decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
        for row in decisions.counted_rows() {
            let layer = decisions.layer(row);
            let sums = &mut numbers[layer * columns..(layer + 1) * columns];
            match column {
                ProfileColumn::Tokens => sums[0] += 1.0,
                ProfileColumn::WeightSum => {
                    for (expert, weight) in
                        decisions.experts(row).iter().zip(decisions.weights(row))
                    {
                        sums[usize::from(*expert)] += f64::from(*weight);
                    }
                }
                _ => {
                    for expert in decisions.experts(row) {
                        sums[usize::from(*expert)] += 1.0;
                    }
                }
            }
        }
    };
    let summary = Summary {
        name: format!("profile {column:?}"),
        needs: DecisionNeeds {
            weights: column == ProfileColumn::WeightSum,
            tokens: tokens.clone(),
            ..DecisionNeeds::default()
        },
        columns,
        add: &add,
    };
    data.summarize(&summary, metric, progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_larger_than_its_rows_justify_is_refused() {
        let error = DocumentTensor::zeros(1_000_000, 60_000, 64, 12, Path::new("t")).unwrap_err();
        assert!(error.to_string().contains("found 12"), "{error}");
        assert!(DocumentTensor::zeros(3, 2, 4, 6, Path::new("t")).is_ok());
    }
}
