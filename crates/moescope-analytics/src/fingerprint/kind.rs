//! What stands for a document: `SciDFM`'s fingerprint in every reading, and those that do not depend on length.

use moescope_core::Progress;
use serde::{Deserialize, Serialize};

use super::Matrix;
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{ProfileColumn, Selection},
    stats::correlation::{mean, spearman},
};

/// What stands for a document: numbers per layer and expert, layers one after the other.
///
/// `SciDFM` (arXiv 2409.18412) defines `e_i = Softmax(Σ_t g_i[t])` without saying what the gate output g is;
/// a softmax of a sum saturates with length, so its fingerprints also tell how long a document is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FingerprintKind {
    /// Mean probability of each expert.
    #[default]
    MeanProb,
    /// Share of tokens that choose each expert.
    SelectionFrequency,
    /// Share of the routing weight that each expert gets.
    WeightShare,
    /// Probability of each expert at the last token.
    LastProb,
    /// `SciDFM` with g = router logits.
    ScidfmLogits,
    /// `SciDFM` with g = probabilities.
    ScidfmProbs,
    /// `SciDFM` with g = weights of the chosen experts, 0 for the others.
    ScidfmWeights,
}

impl FingerprintKind {
    /// Every kind, the default first.
    pub const ALL: [Self; 7] = [
        Self::MeanProb,
        Self::SelectionFrequency,
        Self::WeightShare,
        Self::LastProb,
        Self::ScidfmLogits,
        Self::ScidfmProbs,
        Self::ScidfmWeights,
    ];

    /// The name on the command line and in results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MeanProb => "mean_prob",
            Self::SelectionFrequency => "selection_frequency",
            Self::WeightShare => "weight_share",
            Self::LastProb => "last_prob",
            Self::ScidfmLogits => "scidfm_logits",
            Self::ScidfmProbs => "scidfm_probs",
            Self::ScidfmWeights => "scidfm_weights",
        }
    }

    /// Whether it is a softmax of a sum, which saturates with length.
    pub(crate) fn is_scidfm(self) -> bool {
        matches!(
            self,
            Self::ScidfmLogits | Self::ScidfmProbs | Self::ScidfmWeights
        )
    }

    fn column(self) -> ProfileColumn {
        match self {
            Self::MeanProb | Self::ScidfmProbs => ProfileColumn::ProbSum,
            Self::SelectionFrequency => ProfileColumn::Counts,
            Self::WeightShare | Self::ScidfmWeights => ProfileColumn::WeightSum,
            Self::LastProb => ProfileColumn::LastProb,
            Self::ScidfmLogits => ProfileColumn::LogitSum,
        }
    }

    /// One layer's part of the fingerprint from its sums and number of tokens, both of the document.
    fn layer_part(self, sums: &[f64], tokens: f64) -> Vec<f64> {
        match self {
            Self::MeanProb | Self::SelectionFrequency => divide(sums, tokens),
            Self::WeightShare => divide(sums, sums.iter().sum()),
            Self::LastProb => sums.to_vec(),
            Self::ScidfmLogits | Self::ScidfmProbs | Self::ScidfmWeights => softmax(sums),
        }
    }
}

impl std::fmt::Display for FingerprintKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for FingerprintKind {
    type Err = AnalyticsError;

    fn from_str(text: &str) -> Result<Self, AnalyticsError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
                AnalyticsError::Request(format!(
                    "there is no fingerprint '{text}'; there are: {}",
                    known.join(", ")
                ))
            })
    }
}

