//! How much more experts depend on the label in one trace than in another.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use super::{Association, add_power_note, interval_words, load_table, null_words};
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{Selection, TRACE},
    stats::{
        bootstrap::{BootstrapConfig, bootstrap},
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
    },
};

/// Measures the dependence in the first of two joined traces minus that in the second, at every layer.
///
/// The labels of the request tell label and trace. Estimates are as they come: both have about the bias of the same texts,
/// which cancels in the difference, and the intervals correct for what is left of it.
pub(super) fn measure_difference(
    data: &TraceData,
    request: &MeasureRequest,
    association: &Association<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let about = association.about;
    let selection = Selection::new(data, request, about.name, progress)?;
    let sides = Traces::of(data, &selection);
    let labels = sides.labels.iter().map(Vec::len).min().unwrap_or(0);
    if labels < 2 {
        return Err(AnalyticsError::TooLittle {
            metric: about.name.to_owned(),
            found: "one of the traces has one label only".to_owned(),
            help: "compare at least two labels, e.g. with another --by".to_owned(),
        });
    }
    let table = load_table(data, &selection, request, about.name, progress)?;
    let experts = table.columns;
    let evaluate = |sums: &[f64], out: &mut [f64]| {
        let [a, b] = [0, 1].map(|side| {
            let rows = sides.labels[side].iter();
            let rows = rows.map(|label| &sums[label * experts..(label + 1) * experts]);
            let sums: Vec<f64> = rows.flatten().copied().collect();
            (association.value)(&sums, experts)
        });
        out[0] = a - b;
    };
    let statistic = Statistic {
        len: 1,
        evaluate: &evaluate,
        sides: &|_| Sides::All,
    };
    #[expect(clippy::cast_precision_loss, reason = "numbers of labels and experts")]
    let most = (association.most)(labels as f64, experts as f64);
    let method = IntervalMethod::BiasCorrected {
        range: (-most, most),
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method,
    };
    let resampled = bootstrap(&table, &statistic, config, progress)?;
    let mut protocol = selection.protocol(request);
    let has_intervals = resampled.intervals.iter().any(Option::is_some);
    protocol.interval_method = interval_words(&selection, request, method, &resampled);
    protocol.level = has_intervals.then_some(request.level);
    "none: both estimates have about the same bias".clone_into(&mut protocol.bias_correction);
    add_power_note(&mut protocol, &resampled.standard_errors, about.unit, true);
    let mut nulls = None;
    // Without pairs, permuted labels would tear labels and traces apart at once, which is another question.
    if data.is_paired() && request.permutations > 0 {
        let mut family = NullFamily::new(Tail::TwoSided, request.permutations, request.seed);
        family.add(&table, &statistic, progress)?;
        protocol.null_method = null_words(&family, Tail::TwoSided, "layers");
        protocol.notes.extend(family.note());
        nulls = Some(family.finish());
    }
    let values = (0..table.layers).map(|layer| statistic.values(&table.sums(layer))[0]);
    let measurement = Measurement {
        metric: about.name.to_owned(),
        title: format!(
            "{}: {} minus {}",
            about.title, sides.names[0], sides.names[1]
        ),
        unit: about.unit.to_owned(),
        axes: vec![
            selection.layer_axis(),
            Axis::new(AxisKind::Variant, vec!["plug_in".to_owned()]),
        ],
        values: values.collect(),
        intervals: has_intervals.then_some(resampled.intervals),
        nulls,
        reference: Some(0.0),
        protocol,
    };
    measurement.check()?;
    Ok(vec![measurement])
}

/// Which labels belong to which trace.
struct Traces {
    names: [String; 2],
    labels: [Vec<usize>; 2],
}

impl Traces {
    fn of(data: &TraceData, selection: &Selection) -> Self {
        // The first trace's documents come first.
        let name = |document: &usize| {
            let name = data.documents()[*document].label(TRACE);
            name.unwrap_or_default().to_owned()
        };
        let first = selection.documents.first().map(name).unwrap_or_default();
        let last = selection.documents.last().map(name).unwrap_or_default();
        let mut found = Self {
            names: [first, last],
            labels: [Vec::new(), Vec::new()],
        };
        for (document, label) in selection.documents.iter().zip(&selection.label) {
            let side = usize::from(name(document) != found.names[0]);
            if !found.labels[side].contains(label) {
                found.labels[side].push(*label);
            }
        }
        found
            .labels
            .iter_mut()
            .for_each(|labels| labels.sort_unstable());
        found
    }
}
