//! Counting paths, and the entropy of their distribution.

use moescope_core::{Interval, Measurement, Progress, Protocol};

use super::{
    Blocks,
    co_activation::needs_rank,
    interval_words,
    path_model::PathModel,
    paths::{for_paths, path_key},
    rows::{refuse_contrast, variant_axis},
    vocabulary::needs_token_weighting,
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, Selection},
    stats::{
        bootstrap::{Bootstrap, BootstrapConfig, Summary},
        information::entropy_bits,
        interval::IntervalMethod,
        random::{self, Purpose},
        sparse::{Counts, Entry, SparseTable, affordable_resamples, bootstrap_sparse, merge},
    },
};

const VARIANTS: [&str; 6] = [
    "observed",
    "miller_madow",
    "markov_same_n",
    "independent_same_n",
    "markov",
    "independent",
];
const PATH_VARIANTS: [&str; 4] = [
    "distinct",
    "effective",
    "effective_markov_same_n",
    "effective_independent_same_n",
];
/// Draws of experts beyond which no paths are drawn from a model.
const MOST_DRAWS: f64 = 5e7;

/// The paths of every label.
pub(crate) struct PathCounts {
    /// Paths as rows of one column, `[labels]`.
    pub(crate) tables: Vec<SparseTable>,
    /// Single layers and neighbouring ones, `[labels]`.
    pub(crate) models: Vec<PathModel>,
}

