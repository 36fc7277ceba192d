//! The heaviest items of a mass.

use std::cmp::Ordering;

/// Items by falling mass, equal ones by ascending number.
pub(crate) fn by_falling_mass(masses: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..masses.len()).collect();
    order.sort_unstable_by(|a, b| falling(masses, *a, *b));
    order
}

/// The numbers of the `k` heaviest items, ascending.
pub(crate) fn top_set(masses: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..masses.len()).collect();
    if k < order.len() {
        // The order is total, so the set does not depend on how the selection partitions.
        order.select_nth_unstable_by(k, |a, b| falling(masses, *a, *b));
        order.truncate(k);
    }
    order.sort_unstable();
    order
}

/// How many items two ascending lists share.
pub(crate) fn shared(a: &[usize], b: &[usize]) -> usize {
    a.iter()
        .filter(|item| b.binary_search(item).is_ok())
        .count()
}

fn falling(masses: &[f64], a: usize, b: usize) -> Ordering {
    masses[b].total_cmp(&masses[a]).then(a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavier_items_come_first_and_equal_ones_by_number() {
        let masses = [0.1, 0.4, 0.1, 0.4];
        assert_eq!(by_falling_mass(&masses), [1, 3, 0, 2]);
        assert_eq!(top_set(&masses, 3), [0, 1, 3]);
        assert_eq!(top_set(&masses, 9), [0, 1, 2, 3]);
        assert_eq!(shared(&[0, 1, 3], &[1, 2, 3]), 2);
    }
}
