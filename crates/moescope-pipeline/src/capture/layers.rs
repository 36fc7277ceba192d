//! Recording only some layers.

use moescope_core::{DecisionBatch, LayerId, LayerSelection, ModelSpec};

use crate::error::PipelineError;

/// The MoE layers of a selection; `None` where it is all of them.
pub(super) fn choose(
    selection: &LayerSelection,
    spec: &ModelSpec,
) -> Result<Option<Vec<LayerId>>, PipelineError> {
    let LayerSelection::Ranges(ranges) = selection else {
        return Ok(None);
    };
    if let Some((_, last)) = ranges.iter().find(|(_, last)| *last >= spec.num_layers) {
        return Err(PipelineError::Settings(format!(
            "there is no layer {last}; the model has {} layers, from 0",
            spec.num_layers
        )));
    }
    let chosen: Vec<LayerId> = spec
        .moe_layers
        .iter()
        .copied()
        .filter(|layer| selection.contains(*layer))
        .collect();
    if chosen.is_empty() {
        return Err(PipelineError::Settings(format!(
            "none of the layers {selection} has a router"
        )));
    }
    Ok((chosen.len() < spec.moe_layers.len()).then_some(chosen))
}

/// Keeps the decisions of some layers (ascending).
pub(super) fn retain(batch: &mut DecisionBatch, layers: &[LayerId]) {
    let keep: Vec<bool> = batch
        .layer
        .iter()
        .map(|layer| layers.binary_search(layer).is_ok())
        .collect();
    let (top_k, num_experts) = (batch.top_k(), batch.num_experts());
    retain_rows(&mut batch.position, &keep, 1);
    retain_rows(&mut batch.layer, &keep, 1);
    retain_rows(&mut batch.moe_layer, &keep, 1);
    retain_rows(&mut batch.selected_experts, &keep, top_k);
    for (column, width) in [
        (&mut batch.routing_weights, top_k),
        (&mut batch.topk_mass, 1),
        (&mut batch.entropy, 1),
        (&mut batch.margin, 1),
        (&mut batch.logsumexp, 1),
        (&mut batch.router_logits, num_experts),
    ] {
        if let Some(values) = column {
            retain_rows(values, &keep, width);
        }
    }
    if let Some(values) = &mut batch.runner_up {
        retain_rows(values, &keep, 1);
    }
}

/// Keeps the rows of `width` values whose flag is set.
fn retain_rows<T: Copy>(values: &mut Vec<T>, keep: &[bool], width: usize) {
    let mut kept = 0;
    for (row, keep) in keep.iter().enumerate() {
        if *keep {
            values.copy_within(row * width..(row + 1) * width, kept * width);
            kept += 1;
        }
    }
    values.truncate(kept * width);
}

#[cfg(test)]
mod tests {
    use moescope_core::Gating;

    use super::*;

    #[test]
    fn only_the_rows_of_the_layers_stay() {
        let mut batch = DecisionBatch::new(3, 2);
        for (position, layer) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            let first = f32::from(layer) + if position == 0 { 0.0 } else { 0.5 };
            batch.push_decision(
                position,
                LayerId(layer),
                layer,
                &[layer % 3, (layer + 1) % 3],
                &[0.75, 0.25],
                &[first, 0.0, 0.0],
                &Gating::softmax_top_k(),
            );
        }
        let whole = batch.clone();
        retain(&mut batch, &[LayerId(1), LayerId(2)]);
        assert_eq!(batch.position, [0, 0, 1, 1]);
        assert_eq!(batch.layer, [1, 2, 1, 2].map(LayerId));
        for (row, old) in [(0, 1), (1, 2), (2, 4), (3, 5)] {
            assert_eq!(batch.experts(row), whole.experts(old));
            assert_eq!(batch.weights(row), whole.weights(old));
            assert_eq!(batch.logits(row), whole.logits(old));
            let entropy =
                |batch: &DecisionBatch, row: usize| batch.entropy.as_ref().unwrap()[row].to_bits();
            assert_eq!(entropy(&batch, row), entropy(&whole, old));
        }
    }
}
