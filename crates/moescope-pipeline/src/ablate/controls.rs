//! Experts like the ones in question: of the same layer, with about the same load, chosen at random.

use std::collections::BTreeSet;

use moescope_core::LayerId;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::ExpertSet;
use crate::error::PipelineError;

/// Draws in vain after which no further set is looked for.
const ATTEMPTS: usize = 200;

/// How controls are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Matching {
    /// How many are wanted.
    pub(super) number: usize,
    /// A control's load is at most so many times the load of its counterpart, and at least the same part of it.
    pub(super) load_factor: f64,
    /// Seed of the choice.
    pub(super) seed: u64,
}

/// Different sets of other experts, each as large as `target`, every member with a load like its counterpart's.
///
/// There are fewer than wanted where the layer has no more single experts, or where no other set was found in
/// [`ATTEMPTS`] draws. `loads` are assignments by expert.
///
/// # Errors
/// When there is not one.
pub(super) fn choose(
    target: &ExpertSet,
    loads: &[u64],
    matching: Matching,
) -> Result<Vec<ExpertSet>, PipelineError> {
    let alike: Vec<Vec<u16>> = target
        .experts
        .iter()
        .map(|expert| like(*expert, &target.experts, loads, matching.load_factor))
        .collect();
    if let Some((expert, _)) = target
        .experts
        .iter()
        .zip(&alike)
        .find(|(_, alike)| alike.is_empty())
    {
        return Err(PipelineError::Settings(format!(
            "no other expert of layer {} has a load within a factor of {} of that of expert {expert} ({} of {} \
             assignments), so there is nothing to compare it with; allow more with --load-factor",
            target.layer,
            matching.load_factor,
            loads[usize::from(*expert)],
            loads.iter().sum::<u64>()
        )));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(matching.seed);
    if let [alike] = alike.as_slice() {
        return Ok(choose_single(
            target.layer,
            alike,
            matching.number,
            &mut rng,
        ));
    }
    let mut found: BTreeSet<Vec<u16>> = BTreeSet::new();
    let mut sets = Vec::new();
    let mut in_vain = 0;
    while sets.len() < matching.number && in_vain < ATTEMPTS {
        let drawn = draw(&alike, &mut rng).map(|experts| ExpertSet::new(target.layer, experts));
        match drawn {
            Some(set) if found.insert(set.experts.clone()) => {
                in_vain = 0;
                sets.push(set);
            }
            _ => in_vain += 1,
        }
    }
    if sets.is_empty() {
        return Err(PipelineError::Settings(format!(
            "the experts like those of '{target}' do not suffice for one set beside it; ablate fewer experts, or allow \
             more with --load-factor"
        )));
    }
    Ok(sets)
}

/// So many different experts; all of them where there are no more.
fn choose_single(
    layer: LayerId,
    alike: &[u16],
    number: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<ExpertSet> {
    let mut left = alike.to_vec();
    let mut sets = Vec::new();
    while sets.len() < number && !left.is_empty() {
        let expert = left.swap_remove(rng.random_range(0..left.len()));
        sets.push(ExpertSet::new(layer, vec![expert]));
    }
    sets
}

/// Experts outside the target whose load is within a factor of that of `expert`.
fn like(expert: u16, target: &[u16], loads: &[u64], factor: f64) -> Vec<u16> {
    // One more each, so that a load of 0 has its like as well.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
    let load = |expert: u16| loads[usize::from(expert)] as f64 + 1.0;
    let number = u16::try_from(loads.len()).expect("experts are numbered in 16 bits");
    (0..number)
        .filter(|other| !target.contains(other))
        .filter(|other| {
            let ratio = load(*other) / load(expert);
            ratio <= factor && ratio >= 1.0 / factor
        })
        .collect()
}

/// One expert for each member, each once; `None` where the draw went into a dead end.
fn draw(alike: &[Vec<u16>], rng: &mut ChaCha8Rng) -> Option<Vec<u16>> {
    let mut drawn: Vec<u16> = Vec::with_capacity(alike.len());
    for alike in alike {
        let left: Vec<u16> = alike
            .iter()
            .copied()
            .filter(|e| !drawn.contains(e))
            .collect();
        if left.is_empty() {
            return None;
        }
        drawn.push(left[rng.random_range(0..left.len())]);
    }
    Some(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(number: usize) -> Matching {
        Matching {
            number,
            load_factor: 2.0,
            seed: 1,
        }
    }

    fn target(experts: &[u16]) -> ExpertSet {
        ExpertSet::new(LayerId(3), experts.to_vec())
    }

    #[test]
    fn controls_have_a_like_load_and_are_all_different() {
        // Like 100 are 60, 150 and 199: 49 is less than half, 210 more than twice as much.
        let loads = [100, 49, 60, 150, 199, 210, 0];
        let mut found: Vec<u16> = choose(&target(&[0]), &loads, matching(8))
            .unwrap()
            .into_iter()
            .flat_map(|set| set.experts)
            .collect();
        found.sort_unstable();
        assert_eq!(found, [2, 3, 4]);
        // However many there are, none is missed.
        let all = choose(&target(&[0]), &[7; 400], matching(1000)).unwrap();
        let different: BTreeSet<u16> = all.iter().flat_map(|set| set.experts.clone()).collect();
        assert_eq!((all.len(), different.len()), (399, 399));
        let some = choose(&target(&[0]), &loads, matching(2)).unwrap();
        assert_eq!(some.len(), 2);
        assert_eq!(some, choose(&target(&[0]), &loads, matching(2)).unwrap());
    }

    #[test]
    fn every_member_of_a_set_has_its_like() {
        // 0 (10) is like 2 and 3, 1 (100) is like 4: two sets.
        let loads = [10, 100, 12, 9, 90, 1000];
        let mut found: Vec<Vec<u16>> = choose(&target(&[1, 0]), &loads, matching(5))
            .unwrap()
            .into_iter()
            .map(|set| set.experts)
            .collect();
        found.sort();
        assert_eq!(found, [[2, 4], [3, 4]]);
    }

    #[test]
    fn an_expert_without_its_like_is_refused_in_words() {
        let error = choose(&target(&[5]), &[10, 100, 12, 9, 90, 1000], matching(5)).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("expert 5 (1000 of 1221 assignments)"),
            "{error}"
        );
        assert!(error.contains("--load-factor"), "{error}");
    }
}
