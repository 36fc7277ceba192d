//! Mutual information between the first choices of every two layers.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use super::{
    PerRow,
    layer_pairs::{PairedChoices, count_layer_pairs},
    rows::{measure_rows, refuse_contrast, variant_axis},
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::Selection,
    stats::{information::entropy_bits, interval::IntervalMethod},
};

const VARIANTS: [&str; 3] = ["plug_in", "miller_madow", "nmi"];

/// The information between rows and columns of a table of counts `[E × E]`.
#[derive(Clone, Copy, Debug)]
struct Information {
    bits: f64,
    miller_madow: f64,
    /// H(row) and H(column) in bits.
    entropies: [f64; 2],
}

impl Information {
    fn of(counts: &[f64], experts: usize) -> Self {
        let mut marginals = [vec![0.0; experts], vec![0.0; experts]];
        for (row, counts) in counts.chunks_exact(experts).enumerate() {
            for (column, count) in counts.iter().enumerate() {
                marginals[0][row] += count;
                marginals[1][column] += count;
            }
        }
        let total: f64 = counts.iter().sum();
        let entropies = [entropy_bits(&marginals[0]), entropy_bits(&marginals[1])];
        let bits = (entropies[0] + entropies[1] - entropy_bits(counts)).max(0.0);
        #[expect(clippy::cast_precision_loss, reason = "numbers of cells")]
        let seen = |mass: &[f64]| mass.iter().filter(|m| **m > 0.0).count() as f64;
        let cells = seen(counts) - seen(&marginals[0]) - seen(&marginals[1]) + 1.0;
        Self {
            bits,
            miller_madow: bits - cells / (2.0 * total * std::f64::consts::LN_2),
            entropies,
        }
    }

    fn nmi(&self) -> f64 {
        2.0 * self.bits / (self.entropies[0] + self.entropies[1])
    }
}

/// Measures every two layers of a selection, as a symmetric matrix with the entropies on the diagonal.
pub(crate) fn measure_layer_information(
    data: &TraceData,
    request: &MeasureRequest,
    about: &About,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    refuse_contrast(
        request,
        about.name,
        "its bias depends on how much text each label has",
    )?;
    let selection = Selection::new(data, request, about.name, progress)?.under_one_label(request);
    let layers = selection.layers.len();
    let pairs: Vec<(usize, usize)> = (0..layers)
        .flat_map(|a| (a + 1..layers).map(move |b| (a, b)))
        .collect();
    let counts = count_layer_pairs(
        data,
        &selection,
        request,
        about.name,
        (PairedChoices::First, &pairs),
        progress,
    )?;
    let experts = usize::from(data.model().num_experts);
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        let found = Information::of(sums, experts);
        out.copy_from_slice(&[found.bits, found.miller_madow, found.nmi()]);
    };
    let most = f64::from(data.model().num_experts).log2().max(1.0);
    let names = |(a, b): &(usize, usize)| format!("{a}-{b}");
    let quantity = PerRow {
        about,
        counts: &counts,
        outer: Axis::new(AxisKind::LayerB, pairs.iter().map(names).collect()),
        inner: vec![variant_axis(&VARIANTS)],
        evaluate: &evaluate,
        method: IntervalMethod::BiasCorrected {
            range: (-most, most),
        },
        reference: Some(0.0),
    };
    let mut found = measure_rows(&selection, request, &quantity, progress)?.measurement;
    let width = VARIANTS.len();
    let mut values = vec![f64::NAN; layers * layers * width];
    let mut intervals = vec![None; values.len()];
    for (pair, (a, b)) in pairs.iter().enumerate() {
        for (row, column) in [(*a, *b), (*b, *a)] {
            for variant in 0..width {
                let to = (row * layers + column) * width + variant;
                values[to] = found.values[pair * width + variant];
                if let Some(known) = &found.intervals {
                    intervals[to] = known[pair * width + variant];
                }
            }
        }
        let of_pair = Information::of(&counts.table(pair, 1).sums(0), experts);
        for (layer, entropy) in [*a, *b].into_iter().zip(of_pair.entropies) {
            let to = (layer * layers + layer) * width;
            // A layer says all of itself; its own Miller–Madow term is left to the entropies' users.
            values[to..to + width].copy_from_slice(&[entropy, f64::NAN, 1.0]);
        }
    }
    found.axes = vec![
        selection.layer_axis(),
        Axis::new(AxisKind::LayerB, selection.layer_axis().labels),
        variant_axis(&VARIANTS),
    ];
    found.values = values;
    found.intervals = found.intervals.map(|_| intervals);
    "plug_in and nmi: none; miller_madow: Miller–Madow, for independent tokens"
        .clone_into(&mut found.protocol.bias_correction);
    found.check()?;
    Ok(vec![found])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_choices_tell_everything_and_independent_ones_nothing() {
        // Two experts, always the same at both layers: one bit, and 2 − 2 − 2 + 1 = −1 cell over 2·8·ln 2 too little.
        let found = Information::of(&[4.0, 0.0, 0.0, 4.0], 2);
        assert!((found.bits - 1.0).abs() < 1e-12 && (found.nmi() - 1.0).abs() < 1e-12);
        let correction = 1.0 / (16.0 * std::f64::consts::LN_2);
        assert!((found.miller_madow - 1.0 - correction).abs() < 1e-12);
        let found = Information::of(&[2.0, 2.0, 2.0, 2.0], 2);
        assert!(found.bits.abs() < 1e-12);
        // 4 − 2 − 2 + 1 = 1 cell too much.
        assert!((found.miller_madow + correction).abs() < 1e-12);
    }
}
