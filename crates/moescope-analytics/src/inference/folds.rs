//! Folds of whole groups.

use crate::{
    data::Selection,
    stats::random::{self, Purpose},
};

/// The fold of every selected document, below `most` and below the number of groups.
///
/// Groups stay whole. Those of one label are dealt in random order in turn, so that labels spread evenly over folds.
pub(crate) fn deal_groups(selection: &Selection, most: usize, seed: u64) -> Vec<usize> {
    let folds = most.min(selection.groups).max(1);
    // A group of several labels is dealt with its first.
    let mut label_of: Vec<usize> = vec![usize::MAX; selection.groups];
    for (group, label) in selection.group.iter().zip(&selection.label) {
        label_of[*group] = label_of[*group].min(*label);
    }
    let mut order: Vec<usize> = (0..selection.groups).collect();
    random::shuffle(&mut random::stream(seed, Purpose::Folds, 0), &mut order);
    order.sort_by_key(|group| label_of[*group]);
    let mut fold_of = vec![0; selection.groups];
    for (place, group) in order.into_iter().enumerate() {
        fold_of[group] = place % folds;
    }
    selection
        .group
        .iter()
        .map(|group| fold_of[*group])
        .collect()
}
