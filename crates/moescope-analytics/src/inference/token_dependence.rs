//! Information of a token's id and position about its experts.

use moescope_core::{Measurement, Progress};

use super::{
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
    let cells = |value: usize| -> Vec<usize> {
        let mut places = Vec::new();
        for layer in 0..selection.layers.len() {
            for label in 0..selection.labels.len() {
                places.extend((0..2).map(|class| found.place(class, layer, label, value)));
            }
        }
        places
    };
    let (mut protocol, has_intervals) = found.protocol(source, METHOD);
    let spread_protocol = protocol.clone();
    found.describe_null(
        &mut protocol,
        "ids and positions",
        "plug-in values of this table",
    );
    protocol.bias_correction =
        "id, position: none; _minus_shuffled: mean over shuffled tokens subtracted".to_owned();
    let shares = cells(0);
    let mut nulls = Vec::new();
    for null in found.nulls(&shares, request.seed) {
        nulls.extend([null, None]);
    }
    let axes = |names: &[&str]| {
        vec![
            selection.layer_axis(),
            selection.group_axis(),
            variant_axis(names),
        ]
    };
    let share = Measurement {
        metric: about.name.to_owned(),
        title: about.title.to_owned(),
        unit: "share of the entropy of experts".to_owned(),
        axes: axes(&[
            "id",
            "id_minus_shuffled",
            "position",
            "position_minus_shuffled",
        ]),
        values: shares
            .iter()
            .flat_map(|place| [found.observed[*place], found.corrected(*place)])
            .collect(),
        intervals: has_intervals.then(|| {
            let both = |place: &usize| {
                [
                    found.summaries[*place].interval,
                    found.corrected_interval(*place),
                ]
            };
            shares.iter().flat_map(both).collect()
        }),
        nulls: (request.permutations > 0).then_some(nulls),
        reference: Some(0.0),
        protocol,
    };
    share.check()?;
    let spreads = cells(1);
    let spread = Measurement {
        metric: about.name.to_owned(),
        title: "Standard deviation of routing by id and by position".to_owned(),
        unit: "share of assignments".to_owned(),
        axes: axes(&["std_by_id", "std_by_position"]),
        values: spreads.iter().map(|place| found.observed[*place]).collect(),
        intervals: has_intervals.then(|| {
            spreads
                .iter()
                .map(|p| found.summaries[*p].interval)
                .collect()
        }),
        nulls: None,
        reference: Some(0.0),
        protocol: spread_protocol,
    };
    spread.check()?;
    Ok(vec![share, spread])
}
