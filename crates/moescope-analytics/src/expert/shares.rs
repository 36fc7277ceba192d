//! How much of each label's text chooses the expert.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use super::LabelShare;
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::Selection,
    find,
    inference::load_table,
    stats::{
        bootstrap::{BootstrapConfig, bootstrap},
        interval::IntervalMethod,
        statistic::{Sides, Statistic},
    },
};

/// The metric whose values these are.
pub(super) const NAME: &str = "domain_specialization";

/// The shares of all labels.
pub(super) struct Shares {
    /// Share of all tokens in scope.
    pub(super) all: f64,
    pub(super) labels: Vec<LabelShare>,
    /// The same as a table.
    pub(super) table: Measurement,
    pub(super) level: Option<f64>,
    pub(super) interval_method: String,
}

/// Measures the shares of an expert at the one layer of a request.
pub(super) fn shares(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    expert: u16,
    progress: &dyn Progress,
) -> Result<Shares, AnalyticsError> {
    let measured = find(NAME)?.measure(data, request, progress)?.remove(0);
    let table = load_table(data, selection, request, NAME, progress)?;
    let (experts, expert) = (table.columns, usize::from(expert));
    let top_k = f64::from(data.model().top_k);
    let of_tokens = move |sums: &[f64]| top_k * sums[expert] / sums.iter().sum::<f64>();
    let pooled = |sums: &[f64]| {
        let mut all = vec![0.0; experts];
        for label in sums.chunks_exact(experts) {
            for (sum, count) in all.iter_mut().zip(label) {
                *sum += count;
            }
        }
        of_tokens(&all)
    };
    let lifts = |sums: &[f64], out: &mut [f64]| {
        let all = pooled(sums);
        for (lift, label) in out.iter_mut().zip(sums.chunks_exact(experts)) {
            *lift = of_tokens(label) / all;
        }
    };
    let statistic = Statistic {
        len: selection.labels.len(),
        evaluate: &lifts,
        sides: &Sides::One,
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method: IntervalMethod::Percentile,
    };
    let resampled = bootstrap(&table, &statistic, config, progress)?;
    let sums = table.sums(0);
    let lifts = statistic.values(&sums);
    let shares = of_expert(&measured, &selection.labels, [experts, expert]);
    let labels = selection
        .labels
        .iter()
        .enumerate()
        .map(|(label, name)| {
            let place = label * experts + expert;
            let null = measured.nulls.as_ref().and_then(|nulls| nulls[place]);
            LabelShare {
                label: name.clone(),
                share: measured.values[place],
                interval: measured.intervals.as_ref().and_then(|all| all[place]),
                lift: lifts[label],
                lift_interval: resampled.intervals[label],
                p: null.map(|null| null.p),
                q: null.and_then(|null| null.p_corrected),
            }
        })
        .collect();
    Ok(Shares {
        all: pooled(&sums),
        labels,
        table: shares,
        level: measured.protocol.level,
        interval_method: measured.protocol.interval_method,
    })
}

/// The part of a table of labels and experts that is of one of so many experts, as group × variant of one layer.
fn of_expert(
    measured: &Measurement,
    labels: &[String],
    [experts, expert]: [usize; 2],
) -> Measurement {
    let places = || (0..labels.len()).map(move |label| label * experts + expert);
    let layer = measured
        .axes
        .iter()
        .find(|axis| axis.kind == AxisKind::Layer);
    let of_labels = [
        Axis::new(AxisKind::Group, labels.to_vec()),
        Axis::new(AxisKind::Variant, vec![format!("expert {expert}")]),
    ];
    Measurement {
        axes: layer.cloned().into_iter().chain(of_labels).collect(),
        values: places().map(|place| measured.values[place]).collect(),
        intervals: measured
            .intervals
            .as_ref()
            .map(|all| places().map(|place| all[place]).collect()),
        nulls: measured
            .nulls
            .as_ref()
            .map(|all| places().map(|place| all[place]).collect()),
        metric: measured.metric.clone(),
        title: measured.title.clone(),
        unit: measured.unit.clone(),
        reference: measured.reference,
        protocol: measured.protocol.clone(),
    }
}
