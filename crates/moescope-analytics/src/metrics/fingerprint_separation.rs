//! How far labels lie apart in fingerprint space.

use std::ops::Range;

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison, Progress, Protocol};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::Selection,
    fingerprint::{Pairs, Saturation, Similarities, fingerprints},
    inference::{check_classifiable, interval_words, null_words, power_above_null},
    stats::{
        bootstrap::{BootstrapConfig, bootstrap_units},
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        units::UnitTable,
    },
};

/// Silhouette and similarities of fingerprints within and across labels.
pub(super) struct FingerprintSeparation;

/// Similarities of all documents with all units are kept.
const MOST_DOCUMENTS: usize = 5_000;
/// Of the whole; the last is over all pairs and has no interval.
const OVERALL: [&str; 6] = [
    "silhouette",
    "within_similarity",
    "across_similarity",
    "similarity_difference",
    "cohens_d",
    "silhouette_all_pairs",
];
/// Of every label.
const BY_LABEL: [&str; 3] = ["silhouette", "within_similarity", "across_similarity"];

impl Metric for FingerprintSeparation {
    fn about(&self) -> About {
        About {
            name: "fingerprint_separation",
            title: "Separation of labels in fingerprint space",
            formula: "With distance 1 − cosine of fingerprints (kinds as of `fingerprint_map`): `silhouette` = mean over documents of (b − a) / max(a, b), a the mean distance to documents of the own label, b the least mean distance to those of another label; `within_similarity` and `across_similarity` = mean cosine of pairs of one label and of different labels; `similarity_difference` their difference; `cohens_d` = difference / standard deviation of the cosines, pooled over both kinds of pairs. All over pairs of different groups; `silhouette_all_pairs` is the usual one, over all pairs. Second table: the same of every label",
            unit: "silhouette and similarities without unit; cohens_d in standard deviations",
            range: "silhouette −1 to 1; where labels do not matter it is below 0, the more so the more labels there are, so read it beside its null mean; similarities −1 to 1 (0 to 1 for fingerprints that are not negative)",
            edge_cases: "In fingerprint space, never on a map. Parts of one group resemble each other whatever their label, so pairs of one group are left out but for `silhouette_all_pairs`. A document without a pair within its label has silhouette 0. The SciDFM kinds saturate with length; a note tells how much. Under a contrast: the two labels only, and no second table. At most 5,000 documents.",
            uncertainty: "Percentile bootstrap over groups within label. Null: labels permuted over groups, one-sided (similarity across labels: small ones count), q over both tables.",
            citation: "Rousseeuw 1987, J. Comput. Appl. Math. 20, 53 (silhouette; cosine distance as in arXiv 2601.03425); within- and across-category similarity and Cohen's d as in routing signatures, arXiv 2603.11114, whose d fits the standard deviation pooled over pairs.",
            inputs: &[Input::Profiles],
            axes: &[AxisKind::Variant],
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
        let saturation = Saturation::of(&points, experts, &selection.tokens);
        progress.report(0, 3, "similarities of all documents")?;
        let similarities = Similarities::new(&points, &selection);
        let mut protocol = selection.protocol(request);
        let found = Found::new(&similarities, &selection, request, &mut protocol, progress)?;
        protocol.notes.push(format!(
            "cosine distance of {}, {} numbers per document; pairs of different groups",
            request.fingerprint,
            points.columns()
        ));
        protocol.notes.push(saturation.note(request.fingerprint));
        let part = |range: Range<usize>, title: &str, axes: Vec<Axis>| Measurement {
            metric: about.name.to_owned(),
            title: title.to_owned(),
            unit: about.unit.to_owned(),
            axes,
            values: found.values[range.clone()].to_vec(),
            intervals: protocol
                .level
                .map(|_| found.intervals[range.clone()].to_vec()),
            nulls: found.nulls.as_ref().map(|nulls| nulls[range].to_vec()),
            reference: None,
            protocol: protocol.clone(),
        };
        let names = |names: &[&str]| {
            Axis::new(
                AxisKind::Variant,
                names.iter().map(|name| (*name).to_owned()).collect(),
            )
        };
        let mut tables = vec![part(0..OVERALL.len(), about.title, vec![names(&OVERALL)])];
        // A contrast has one value of two labels, and none of each.
        if request.contrast.is_none() {
            tables.push(part(
                OVERALL.len()..found.values.len(),
                "Separation of each label from the others in fingerprint space",
                vec![selection.group_axis(), names(&BY_LABEL)],
            ));
        }
        for measurement in &tables {
            measurement.check()?;
        }
        Ok(tables)
    }
}

/// Values of the whole, then of every label.
struct Found {
    values: Vec<f64>,
    intervals: Vec<Option<Interval>>,
    nulls: Option<Vec<Option<NullComparison>>>,
}

impl Found {
    /// Values, intervals and nulls; the protocol learns how they were made.
    fn new(
        similarities: &Similarities,
        selection: &Selection,
        request: &MeasureRequest,
        protocol: &mut Protocol,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let label = &selection.unit_label;
        let table = UnitTable::new(selection.labels.len(), label.clone(), 1, 0);
        let once = vec![1; similarities.units()];
        let observed = values(similarities, label, &once);
        let config = BootstrapConfig {
            resamples: request.resamples,
            seed: request.seed,
            level: request.level,
            method: IntervalMethod::Percentile,
        };
        let resampled = bootstrap_units(&table, &observed, config, &|times| {
            progress.report(1, 3, "bootstrap over groups")?;
            Ok(values(similarities, label, times))
        })?;
        protocol.interval_method =
            interval_words(selection, request, IntervalMethod::Percentile, &resampled);
        let has_intervals = resampled.intervals.iter().any(Option::is_some);
        protocol.level = has_intervals.then_some(request.level);
        let mut nulls = None;
        if request.permutations > 0 {
            let mut family = NullFamily::new(Tail::Greater, request.permutations, request.seed);
            family.add_labelled(&table, &signed(observed.clone()), &|label| {
                progress.report(2, 3, "permutations of labels")?;
                Ok(signed(values(similarities, label, &once)))
            })?;
            protocol.null_method = null_words(&family, Tail::Greater, "values of both tables");
            protocol.notes.extend(family.note());
            protocol.notes.extend(power_above_null(
                &family.deviations()[..1],
                "of silhouette",
                |x| x,
            ));
            let mut found = family.finish();
            for (place, null) in found.iter_mut().enumerate() {
                if let Some(null) = null
                    && is_smaller_better(place)
                {
                    null.null_mean = -null.null_mean;
                }
            }
            nulls = Some(found);
        }
        let mut found = Self {
            values: observed,
            intervals: resampled.intervals,
            nulls,
        };
        let all_pairs = similarities.separation(label, &once, Pairs::All).silhouette;
        found.insert(OVERALL.len() - 1, all_pairs);
        Ok(found)
    }

    /// Puts a value without interval and null between the others.
    fn insert(&mut self, place: usize, value: f64) {
        self.values.insert(place, value);
        self.intervals.insert(place, None);
        if let Some(nulls) = &mut self.nulls {
            nulls.insert(place, None);
        }
    }
}

/// Values of the whole but the last, then of every label.
fn values(similarities: &Similarities, label: &[usize], times: &[u32]) -> Vec<f64> {
    let found = similarities.separation(label, times, Pairs::OtherGroups);
    let mut values = vec![
        found.silhouette,
        found.within,
        found.across,
        found.within - found.across,
        found.cohens_d,
    ];
    values.extend(found.of_labels);
    values
}

/// The same, with those negated that speak for separation where they are small.
fn signed(mut values: Vec<f64>) -> Vec<f64> {
    for (place, value) in values.iter_mut().enumerate() {
        if is_smaller_better(place) {
            *value = -*value;
        }
    }
    values
}

/// Whether a small value speaks for separation, by its place among the values.
fn is_smaller_better(place: usize) -> bool {
    let whole = OVERALL.len() - 1;
    place == 2 || (place >= whole && (place - whole) % BY_LABEL.len() == 2)
}
