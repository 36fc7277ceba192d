//! The mean share of an id's tokens that its most frequent expert gets.

use moescope_core::{Measurement, Progress};

use super::{
    cell_measurement::{CellMeasurement, Shown},
    cells::{CellCounting, CellQuantity, CellSource, CellValues},
    rows::{refuse_contrast, variant_axis},
    token_classes::TokenClass,
    vocabulary::{
        FEWEST_OCCURRENCES, counts_per_token, lacks_predictions, needs_token_weighting,
        tell_experts,
    },
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::Selection,
    stats::{interval::IntervalMethod, sparse::SparseTable},
};

const METHOD: IntervalMethod = IntervalMethod::BiasCorrected { range: (0.0, 1.0) };
/// What is computed of each table: over ids that occur often, over all ids, over all tokens.
const PARTS: usize = 3;

/// The three means of a table of ids against experts.
fn specialization(table: &SparseTable, sums: &[f64], top_k: f64, out: &mut [f64]) {
    let (mut often, mut every) = ((0.0, 0.0), (0.0, 0.0));
    let (mut hits, mut tokens) = (0.0, 0.0);
    for (_, _, counts) in table.rows(sums) {
        let occurrences = counts.iter().sum::<f64>() / top_k;
        if occurrences == 0.0 {
            continue;
        }
        let most = counts.iter().copied().fold(0.0, f64::max);
        let share = most / occurrences;
        every = (every.0 + share, every.1 + 1.0);
        if occurrences >= FEWEST_OCCURRENCES {
            often = (often.0 + share, often.1 + 1.0);
        }
        hits += most;
        tokens += occurrences;
    }
    out.copy_from_slice(&[often.0 / often.1, every.0 / every.1, hits / tokens]);
}

/// Measures every label at every layer, for as many kinds of ids as the trace knows.
pub(crate) fn measure_vocabulary_specialization(
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
    let all = [TokenClass::Input, TokenClass::Predicted, TokenClass::Next];
    match measure_classes(data, &selection, request, about, &all, progress) {
        Err(error) if lacks_predictions(&error) => {
            let known = [TokenClass::Input, TokenClass::Next];
            let mut found = measure_classes(data, &selection, request, about, &known, progress)?;
            found.protocol.notes.push(
                "predicted ids are left out: the trace does not know the model's predictions"
                    .to_owned(),
            );
            Ok(vec![found])
        }
        other => Ok(vec![other?]),
    }
}

fn measure_classes(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    about: &About,
    classes: &[TokenClass],
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let places = selection.layer_places(data);
    let counting = CellCounting {
        classes,
        tables: selection.layers.len(),
        counts_per_token: counts_per_token(data, selection),
        tell: &|decisions, values, sink| tell_experts(decisions, values, &places, sink),
    };
    let blocks = counting.blocks(selection, request.seed);
    let source = CellSource {
        data,
        selection,
        blocks: &blocks,
        request,
        metric: about.name,
        progress,
    };
    let top_k = f64::from(data.model().top_k);
    let quantity = CellQuantity {
        len: PARTS,
        statistic: &|table, sums, out| specialization(table, sums, top_k, out),
        method: METHOD,
    };
    let found = CellValues::measure(source, &counting, &quantity)?;
    let names: Vec<String> = classes
        .iter()
        .flat_map(|class| {
            ["", "_every_id", "_by_token", "_minus_shuffled"]
                .map(|part| format!("{}{part}", class.name()))
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut shown = Vec::new();
    for layer in 0..selection.layers.len() {
        for label in 0..selection.labels.len() {
            for class in 0..classes.len() {
                let place = |part| found.place(class, layer, label, part);
                shown.extend((0..PARTS).map(|part| Shown::Tested(place(part))));
                shown.push(Shown::Corrected(place(0)));
            }
        }
    }
    let measurement = CellMeasurement {
        title: about.title,
        unit: about.unit,
        axes: vec![
            selection.layer_axis(),
            selection.group_axis(),
            variant_axis(&names),
        ],
        shown,
        method: METHOD,
        reference: Some(top_k / f64::from(data.model().num_experts)),
        shuffled: "ids",
        tested: "values of this table but those minus shuffled",
    };
    measurement.of(&found, source)
}
