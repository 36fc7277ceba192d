//! Overlap of experts within pairs of samples, by whether a word has one sense in both.

use std::collections::{BTreeMap, BTreeSet};

use moescope_core::{Measurement, Progress};

use super::{
    interval_words, null_words,
    rows::{refuse_contrast, variant_axis},
    sense_pairs::{SensePairs, targets},
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::{ALL, DecisionNeeds, Selection},
    stats::{
        bootstrap::{BootstrapConfig, FEWEST_GROUPS, bootstrap},
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

const VARIANTS: [&str; 4] = ["same", "different", "contrast", "cohens_d"];
const METHOD: IntervalMethod = IntervalMethod::Percentile;

/// From pairs, Σ overlap and Σ overlap² of both kinds of pairs to the values.
fn contrast(sums: &[f64], out: &mut [f64]) {
    let [n, sum, squares, m, other, others] = *sums else {
        unreachable!("two labels of three columns")
    };
    let (same, different) = (sum / n, other / m);
    let scatter = (squares - n * same * same) + (others - m * different * different);
    let deviation = (scatter.max(0.0) / (n + m - 2.0)).sqrt();
    let difference = same - different;
    let d = if deviation > 0.0 {
        difference / deviation
    } else {
        f64::NAN
    };
    out.copy_from_slice(&[same, different, difference, d]);
}

/// Measures the contrast at every layer.
#[expect(
    clippy::too_many_lines,
    reason = "one table from sums to protocol, in the order in which it comes about"
)]
pub(crate) fn measure_sense_contrast(
    data: &TraceData,
    request: &MeasureRequest,
    about: &About,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    refuse_contrast(request, about.name, "it is one, of pairs")?;
    let everything = if request.scope.labels.is_empty() {
        request.divided_by(ALL)
    } else {
        request.clone()
    };
    let selection = Selection::new(data, &everything, about.name, progress)?;
    let mut pairs = SensePairs::find(data, &selection, about.name)?;
    let found = pairs.pairs.len();
    let targets = targets(data, &pairs.pairs, progress)?;
    let experts = experts_at(
        data,
        &selection,
        request,
        about.name,
        targets.as_ref(),
        progress,
    )?;
    pairs
        .pairs
        .retain(|pair| pair.documents.iter().all(|d| experts.contains_key(d)));
    // Same-sense pairs come first: they are the first label.
    pairs.pairs.sort_by_key(|pair| !pair.is_same);
    let kinds: Vec<usize> = pairs
        .pairs
        .iter()
        .map(|p| usize::from(!p.is_same))
        .collect();
    if !(kinds.contains(&0) && kinds.contains(&1)) {
        return Err(AnalyticsError::TooLittle {
            metric: about.name.to_owned(),
            found: "no pair of each kind has its target among the counted tokens".to_owned(),
            help: "the column 'target' must be spelled as in the text".to_owned(),
        });
    }
    let k = f64::from(data.model().top_k);
    let table = overlaps(&pairs, &kinds, &experts, (selection.layers.len(), k));
    let statistic = Statistic {
        len: VARIANTS.len(),
        evaluate: &contrast,
        sides: &|value| match value {
            0 => Sides::One(0),
            1 => Sides::One(1),
            _ => Sides::Two(0, 1),
        },
    };
    let config = BootstrapConfig {
        resamples: request.resamples,
        seed: request.seed,
        level: request.level,
        method: METHOD,
    };
    let resampled = bootstrap(&table, &statistic, config, progress)?;
    let has_intervals = resampled.intervals.iter().any(Option::is_some);
    let tested = Statistic {
        len: 2,
        evaluate: &|sums, out| {
            let mut all = [0.0; VARIANTS.len()];
            contrast(sums, &mut all);
            out.copy_from_slice(&all[2..]);
        },
        sides: &|_| Sides::Two(0, 1),
    };
    let mut family = NullFamily::new(Tail::TwoSided, request.permutations, request.seed);
    family.add(&table, &tested, progress)?;
    let mut protocol = selection.protocol(&everything);
    protocol.level = has_intervals.then_some(request.level);
    "pair".clone_into(&mut protocol.resample_by);
    protocol.interval_method = interval_words(&selection, request, METHOD, &resampled).replace(
        "over groups within label",
        "over pairs within same and different",
    );
    let [same, different] = [0, 1].map(|kind| kinds.iter().filter(|k| **k == kind).count());
    if !has_intervals && request.resamples > 0 {
        protocol.interval_method = format!(
            "no interval: {same} same-sense and {different} different-sense pairs, {FEWEST_GROUPS} needed"
        );
    }
    protocol.null_method = null_words(&family, Tail::TwoSided, "contrasts and ds of all layers")
        .replace(
            "labels permuted over groups",
            "same and different permuted over pairs",
        );
    protocol.notes.extend(family.note());
    protocol.notes.push(format!(
        "{same} pairs of one sense, {different} of two, compared at {}",
        if targets.is_some() {
            "the last token of the target"
        } else {
            "their last counted token"
        }
    ));
    let lost = found - pairs.pairs.len();
    if pairs.left_out + lost > 0 {
        protocol.notes.push(format!(
            "left out: {} values of 'pair' without exactly two samples, {lost} pairs without a counted target",
            pairs.left_out
        ));
    }
    let nulls = (request.permutations > 0).then(|| {
        family
            .finish()
            .chunks(2)
            .flat_map(|null| [None, None, null[0], null[1]])
            .collect()
    });
    let measurement = Measurement {
        metric: about.name.to_owned(),
        title: about.title.to_owned(),
        unit: about.unit.to_owned(),
        axes: vec![selection.layer_axis(), variant_axis(&VARIANTS)],
        values: (0..table.layers)
            .flat_map(|layer| statistic.values(&table.sums(layer)))
            .collect(),
        intervals: has_intervals.then_some(resampled.intervals),
        nulls,
        reference: Some(k / f64::from(data.model().num_experts)),
        protocol,
    };
    measurement.check()?;
    Ok(vec![measurement])
}

