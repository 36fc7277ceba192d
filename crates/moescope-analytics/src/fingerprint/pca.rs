//! Principal components by subspace iteration, deterministic up to nothing: signs are fixed.

use rayon::prelude::*;

use super::{Matrix, matrix::dot};
use crate::stats::random::{self, Purpose};

/// The first components of some points.
#[derive(Clone, Debug)]
pub(crate) struct Components {
    /// Coordinates, `[rows, count]`; each column's entry of largest size is positive.
    pub(crate) scores: Matrix,
    /// Share of the variance that each component holds.
    pub(crate) explained: Vec<f64>,
    /// Whether the iteration converged; close eigenvalues may not.
    pub(crate) is_converged: bool,
}

/// The first `count` principal components of the rows, centred, not scaled.
///
/// Works on the smaller of covariance and Gram matrix.
pub(crate) fn principal_components(points: &Matrix, count: usize) -> Components {
    let centred = points.centred();
    let (rows, columns) = (centred.rows(), centred.columns());
    let total: f64 = centred.values().iter().map(|x| x * x).sum();
    let is_wide = columns > rows;
    let side = rows.min(columns);
    let symmetric = if is_wide {
        gram(&centred)
    } else {
        gram(&transpose(&centred))
    };
    let found = leading_eigenpairs(&symmetric, count.min(side));
    let mut scores = vec![0.0; rows * count];
    let mut explained = vec![0.0; count];
    for (component, (value, vector)) in found.pairs.iter().enumerate() {
        explained[component] = if total > 0.0 { value / total } else { 0.0 };
        let mut coordinates: Vec<f64> = if is_wide {
            vector.iter().map(|x| x * value.max(0.0).sqrt()).collect()
        } else {
            centred.iter_rows().map(|row| dot(row, vector)).collect()
        };
        fix_sign(&mut coordinates);
        for (row, x) in coordinates.into_iter().enumerate() {
            scores[row * count + component] = x;
        }
    }
    Components {
        scores: Matrix::new(count, scores),
        explained,
        is_converged: found.is_converged,
    }
}

/// Makes the entry of largest size positive, the first of equals.
fn fix_sign(values: &mut [f64]) {
    let largest = values.iter().fold(0.0f64, |best, x| {
        if x.abs() > best.abs() * (1.0 + 1e-9) {
            *x
        } else {
            best
        }
    });
    if largest < 0.0 {
        for x in values {
            *x = -*x;
        }
    }
}

fn transpose(matrix: &Matrix) -> Matrix {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    let mut values = vec![0.0; rows * columns];
    for (i, row) in matrix.iter_rows().enumerate() {
        for (j, x) in row.iter().enumerate() {
            values[j * rows + i] = *x;
        }
    }
    Matrix::new(rows, values)
}

/// X Xᵀ.
fn gram(matrix: &Matrix) -> Matrix {
    let n = matrix.rows();
    let values = (0..n)
        .into_par_iter()
        .flat_map_iter(|i| (0..n).map(move |j| dot(matrix.row(i), matrix.row(j))))
        .collect();
    Matrix::new(n, values)
}

struct Eigenpairs {
    /// Eigenvalue and unit vector, largest value first.
    pairs: Vec<(f64, Vec<f64>)>,
    is_converged: bool,
}

/// The largest eigenvalues of a symmetric positive semidefinite matrix, by subspace iteration with Rayleigh–Ritz.
///
/// A few vectors more than asked for make the iteration converge at the rate of a farther eigenvalue.
fn leading_eigenpairs(symmetric: &Matrix, count: usize) -> Eigenpairs {
    const EXTRA: usize = 8;
    const MOST_ROUNDS: usize = 500;
    const TOLERANCE: f64 = 1e-11;
    let n = symmetric.rows();
    let width = (count + EXTRA).min(n);
    let mut rng = random::stream(0, Purpose::Eigenvectors, 0);
    let mut basis: Vec<Vec<f64>> = (0..width)
        .map(|_| (0..n).map(|_| random::gaussian(&mut rng)).collect())
        .collect();
    orthonormalize(&mut basis);
    let mut pairs = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let images: Vec<Vec<f64>> = basis
            .par_iter()
            .map(|vector| symmetric.iter_rows().map(|row| dot(row, vector)).collect())
            .collect();
        let projected: Vec<Vec<f64>> = basis
            .iter()
            .map(|v| images.iter().map(|image| dot(v, image)).collect())
            .collect();
        let (values, rotation) = jacobi(projected);
        let rotate = |vectors: &[Vec<f64>]| -> Vec<Vec<f64>> {
            rotation
                .iter()
                .map(|weights| combine(vectors, weights))
                .collect()
        };
        let (vectors, mut images) = (rotate(&basis), rotate(&images));
        let scale = values.first().copied().unwrap_or(0.0).abs();
        let residual = (0..count)
            .map(|i| {
                let image = images[i].iter().zip(&vectors[i]);
                image
                    .map(|(image, x)| (image - values[i] * x).powi(2))
                    .sum::<f64>()
                    .sqrt()
            })
            .fold(0.0, f64::max);
        pairs = values.into_iter().zip(vectors).take(count).collect();
        if residual <= TOLERANCE * scale {
            return Eigenpairs {
                pairs,
                is_converged: true,
            };
        }
        orthonormalize(&mut images);
        basis = images;
    }
    Eigenpairs {
        pairs,
        is_converged: false,
    }
}

