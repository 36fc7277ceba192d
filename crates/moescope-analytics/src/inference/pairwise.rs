//! Quantities of every two labels.

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison, Progress};

use super::{add_power_note, interval_words, null_words};
use crate::{
    About, AnalyticsError, MeasureRequest,
    data::Selection,
    stats::{
        bootstrap::{BootstrapConfig, bootstrap},
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// A symmetric quantity of two labels.
pub(crate) struct Pairwise<'a> {
    /// The metric.
    pub(crate) about: About,
    /// The sums.
    pub(crate) table: &'a UnitTable,
    /// From the sums `[columns]` of two labels to the value.
    pub(crate) evaluate: &'a (dyn Fn(&[f64], &[f64]) -> f64 + Sync),
    /// How intervals are made.
    pub(crate) method: IntervalMethod,
    /// Which values speak against the labels being exchangeable.
    pub(crate) tail: Tail,
    /// The value of a label with itself.
    pub(crate) diagonal: f64,
    /// The value of an indifferent router.
    pub(crate) reference: Option<f64>,
}

/// Measures every two labels, `[layers, labels, labels]`, or the two of a contrast.
pub(crate) fn measure_pairs(
    selection: &Selection,
    request: &MeasureRequest,
    pairwise: &Pairwise<'_>,
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let (about, table) = (&pairwise.about, pairwise.table);
    let labels = selection.labels.len();
    let pairs: Vec<(usize, usize)> = (0..labels)
        .flat_map(|a| (a + 1..labels).map(move |b| (a, b)))
        .collect();
    let columns = table.columns;
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        let row = |label: usize| &sums[label * columns..(label + 1) * columns];
        for (out, (a, b)) in out.iter_mut().zip(&pairs) {
            *out = (pairwise.evaluate)(row(*a), row(*b));
        }
    };
    let statistic = Statistic {
        len: pairs.len(),
        evaluate: &evaluate,
        sides: &|pair| Sides::Two(pairs[pair].0, pairs[pair].1),
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method: pairwise.method,
    };
    let values: Vec<f64> = (0..table.layers)
        .flat_map(|layer| statistic.values(&table.sums(layer)))
        .collect();
    let resampled = bootstrap(table, &statistic, config, progress)?;
    let mut protocol = selection.protocol(request);
    protocol.interval_method = interval_words(selection, request, pairwise.method, &resampled);
    let has_intervals = resampled.intervals.iter().any(Option::is_some);
    protocol.level = has_intervals.then_some(request.level);
    let mut nulls = None;
    if request.permutations > 0 {
        let found = pairwise_null(pairwise, &pairs, request, progress)?;
        nulls = Some(found.comparisons);
        protocol.null_method = found.words;
        protocol.notes.extend(found.note);
    }
    add_power_note(&mut protocol, &resampled.standard_errors, about.unit, true);
    let cells: Vec<Cell> = (0..values.len())
        .map(|i| Cell {
            value: values[i],
            interval: resampled.intervals[i],
            null: nulls.as_ref().and_then(|nulls| nulls[i]),
        })
        .collect();
    let cells = if request.contrast.is_some() {
        cells
    } else {
        let square = Square {
            labels,
            pairs: &pairs,
            layers: table.layers,
            diagonal: pairwise.diagonal,
        };
        square.fill(&cells)
    };
    let measurement = Measurement {
        metric: about.name.to_owned(),
        title: about.title.to_owned(),
        unit: about.unit.to_owned(),
        axes: pair_axes(selection, request),
        values: cells.iter().map(|cell| cell.value).collect(),
        intervals: has_intervals.then(|| cells.iter().map(|cell| cell.interval).collect()),
        nulls: nulls.map(|_| cells.iter().map(|cell| cell.null).collect()),
        reference: pairwise.reference,
        protocol,
    };
    measurement.check()?;
    Ok(measurement)
}

/// Layers and labels by labels, or the two labels of a contrast.
fn pair_axes(selection: &Selection, request: &MeasureRequest) -> Vec<Axis> {
    let labels = &selection.labels;
    let (a, b) = if request.contrast.is_some() {
        (vec![labels[0].clone()], vec![labels[1].clone()])
    } else {
        (labels.clone(), labels.clone())
    };
    vec![
        selection.layer_axis(),
        Axis::new(AxisKind::Group, a),
        Axis::new(AxisKind::GroupB, b),
    ]
}

/// A value with its company.
#[derive(Clone, Copy)]
struct Cell {
    value: f64,
    interval: Option<Interval>,
    null: Option<NullComparison>,
}

/// From one value per pair to a symmetric matrix per layer.
struct Square<'a> {
    labels: usize,
    pairs: &'a [(usize, usize)],
    layers: usize,
    diagonal: f64,
}

impl Square<'_> {
    fn fill(&self, cells: &[Cell]) -> Vec<Cell> {
        let diagonal = Cell {
            value: self.diagonal,
            interval: None,
            null: None,
        };
        let mut matrix = vec![diagonal; self.layers * self.labels * self.labels];
        for layer in 0..self.layers {
            for (pair, (a, b)) in self.pairs.iter().enumerate() {
                let cell = cells[layer * self.pairs.len() + pair];
                let start = layer * self.labels * self.labels;
                matrix[start + a * self.labels + b] = cell;
                matrix[start + b * self.labels + a] = cell;
            }
        }
        matrix
    }
}

/// The tests of all pairs.
struct PairwiseNull {
    /// `[layers × pairs]`.
    comparisons: Vec<Option<NullComparison>>,
    words: String,
    note: Option<String>,
}

/// Tests every pair by permuting its own labels only: other labels would blur what is asked of these two.
fn pairwise_null(
    pairwise: &Pairwise<'_>,
    pairs: &[(usize, usize)],
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<PairwiseNull, AnalyticsError> {
    let (table, tail) = (pairwise.table, pairwise.tail);
    let columns = table.columns;
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        let (a, b) = sums.split_at(columns);
        out[0] = (pairwise.evaluate)(a, b);
    };
    let statistic = Statistic {
        len: 1,
        evaluate: &evaluate,
        sides: &|_| Sides::Two(0, 1),
    };
    let mut family = NullFamily::new(tail, request.permutations, request.seed);
    for (a, b) in pairs {
        family.add(&table.pair(*a, *b), &statistic, progress)?;
    }
    let words = null_words(&family, tail, "layers and pairs")
        .replace("over groups", "over the groups of the two sides");
    let note = family.note();
    let by_pair = family.finish();
    let comparisons = (0..table.layers)
        .flat_map(|layer| (0..pairs.len()).map(move |pair| pair * table.layers + layer))
        .map(|place| by_pair[place])
        .collect();
    Ok(PairwiseNull {
        comparisons,
        words,
        note,
    })
}
