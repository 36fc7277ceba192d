//! How far the loads of two labels are apart.

use moescope_core::{AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{Pairwise, load_table, mass_note, measure_pairs, need_two_labels},
    stats::{information::jsd_bits, interval::IntervalMethod, permutation::Tail},
};

/// Jensen–Shannon divergence between the assignment shares of every two labels.
pub(super) struct Jsd;

impl Metric for Jsd {
    fn about(&self) -> About {
        About {
            name: "jsd",
            title: "Divergence between the loads of two labels",
            formula: "H((s + t) / 2) − (H(s) + H(t)) / 2 with H in bits, where s and t are the `assignment_share` of both labels",
            unit: "bits",
            range: "0 (same shares) to 1 (no expert in common)",
            edge_cases: "With `--mass probabilities` s and t are the mean router probabilities, with `--mass last_probabilities` those at the last token of each document. The divergence, not its square root (the distance). Biased upward in small samples: read it beside its null mean. Symmetric; the diagonal is 0 and has neither interval nor null.",
            uncertainty: "Bias-corrected percentile bootstrap over groups within label. Null: the labels of the two sides permuted over their groups, one-sided, q over layers × pairs.",
            citation: "Lin 1991, IEEE Trans. Inf. Theory 37, 145; for domains of experts arXiv 2604.02178.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::GroupB],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        let selection = Selection::new(data, request, about.name, progress)?;
        let table = load_table(data, &selection, request, about.name, progress)?;
        need_two_labels(&selection, request, about.name)?;
        let pairwise = Pairwise {
            about,
            table: &table,
            evaluate: &jsd_bits,
            method: IntervalMethod::BiasCorrected { range: (0.0, 1.0) },
            tail: Tail::Greater,
            diagonal: 0.0,
            reference: Some(0.0),
        };
        let mut measurement = measure_pairs(&selection, request, &pairwise, progress)?;
        measurement.protocol.notes.extend(mass_note(request.mass));
        Ok(vec![measurement])
    }
}