/// The fingerprints of the selected documents, `[documents, layers × experts]`.
///
/// A layer at which a document has no token is zeros.
pub(crate) fn fingerprints(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<Matrix, AnalyticsError> {
    let kind = request.fingerprint;
    let tensor = |column| data.tensor_in(column, &request.scope, metric, progress);
    let (sums, tokens) = (tensor(kind.column())?, tensor(ProfileColumn::Tokens)?);
    let columns = selection.layers.len() * sums.columns();
    let mut values = Vec::with_capacity(selection.documents.len() * columns);
    for document in &selection.documents {
        for layer in &selection.layers {
            let tokens = tokens.row(*document, *layer)[0];
            if tokens > 0.0 {
                values.extend(kind.layer_part(sums.row(*document, *layer), tokens));
            } else {
                values.extend(std::iter::repeat_n(0.0, sums.columns()));
            }
        }
    }
    Ok(Matrix::new(columns, values))
}

/// How much fingerprints depend on the length of documents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Saturation {
    /// Share of document layers whose largest component is at least 0.9999.
    pub(crate) one_hot: f64,
    /// Spearman's correlation of a document's tokens with its mean largest component.
    pub(crate) length_correlation: f64,
}

impl Saturation {
    /// Reads the saturation off fingerprints, `[documents, layers × experts]`.
    pub(crate) fn of(fingerprints: &Matrix, experts: usize, tokens: &[f64]) -> Self {
        const ONE_HOT: f64 = 0.9999;
        let largest: Vec<Vec<f64>> = fingerprints
            .iter_rows()
            .map(|row| {
                row.chunks_exact(experts)
                    .map(|part| part.iter().copied().fold(0.0, f64::max))
                    .collect()
            })
            .collect();
        let one_hot: Vec<f64> = largest
            .iter()
            .flatten()
            .map(|x| f64::from(u8::from(*x >= ONE_HOT)))
            .collect();
        let means: Vec<f64> = largest.iter().map(|parts| mean(parts)).collect();
        Self {
            one_hot: mean(&one_hot),
            length_correlation: spearman(tokens, &means),
        }
    }

    /// The saturation in words, with a warning for fingerprints that saturate.
    pub(crate) fn note(self, kind: FingerprintKind) -> String {
        let correlation = if self.length_correlation.is_nan() {
            "undefined, lengths or fingerprints do not differ".to_owned()
        } else {
            format!("{:.2}", self.length_correlation)
        };
        let numbers = format!(
            "rank correlation of document length with the largest component of {kind}: {correlation}; {:.0} % of document layers are one-hot to four digits",
            100.0 * self.one_hot
        );
        if kind.is_scidfm() {
            format!(
                "{numbers}; a softmax of a sum over tokens saturates with length, so labels that differ in length differ in it: compare mean_prob"
            )
        } else {
            numbers
        }
    }
}

fn divide(sums: &[f64], total: f64) -> Vec<f64> {
    if total > 0.0 {
        sums.iter().map(|x| x / total).collect()
    } else {
        vec![0.0; sums.len()]
    }
}

fn softmax(sums: &[f64]) -> Vec<f64> {
    let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let parts: Vec<f64> = sums.iter().map(|x| (x - most).exp()).collect();
    let total: f64 = parts.iter().sum();
    parts.iter().map(|x| x / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_softmax_of_a_sum_saturates_with_length() {
        // Mean probabilities (.14, .13, .12): at 50 tokens the sums are 7, 6.5, 6, at 1000 they are 140, 130, 120.
        let at = |tokens: f64| {
            let sums: Vec<f64> = [0.14, 0.13, 0.12].iter().map(|p| p * tokens).collect();
            FingerprintKind::ScidfmProbs.layer_part(&sums, tokens)[0]
        };
        // 1 / (1 + e^−½ + e^−1) = 0.50648 and 1 / (1 + e^−10 + e^−20) = 0.9999546.
        assert!((at(50.0) - 0.506_480).abs() < 1e-6);
        assert!((at(1000.0) - 0.999_954_6).abs() < 1e-7);
        let mean = FingerprintKind::MeanProb.layer_part(&[7.0, 6.5, 6.0], 50.0);
        assert!((mean[0] - 0.14).abs() < 1e-12);
    }

    #[test]
    fn names_read_back_and_unknown_ones_list_all() {
        for kind in FingerprintKind::ALL {
            assert_eq!(kind.as_str().parse::<FingerprintKind>().unwrap(), kind);
        }
        let error = "logits".parse::<FingerprintKind>().unwrap_err().to_string();
        assert!(error.contains("scidfm_logits"), "{error}");
    }
}