/// The sum of `weights[i] · vectors[i]`.
fn combine(vectors: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; vectors[0].len()];
    for (vector, weight) in vectors.iter().zip(weights) {
        sum.iter_mut()
            .zip(vector)
            .for_each(|(s, x)| *s += weight * x);
    }
    sum
}

/// Modified Gram–Schmidt, twice for accuracy; vectors that vanish become unit vectors.
fn orthonormalize(vectors: &mut [Vec<f64>]) {
    for i in 0..vectors.len() {
        let (before, rest) = vectors.split_at_mut(i);
        let current = &mut rest[0];
        let scale = dot(current, current).sqrt();
        let mut attempt = 0;
        loop {
            for _ in 0..2 {
                for other in before.iter() {
                    let overlap = dot(current, other);
                    current
                        .iter_mut()
                        .zip(other)
                        .for_each(|(x, y)| *x -= overlap * y);
                }
            }
            let length = dot(current, current).sqrt();
            if length > 1e-12 * scale && length > 1e-300 {
                for x in current.iter_mut() {
                    *x /= length;
                }
                break;
            }
            // Any direction outside the span will do; one of the first i + 1 axes lies outside it.
            current.fill(0.0);
            current[attempt] = 1.0;
            attempt += 1;
        }
    }
}

/// Eigenvalues, largest first, and eigenvectors (as rows) of a small symmetric matrix, by cyclic Jacobi rotations.
fn jacobi(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    const MOST_SWEEPS: usize = 60;
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
        .collect();
    for _ in 0..MOST_SWEEPS {
        let mut off = 0.0;
        let mut all = 0.0;
        for (i, row) in a.iter().enumerate() {
            for (j, x) in row.iter().enumerate() {
                all += x * x;
                off += if i == j { 0.0 } else { x * x };
            }
        }
        if off <= 1e-30 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| a[*j][*j].total_cmp(&a[*i][*i]));
    (
        order.iter().map(|i| a[*i][*i]).collect(),
        order.iter().map(|i| vectors[*i].clone()).collect(),
    )
}

/// One Jacobi rotation that makes `matrix[p][q]` zero.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if matrix[p][q] == 0.0 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
    let tangent = if theta == 0.0 {
        1.0
    } else {
        theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt())
    };
    let cos = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sin = tangent * cos;
    let turned = |x: f64, y: f64| (cos * x - sin * y, sin * x + cos * y);
    for row in matrix.iter_mut() {
        (row[p], row[q]) = turned(row[p], row[q]);
    }
    let turn_rows = |rows: &mut [Vec<f64>]| {
        let (head, tail) = rows.split_at_mut(q);
        for (x, y) in head[p].iter_mut().zip(&mut tail[0]) {
            (*x, *y) = turned(*x, *y);
        }
    };
    turn_rows(matrix);
    turn_rows(vectors);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_have_one_component() {
        // (t, 2t) for t = −2..2: all variance along (1, 2)/√5, coordinates t √5.
        let values: Vec<f64> = (-2..=2)
            .flat_map(|t| [f64::from(t), 2.0 * f64::from(t)])
            .collect();
        let found = principal_components(&Matrix::new(2, values), 2);
        assert!(found.is_converged);
        assert!((found.explained[0] - 1.0).abs() < 1e-12);
        for (row, t) in (-2..=2).enumerate() {
            let x = found.scores.row(row)[0];
            assert!((x.abs() - f64::from(t).abs() * 5f64.sqrt()).abs() < 1e-9);
        }
        assert!(
            found.scores.row(0)[0] > 0.0,
            "the first of the largest is positive"
        );
    }

    #[test]
    fn wide_and_tall_matrices_agree() {
        let mut rng = random::stream(3, Purpose::Eigenvectors, 1);
        let wide: Vec<f64> = (0..6 * 9).map(|_| random::gaussian(&mut rng)).collect();
        let wide = Matrix::new(9, wide);
        // Zero columns change no distance, but put the matrix on the other side of the branch.
        let tall = Matrix::new(
            5,
            wide.iter_rows().flat_map(|row| row[..5].to_vec()).collect(),
        );
        let padded = Matrix::new(
            9,
            tall.iter_rows()
                .flat_map(|row| [row, &[0.0; 4]].concat())
                .collect(),
        );
        let (a, b) = (
            principal_components(&tall, 2),
            principal_components(&padded, 2),
        );
        for (x, y) in a.scores.values().iter().zip(b.scores.values()) {
            assert!((x - y).abs() < 1e-8, "{x} {y}");
        }
    }

    #[test]
    fn equal_points_have_no_variance() {
        let found = principal_components(&Matrix::new(3, vec![0.5; 12]), 2);
        assert!(found.scores.values().iter().all(|x| x.abs() < 1e-12));
        assert_eq!(found.explained, [0.0, 0.0]);
    }
}