/// Counts the paths of a selection.
pub(crate) fn count_paths(
    data: &TraceData,
    selection: &Selection,
    blocks: &Blocks,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<PathCounts, AnalyticsError> {
    needs_rank(data, metric, "capture with this toolkit")?;
    let (layers, experts) = (
        selection.layers.len(),
        usize::from(data.model().num_experts),
    );
    let layer_places = selection.layer_places(data);
    let places = selection.places(data);
    let labels = selection.labels.len();
    let mut counts = vec![Counts::default(); labels];
    let mut models = vec![PathModel::new(experts, layers); labels];
    data.visit_decisions(
        DecisionNeeds::of(&request.scope),
        metric,
        progress,
        &mut |decisions| {
            let Some(place) = places[decisions.document] else {
                return Ok(());
            };
            let label = selection.label[place];
            let block = blocks.of_unit(selection.unit[place]) - blocks.first_of(label);
            let block = u32::try_from(block).expect("fewer than 2³² groups");
            let mut entries = Vec::new();
            for_paths(&decisions, &layer_places, layers, |_, path| {
                models[label].add(path);
                entries.push(Entry {
                    row: path_key(path),
                    column: 0,
                    block,
                    count: 1,
                });
            });
            merge(&mut entries);
            counts[label].extend(entries);
            Ok(())
        },
    )?;
    Ok(PathCounts {
        tables: counts
            .into_iter()
            .enumerate()
            .map(|(label, counts)| counts.table(blocks.of_label(label)))
            .collect(),
        models,
    })
}

/// What is known of one label's paths.
struct OfLabel {
    bits: [f64; VARIANTS.len()],
    distinct: f64,
    alone: f64,
    summary: Summary,
}

impl OfLabel {
    fn new(
        table: &SparseTable,
        model: &PathModel,
        request: &MeasureRequest,
        (label, layers): (usize, usize),
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let sums = table.sums();
        let observed = entropy_bits(&sums);
        let tokens: f64 = sums.iter().sum();
        // A path that occurs once has a count of 1.
        let alone: f64 = sums.iter().filter(|count| **count < 1.5).sum();
        #[expect(clippy::cast_precision_loss, reason = "numbers of paths and layers")]
        let (distinct, draws) = (sums.len() as f64, tokens * layers as f64);
        let sampled = |is_markov: bool| {
            if draws > MOST_DRAWS {
                return f64::NAN;
            }
            let stream = (label as u64) << 1 | u64::from(is_markov);
            let mut rng = random::stream(request.seed, Purpose::Paths, stream);
            model.sampled_bits(is_markov, &mut rng)
        };
        let config = BootstrapConfig {
            resamples: affordable_resamples(request.resamples, table.parts()),
            seed: request.seed,
            level: request.level,
            method: IntervalMethod::BiasCorrected {
                range: (0.0, tokens.log2().max(0.0)),
            },
        };
        let entropy = |_: &SparseTable, sums: &[f64], out: &mut [f64]| out[0] = entropy_bits(sums);
        let summary = bootstrap_sparse(table, 1, &entropy, config, progress)?[0];
        Ok(Self {
            bits: [
                observed,
                observed + (distinct - 1.0) / (2.0 * tokens * std::f64::consts::LN_2),
                sampled(true),
                sampled(false),
                model.markov_bits(),
                model.independent_bits(),
            ],
            distinct,
            alone: alone / tokens,
            summary,
        })
    }
}

/// Measures every label's paths.
pub(crate) fn measure_path_entropy(
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
    let blocks = Blocks::new(&selection, usize::MAX, request.seed);
    let counts = count_paths(data, &selection, &blocks, request, about.name, progress)?;
    let layers = selection.layers.len();
    let found: Vec<OfLabel> = counts
        .tables
        .iter()
        .zip(&counts.models)
        .enumerate()
        .map(|(label, (table, model))| {
            OfLabel::new(table, model, request, (label, layers), progress)
        })
        .collect::<Result<_, _>>()?;
    let (protocol, has_intervals) = protocol(&selection, request, &found);
    let no_interval = |count: usize| std::iter::repeat_n(None, count);
    let measurement = |title: &str, unit: &str, variants: &[&str], cells: Vec<Cells>| {
        let measurement = Measurement {
            metric: about.name.to_owned(),
            title: title.to_owned(),
            unit: unit.to_owned(),
            axes: vec![selection.group_axis(), variant_axis(variants)],
            values: cells
                .iter()
                .flat_map(|cells| cells.values.clone())
                .collect(),
            intervals: has_intervals.then(|| cells.into_iter().flat_map(|c| c.intervals).collect()),
            nulls: None,
            reference: None,
            protocol: protocol.clone(),
        };
        measurement.check().map(|()| measurement)
    };
    let bits = found
        .iter()
        .map(|label| Cells {
            values: label.bits.to_vec(),
            intervals: std::iter::once(label.summary.interval)
                .chain(no_interval(VARIANTS.len() - 1))
                .collect(),
        })
        .collect();
    let paths = found
        .iter()
        .map(|label| Cells {
            values: vec![
                label.distinct,
                label.bits[0].exp2(),
                label.bits[2].exp2(),
                label.bits[3].exp2(),
            ],
            intervals: vec![
                None,
                label.summary.interval.map(|interval| Interval {
                    low: interval.low.exp2(),
                    high: interval.high.exp2(),
                }),
                None,
                None,
            ],
        })
        .collect();
    Ok(vec![
        measurement(about.title, "bits", &VARIANTS, bits)?,
        measurement(
            "Number of paths through the layers",
            "paths",
            &PATH_VARIANTS,
            paths,
        )?,
    ])
}

/// One label's row.
struct Cells {
    values: Vec<f64>,
    intervals: Vec<Option<Interval>>,
}

fn protocol(
    selection: &Selection,
    request: &MeasureRequest,
    found: &[OfLabel],
) -> (Protocol, bool) {
    let mut all = Bootstrap::default();
    for label in found {
        all.push(label.summary);
    }
    let mut protocol = selection.protocol(request);
    let has_intervals = all.intervals.iter().any(Option::is_some);
    protocol.level = has_intervals.then_some(request.level);
    let method = IntervalMethod::BiasCorrected { range: (0.0, 0.0) };
    protocol.interval_method = interval_words(selection, request, method, &all);
    "observed: none, compare with _same_n; miller_madow: Miller–Madow"
        .clone_into(&mut protocol.bias_correction);
    let layers = selection.layers.len();
    let worst = found.iter().map(|label| label.alone).fold(0.0, f64::max);
    protocol.notes.push(format!(
        "up to {:.0} % of a label's tokens are alone on their path through {} layers{}",
        100.0 * worst,
        layers,
        if worst > 0.5 {
            ": the entropy is that of the number of tokens; choose fewer layers with --layers"
        } else {
            ""
        }
    ));
    (protocol, has_intervals)
}
