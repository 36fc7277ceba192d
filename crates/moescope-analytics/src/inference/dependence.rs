//! How much experts depend on the label, with the bias that finite samples bring.

use moescope_core::{
    Axis, AxisKind, Interval, Measurement, NullComparison, Progress, Protocol, Weighting,
};

use super::{
    dependence_difference::measure_difference, interval_words, load_table, mass_note,
    need_two_labels, null_words, power_above_null,
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::Selection,
    stats::{
        bootstrap::{Bootstrap, BootstrapConfig, bootstrap},
        information::{
            BiasCorrection, LabelPrior, MutualInformation, miller_madow_bias_bits,
            mutual_information,
        },
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

/// A quantity that is 0 where the labels share their experts, and grows with how much they differ.
pub(crate) struct Association<'a> {
    /// The metric.
    pub(crate) about: &'a About,
    /// From the load `[labels, experts]` and the number of experts to the quantity.
    pub(crate) value: &'a (dyn Fn(&[f64], usize) -> f64 + Sync),
    /// Its largest value for numbers of labels and experts.
    pub(crate) most: fn(f64, f64) -> f64,
    /// The quantity minus the bias of independent assignments, where such a correction is known.
    pub(crate) less_biased: Option<&'a OfLoad<'a>>,
    /// On what scale finite samples add a bias.
    pub(crate) bias_adds_to: BiasScale,
}

/// The scale on which resamples, null and bias correction work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BiasScale {
    /// That of the quantity.
    Value,
    /// That of its square, as for the root of a sum of squares.
    Square,
}

impl BiasScale {
    /// From the quantity to this scale.
    fn of(self, value: f64) -> f64 {
        match self {
            Self::Value => value,
            Self::Square => value * value,
        }
    }

    /// From this scale to the quantity; what a correction has made negative is 0 as a root.
    fn shown(self, value: f64) -> f64 {
        match self {
            Self::Value => value,
            Self::Square if value.is_nan() => value,
            Self::Square => value.max(0.0).sqrt(),
        }
    }
}

/// From a load `[labels, experts]` and the number of experts to a number.
pub(crate) type OfLoad<'a> = dyn Fn(&[f64], usize) -> f64 + Sync + 'a;

/// Measures a dependence at every layer.
pub(crate) fn measure_dependence(
    data: &TraceData,
    request: &MeasureRequest,
    dependence: &Dependence,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let value = |mass: &[f64], experts: usize| {
        (dependence.value)(&mutual_information(mass, experts, request.prior))
    };
    let less_biased = |mass: &[f64], experts: usize| {
        let found = mutual_information(mass, experts, request.prior);
        (dependence.value)(&MutualInformation {
            bits: found.bits - miller_madow_bias_bits(mass, experts, request.prior),
            ..found
        })
    };
    let association = Association {
        about: &dependence.about,
        value: &value,
        most: dependence.most,
        less_biased: Some(&less_biased),
        bias_adds_to: BiasScale::Value,
    };
    measure_association(data, request, &association, progress)
}

/// Measures an association at every layer.
pub(crate) fn measure_association(
    data: &TraceData,
    request: &MeasureRequest,
    association: &Association<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    if data.is_joined() {
        return measure_difference(data, request, association, progress);
    }
    let about = association.about;
    if request.bias == BiasCorrection::MillerMadow && association.less_biased.is_none() {
        return Err(AnalyticsError::Request(format!(
            "Miller and Madow's correction is for entropies, and {} has none; use --bias permutation",
            about.name
        )));
    }
    let selection = dependent_selection(data, request, about.name, progress)?;
    let labels = selection.labels.len();
    let table = load_table(data, &selection, request, about.name, progress)?;
    let experts = table.columns;
    let scale = association.bias_adds_to;
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        out[0] = scale.of((association.value)(sums, experts));
    };
    let statistic = Statistic {
        len: 1,
        evaluate: &evaluate,
        sides: &|_| Sides::All,
    };
    #[expect(clippy::cast_precision_loss, reason = "numbers of labels and experts")]
    let most = (association.most)(labels as f64, experts as f64);
    let method = IntervalMethod::BiasCorrected {
        range: (0.0, scale.of(most)),
    };
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
    protocol.interval_method = interval_words(&selection, request, method, &resampled);
    protocol.null_method = null_words(&family, Tail::Greater, "layers");
    let sums: Vec<Vec<f64>> = (0..table.layers).map(|layer| table.sums(layer)).collect();
    let less_biased = association.less_biased.unwrap_or(association.value);
    protocol.notes.extend(mass_note(request.mass));
    let found = DependenceOfLayers {
        plug_in: sums.iter().map(|sums| statistic.values(sums)[0]).collect(),
        miller_madow: sums.iter().map(|sums| less_biased(sums, experts)).collect(),
        scale,
        resampled,
        family,
        protocol,
    };
    Ok(vec![found.measurement(about, &selection, request)?])
}

