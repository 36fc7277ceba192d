//! How much of the variance of routing goes with each of several factors.

mod design;
mod partition;

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison, Progress, Weighting};
use rayon::prelude::*;

use super::{
    dependence::{centred_interval, dependent_selection},
    interval_words, load_table, power_above_null,
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::{ProfileColumn, Selection},
    stats::{
        bootstrap::{Bootstrap, BootstrapConfig, bootstrap},
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};
use design::{Choices, Design};
use partition::{Partition, partition};

/// Measures the partition at every layer.
pub(crate) fn measure_variance_partition(
    data: &TraceData,
    request: &MeasureRequest,
    about: &About,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let selection = dependent_selection(data, request, about.name, progress)?;
    let top_k = f64::from(data.model().top_k);
    let mut design = Design::new(data, &selection, request, about.name, progress)?;
    let mut partitions: Vec<Partition> = Vec::new();
    for layers in selection.layers.chunks(design.layers_at_a_time(data)) {
        let choices = design.read(data, &selection, request, layers, about.name, progress)?;
        let work: Vec<(usize, Choices)> = layers.iter().copied().zip(choices).collect();
        let counts = CountsOfDocuments::new(data, &selection, request, about.name, progress)?;
        let made: Vec<Partition> = work
            .into_par_iter()
            .map(|(layer, choices)| {
                progress.report(layer as u64, data.layers().len() as u64, "least squares")?;
                let of_documents = counts.weighted(layer, &design);
                check_tokens(data, layer, &choices, &design, about.name)?;
                Ok(partition(&design, &choices, &of_documents, top_k))
            })
            .collect::<Result<_, AnalyticsError>>()?;
        partitions.extend(made);
    }
    let table = load_table(data, &selection, request, about.name, progress)?;
    let alone = Test::new(
        &table,
        request,
        &|sums, out| out[0] = share_alone(sums, table.columns, top_k),
        progress,
    )?;
    let left = table_of_residuals(&selection, &partitions, &design);
    let beyond = Test::new(
        &left,
        request,
        &|sums, out| out[0] = share_of_residuals(sums, left.columns),
        progress,
    )?;
    let found = Found {
        design: &design,
        partitions: &partitions,
        alone,
        beyond,
    };
    Ok(vec![found.measurement(about, &selection, request)?])
}

/// Refuses a layer that has not the tokens of the first.
fn check_tokens(
    data: &TraceData,
    layer: usize,
    choices: &Choices,
    design: &Design,
    metric: &str,
) -> Result<(), AnalyticsError> {
    let expected = f64::from(data.model().top_k) * design.total;
    let found: f64 = choices.of_ranges.iter().sum();
    if (found - expected).abs() <= 1e-6 * expected {
        return Ok(());
    }
    Err(AnalyticsError::TooLittle {
        metric: metric.to_owned(),
        found: format!(
            "layer {} was not routed for the same tokens as the first",
            data.layers()[layer]
        ),
        help: "measure layers with the same tokens, e.g. with --layers".to_owned(),
    })
}

/// Assignments per document.
struct CountsOfDocuments<'a> {
    counts: std::sync::Arc<crate::data::DocumentTensor>,
    selection: &'a Selection,
}

impl<'a> CountsOfDocuments<'a> {
    fn new(
        data: &TraceData,
        selection: &'a Selection,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let counts = data.tensor_in(ProfileColumn::Counts, &request.scope, metric, progress)?;
        Ok(Self { counts, selection })
    }

    fn weighted(&self, layer: usize, design: &Design) -> Vec<f64> {
        let documents = self.selection.documents.iter().zip(&design.weight);
        documents
            .flat_map(|(document, weight)| {
                self.counts
                    .row(*document, layer)
                    .iter()
                    .map(move |n| weight * n)
            })
            .collect()
    }
}

