//! Which layers of two models are compared.

use moescope_core::{Axis, AxisKind};

use crate::{AnalyticsError, MeasureRequest, traces::TraceSet};

/// The layers of the reference in scope, each with one of the other trace's.
#[derive(Clone, Debug)]
pub(crate) struct LayerPairs {
    /// `(other, reference)` as indices into the traces' layers.
    pub(crate) pairs: Vec<(usize, usize)>,
    /// The reference's layers.
    pub(crate) axis: Axis,
    /// Which layers were paired where their numbers differ.
    pub(crate) notes: Vec<String>,
}

impl LayerPairs {
    /// Pairs layers of the same number where the traces hold the same ones, otherwise by relative depth.
    pub(crate) fn new(
        traces: &TraceSet,
        other: usize,
        request: &MeasureRequest,
    ) -> Result<Self, AnalyticsError> {
        let (a, b) = (traces.trace(other).layers(), traces.reference().layers());
        let selection = &request.scope.layers;
        let pairs: Vec<(usize, usize)> = (0..b.len())
            .filter(|layer| selection.contains(b[*layer]))
            .map(|layer| (at_same_depth(layer, b.len(), a.len()), layer))
            .collect();
        if pairs.is_empty() || a.is_empty() {
            let available: Vec<String> = b.iter().map(ToString::to_string).collect();
            return Err(AnalyticsError::NoLayers {
                selection: selection.to_string(),
                available: available.join(","),
            });
        }
        let labels = pairs.iter().map(|(_, layer)| b[*layer].to_string());
        let mut notes = Vec::new();
        if a != b {
            let words = pairs.iter().map(|(x, y)| format!("{}→{}", b[*y], a[*x]));
            notes.push(format!(
                "layers of {} → {}, by relative depth: {}",
                traces.reference_name(),
                traces.name(other),
                words.collect::<Vec<_>>().join(", ")
            ));
        }
        Ok(Self {
            axis: Axis::new(AxisKind::Layer, labels.collect()),
            pairs,
            notes,
        })
    }
}

/// The layer out of `to` that lies as deep as layer `layer` out of `from`, the first and the last being the same.
fn at_same_depth(layer: usize, from: usize, to: usize) -> usize {
    if from < 2 {
        return 0;
    }
    let (steps, most) = (from - 1, to.saturating_sub(1));
    (2 * layer * most + steps) / (2 * steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_equal_depth_are_paired() {
        let all = |from, to| {
            (0..from)
                .map(|l| at_same_depth(l, from, to))
                .collect::<Vec<_>>()
        };
        assert_eq!(all(4, 4), [0, 1, 2, 3]);
        // 0, 2/3·… : of 3 steps to 6: 0, 2, 4, 6.
        assert_eq!(all(4, 7), [0, 2, 4, 6]);
        // To fewer layers: 0, 0.5 → 1, 1, 1.5 → 2, 2.
        assert_eq!(all(5, 3), [0, 1, 1, 2, 2]);
        assert_eq!(all(1, 3), [0]);
    }
}