/// The selection of a dependence, which needs two labels and counts that its bias correction knows.
pub(super) fn dependent_selection(
    data: &TraceData,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<Selection, AnalyticsError> {
    let selection = Selection::new(data, request, metric, progress)?;
    need_two_labels(&selection, request, metric)?;
    let is_weighted =
        request.scope.weighting == Weighting::Document || !request.match_on.is_empty();
    if request.bias == BiasCorrection::MillerMadow && is_weighted {
        return Err(AnalyticsError::Request(
            "Miller and Madow's correction is for counts of tokens; leave out document weighting and matching, or use --bias permutation"
                .to_owned(),
        ));
    }
    Ok(selection)
}

/// What was found at every layer.
pub(super) struct DependenceOfLayers {
    /// The estimates as they are, on this scale.
    pub(super) plug_in: Vec<f64>,
    /// The scale of estimates, resamples and tests.
    pub(super) scale: BiasScale,
    /// The same minus the bias of independent assignments.
    pub(super) miller_madow: Vec<f64>,
    /// Resamples of one value per layer.
    pub(super) resampled: Bootstrap,
    /// Tests of one value per layer.
    pub(super) family: NullFamily,
    /// The protocol with intervals and null in words.
    pub(super) protocol: Protocol,
}

impl DependenceOfLayers {
    /// The estimates beside those with the bias correction of the request.
    pub(super) fn measurement(
        self,
        about: &About,
        selection: &Selection,
        request: &MeasureRequest,
    ) -> Result<Measurement, AnalyticsError> {
        let (corrected, correction) = match request.bias {
            BiasCorrection::Permutation => (
                Some("minus_permutation_mean"),
                "plug_in: none; minus_permutation_mean: mean over permuted labels subtracted",
            ),
            BiasCorrection::MillerMadow => (
                Some("minus_miller_madow"),
                "plug_in: none; minus_miller_madow: Miller–Madow's bias of independent assignments subtracted, which is too small where tokens of a group are alike",
            ),
            BiasCorrection::None => (None, "none"),
        };
        let mut protocol = self.protocol;
        let has_intervals = self.resampled.percentiles.iter().any(Option::is_some);
        protocol.level = has_intervals.then_some(request.level);
        correction.clone_into(&mut protocol.bias_correction);
        protocol.notes.push(match request.prior {
            LabelPrior::Equal => "every label has the same prior weight".to_owned(),
            LabelPrior::Mass => {
                format!("labels are weighted by their {}s", request.scope.weighting)
            }
        });
        protocol.notes.extend(self.family.note());
        let scale = self.scale;
        protocol.notes.extend(power_above_null(
            &self.family.deviations(),
            about.unit,
            |smallest| scale.shown(smallest),
        ));
        let show = |interval: Interval| Interval {
            low: scale.shown(interval.low),
            high: scale.shown(interval.high),
        };
        let mut cells: Vec<(f64, Option<Interval>, Option<NullComparison>)> = Vec::new();
        for (layer, null) in self.family.finish().into_iter().enumerate() {
            let plug_in = self.plug_in[layer];
            cells.push((plug_in, self.resampled.intervals[layer], null));
            if corrected.is_some() {
                let value = match request.bias {
                    BiasCorrection::MillerMadow => self.miller_madow[layer],
                    _ => plug_in - null.map_or(f64::NAN, |null| null.null_mean),
                };
                let null = null.map(|null| NullComparison {
                    null_mean: null.null_mean - (plug_in - value),
                    ..null
                });
                cells.push((value, centred_interval(&self.resampled, layer, value), null));
            }
        }
        for (value, interval, null) in &mut cells {
            *value = scale.shown(*value);
            *interval = interval.map(show);
            if let Some(null) = null {
                null.null_mean = scale.shown(null.null_mean);
            }
        }
        let variants = ["plug_in"].into_iter().chain(corrected);
        let measurement = Measurement {
            metric: about.name.to_owned(),
            title: about.title.to_owned(),
            unit: about.unit.to_owned(),
            axes: vec![
                selection.layer_axis(),
                Axis::new(AxisKind::Variant, variants.map(str::to_owned).collect()),
            ],
            values: cells.iter().map(|(value, ..)| *value).collect(),
            intervals: has_intervals.then(|| cells.iter().map(|cell| cell.1).collect()),
            nulls: (request.permutations > 0).then(|| cells.iter().map(|cell| cell.2).collect()),
            reference: Some(0.0),
            protocol,
        };
        measurement.check()?;
        Ok(measurement)
    }
}

/// The spread of the resamples around their own mean, laid around the corrected value.
///
/// The resamples are biased upward like the estimate, so their mean says nothing, but their spread does.
pub(super) fn centred_interval(
    resampled: &Bootstrap,
    place: usize,
    corrected: f64,
) -> Option<Interval> {
    let plain = resampled.percentiles[place]?;
    let shift = corrected - resampled.means[place];
    let moved = Interval {
        low: (plain.low + shift).max(0.0),
        high: (plain.high + shift).max(0.0),
    };
    moved.low.is_finite().then_some(moved)
}
