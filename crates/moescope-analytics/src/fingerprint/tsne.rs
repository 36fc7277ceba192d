//! t-SNE (van der Maaten & Hinton 2008) by Barnes–Hut, made repeatable.

use bhtsne::{Neighbor, tSNE};

use super::{Matrix, matrix::squared_distance, nearest, principal_components};
use crate::{
    AnalyticsError,
    stats::random::{self, Purpose},
};

/// Fewer points than this have no map worth the name.
pub(crate) const FEWEST_POINTS: usize = 10;

/// Where the points start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapStart {
    /// At their first two principal components, scaled down.
    Pca,
    /// At random, by this seed.
    Random(u64),
}

/// A map of the rows in two dimensions, `[rows, 2]`: the same for the same points and start, whatever the machine's load.
///
/// Euclidean distances, perplexity min(30, (n − 1) / 3), 1000 steps, θ = 0.5.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn tsne(
    points: &Matrix,
    neighbourhood: &Neighbourhood,
    start: MapStart,
) -> Result<Matrix, AnalyticsError> {
    const THETA: f64 = 0.5;
    let initial = initial_positions(points, start);
    let rows: Vec<&[f64]> = points.iter_rows().collect();
    // One thread: parallel sums of bhtsne are not repeatable bit by bit.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .map_err(|error| {
            AnalyticsError::Request(format!("t-SNE could not start a thread: {error}"))
        })?;
    let map = pool.install(|| {
        tSNE::<f64, &[f64], 2>::new(&rows)
            .perplexity(f64::from(neighbourhood.perplexity))
            .epochs(1000)
            .initial_embedding(initial)
            .barnes_hut_with_neighbors(THETA, &neighbourhood.neighbours)
            .embedding()
    });
    Ok(Matrix::new(2, map))
}

/// What every map of some points needs, whatever its start.
pub(crate) struct Neighbourhood {
    perplexity: u8,
    neighbours: Vec<Vec<Neighbor<f64>>>,
}

impl Neighbourhood {
    /// The three times perplexity nearest neighbours of at least [`FEWEST_POINTS`] points.
    pub(crate) fn of(points: &Matrix) -> Self {
        const MOST: u8 = 30;
        let n = points.rows();
        debug_assert!(n >= FEWEST_POINTS, "the caller checks");
        let perplexity = u8::try_from((n - 1) / 3).unwrap_or(MOST).min(MOST);
        let distance = |i: usize, j: usize| squared_distance(points.row(i), points.row(j)).sqrt();
        let near = nearest(
            n,
            3 * usize::from(perplexity),
            |i, row| {
                for (j, d) in row.iter_mut().enumerate() {
                    *d = distance(i, j);
                }
            },
            |i, j| i != j,
        );
        let with_distances = |(i, near): (usize, Vec<usize>)| {
            near.into_iter()
                .map(|index| Neighbor {
                    index,
                    distance: distance(i, index),
                })
                .collect()
        };
        Self {
            perplexity,
            neighbours: near.into_iter().enumerate().map(with_distances).collect(),
        }
    }
}

/// Standard deviation 10⁻⁴, as scikit-learn starts; a trace of noise parts equal documents.
fn initial_positions(points: &Matrix, start: MapStart) -> Vec<f64> {
    const SPREAD: f64 = 1e-4;
    let seed = match start {
        MapStart::Pca => 0,
        MapStart::Random(seed) => seed,
    };
    let mut rng = random::stream(seed, Purpose::MapStart, 0);
    let mut noise = || random::gaussian(&mut rng);
    match start {
        MapStart::Random(_) => (0..2 * points.rows()).map(|_| SPREAD * noise()).collect(),
        MapStart::Pca => {
            let scores = principal_components(points, 2).scores;
            let squares: f64 = scores.iter_rows().map(|row| row[0] * row[0]).sum();
            #[expect(clippy::cast_precision_loss, reason = "a number of documents")]
            let sd = (squares / points.rows() as f64).sqrt();
            let scale = if sd > 0.0 { SPREAD / sd } else { 0.0 };
            let jitter = 1e-3 * SPREAD;
            scores
                .values()
                .iter()
                .map(|x| scale * x + jitter * noise())
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::trustworthiness;

    fn map_of(points: &Matrix, start: MapStart) -> Matrix {
        tsne(points, &Neighbourhood::of(points), start).unwrap()
    }

    /// Two clouds far apart, with one document twice.
    fn clouds() -> Matrix {
        let mut rng = random::stream(9, Purpose::MapStart, 5);
        let mut values = Vec::new();
        for row in 0..40 {
            let centre = if row < 20 { 0.0 } else { 8.0 };
            values.extend((0..5).map(|_| centre + random::gaussian(&mut rng)));
        }
        let first = values[..5].to_vec();
        values[5..10].copy_from_slice(&first);
        Matrix::new(5, values)
    }

    #[test]
    fn the_same_start_gives_the_same_map_and_clouds_stay_apart() {
        let points = clouds();
        let map = map_of(&points, MapStart::Pca);
        assert_eq!(map, map_of(&points, MapStart::Pca));
        assert!(map.values().iter().all(|x| x.is_finite()));
        assert!(trustworthiness(&points, &map, 5) > 0.9);
        let mean = |rows: std::ops::Range<usize>| {
            let n = 20.0;
            let sum = |c: usize| rows.clone().map(|i| map.row(i)[c]).sum::<f64>() / n;
            [sum(0), sum(1)]
        };
        let apart = squared_distance(&mean(0..20), &mean(20..40)).sqrt();
        let spread = (0..20)
            .map(|i| squared_distance(map.row(i), &mean(0..20)).sqrt())
            .fold(0.0, f64::max);
        assert!(apart > spread, "{apart} {spread}");
        assert_ne!(map, map_of(&points, MapStart::Random(1)));
    }

    #[test]
    fn equal_points_still_have_a_finite_map() {
        let map = map_of(&Matrix::new(3, vec![0.25; 36]), MapStart::Pca);
        assert!(map.values().iter().all(|x| x.is_finite()));
    }
}