/// Pairs, Σ overlap and Σ overlap² of every pair at every layer.
fn overlaps(
    pairs: &SensePairs,
    kinds: &[usize],
    experts: &BTreeMap<usize, ExpertsOfLayers>,
    (layers, k): (usize, f64),
) -> UnitTable {
    let mut table = UnitTable::new(2, kinds.to_vec(), layers, 3);
    for (unit, pair) in pairs.pairs.iter().enumerate() {
        let [a, b] = pair.documents.map(|document| &experts[&document]);
        for layer in 0..layers {
            let (Some(a), Some(b)) = (&a[layer], &b[layer]) else {
                continue;
            };
            #[expect(clippy::cast_precision_loss, reason = "a number of experts")]
            let overlap = a.iter().filter(|e| b.contains(e)).count() as f64 / k;
            table
                .row_mut(layer, unit)
                .copy_from_slice(&[1.0, overlap, overlap * overlap]);
        }
    }
    table
}

/// A document's experts at the token it is compared at, by the places of layers.
type ExpertsOfLayers = Vec<Option<Vec<u16>>>;

/// The experts of every document's last counted token that is part of its target.
fn experts_at(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    metric: &str,
    targets: Option<&BTreeMap<usize, BTreeSet<u32>>>,
    progress: &dyn Progress,
) -> Result<BTreeMap<usize, ExpertsOfLayers>, AnalyticsError> {
    let layer_places = selection.layer_places(data);
    let mut found = BTreeMap::new();
    data.visit_decisions(
        DecisionNeeds::of(&request.scope),
        metric,
        progress,
        &mut |decisions| {
            let target = targets.map(|targets| targets.get(&decisions.document));
            let is_target = |position: u32| match target {
                None => true,
                Some(positions) => positions.is_some_and(|known| known.contains(&position)),
            };
            let last = decisions
                .counted_rows()
                .map(|row| decisions.position[row])
                .filter(|position| is_target(*position))
                .max();
            let mut experts: ExpertsOfLayers = vec![None; selection.layers.len()];
            for row in decisions.counted_rows() {
                if let (true, Some(place)) = (
                    Some(decisions.position[row]) == last,
                    layer_places[decisions.layer(row)],
                ) {
                    experts[place] = Some(decisions.experts(row).to_vec());
                }
            }
            if last.is_some() {
                found.insert(decisions.document, experts);
            }
            Ok(())
        },
    )?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contrast_of_three_and_two_pairs_by_hand() {
        // Same: 1, 1, ½ (mean 5/6); different: 0, ½ (mean ¼). Contrast 7/12.
        // Scatter: 2·(1/6)² + (1/3)² = 1/6; 2·(¼)² = 1/8; pooled variance (1/6 + 1/8)/3 = 7/72.
        let mut out = [0.0; 4];
        contrast(&[3.0, 2.5, 2.25, 2.0, 0.5, 0.25], &mut out);
        let expected = [
            5.0 / 6.0,
            0.25,
            7.0 / 12.0,
            7.0 / 12.0 / (7.0_f64 / 72.0).sqrt(),
        ];
        for (found, expected) in out.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
