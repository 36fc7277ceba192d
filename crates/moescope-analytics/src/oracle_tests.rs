//! Our statistics against numpy, scipy and scikit-learn; `tests/oracle/generate.py` made the values.

use serde::Deserialize;

use crate::{
    fingerprint::{Matrix, TokenBags, nearest, principal_components, trustworthiness, votes},
    stats::{
        change_points::Scratch,
        correlation::spearman,
        information::{LabelPrior, entropy_bits, jsd_bits, mutual_information},
        interval,
        logistic::{Logistic, LogisticConfig, Standardised},
        normal,
    },
};

#[derive(Deserialize)]
struct Oracle {
    counts: Vec<Vec<f64>>,
    entropy_bits: Vec<f64>,
    jsd_pairs: Vec<(usize, usize)>,
    jsd_bits: Vec<f64>,
    mi_bits_equal_prior: f64,
    nmi_equal_prior: f64,
    mi_bits_mass_prior: f64,
    nmi_mass_prior: f64,
    points: Vec<Vec<f64>>,
    point_labels: Vec<usize>,
    groups: Vec<usize>,
    pca_scores: Vec<Vec<f64>>,
    pca_explained: Vec<f64>,
    plane: Vec<Vec<f64>>,
    trustworthiness_plane: f64,
    trustworthiness_pca: f64,
    knn_is_right: Vec<bool>,
    bags: Vec<Vec<u32>>,
    bag_cosine_distances: Vec<Vec<f64>>,
    x: Vec<f64>,
    y: Vec<f64>,
    spearman: f64,
    z: Vec<f64>,
    norm_cdf: Vec<f64>,
    probabilities: Vec<f64>,
    norm_ppf: Vec<f64>,
    quantile_at: Vec<f64>,
    quantiles_of_x: Vec<f64>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../tests/oracle/oracle.json")).unwrap()
}

fn matrix(rows: &[Vec<f64>]) -> Matrix {
    Matrix::new(rows[0].len(), rows.concat())
}

/// Both sides are f64; they differ in the order of summation only.
#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "found {found}, expected {expected}"
    );
}

#[test]
fn entropy_and_divergence_agree_with_scipy() {
    let oracle = oracle();
    for (row, expected) in oracle.counts.iter().zip(&oracle.entropy_bits) {
        close(entropy_bits(row), *expected, 1e-11);
    }
    for ((a, b), expected) in oracle.jsd_pairs.iter().zip(&oracle.jsd_bits) {
        close(
            jsd_bits(&oracle.counts[*a], &oracle.counts[*b]),
            *expected,
            1e-11,
        );
    }
}

#[test]
fn mutual_information_agrees_with_scikit_learn() {
    let oracle = oracle();
    let mass = oracle.counts.concat();
    let equal = mutual_information(&mass, 8, LabelPrior::Equal);
    close(equal.bits, oracle.mi_bits_equal_prior, 1e-11);
    close(equal.normalized(), oracle.nmi_equal_prior, 1e-11);
    let by_mass = mutual_information(&mass, 8, LabelPrior::Mass);
    close(by_mass.bits, oracle.mi_bits_mass_prior, 1e-11);
    close(by_mass.normalized(), oracle.nmi_mass_prior, 1e-11);
}

#[test]
fn principal_components_agree_with_scikit_learn_up_to_sign() {
    let oracle = oracle();
    let found = principal_components(&matrix(&oracle.points), 2);
    assert!(found.is_converged);
    for component in 0..2 {
        close(
            found.explained[component],
            oracle.pca_explained[component],
            1e-9,
        );
        let sign = (found.scores.row(0)[component] * oracle.pca_scores[0][component]).signum();
        for (row, expected) in oracle.pca_scores.iter().enumerate() {
            close(
                found.scores.row(row)[component],
                sign * expected[component],
                1e-8,
            );
        }
    }
}

#[test]
fn trustworthiness_agrees_with_scikit_learn() {
    let oracle = oracle();
    let points = matrix(&oracle.points);
    close(
        trustworthiness(&points, &matrix(&oracle.plane), 5),
        oracle.trustworthiness_plane,
        1e-12,
    );
    close(
        trustworthiness(&points, &matrix(&oracle.pca_scores), 5),
        oracle.trustworthiness_pca,
        1e-12,
    );
}

