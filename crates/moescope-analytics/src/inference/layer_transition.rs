//! Where the tokens of an expert go at the next layer.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use super::{
    PerRow,
    layer_pairs::{PairedChoices, count_layer_pairs},
    rows::{expert_axis, measure_rows},
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData, data::Selection,
    stats::interval::IntervalMethod,
};

/// Measures P(expert at the next recorded layer | expert) for every two neighbouring layers of a selection.
pub(crate) fn measure_layer_transition(
    data: &TraceData,
    request: &MeasureRequest,
    about: &About,
    choices: PairedChoices,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let selection = Selection::new(data, request, about.name, progress)?.under_one_label(request);
    let pairs: Vec<(usize, usize)> = (1..selection.layers.len()).map(|l| (l - 1, l)).collect();
    let counts = count_layer_pairs(
        data,
        &selection,
        request,
        about.name,
        (choices, &pairs),
        progress,
    )?;
    let experts = usize::from(data.model().num_experts);
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        for (row, out) in sums
            .chunks_exact(experts)
            .zip(out.chunks_exact_mut(experts))
        {
            let total: f64 = row.iter().sum();
            for (share, count) in out.iter_mut().zip(row) {
                *share = count / total;
            }
        }
    };
    let layers = selection.layer_axis().labels;
    let sources = layers[..pairs.len()].to_vec();
    let quantity = PerRow {
        about,
        counts: &counts,
        outer: Axis::new(AxisKind::Layer, sources),
        inner: vec![
            expert_axis(AxisKind::Expert, experts),
            expert_axis(AxisKind::ExpertB, experts),
        ],
        evaluate: &evaluate,
        method: IntervalMethod::Percentile,
        reference: Some(1.0 / f64::from(data.model().num_experts)),
    };
    let mut found = measure_rows(&selection, request, &quantity, progress)?.measurement;
    found.protocol.notes.push(format!(
        "each layer's second expert is of the next of these layers: {}",
        layers.join(", ")
    ));
    Ok(vec![found])
}
