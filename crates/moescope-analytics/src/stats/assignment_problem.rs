//! The one-to-one matching of largest total weight.

/// The column of each row in the matching whose weights sum to the most, `[rows]`; `weights` is `[rows, columns]`.
///
/// With fewer columns than rows some rows have none. The Hungarian method with potentials, O(n² m) for n ≤ m
/// (Kuhn 1955; the form with shortest augmenting paths of Jonker & Volgenant 1987). Weights must be finite.
pub(crate) fn best_assignment(weights: &[f64], rows: usize, columns: usize) -> Vec<Option<usize>> {
    debug_assert_eq!(weights.len(), rows * columns);
    if rows > columns {
        let transposed = |i: usize| weights[(i % rows) * columns + i / rows];
        let transposed: Vec<f64> = (0..rows * columns).map(transposed).collect();
        let mut found = vec![None; rows];
        for (column, row) in assign(&transposed, columns, rows).into_iter().enumerate() {
            found[row] = Some(column);
        }
        return found;
    }
    let found = assign(weights, rows, columns);
    found.into_iter().map(Some).collect()
}

/// The matching of every row, for at least as many columns as rows.
fn assign(weights: &[f64], rows: usize, columns: usize) -> Vec<usize> {
    // Rows and columns are counted from 1; column 0 is where an augmenting path begins.
    let cost = |row: usize, column: usize| -weights[(row - 1) * columns + column - 1];
    let mut row_potential = vec![0.0; rows + 1];
    let mut column_potential = vec![0.0; columns + 1];
    let mut row_of = vec![0; columns + 1];
    let mut before = vec![0; columns + 1];
    for row in 1..=rows {
        row_of[0] = row;
        let mut column = 0;
        let mut distance = vec![f64::INFINITY; columns + 1];
        let mut is_reached = vec![false; columns + 1];
        while row_of[column] != 0 {
            is_reached[column] = true;
            let row = row_of[column];
            let mut shortest = f64::INFINITY;
            let mut next = 0;
            for (other, is_reached) in is_reached.iter().enumerate().skip(1) {
                if *is_reached {
                    continue;
                }
                let reduced = cost(row, other) - row_potential[row] - column_potential[other];
                if reduced < distance[other] {
                    distance[other] = reduced;
                    before[other] = column;
                }
                if distance[other] < shortest {
                    shortest = distance[other];
                    next = other;
                }
            }
            for (other, is_reached) in is_reached.iter().enumerate() {
                if *is_reached {
                    row_potential[row_of[other]] += shortest;
                    column_potential[other] -= shortest;
                } else {
                    distance[other] -= shortest;
                }
            }
            column = next;
        }
        // Along the path every row takes the column after its own.
        while column != 0 {
            row_of[column] = row_of[before[column]];
            column = before[column];
        }
    }
    let mut found = vec![0; rows];
    for (column, row) in row_of.iter().enumerate().skip(1) {
        if *row != 0 {
            found[row - 1] = column - 1;
        }
    }
    found
}

/// The sum of the matched weights.
pub(crate) fn total(weights: &[f64], columns: usize, assignment: &[Option<usize>]) -> f64 {
    let matched = assignment.iter().enumerate();
    let matched = matched.filter_map(|(row, column)| Some(weights[row * columns + (*column)?]));
    matched.sum()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn the_best_total_is_not_that_of_the_largest_entries() {
        // Greedy takes 9 and then 1: 10. The other two give 8 + 7 = 15.
        let weights = [9.0, 8.0, 7.0, 1.0];
        let found = best_assignment(&weights, 2, 2);
        assert_eq!(found, [Some(1), Some(0)]);
        assert!((total(&weights, 2, &found) - 15.0).abs() < 1e-12);
    }

    #[test]
    fn with_fewer_columns_the_worst_row_stays_alone() {
        let found = best_assignment(&[1.0, 5.0, 3.0], 3, 1);
        assert_eq!(found, [None, Some(0), None]);
        assert_eq!(best_assignment(&[1.0, 5.0, 3.0], 1, 3), [Some(1)]);
        assert!(best_assignment(&[], 0, 3).is_empty());
    }

    #[derive(Deserialize)]
    struct Oracle {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        weights: Vec<Vec<f64>>,
        columns: Vec<usize>,
        rows: Vec<usize>,
        total: f64,
    }

    #[test]
    fn assignments_agree_with_scipy() {
        let oracle = include_str!("../../tests/oracle/assignment.json");
        let oracle: Oracle = serde_json::from_str(oracle).unwrap();
        assert!(oracle.cases.len() >= 5);
        for case in oracle.cases {
            let (rows, columns) = (case.weights.len(), case.weights[0].len());
            let weights = case.weights.concat();
            let found = best_assignment(&weights, rows, columns);
            let matched: Vec<(usize, usize)> = found
                .iter()
                .enumerate()
                .filter_map(|(row, column)| Some((row, (*column)?)))
                .collect();
            let expected: Vec<(usize, usize)> = case.rows.into_iter().zip(case.columns).collect();
            // The optimum is unique where weights are continuous, and integers are compared by their total.
            if weights.iter().any(|w| w.fract() != 0.0) {
                assert_eq!(matched, expected);
            }
            assert_eq!(matched.len(), rows.min(columns));
            assert!((total(&weights, columns, &found) - case.total).abs() < 1e-9);
        }
    }
}