#[test]
fn nearest_neighbours_agree_with_leave_one_group_out_of_scikit_learn() {
    // Five votes of two labels cannot tie, so tie rules do not matter.
    let oracle = oracle();
    let points = matrix(&oracle.points).normalized_rows();
    let neighbours = nearest(
        points.rows(),
        5,
        |i, row| {
            for (distance, other) in row.iter_mut().zip(points.iter_rows()) {
                *distance = 1.0
                    - points
                        .row(i)
                        .iter()
                        .zip(other)
                        .map(|(a, b)| a * b)
                        .sum::<f64>();
            }
        },
        |i, j| oracle.groups[i] != oracle.groups[j],
    );
    assert_eq!(
        votes(&neighbours, &oracle.point_labels, 2),
        oracle.knn_is_right
    );
}

#[test]
fn bags_of_tokens_have_the_cosine_distances_of_scikit_learn() {
    let oracle = oracle();
    let sparse: Vec<Vec<(u32, u32)>> = oracle
        .bags
        .iter()
        .map(|bag| {
            (0u32..)
                .zip(bag.iter().copied())
                .filter(|(_, n)| *n > 0)
                .collect()
        })
        .collect();
    let borrowed: Vec<&[(u32, u32)]> = sparse.iter().map(Vec::as_slice).collect();
    let bags = TokenBags::new(&borrowed);
    let mut row = vec![0.0; sparse.len()];
    for (document, expected) in oracle.bag_cosine_distances.iter().enumerate() {
        bags.distances(document, &mut row);
        for (found, expected) in row.iter().zip(expected) {
            close(*found, *expected, 1e-11);
        }
    }
}

#[test]
fn ranks_quantiles_and_the_normal_distribution_agree_with_scipy_and_numpy() {
    let oracle = oracle();
    close(spearman(&oracle.x, &oracle.y), oracle.spearman, 1e-12);
    for (z, expected) in oracle.z.iter().zip(&oracle.norm_cdf) {
        // The approximation is good to about 1e-15; its continued fraction beyond 7 to about 1e-8 of the value.
        close(normal::cdf(*z), *expected, 1e-14);
        close(normal::cdf(*z) / expected, 1.0, 1e-7);
    }
    for (p, expected) in oracle.probabilities.iter().zip(&oracle.norm_ppf) {
        close(normal::quantile(*p), *expected, 1e-9);
    }
    let mut sorted = oracle.x;
    sorted.sort_by(f64::total_cmp);
    for (p, expected) in oracle.quantile_at.iter().zip(&oracle.quantiles_of_x) {
        close(interval::quantile(&sorted, *p), *expected, 1e-11);
    }
}

/// What `tests/oracle/generate_sequence.py` made.
#[derive(Deserialize)]
struct Sequence {
    documents: Vec<Routed>,
    cuts: Vec<(usize, f64)>,
    x: Vec<Vec<f64>>,
    y: Vec<usize>,
    coefficients: Vec<Vec<f64>>,
    intercepts: Vec<f64>,
    predicted: Vec<usize>,
}

#[derive(Deserialize)]
struct Routed {
    experts: Vec<Vec<u16>>,
}

fn sequence() -> Sequence {
    serde_json::from_str(include_str!("../tests/oracle/sequence.json")).unwrap()
}

#[test]
fn the_best_cut_agrees_with_scipys_g_test() {
    let oracle = sequence();
    for (document, (before, gain)) in oracle.documents.iter().zip(&oracle.cuts) {
        let blocks: Vec<Vec<u16>> = document.experts.chunks(8).map(<[_]>::concat).collect();
        let order: Vec<usize> = (0..blocks.len()).collect();
        let found = Scratch::new(&blocks, 6).best_split(&blocks, &order);
        assert_eq!(found.before, *before);
        close(found.gain, *gain, 1e-9);
    }
}

#[test]
fn logistic_regression_agrees_with_scikit_learn() {
    let oracle = sequence();
    let features = Standardised {
        rows: oracle.x.iter().map(Vec::as_slice).collect(),
    };
    let rows: Vec<usize> = (0..oracle.y.len()).collect();
    let config = LogisticConfig {
        c: 1.0,
        tolerance: 1e-8,
        most_steps: 1000,
    };
    let model = Logistic::fit(&features, &rows, &oracle.y, 3, config, &|| Ok(())).unwrap();
    assert!(model.is_converged);
    let expected = oracle.coefficients.iter().zip(&oracle.intercepts);
    // Both stop at a small slope, scikit-learn's at another one.
    for (found, (coefficients, intercept)) in model.weights.chunks(5).zip(expected) {
        for (found, expected) in found.iter().zip(coefficients.iter().chain([intercept])) {
            close(*found, *expected, 1e-5);
        }
    }
    assert_eq!(model.predict(&features, &rows), oracle.predicted);
}
