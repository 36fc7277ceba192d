//! The order in which the rows of a matrix stand beside those that are like them.

/// The leaves of an average-linkage tree, branches turned so that the ends that meet are near one another.
///
/// Equal distances are broken by the given order, so the same matrix always has the same order; an undefined distance
/// counts as the largest. The walk begins at the end that comes first in the given order.
pub(crate) fn by_similarity(n: usize, distance: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let mut leaves: Vec<f64> = (0..n * n).map(|i| distance(i / n, i % n)).collect();
    let largest = leaves
        .iter()
        .copied()
        .filter(|d| d.is_finite())
        .fold(0.0, f64::max);
    for d in &mut leaves {
        if !d.is_finite() {
            *d = largest;
        }
    }
    let mut between = leaves.clone();
    let mut clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    let mut alive: Vec<usize> = (0..n).collect();
    while alive.len() > 1 {
        let (a, b) = nearest(&alive, |a, b| between[a * n + b]);
        let (size_a, size_b) = (size(&clusters[a]), size(&clusters[b]));
        for other in alive.iter().copied().filter(|k| *k != a && *k != b) {
            let mean = (size_a * between[a * n + other] + size_b * between[b * n + other])
                / (size_a + size_b);
            between[a * n + other] = mean;
            between[other * n + a] = mean;
        }
        let right = std::mem::take(&mut clusters[b]);
        let left = std::mem::take(&mut clusters[a]);
        clusters[a] = joined(left, right, |x, y| leaves[x * n + y]);
        alive.retain(|k| *k != b);
    }
    let mut order = alive
        .first()
        .map(|root| std::mem::take(&mut clusters[*root]))
        .unwrap_or_default();
    if order.first() > order.last() {
        order.reverse();
    }
    order
}

/// How different two rows are, as a mean over the columns where both are defined.
///
/// The columns of the two rows themselves are left out: what a row is to itself says nothing about its likeness.
pub(crate) fn row_distance(values: &[f64], n: usize, a: usize, b: usize) -> f64 {
    let (mut sum, mut defined) = (0.0, 0.0);
    for column in (0..n).filter(|column| *column != a && *column != b) {
        let difference = (values[a * n + column] - values[b * n + column]).abs();
        if difference.is_finite() {
            sum += difference;
            defined += 1.0;
        }
    }
    sum / defined
}

/// The two clusters that are nearest, the first of equals.
fn nearest(alive: &[usize], between: impl Fn(usize, usize) -> f64) -> (usize, usize) {
    let mut best = (alive[0], alive[1], f64::INFINITY);
    for (i, a) in alive.iter().enumerate() {
        for b in &alive[i + 1..] {
            let d = between(*a, *b);
            if d < best.2 {
                best = (*a, *b, d);
            }
        }
    }
    (best.0, best.1)
}

/// Two branches end to end, turned so that the leaves that meet are as near as they can be.
fn joined(
    left: Vec<usize>,
    right: Vec<usize>,
    leaf_distance: impl Fn(usize, usize) -> f64,
) -> Vec<usize> {
    let ends = |branch: &[usize]| (branch[0], branch[branch.len() - 1]);
    let ((left_first, left_last), (right_first, right_last)) = (ends(&left), ends(&right));
    let meetings = [
        (false, false, leaf_distance(left_last, right_first)),
        (false, true, leaf_distance(left_last, right_last)),
        (true, false, leaf_distance(left_first, right_first)),
        (true, true, leaf_distance(left_first, right_last)),
    ];
    let best = meetings
        .into_iter()
        .reduce(|best, next| if next.2 < best.2 { next } else { best })
        .expect("there are four ways");
    let turned = |mut branch: Vec<usize>, is_turned: bool| {
        if is_turned {
            branch.reverse();
        }
        branch
    };
    let mut whole = turned(left, best.0);
    whole.extend(turned(right, best.1));
    whole
}

fn size(cluster: &[usize]) -> f64 {
    crate::axis::count(cluster.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_on_a_line_are_put_in_their_order() {
        // Points at 0, 10, 1, 11, 2: the near ones are 0, 1, 2 and 10, 11, so the walk is 0, 1, 2, 10, 11.
        let places = [0.0_f64, 10.0, 1.0, 11.0, 2.0];
        let order = by_similarity(5, |a, b| (places[a] - places[b]).abs());
        assert_eq!(order, [0, 2, 4, 1, 3]);
    }

    #[test]
    fn equal_distances_keep_the_given_order_and_nothing_is_lost() {
        assert_eq!(by_similarity(4, |_, _| 1.0).len(), 4);
        assert_eq!(
            by_similarity(3, |a, b| if a == b { 0.0 } else { f64::NAN }),
            [0, 1, 2]
        );
        assert_eq!(by_similarity(0, |_, _| 0.0), Vec::<usize>::new());
        assert_eq!(by_similarity(1, |_, _| 0.0), [0]);
    }

    #[test]
    fn rows_are_compared_where_both_are_defined() {
        let nan = f64::NAN;
        // Rows 0 and 1 differ by 1 in column 2 and are undefined in column 3.
        let values = [
            0.0, 9.0, 1.0, nan, //
            9.0, 0.0, 2.0, 5.0, //
            1.0, 2.0, 0.0, 7.0, //
            nan, 5.0, 7.0, 0.0,
        ];
        assert!((row_distance(&values, 4, 0, 1) - 1.0).abs() < 1e-12);
        assert!(row_distance(&values[..1], 1, 0, 0).is_nan());
    }
}
