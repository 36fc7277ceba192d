//! Labels' profiles kept, to hold the routing of texts against that are not in the trace.

use moescope_core::{LayerId, Measurement, Progress};
use serde::{Deserialize, Serialize};

use super::{
    LabelDrift,
    calibration::{Calibration, softmax},
    preference::LabelPreference,
    windows::{Profiles, Window, log_shares, windows},
};
use crate::{AnalyticsError, MeasureRequest, Metric as _, TraceData, data::Selection};

/// What each label's routing looks like in a trace, and how far a guess from a window of tokens can be trusted.
///
/// A window's distance to every label can always be told. Tokens and layers depend on one another, so probabilities are
/// only told for windows of exactly [`Self::window`] tokens. They were calibrated on windows of that length, and on whole
/// documents that are shorter, each against profiles that its own group did not decide; [`Self::reliability`] and
/// [`Self::calibration`] show how well.
/// The profiles are of documents; text that a model generates may differ from them in other ways than its label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelReference {
    /// The labels, in the order of all answers.
    pub labels: Vec<String>,
    /// The MoE layers that are compared, in the model's numbering.
    pub layers: Vec<LayerId>,
    /// Experts per layer.
    pub num_experts: usize,
    /// Tokens of a window whose probabilities are calibrated.
    pub window: u32,
    /// Share of windows that was right by tenth of windows, as in `label_drift`.
    pub reliability: Measurement,
    /// Calibration error, loss and β over all windows, as in `label_drift`.
    pub calibration: Measurement,
    beta: f64,
    /// Assignments, `[layers][labels × experts]`.
    profiles: Vec<Vec<f64>>,
    /// ln of smoothed shares, `[layers][labels × experts]`.
    logs: Vec<Vec<f64>>,
}

/// What a window of tokens says of every label.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelLook {
    /// Mean Jensen–Shannon divergence over layers in bits, `[labels]`: 0 is the same shares. Short windows are far from
    /// every label, so only the order means something. NaN where the window has no assignment.
    pub divergence_bits: Vec<f64>,
    /// Calibrated probabilities, `[labels]`; `None` where the window has not the length that was calibrated.
    pub probability: Option<Vec<f64>>,
}

impl LabelReference {
    /// Makes profiles from the documents of a request, and calibrates windows of `request.window` tokens.
    ///
    /// # Errors
    /// When there are not two labels and two groups, a request makes no sense, the trace cannot be read, or `progress`
    /// cancels.
    pub fn fit(
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let about = LabelDrift.about();
        let selection = Selection::new(data, request, about.name, progress)?;
        if selection.labels.len() < 2 || selection.groups < 2 {
            return Err(AnalyticsError::TooLittle {
                metric: about.name.to_owned(),
                found: format!(
                    "there are {} labels in {} groups",
                    selection.labels.len(),
                    selection.groups
                ),
                help: "a reference needs at least two labels and two groups".to_owned(),
            });
        }
        let windows = windows(data, &selection, request, about.name, progress)?;
        let fitted = Calibration::fit(&selection, &windows, request.seed);
        let [reliability, calibration] =
            fitted.measure(&about, &selection, request, &windows, progress)?;
        let profiles = Profiles::new(data, &selection, request, about.name, progress)?.of_labels();
        let num_experts = usize::from(data.model().num_experts);
        Ok(Self {
            layers: selection.layers.iter().map(|l| data.layers()[*l]).collect(),
            logs: profiles
                .iter()
                .map(|sums| log_shares(sums, num_experts))
                .collect(),
            beta: Calibration::beta_for_others(&selection, &windows),
            labels: selection.labels,
            num_experts,
            window: request.window,
            reliability,
            calibration,
            profiles,
        })
    }

    /// Whether a model with these MoE layers and experts per layer has routers like those that the profiles are of. Only then
    /// can its choices be held against them.
    #[must_use]
    pub fn has_routers(&self, layers: &[LayerId], num_experts: usize) -> bool {
        self.layers == layers && self.num_experts == num_experts
    }

    /// Holds the assignments of `tokens` tokens, `[layers × experts]` in the order of [`Self::layers`], against all labels.
    ///
    /// # Panics
    /// When there are not as many counts as layers times experts.
    #[must_use]
    pub fn look(&self, counts: &[u32], tokens: u32) -> LabelLook {
        let window = self.window_of(counts);
        LabelLook {
            probability: (tokens == self.window).then(|| softmax(&window.likelihood, self.beta)),
            divergence_bits: window.divergence,
        }
    }

    /// The same for the routing of another checkpoint than the trace's: distances alone, for probabilities were calibrated
    /// with the trace's routers.
    ///
    /// # Panics
    /// When there are not as many counts as layers times experts.
    #[must_use]
    pub fn distances(&self, counts: &[u32]) -> LabelLook {
        LabelLook {
            probability: None,
            divergence_bits: self.window_of(counts).divergence,
        }
    }

    fn window_of(&self, counts: &[u32]) -> Window {
        assert_eq!(
            counts.len(),
            self.layers.len() * self.num_experts,
            "a count for every expert of every layer"
        );
        let of_layers = counts
            .chunks_exact(self.num_experts)
            .map(|counts| counts.iter().map(|n| f64::from(*n)).collect());
        Window::between(of_layers, &self.profiles, &self.logs, self.labels.len())
    }

    /// A label's share of assignments of every expert at every layer, `[layers × experts]`; `None` for an unknown label.
    /// NaN at a layer where the label has no assignment.
    #[must_use]
    pub fn shares(&self, label: &str) -> Option<Vec<f64>> {
        let label = self.labels.iter().position(|known| known == label)?;
        let of_layer = |sums: &Vec<f64>| {
            let sums = &sums[label * self.num_experts..(label + 1) * self.num_experts];
            let total: f64 = sums.iter().sum();
            sums.iter().map(|n| n / total).collect::<Vec<f64>>()
        };
        Some(self.profiles.iter().flat_map(of_layer).collect())
    }

    /// How much more than an indifferent router a label's documents use each expert; `None` for an unknown label.
    #[must_use]
    pub fn preference(&self, label: &str) -> Option<LabelPreference<'_>> {
        let label = self.labels.iter().position(|known| known == label)?;
        Some(LabelPreference::new(&self.logs, label, self.num_experts))
    }
}
