//! How far the loads of two labels are apart.

use moescope_core::{Axis, AxisKind, Measurement, NullComparison, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    inference::{add_power_note, interval_words, load_table, null_words},
    stats::{
        bootstrap::{BootstrapConfig, bootstrap},
        information::jsd_bits,
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// Jensen–Shannon divergence between the assignment shares of every two labels.
pub(super) struct Jsd;

const METHOD: IntervalMethod = IntervalMethod::BiasCorrected { range: (0.0, 1.0) };

impl Metric for Jsd {
    fn about(&self) -> About {
        About {
            name: "jsd",
            title: "Divergence between the loads of two labels",
            formula: "H((s + t) / 2) − (H(s) + H(t)) / 2 with H in bits, where s and t are the `assignment_share` of both labels",
            unit: "bits",
            range: "0 (same shares) to 1 (no expert in common)",
            edge_cases: "The divergence, not its square root (the distance). Biased upward in small samples: read it beside its null mean. Symmetric; the diagonal is 0 and has neither interval nor null.",
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
        let labels = selection.labels.len();
        if labels < 2 {
            return Err(AnalyticsError::TooLittle {
                metric: about.name.to_owned(),
                found: format!("there is one {} only", request.by),
                help: "compare at least two labels, e.g. with another --by".to_owned(),
            });
        }
        let pairs: Vec<(usize, usize)> = (0..labels)
            .flat_map(|a| (a + 1..labels).map(move |b| (a, b)))
            .collect();
        let columns = table.columns;
        let evaluate = |sums: &[f64], out: &mut [f64]| {
            let row = |label: usize| &sums[label * columns..(label + 1) * columns];
            for (out, (a, b)) in out.iter_mut().zip(&pairs) {
                *out = jsd_bits(row(*a), row(*b));
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
            method: METHOD,
        };
        let values: Vec<f64> = (0..table.layers)
            .flat_map(|layer| statistic.values(&table.sums(layer)))
            .collect();
        let resampled = bootstrap(&table, &statistic, config, progress)?;
        let mut protocol = selection.protocol(request);
        protocol.interval_method = interval_words(&selection, request, METHOD, &resampled);
        let has_intervals = resampled.intervals.iter().any(Option::is_some);
        protocol.level = has_intervals.then_some(request.level);
        let mut nulls = None;
        if request.permutations > 0 {
            let found = pairwise_null(&table, &pairs, request, progress)?;
            nulls = Some(found.comparisons);
            protocol.null_method = found.words;
            protocol.notes.extend(found.note);
        }
        add_power_note(&mut protocol, &resampled.standard_errors, "bits", true);
        let square = Square {
            labels,
            pairs: &pairs,
            layers: table.layers,
        };
        let is_contrast = request.contrast.is_some();
        let (axes, shape): (Vec<Axis>, &dyn Fn(Vec<Cell>) -> Vec<Cell>) = if is_contrast {
            let name = |label: usize| vec![selection.labels[label].clone()];
            let axes = vec![
                selection.layer_axis(),
                Axis::new(AxisKind::Group, name(0)),
                Axis::new(AxisKind::GroupB, name(1)),
            ];
            (axes, &|cells| cells)
        } else {
            let axes = vec![
                selection.layer_axis(),
                selection.group_axis(),
                Axis::new(AxisKind::GroupB, selection.labels.clone()),
            ];
            (axes, &|cells| square.fill(&cells))
        };
        let cells = (0..values.len())
            .map(|i| Cell {
                value: values[i],
                interval: resampled.intervals[i],
                null: nulls.as_ref().and_then(|nulls| nulls[i]),
            })
            .collect();
        let cells = shape(cells);
        let measurement = Measurement {
            metric: about.name.to_owned(),
            title: about.title.to_owned(),
            unit: about.unit.to_owned(),
            axes,
            values: cells.iter().map(|cell| cell.value).collect(),
            intervals: has_intervals.then(|| cells.iter().map(|cell| cell.interval).collect()),
            nulls: nulls.map(|_| cells.iter().map(|cell| cell.null).collect()),
            reference: Some(0.0),
            protocol,
        };
        measurement.check()?;
        Ok(vec![measurement])
    }
}

/// A value with its company.
#[derive(Clone, Copy)]
struct Cell {
    value: f64,
    interval: Option<moescope_core::Interval>,
    null: Option<NullComparison>,
}

/// From one value per pair to a symmetric matrix per layer.
struct Square<'a> {
    labels: usize,
    pairs: &'a [(usize, usize)],
    layers: usize,
}

impl Square<'_> {
    fn fill(&self, cells: &[Cell]) -> Vec<Cell> {
        let diagonal = Cell {
            value: 0.0,
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
    table: &UnitTable,
    pairs: &[(usize, usize)],
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<PairwiseNull, AnalyticsError> {
    let columns = table.columns;
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        let (a, b) = sums.split_at(columns);
        out[0] = jsd_bits(a, b);
    };
    let statistic = Statistic {
        len: 1,
        evaluate: &evaluate,
        sides: &|_| Sides::Two(0, 1),
    };
    let mut family = NullFamily::new(Tail::Greater, request.permutations, request.seed);
    for (a, b) in pairs {
        family.add(&table.pair(*a, *b), &statistic, progress)?;
    }
    let words = null_words(&family, Tail::Greater, "layers and pairs")
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
