//! Which layers tell labels apart.

use moescope_core::{Axis, AxisKind, Interval, Measurement, Progress};

use super::fingerprint_knn::by_fingerprint;
use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    fingerprint::{Matrix, Pairs, Similarities, fingerprints, votes},
    inference::{accuracy, check_classifiable, interval_words, null_words, power_above_null},
    stats::{
        bootstrap::{Bootstrap, BootstrapConfig, bootstrap},
        correlation::mean,
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// Silhouette and nearest-neighbour accuracy of single layers.
pub(super) struct FingerprintByLayer;

/// Similarities of all documents with all units are kept, a layer at a time.
const MOST_DOCUMENTS: usize = 5_000;
const VARIANTS: [&str; 2] = ["silhouette", "knn_accuracy"];

impl Metric for FingerprintByLayer {
    fn about(&self) -> About {
        About {
            name: "fingerprint_by_layer",
            title: "Separation of labels by single layers",
            formula: "`silhouette` as of `fingerprint_separation` and `knn_accuracy` as the fingerprint of `fingerprint_knn`, with the layer's part of the fingerprint alone",
            unit: "silhouette from −1 to 1; share of documents",
            range: "silhouette −1 to 1; accuracy 0 to 1, by chance about the null mean",
            edge_cases: "In fingerprint space, over documents of different groups. A document without a token at a layer is at no distance from any there. Under a contrast: the two labels only. At most 5,000 documents.",
            uncertainty: "Percentile bootstrap over groups within label, each document's silhouette and vote fixed. Null: labels permuted over groups, one-sided, q over layers × both values.",
            citation: "Layer-wise signal as in routing signatures, arXiv 2603.11114.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Layer, AxisKind::Variant],
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
        check_classifiable(&selection, about.name, MOST_DOCUMENTS)?;
        let points = fingerprints(data, &selection, request, about.name, progress)?;
        let experts = usize::from(data.model().num_experts);
        let units = UnitTable::new(selection.labels.len(), selection.unit_label.clone(), 1, 0);
        let mut family = NullFamily::new(Tail::Greater, request.permutations, request.seed);
        let (mut values, mut intervals) = (Vec::new(), Vec::new());
        let mut interval_method = String::new();
        for layer in 0..selection.layers.len() {
            let check = || progress.report(layer as u64, selection.layers.len() as u64, "layers");
            check()?;
            let part = part(&points, layer * experts, experts);
            let neighbours = by_fingerprint(&part, &selection);
            let similarities = Similarities::new(&part, &selection);
            let evaluate = |unit_label: &[usize]| {
                let label: Vec<usize> = selection.unit.iter().map(|u| unit_label[*u]).collect();
                let is_right = votes(&neighbours, &label, selection.labels.len());
                vec![
                    mean(&similarities.silhouettes(unit_label, Pairs::OtherGroups)),
                    accuracy(&is_right),
                ]
            };
            let observed = evaluate(&selection.unit_label);
            if request.permutations > 0 {
                family.add_labelled(&units, &observed, &|unit_label| {
                    check()?;
                    Ok(evaluate(unit_label))
                })?;
            }
            let silhouettes = similarities.silhouettes(&selection.unit_label, Pairs::OtherGroups);
            let is_right = votes(&neighbours, &selection.label, selection.labels.len());
            let resampled = resample(&selection, request, &silhouettes, &is_right, progress)?;
            interval_method =
                interval_words(&selection, request, IntervalMethod::Percentile, &resampled);
            values.extend(observed);
            intervals.extend(resampled.intervals);
        }
        let mut protocol = selection.protocol(request);
        protocol.interval_method = interval_method;
        let has_intervals = intervals.iter().any(Option::<Interval>::is_some);
        protocol.level = has_intervals.then_some(request.level);
        protocol.null_method = null_words(&family, Tail::Greater, "layers and both values");
        if request.permutations > 0 {
            protocol.notes.extend(family.note());
            let silhouettes: Vec<f64> = family.deviations().into_iter().step_by(2).collect();
            protocol
                .notes
                .extend(power_above_null(&silhouettes, "of silhouette", |x| x));
        }
        protocol.notes.push(format!(
            "cosine distance of {}, one layer at a time",
            request.fingerprint
        ));
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
            nulls: (request.permutations > 0).then(|| family.finish()),
            reference: None,
            protocol,
        };
        measurement.check()?;
        Ok(vec![measurement])
    }
}

/// Some columns of a matrix.
fn part(points: &Matrix, first: usize, columns: usize) -> Matrix {
    let rows = points
        .iter_rows()
        .flat_map(|row| &row[first..first + columns]);
    Matrix::new(columns, rows.copied().collect())
}

/// Intervals of the mean silhouette and the accuracy over groups.
fn resample(
    selection: &Selection,
    request: &MeasureRequest,
    silhouettes: &[f64],
    is_right: &[bool],
    progress: &dyn Progress,
) -> Result<Bootstrap, AnalyticsError> {
    let mut table = UnitTable::new(selection.labels.len(), selection.unit_label.clone(), 1, 3);
    for (document, unit) in selection.unit.iter().enumerate() {
        let row = table.row_mut(0, *unit);
        row[0] += silhouettes[document];
        row[1] += f64::from(u8::from(is_right[document]));
        row[2] += 1.0;
    }
    let statistic = Statistic {
        len: 2,
        evaluate: &|sums, out| {
            let total = |column: usize| sums.iter().skip(column).step_by(3).sum::<f64>();
            out[0] = total(0) / total(2);
            out[1] = total(1) / total(2);
        },
        sides: &|_| Sides::All,
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method: IntervalMethod::Percentile,
    };
    Ok(bootstrap(&table, &statistic, config, progress)?)
}
