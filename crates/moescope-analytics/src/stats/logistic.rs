//! Multinomial logistic regression with an L2 penalty.

use std::collections::VecDeque;

use moescope_core::Cancelled;

use super::number::as_f64;

/// Rows of features that a linear model reads.
pub(crate) trait Features: Sync {
    /// Number of features.
    fn columns(&self) -> usize;

    /// Calls `visit(column, value)` for the features of a row that are not 0.
    fn for_each(&self, row: usize, visit: &mut dyn FnMut(usize, f64));

    /// Centre and scale of every column, `[columns]` each, or `None` where features are used as they are.
    ///
    /// Both come from the rows given, which are those of training.
    fn scaling(&self, rows: &[usize]) -> Option<Scaling>;
}

/// A feature x is used as (x − centre) / scale.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scaling {
    pub(crate) centre: Vec<f64>,
    pub(crate) scale: Vec<f64>,
}

impl Scaling {
    /// Mean and population standard deviation of every column over some rows; a constant column has scale 1.
    pub(crate) fn standard(columns: usize, rows: &[&[f64]]) -> Self {
        let n = as_f64(rows.len());
        let mut centre = vec![0.0; columns];
        let mut scale = vec![0.0; columns];
        for row in rows {
            centre.iter_mut().zip(*row).for_each(|(m, x)| *m += x / n);
        }
        for row in rows {
            for ((s, x), m) in scale.iter_mut().zip(*row).zip(&centre) {
                *s += (x - m).powi(2) / n;
            }
        }
        for (s, m) in scale.iter_mut().zip(&centre) {
            *s = s.sqrt();
            // What is left of a constant column after rounding is no variance.
            if *s <= 1e-12 * m.abs().max(1e-300) {
                *s = 1.0;
            }
        }
        Self { centre, scale }
    }
}

/// A fitted model.
#[derive(Clone, Debug)]
pub(crate) struct Logistic {
    /// `[labels × (columns + 1)]`, on features as scaled; the last of each label is its intercept.
    pub(crate) weights: Vec<f64>,
    /// Whether the largest slope fell below the tolerance.
    pub(crate) is_converged: bool,
    scaling: Option<Scaling>,
    labels: usize,
}

/// Strength of the penalty and where to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogisticConfig {
    /// C of ½ Σ w² + C Σ loss; intercepts are free.
    pub(crate) c: f64,
    /// Largest slope over C n at which fitting ends.
    pub(crate) tolerance: f64,
    /// Steps after which fitting ends in any case.
    pub(crate) most_steps: usize,
}

impl Logistic {
    /// Fits the labels `label[row]` of some rows by L-BFGS, asking before each step whether to go on.
    ///
    /// # Errors
    /// When cancelled.
    pub(crate) fn fit(
        features: &dyn Features,
        rows: &[usize],
        label: &[usize],
        labels: usize,
        config: LogisticConfig,
        check: &dyn Fn() -> Result<(), Cancelled>,
    ) -> Result<Self, Cancelled> {
        let scaling = features.scaling(rows);
        let loss = Loss {
            features,
            rows,
            label,
            labels,
            scaling: scaling.as_ref(),
            c: config.c,
        };
        let (weights, is_converged) = minimise(
            &|weights, slope| loss.evaluate(weights, slope),
            labels * (features.columns() + 1),
            config.tolerance * config.c * as_f64(rows.len()),
            config.most_steps,
            check,
        )?;
        Ok(Self {
            weights,
            is_converged,
            scaling,
            labels,
        })
    }

    /// The most likely labels of some rows, the first of equal ones.
    pub(crate) fn predict(&self, features: &dyn Features, rows: &[usize]) -> Vec<usize> {
        let plain = plain_weights(&self.weights, features.columns(), self.scaling.as_ref());
        let mut scores = vec![0.0; self.labels];
        rows.iter()
            .map(|row| {
                score(features, *row, &plain, &mut scores);
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                scores.iter().position(|score| *score >= most).unwrap_or(0)
            })
            .collect()
    }
}

/// ½ Σ w² + C Σ −ln p(label).
struct Loss<'a> {
    features: &'a dyn Features,
    rows: &'a [usize],
    label: &'a [usize],
    labels: usize,
    scaling: Option<&'a Scaling>,
    c: f64,
}