/// Residuals of units, their weight, and their part of the total variance, `[layers, units, experts + 2]`.
fn table_of_residuals(
    selection: &Selection,
    partitions: &[Partition],
    design: &Design,
) -> UnitTable {
    let experts = partitions
        .first()
        .map_or(0, |p| p.left_for_label.len() / design.weight.len());
    let label = selection.unit_label.clone();
    let mut table = UnitTable::new(selection.labels.len(), label, partitions.len(), experts + 2);
    let mut weight = vec![0.0; design.weight.len()];
    for cell in &design.cells {
        weight[cell.document as usize] += cell.weight;
    }
    for (layer, partition) in partitions.iter().enumerate() {
        for (document, unit) in selection.unit.iter().enumerate() {
            let own = &partition.left_for_label[document * experts..(document + 1) * experts];
            let rest = [
                weight[document],
                partition.total * weight[document] / design.total,
            ];
            let row = table.row_mut(layer, *unit).iter_mut();
            for (sum, value) in row.zip(own.iter().chain(&rest)) {
                *sum += value;
            }
        }
    }
    table
}

/// `Σ_D |S_D|² / n_D − |S|² / n` over `k n − |S|² / n`, from assignments `[labels × experts]`.
fn share_alone(sums: &[f64], experts: usize, top_k: f64) -> f64 {
    let mut all = vec![0.0; experts];
    let mut between = 0.0;
    for row in sums.chunks_exact(experts) {
        let tokens = row.iter().sum::<f64>() / top_k;
        between += row.iter().map(|x| x * x).sum::<f64>() / tokens;
        all.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let tokens = all.iter().sum::<f64>() / top_k;
    let mean = all.iter().map(|x| x * x).sum::<f64>() / tokens;
    (between - mean) / (top_k * tokens - mean)
}

/// `Σ_D |R_D|² / n_D` over the total, from residuals with weight and total `[labels × (experts + 2)]`.
fn share_of_residuals(sums: &[f64], columns: usize) -> f64 {
    let experts = columns - 2;
    let (mut between, mut total) = (0.0, 0.0);
    for row in sums.chunks_exact(columns) {
        between += row[..experts].iter().map(|x| x * x).sum::<f64>() / row[experts];
        total += row[experts + 1];
    }
    between / total
}

/// One share per layer with its resamples and its null.
struct Test {
    values: Vec<f64>,
    resampled: Bootstrap,
    null: Vec<Option<NullComparison>>,
    permutations: usize,
    notes: Vec<String>,
    power: Option<String>,
}

const METHOD: IntervalMethod = IntervalMethod::BiasCorrected { range: (0.0, 1.0) };

impl Test {
    fn new(
        table: &UnitTable,
        request: &MeasureRequest,
        evaluate: &(dyn Fn(&[f64], &mut [f64]) + Sync),
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let statistic = Statistic {
            len: 1,
            evaluate,
            sides: &|_| Sides::All,
        };
        let config = BootstrapConfig {
            resamples: request.resamples,
            seed: request.seed,
            level: request.level,
            method: METHOD,
        };
        let resampled = bootstrap(table, &statistic, config, progress)?;
        let mut family = NullFamily::new(Tail::Greater, request.permutations, request.seed);
        family.add(table, &statistic, progress)?;
        Ok(Self {
            values: (0..table.layers)
                .map(|layer| statistic.values(&table.sums(layer))[0])
                .collect(),
            resampled,
            permutations: family.permutations(),
            notes: family.note().into_iter().collect(),
            power: power_above_null(&family.deviations(), "of the variance", |x| x),
            null: family.finish(),
        })
    }
}

/// Everything that was found.
struct Found<'a> {
    design: &'a Design,
    partitions: &'a [Partition],
    alone: Test,
    beyond: Test,
}

/// A value with its company.
type CellOfTable = (f64, Option<Interval>, Option<NullComparison>);

