//! Information of a token's id and position about its experts.

use moescope_core::{Measurement, Progress};

use super::{
    cell_measurement::{CellMeasurement, Shown},
    cells::{CellCounting, CellQuantity, CellSource, CellValues},
    rows::{refuse_contrast, variant_axis},
    token_classes::TokenClass,
    vocabulary::{counts_per_token, needs_token_weighting, tell_experts},
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::Selection,
    stats::{information::entropy_nats, interval::IntervalMethod, sparse::SparseTable},
};

const METHOD: IntervalMethod = IntervalMethod::BiasCorrected { range: (0.0, 1.0) };
/// Occurrences from which `OpenMoE` takes an id or a position.
const FEWEST_OF_SPREAD: f64 = 128.0;

/// I(row; column) / H(column), and the mean spread of the rows.
fn dependence(table: &SparseTable, sums: &[f64], (experts, top_k): (usize, f64), out: &mut [f64]) {
    let mut marginal = vec![0.0; experts];
    let (mut within, mut total) = (0.0, 0.0);
    let (mut spread, mut rows) = (0.0, 0.0);
    #[expect(clippy::cast_precision_loss, reason = "a number of experts")]
    let mean = 1.0 / experts as f64;
    for (_, columns, counts) in table.rows(sums) {
        let mass: f64 = counts.iter().sum();
        if mass == 0.0 {
            continue;
        }
        within += mass * entropy_nats(counts);
        total += mass;
        for (expert, count) in columns.iter().zip(counts) {
            marginal[*expert as usize] += count;
        }
        if mass >= FEWEST_OF_SPREAD * top_k {
            // Experts without a count have a share of 0.
            let squares: f64 = counts.iter().map(|count| (count / mass).powi(2)).sum();
            spread += (squares * mean - mean * mean).max(0.0).sqrt();
            rows += 1.0;
        }
    }
    let entropy = entropy_nats(&marginal);
    out[0] = ((entropy - within / total) / entropy).max(0.0);
    out[1] = spread / rows;
}

/// Measures the dependence on ids and positions, and the spread of both.
pub(crate) fn measure_token_dependence(
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
    needs_token_weighting(request, about.name)?;
    let selection = Selection::new(data, request, about.name, progress)?;
    let places = selection.layer_places(data);
    let classes = [TokenClass::Input, TokenClass::Position];
    let counting = CellCounting {
        classes: &classes,
        tables: selection.layers.len(),
        counts_per_token: counts_per_token(data, &selection),
        tell: &|decisions, values, sink| tell_experts(decisions, values, &places, sink),
    };
    let blocks = counting.blocks(&selection, request.seed);
    let source = CellSource {
        data,
        selection: &selection,
        blocks: &blocks,
        request,
        metric: about.name,
        progress,
    };
    let model = data.model();
    let sizes = (usize::from(model.num_experts), f64::from(model.top_k));
    let quantity = CellQuantity {
        len: 2,
        statistic: &|table, sums, out| dependence(table, sums, sizes, out),
        method: METHOD,
    };
    let found = CellValues::measure(source, &counting, &quantity)?;
    let show = |each: &dyn Fn(usize) -> Vec<Shown>| -> Vec<Shown> {
        let mut shown = Vec::new();
        for layer in 0..selection.layers.len() {
            for label in 0..selection.labels.len() {
                shown.extend((0..2).flat_map(|class| each(found.place(class, layer, label, 0))));
            }
        }
        shown
    };
    let measurement = |title, unit, variants: &[&str], shown| {
        let measurement = CellMeasurement {
            title,
            unit,
            axes: vec![
                selection.layer_axis(),
                selection.group_axis(),
                variant_axis(variants),
            ],
            shown,
            method: METHOD,
            reference: Some(0.0),
            shuffled: "ids and positions",
            tested: "plug-in values of this table",
        };
        measurement.of(&found, source)
    };
    Ok(vec![
        measurement(
            about.title,
            "share of the entropy of experts",
            &[
                "id",
                "id_minus_shuffled",
                "position",
                "position_minus_shuffled",
            ],
            show(&|place| vec![Shown::Tested(place), Shown::Corrected(place)]),
        )?,
        measurement(
            "Standard deviation of routing by id and by position",
            "share of assignments",
            &["std_by_id", "std_by_position"],
            // The spread stands behind the dependence.
            show(&|place| vec![Shown::Plain(place + 1)]),
        )?,
    ])
}
