//! How far a map can be trusted.

use rayon::prelude::*;

use super::{Matrix, matrix::squared_distance, nearest};

/// Trustworthiness of a map (Venna & Kaski 2001): 1 when the `k` neighbours on the map are neighbours in the original space.
///
/// `T = 1 − 2 / (n k (2n − 3k − 1)) Σ_i Σ_j max(0, r(i, j) − k)`, with j among i's k on the map and r the rank among the original distances.
/// NaN where k is not below n / 2.
pub(crate) fn trustworthiness(points: &Matrix, map: &Matrix, k: usize) -> f64 {
    let n = points.rows();
    if 2 * k >= n {
        return f64::NAN;
    }
    let on_map = neighbours(map, k);
    let penalty: usize = on_map
        .par_iter()
        .enumerate()
        .map(|(i, near)| {
            let distances: Vec<f64> = (0..n)
                .map(|j| squared_distance(points.row(i), points.row(j)))
                .collect();
            let mut order: Vec<usize> = (0..n).filter(|j| *j != i).collect();
            order.sort_unstable_by(|a, b| distances[*a].total_cmp(&distances[*b]).then(a.cmp(b)));
            let mut rank = vec![0; n];
            for (place, j) in order.into_iter().enumerate() {
                rank[j] = place + 1;
            }
            near.iter()
                .map(|j| rank[*j].saturating_sub(k))
                .sum::<usize>()
        })
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "numbers of documents")]
    let (n, k, penalty) = (n as f64, k as f64, penalty as f64);
    1.0 - 2.0 * penalty / (n * k * (2.0 * n - 3.0 * k - 1.0))
}

/// Mean share of the `k` neighbours that two maps have in common, over all pairs of maps; NaN below two maps.
pub(crate) fn neighbour_overlap(maps: &[Matrix], k: usize) -> f64 {
    let near: Vec<Vec<Vec<usize>>> = maps.iter().map(|map| neighbours(map, k)).collect();
    let mut shares = Vec::new();
    for (i, a) in near.iter().enumerate() {
        for b in &near[i + 1..] {
            shares.extend(a.iter().zip(b).map(|(a, b)| {
                let common = a.iter().filter(|j| b.contains(j)).count();
                #[expect(clippy::cast_precision_loss, reason = "numbers of neighbours")]
                let share = common as f64 / a.len().max(1) as f64;
                share
            }));
        }
    }
    crate::stats::correlation::mean(&shares)
}

fn neighbours(map: &Matrix, k: usize) -> Vec<Vec<usize>> {
    nearest(
        map.rows(),
        k,
        |i, row| {
            for (j, distance) in row.iter_mut().enumerate() {
                *distance = squared_distance(map.row(i), map.row(j));
            }
        },
        |i, j| i != j,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_is_the_space_is_trusted_and_a_scrambled_one_is_less() {
        let line = Matrix::new(1, (0..12).map(f64::from).collect());
        assert!((trustworthiness(&line, &line, 3) - 1.0).abs() < 1e-12);
        // Every other point far away: neighbours on the map are at least two apart in the space.
        let scrambled = Matrix::new(1, (0..12).map(|i| f64::from(i % 2 * 100 + i)).collect());
        assert!(trustworthiness(&line, &scrambled, 3) < 0.9);
        assert!(trustworthiness(&line, &line, 6).is_nan());
    }

    #[test]
    fn equal_maps_overlap_fully() {
        let line = Matrix::new(1, (0..9).map(f64::from).collect());
        assert!((neighbour_overlap(&[line.clone(), line.clone()], 2) - 1.0).abs() < 1e-12);
        assert!(neighbour_overlap(&[line], 2).is_nan());
    }
}
