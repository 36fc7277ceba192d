//! Mutual information of label and expert on a scale from 0 to 1.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    inference::{Dependence, measure_dependence},
};

/// Normalised mutual information between label and expert.
pub(super) struct Nmi;

impl Metric for Nmi {
    fn about(&self) -> About {
        About {
            name: "nmi",
            title: "Normalised mutual information of label and expert",
            formula: "2 I(D; e) / (H(D) + H(e)): `mutual_information` divided by the arithmetic mean of both entropies",
            unit: "fraction",
            range: "0 (the label does not matter) to 1 (label and expert determine each other)",
            edge_cases: "The arithmetic mean is one of several normalisations in use; values under another are not comparable. Variants as of `mutual_information`. 0 where both entropies are 0.",
            uncertainty: "As of `mutual_information`.",
            citation: "Vinh, Epps and Bailey 2010, JMLR 11, 2837 (NMI_sum).",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let dependence = Dependence {
            about: self.about(),
            value: |information| information.normalized(),
            most: |_, _| 1.0,
        };
        measure_dependence(data, request, &dependence, progress)
    }
}
