//! How much experts depend on the label, with the bias that finite samples bring.

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison, Progress};

use super::{
    dependence_difference::measure_difference, interval_words, load_table, null_words,
    words::significant,
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::Selection,
    stats::{
        bootstrap::{Bootstrap, BootstrapConfig, bootstrap},
        correlation::median,
        information::{LabelPrior, MutualInformation, mutual_information},
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
    },
};

/// A quantity made of the mutual information between label and expert.
pub(crate) struct Dependence {
    /// The metric.
    pub(crate) about: About,
    /// The quantity.
    pub(crate) value: fn(&MutualInformation) -> f64,
    /// Its largest value for numbers of labels and experts.
    pub(crate) most: fn(f64, f64) -> f64,
}

/// The estimate as it is, and the estimate minus its mean over permuted labels.
const VARIANTS: [&str; 2] = ["plug_in", "minus_permutation_mean"];

/// Measures a dependence at every layer.
pub(crate) fn measure_dependence(
    data: &TraceData,
    request: &MeasureRequest,
    dependence: &Dependence,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    if data.is_joined() {
        return measure_difference(data, request, dependence, progress);
    }
    let about = &dependence.about;
    let selection = Selection::new(data, request, about.name, progress)?;
    let labels = selection.labels.len();
    if labels < 2 {
        return Err(AnalyticsError::TooLittle {
            metric: about.name.to_owned(),
            found: format!("there is one {} only", request.by),
            help: "compare at least two labels, e.g. with another --by".to_owned(),
        });
    }
    let table = load_table(data, &selection, request, about.name, progress)?;
    let experts = table.columns;
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        out[0] = (dependence.value)(&mutual_information(sums, experts, request.prior));
    };
    let statistic = Statistic {
        len: 1,
        evaluate: &evaluate,
        sides: &|_| Sides::All,
    };
    #[expect(clippy::cast_precision_loss, reason = "numbers of labels and experts")]
    let most = (dependence.most)(labels as f64, experts as f64);
    let method = IntervalMethod::BiasCorrected { range: (0.0, most) };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method,
    };
    let resampled = bootstrap(&table, &statistic, config, progress)?;
    let mut family = NullFamily::new(Tail::Greater, request.permutations, request.seed);
    family.add(&table, &statistic, progress)?;
    let mut protocol = selection.protocol(request);
    let has_intervals = resampled.intervals.iter().any(Option::is_some);
    protocol.interval_method = interval_words(&selection, request, method, &resampled);
    protocol.level = has_intervals.then_some(request.level);
    protocol.null_method = null_words(&family, Tail::Greater, "layers");
    protocol.bias_correction =
        String::from("plug_in: none; minus_permutation_mean: mean over permuted labels subtracted");
    protocol.notes.push(match request.prior {
        LabelPrior::Equal => "every label has the same prior weight".to_owned(),
        LabelPrior::Mass => format!("labels are weighted by their {}s", request.scope.weighting),
    });
    protocol.notes.extend(family.note());
    protocol.notes.extend(power_note(&family, about.unit));
    let nulls = family.finish();
    let mut values = Vec::new();
    let mut intervals = Vec::new();
    for (layer, null) in nulls.iter().enumerate() {
        let plug_in = statistic.values(&table.sums(layer))[0];
        let corrected = plug_in - null.map_or(f64::NAN, |null| null.null_mean);
        values.extend([plug_in, corrected]);
        intervals.extend([
            resampled.intervals[layer],
            centred_interval(&resampled, layer, corrected),
        ]);
    }
    let nulls = (request.permutations > 0).then(|| {
        nulls
            .into_iter()
            .flat_map(|null| [null, null.map(centred_null)])
            .collect()
    });
    let measurement = Measurement {
        metric: about.name.to_owned(),
        title: about.title.to_owned(),
        unit: about.unit.to_owned(),
        axes: vec![
            selection.layer_axis(),
            Axis::new(AxisKind::Variant, VARIANTS.map(str::to_owned).to_vec()),
        ],
        values,
        intervals: has_intervals.then_some(intervals),
        nulls,
        reference: Some(0.0),
        protocol,
    };
    measurement.check()?;
    Ok(vec![measurement])
}

/// The smallest dependence that one layer's test would have found in 80 % of studies.
fn power_note(family: &NullFamily, unit: &str) -> Option<String> {
    // One-sided at 5 %: 1.645 standard deviations of the null to be significant, 0.842 more to be so in 80 % of studies.
    let smallest = 2.49 * median(family.deviations());
    // Where permuting changes nothing, or nothing was permuted, no deviation but that of rounding is left.
    (smallest.is_finite() && smallest > 1e-12).then(|| {
        format!(
            "power: this design would see about {} {unit} above the mean over permuted labels (80 % power at the 5 % level for one layer, median over layers)",
            significant(smallest)
        )
    })
}

/// The spread of the resamples around their own mean, laid around the corrected value.
///
/// The resamples are biased upward like the estimate, so their mean says nothing, but their spread does.
fn centred_interval(resampled: &Bootstrap, layer: usize, corrected: f64) -> Option<Interval> {
    let plain = resampled.percentiles[layer]?;
    let shift = corrected - resampled.means[layer];
    let moved = Interval {
        low: (plain.low + shift).max(0.0),
        high: (plain.high + shift).max(0.0),
    };
    moved.low.is_finite().then_some(moved)
}

/// The same comparison for the value with the null mean subtracted.
fn centred_null(null: NullComparison) -> NullComparison {
    NullComparison {
        null_mean: 0.0,
        ..null
    }
}