impl Loss<'_> {
    /// The loss, and its slope `[labels × (columns + 1)]`.
    fn evaluate(&self, weights: &[f64], slope: &mut [f64]) -> f64 {
        let columns = self.features.columns();
        let plain = plain_weights(weights, columns, self.scaling);
        slope.fill(0.0);
        let mut scores = vec![0.0; self.labels];
        let mut loss = 0.0;
        for row in self.rows {
            score(self.features, *row, &plain, &mut scores);
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|z| (z - most).exp()).sum();
            let own = self.label[*row];
            loss += self.c * (most + total.ln() - scores[own]);
            // The slope of the loss by each score.
            for (label, z) in scores.iter_mut().enumerate() {
                *z = self.c * ((*z - most).exp() / total - f64::from(u8::from(label == own)));
            }
            for (slope, by_score) in slope.chunks_exact_mut(columns + 1).zip(&scores) {
                slope[columns] += by_score;
            }
            self.features.for_each(*row, &mut |column, x| {
                for (label, by_score) in scores.iter().enumerate() {
                    slope[label * (columns + 1) + column] += by_score * x;
                }
            });
        }
        for (slope, weights) in slope
            .chunks_exact_mut(columns + 1)
            .zip(weights.chunks_exact(columns + 1))
        {
            let by_intercept = slope[columns];
            if let Some(Scaling { centre, scale }) = self.scaling {
                for ((slope, centre), scale) in slope.iter_mut().zip(centre).zip(scale) {
                    *slope = (*slope - centre * by_intercept) / scale;
                }
            }
            for (slope, weight) in slope.iter_mut().zip(weights).take(columns) {
                *slope += weight;
                loss += weight.powi(2) / 2.0;
            }
        }
        loss
    }
}

/// Weights for features as they are, from those for scaled ones: `[columns + 1][labels]`, so that a feature's are together.
fn plain_weights(weights: &[f64], columns: usize, scaling: Option<&Scaling>) -> Vec<f64> {
    let labels = weights.len() / (columns + 1);
    let mut plain = vec![0.0; weights.len()];
    for (label, weights) in weights.chunks_exact(columns + 1).enumerate() {
        let mut intercept = weights[columns];
        for (column, weight) in weights[..columns].iter().enumerate() {
            let mut weight = *weight;
            if let Some(scaling) = scaling {
                weight /= scaling.scale[column];
                intercept -= weight * scaling.centre[column];
            }
            plain[column * labels + label] = weight;
        }
        plain[columns * labels + label] = intercept;
    }
    plain
}

/// The score of every label, `[labels]`.
fn score(features: &dyn Features, row: usize, plain: &[f64], scores: &mut [f64]) {
    let labels = scores.len();
    scores.copy_from_slice(&plain[plain.len() - labels..]);
    features.for_each(row, &mut |column, x| {
        let weights = &plain[column * labels..(column + 1) * labels];
        for (score, weight) in scores.iter_mut().zip(weights) {
            *score += weight * x;
        }
    });
}

/// Minimises a convex function from 0 by L-BFGS (Liu and Nocedal 1989) with backtracking; whether the largest slope fell below the goal.
fn minimise(
    objective: &dyn Fn(&[f64], &mut [f64]) -> f64,
    size: usize,
    goal: f64,
    most_steps: usize,
    check: &dyn Fn() -> Result<(), Cancelled>,
) -> Result<(Vec<f64>, bool), Cancelled> {
    /// Steps that are remembered.
    const MEMORY: usize = 10;
    /// The part of the expected decrease that a step must reach (Armijo).
    const SUFFICIENT: f64 = 1e-4;
    let mut x = vec![0.0; size];
    let mut slope = vec![0.0; size];
    let mut value = objective(&x, &mut slope);
    let mut memory: VecDeque<Step> = VecDeque::new();
    let (mut next, mut next_slope) = (vec![0.0; size], vec![0.0; size]);
    for _ in 0..most_steps {
        check()?;
        if largest(&slope) <= goal {
            return Ok((x, true));
        }
        let direction = direction(&slope, &memory);
        let descent = dot(&slope, &direction);
        // Without memory the direction has the length of the slope, which says nothing of how far to go.
        let mut step = if memory.is_empty() {
            1.0 / dot(&slope, &slope).sqrt()
        } else {
            1.0
        };
        let next_value = loop {
            for ((next, x), d) in next.iter_mut().zip(&x).zip(&direction) {
                *next = x + step * d;
            }
            let value_there = objective(&next, &mut next_slope);
            if value_there <= value + SUFFICIENT * step * descent {
                break value_there;
            }
            step /= 2.0;
            if step < 1e-20 {
                // Rounding leaves no way down: this is the minimum to the digits there are.
                return Ok((x, largest(&slope) <= 100.0 * goal));
            }
        };
        let moved: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = next_slope.iter().zip(&slope).map(|(a, b)| a - b).collect();
        let curvature = dot(&moved, &turned);
        if curvature > 1e-12 * dot(&moved, &moved) {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(Step {
                moved,
                turned,
                curvature,
            });
        }
        std::mem::swap(&mut x, &mut next);
        std::mem::swap(&mut slope, &mut next_slope);
        value = next_value;
    }
    let is_converged = largest(&slope) <= goal;
    Ok((x, is_converged))
}

