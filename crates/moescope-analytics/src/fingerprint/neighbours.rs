//! Nearest neighbours and their votes.

use rayon::prelude::*;

/// The `k` nearest of `0..n` to each of them, nearest first, ties to the lower index.
///
/// `distances(i, row)` fills `row` with the distances from `i` to all; `is_allowed(i, j)` tells whether j may be i's neighbour.
/// Where fewer are allowed, fewer are returned.
pub(crate) fn nearest(
    n: usize,
    k: usize,
    distances: impl Fn(usize, &mut [f64]) + Sync,
    is_allowed: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<Vec<usize>> {
    (0..n)
        .into_par_iter()
        .map_init(
            || vec![0.0; n],
            |row, i| {
                distances(i, row);
                let mut candidates: Vec<usize> = (0..n).filter(|j| is_allowed(i, *j)).collect();
                let nearer = |a: &usize, b: &usize| row[*a].total_cmp(&row[*b]).then(a.cmp(b));
                if candidates.len() > k && k > 0 {
                    candidates.select_nth_unstable_by(k - 1, nearer);
                }
                candidates.truncate(k);
                candidates.sort_unstable_by(nearer);
                candidates
            },
        )
        .collect()
}

/// Whether the majority of each document's neighbours has its label; ties go to the tied label with the nearest neighbour.
///
/// A document without neighbours is wrong.
pub(crate) fn votes(neighbours: &[Vec<usize>], label: &[usize], labels: usize) -> Vec<bool> {
    let mut count = vec![0usize; labels];
    neighbours
        .iter()
        .zip(label)
        .map(|(neighbours, own)| {
            count.fill(0);
            for neighbour in neighbours {
                count[label[*neighbour]] += 1;
            }
            let most = count.iter().max().copied().unwrap_or(0);
            let winner = neighbours
                .iter()
                .map(|neighbour| label[*neighbour])
                .find(|label| count[*label] == most);
            winner == Some(*own)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_sorted_and_forbidden_ones_left_out() {
        // Points 0, 1, 3, 3 on a line; 1 may not be 0's neighbour.
        let points = [0.0f64, 1.0, 3.0, 3.0];
        let found = nearest(
            4,
            2,
            |i, row| {
                for (j, d) in row.iter_mut().enumerate() {
                    *d = (points[i] - points[j]).abs();
                }
            },
            |i, j| i != j && (i, j) != (0, 1),
        );
        assert_eq!(found, [vec![2, 3], vec![0, 2], vec![3, 1], vec![2, 1]]);
    }

    #[test]
    fn ties_go_to_the_nearest() {
        // The neighbours' labels are 1, 0: a tie that 1 wins, being nearer.
        let neighbours = [vec![1, 2], vec![0], vec![]];
        assert_eq!(votes(&neighbours, &[1, 1, 0], 2), [true, true, false]);
        assert_eq!(votes(&neighbours, &[0, 1, 0], 2), [false, false, false]);
    }
}
