//! How pure clusters of tokens are, where clusters are paths or first choices.

use moescope_core::{Interval, Measurement, Progress};

use super::{
    cell_measurement::{CellMeasurement, Shown},
    cells::{CellCounting, CellQuantity, CellSource, CellValues},
    co_activation::needs_rank,
    paths::{for_paths, path_key},
    rows::{refuse_contrast, variant_axis},
    token_classes::{TokenClass, UNKNOWN},
    vocabulary::needs_token_weighting,
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::Selection,
    stats::{correlation::mean, interval::IntervalMethod, sparse::SparseTable},
};

const METHOD: IntervalMethod = IntervalMethod::BiasCorrected { range: (0.0, 1.0) };
const VARIANTS: [&str; 5] = [
    "path",
    "path_minus_shuffled",
    "expert",
    "expert_minus_shuffled",
    "repeated",
];
/// What is computed of every layer and of the path: purity of all clusters, of their repeated part, and that part.
const PARTS: usize = 2;

/// The purity of clusters of two tokens or more, and the share of tokens in such clusters.
fn purity(table: &SparseTable, sums: &[f64], out: &mut [f64]) {
    let (mut pure, mut repeated, mut all) = (0.0, 0.0, 0.0);
    for (_, _, counts) in table.rows(sums) {
        let size: f64 = counts.iter().sum();
        all += size;
        if size > 1.0 {
            repeated += size;
            pure += counts.iter().copied().fold(0.0, f64::max);
        }
    }
    out.copy_from_slice(&[pure / repeated, repeated / all]);
}

/// Measures every label.
pub(crate) fn measure_path_purity(
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
    needs_rank(data, about.name, "capture with this toolkit")?;
    let selection = Selection::new(data, request, about.name, progress)?;
    let layers = selection.layers.len();
    let layer_places = selection.layer_places(data);
    // One table per layer, and one of paths behind them.
    let counting = CellCounting {
        classes: &[TokenClass::Input],
        tables: layers + 1,
        counts_per_token: layers + 1,
        tell: &|decisions, values, sink| {
            for_paths(decisions, &layer_places, layers, |token, path| {
                if values[token] != UNKNOWN {
                    for (layer, expert) in path.iter().enumerate() {
                        sink(layer, u64::from(*expert), values[token]);
                    }
                    sink(layers, path_key(path), values[token]);
                }
            });
        },
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
    let quantity = CellQuantity {
        len: PARTS,
        statistic: &purity,
        method: METHOD,
    };
    let mut found = CellValues::measure(source, &counting, &quantity)?;
    let mut shown = Vec::new();
    for label in 0..selection.labels.len() {
        let expert = average_layers(&mut found, layers, label);
        let path = found.place(0, layers, label, 0);
        shown.extend([
            Shown::Tested(path),
            Shown::Corrected(path),
            Shown::Tested(expert),
            Shown::Corrected(expert),
            // The part that is repeated stands behind the purity.
            Shown::Plain(path + 1),
        ]);
    }
    let measurement = CellMeasurement {
        title: about.title,
        unit: about.unit,
        axes: vec![selection.group_axis(), variant_axis(&VARIANTS)],
        shown,
        method: METHOD,
        reference: None,
        shuffled: "ids",
        tested: "values of path and expert",
    };
    Ok(vec![measurement.of(&found, source)?])
}

/// Puts the mean over layers of a label's purities into the place of its first layer, and says where that is.
///
/// The ends of its interval are the means of the layers' ends: layers rise and fall together over the same groups, so
/// this is at most too wide.
fn average_layers(found: &mut CellValues, layers: usize, label: usize) -> usize {
    let places: Vec<usize> = (0..layers).map(|l| found.place(0, l, label, 0)).collect();
    let first = places[0];
    let average = |value: &dyn Fn(usize) -> f64| {
        mean(
            &places
                .iter()
                .map(|place| value(*place))
                .collect::<Vec<f64>>(),
        )
    };
    let observed = average(&|place| found.observed[place]);
    let shuffled = (0..found.shuffled[first].len())
        .map(|shuffle| average(&|place| found.shuffled[place][shuffle]))
        .collect();
    let ends = |part: &dyn Fn(usize) -> Option<Interval>| {
        let all: Option<Vec<Interval>> = places.iter().map(|place| part(*place)).collect();
        all.map(|all| Interval {
            low: mean(&all.iter().map(|i| i.low).collect::<Vec<f64>>()),
            high: mean(&all.iter().map(|i| i.high).collect::<Vec<f64>>()),
        })
    };
    let interval = ends(&|place| found.summaries[place].interval);
    let percentile = ends(&|place| found.summaries[place].percentile);
    let mean_of_resamples = average(&|place| found.summaries[place].mean);
    found.observed[first] = observed;
    found.shuffled[first] = shuffled;
    let summary = &mut found.summaries[first];
    summary.interval = interval;
    summary.percentile = percentile;
    summary.mean = mean_of_resamples;
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sparse::{Counts, Entry};

    #[test]
    fn a_cluster_of_one_is_left_out() {
        // Cluster 1 holds ids 5, 5, 6: 2 of 3; cluster 2 one token only. 2/3 of the tokens in clusters of two or more, 3 of 4.
        let entry = |row, column, count| Entry {
            row,
            column,
            block: 0,
            count,
        };
        let mut counts = Counts::default();
        counts.extend([entry(1, 5, 2), entry(1, 6, 1), entry(2, 5, 1)]);
        let table = counts.table(1);
        let found = table.values(PARTS, &purity);
        assert!((found[0] - 2.0 / 3.0).abs() < 1e-12 && (found[1] - 0.75).abs() < 1e-12);
    }
}