/// A step, how it turned the slope, and the product of both.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
    curvature: f64,
}

/// Minus the inverse curvature of the remembered steps times the slope.
fn direction(slope: &[f64], memory: &VecDeque<Step>) -> Vec<f64> {
    let mut q: Vec<f64> = slope.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(memory.len());
    for step in memory.iter().rev() {
        let factor = dot(&step.moved, &q) / step.curvature;
        for (q, turned) in q.iter_mut().zip(&step.turned) {
            *q -= factor * turned;
        }
        factors.push(factor);
    }
    if let Some(last) = memory.back() {
        let scale = last.curvature / dot(&last.turned, &last.turned);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for (step, factor) in memory.iter().zip(factors.into_iter().rev()) {
        let correction = factor - dot(&step.turned, &q) / step.curvature;
        for (q, moved) in q.iter_mut().zip(&step.moved) {
            *q += correction * moved;
        }
    }
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn largest(slope: &[f64]) -> f64 {
    slope.iter().fold(0.0, |most, g| g.abs().max(most))
}

/// Dense rows, standardised by the rows of training.
pub(crate) struct Standardised<'a> {
    pub(crate) rows: Vec<&'a [f64]>,
}

impl Features for Standardised<'_> {
    fn columns(&self) -> usize {
        self.rows.first().map_or(0, |row| row.len())
    }

    fn for_each(&self, row: usize, visit: &mut dyn FnMut(usize, f64)) {
        for (column, x) in self.rows[row].iter().enumerate() {
            visit(column, *x);
        }
    }

    fn scaling(&self, rows: &[usize]) -> Option<Scaling> {
        let rows: Vec<&[f64]> = rows.iter().map(|row| self.rows[*row]).collect();
        Some(Scaling::standard(self.columns(), &rows))
    }
}

/// Sparse rows, as they are.
pub(crate) struct Sparse<'a> {
    /// Column and value.
    pub(crate) rows: &'a [Vec<(u32, f64)>],
    pub(crate) columns: usize,
}

impl Features for Sparse<'_> {
    fn columns(&self) -> usize {
        self.columns
    }

    fn for_each(&self, row: usize, visit: &mut dyn FnMut(usize, f64)) {
        for (column, x) in &self.rows[row] {
            visit(*column as usize, *x);
        }
    }

    fn scaling(&self, _rows: &[usize]) -> Option<Scaling> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: LogisticConfig = LogisticConfig {
        c: 1.0,
        tolerance: 1e-9,
        most_steps: 200,
    };

    #[test]
    fn one_feature_and_two_labels_balance_penalty_and_loss() {
        // x = ±1 with label by sign: weights ±w, intercepts 0, and the slope w − 2 p(wrong) = 0 with p(wrong) = 1 / (1 + e^{2w}).
        let rows: [&[f64]; 2] = [&[1.0], &[-1.0]];
        let features = Standardised {
            rows: rows.to_vec(),
        };
        let model = Logistic::fit(&features, &[0, 1], &[0, 1], 2, CONFIG, &|| Ok(())).unwrap();
        assert!(model.is_converged);
        let w = model.weights[0];
        assert!((w - 2.0 / (1.0 + (2.0 * w).exp())).abs() < 1e-6, "{w}");
        assert!((model.weights[2] + w).abs() < 1e-6 && model.weights[1].abs() < 1e-6);
        assert_eq!(model.predict(&features, &[0, 1]), [0, 1]);
    }

    #[test]
    fn a_constant_column_has_scale_one() {
        let found = Scaling::standard(2, &[&[1.0, 0.1], &[3.0, 0.1], &[5.0, 0.1]]);
        assert!((found.centre[0] - 3.0).abs() < 1e-12);
        assert!((found.scale[0] - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((found.scale[1] - 1.0).abs() < 1e-12);
    }
}