impl Found<'_> {
    fn measurement(
        self,
        about: &About,
        selection: &Selection,
        request: &MeasureRequest,
    ) -> Result<Measurement, AnalyticsError> {
        let mut protocol = selection.protocol(request);
        let resampled = &self.alone.resampled;
        let has_intervals = resampled.intervals.iter().any(Option::is_some);
        protocol.interval_method = interval_words(selection, request, METHOD, resampled);
        protocol.level = has_intervals.then_some(request.level);
        let by = &request.by;
        if self.alone.permutations > 0 {
            protocol.null_method = format!(
                "{by} permuted over groups, documents intact, {} permutations, one-sided; q corrects for all layers (max-T)",
                self.alone.permutations
            );
        }
        protocol.bias_correction =
            format!("none; {by}_beyond_the_rest: mean over permuted labels subtracted");
        protocol.notes.extend(self.notes(request));
        let mut names: Vec<String> = Vec::new();
        let mut cells: Vec<CellOfTable> = Vec::new();
        for layer in 0..self.partitions.len() {
            let row = self.row(layer, by);
            names = row.iter().map(|(name, _)| name.clone()).collect();
            cells.extend(row.into_iter().map(|(_, cell)| cell));
        }
        let measurement = Measurement {
            metric: about.name.to_owned(),
            title: about.title.to_owned(),
            unit: about.unit.to_owned(),
            axes: vec![selection.layer_axis(), Axis::new(AxisKind::Variant, names)],
            values: cells.iter().map(|cell| cell.0).collect(),
            intervals: has_intervals.then(|| cells.iter().map(|cell| cell.1).collect()),
            nulls: (request.permutations > 0).then(|| cells.iter().map(|cell| cell.2).collect()),
            reference: Some(0.0),
            protocol,
        };
        measurement.check()?;
        Ok(measurement)
    }

    /// The variants of one layer.
    fn row(&self, layer: usize, by: &str) -> Vec<(String, CellOfTable)> {
        let partition = &self.partitions[layer];
        let factors = std::iter::once("token")
            .chain(self.design.factors.iter().map(|(name, _)| name.as_str()))
            .chain(["document"]);
        let mut row = Vec::new();
        for (place, factor) in factors.enumerate() {
            let mut push = |name: &str, cell| row.push((format!("{factor}_{name}"), cell));
            // The label is the last of the design's factors, and the document comes after it.
            let is_label = place == self.design.factors.len();
            if is_label {
                let interval = self.alone.resampled.intervals[layer];
                push(
                    "alone",
                    (partition.alone[place], interval, self.alone.null[layer]),
                );
            } else {
                push("alone", (partition.alone[place], None, None));
            }
            push("in_order", (partition.in_order[place], None, None));
            if let Some(last) = partition.last.get(place) {
                push("last", (*last, None, None));
            }
        }
        row.push(("residual".to_owned(), (partition.residual, None, None)));
        let null = self.beyond.null[layer];
        let value = self.beyond.values[layer] - null.map_or(f64::NAN, |null| null.null_mean);
        let interval = centred_interval(&self.beyond.resampled, layer, value);
        let centred = null.map(|null| NullComparison {
            null_mean: 0.0,
            ..null
        });
        row.push((format!("{by}_beyond_the_rest"), (value, interval, centred)));
        row
    }

    fn notes(&self, request: &MeasureRequest) -> Vec<String> {
        let by = &request.by;
        let order: Vec<&str> = self
            .design
            .factors
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let mut notes = vec![format!(
            "order: token, {}, document; `last` is after all others but the document, which determines {by}; document: means of what the others leave, a lower bound",
            order.join(", ")
        )];
        if request.scope.weighting == Weighting::Token {
            #[expect(clippy::cast_precision_loss, reason = "numbers of levels")]
            let chance = |levels: usize| 100.0 * levels as f64 / self.design.total;
            notes.push(format!(
                "by chance alone, {} token ids would explain about {:.2} % and {} documents {:.2} % of the variance of independent choices",
                self.design.token_weight.len(),
                chance(self.design.token_weight.len()),
                self.design.weight.len(),
                chance(self.design.weight.len())
            ));
        }
        notes.extend(self.beyond.notes.iter().cloned());
        notes.extend(self.beyond.power.clone());
        notes
    }
}
