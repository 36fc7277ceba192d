//! The largest of a few hundred keys.

use moescope_core::{ExpertGroups, GroupScore};

use crate::routing::NOT_KEPT;

/// Fills `chosen` with the places of the largest keys, best first, ties to the lower place.
///
/// A key that is no number is chosen only where there is nothing else.
pub(super) fn choose(keys: &[f32], chosen: &mut [i64]) {
    let wanted = chosen.len();
    let mut len = 0;
    for (place, key) in (0i64..).zip(keys) {
        if len == wanted && !is_better(*key, keys, chosen[wanted - 1]) {
            continue;
        }
        // The last one leaves where all places are taken; those that are worse move down.
        let mut at = len.min(wanted - 1);
        while at > 0 && is_better(*key, keys, chosen[at - 1]) {
            chosen[at] = chosen[at - 1];
            at -= 1;
        }
        chosen[at] = place;
        len = (len + 1).min(wanted);
    }
}

/// Whether a key beats that of a place before it.
fn is_better(key: f32, keys: &[f32], other: i64) -> bool {
    let other = keys[usize::try_from(other).expect("a place")];
    key > other || (other.is_nan() && !key.is_nan())
}

/// Lowers the keys of experts outside the best groups.
pub(super) fn keep_best_groups(keys: &mut [f32], groups: ExpertGroups) {
    let (count, kept) = (usize::from(groups.count), usize::from(groups.kept));
    let size = keys.len() / count;
    let ranks: Vec<f32> = keys
        .chunks(size)
        .map(|group| {
            let mut best = [f32::NEG_INFINITY; 2];
            for key in group {
                if *key > best[0] {
                    best = [*key, best[0]];
                } else if *key > best[1] {
                    best[1] = *key;
                }
            }
            match groups.ranked_by {
                GroupScore::SumOfTopTwo if size > 1 => best[0] + best[1],
                GroupScore::SumOfTopTwo | GroupScore::Max => best[0],
            }
        })
        .collect();
    let mut best = vec![0i64; kept];
    choose(&ranks, &mut best);
    for (number, group) in (0i64..).zip(keys.chunks_mut(size)) {
        if !best.contains(&number) {
            // Added, not put in place: an intervention's large bias must still be able to win or lose.
            group.iter_mut().for_each(|key| *key += NOT_KEPT);
        }
    }
}
