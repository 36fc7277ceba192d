//! Entropy, divergence and mutual information of distributions given as non-negative masses.

use serde::{Deserialize, Serialize};

/// Which weight each label has in a mutual information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelPrior {
    /// Every label the same: the answer does not depend on how much text of each was captured.
    #[default]
    Equal,
    /// Each label by its tokens (or by its documents under document weighting).
    Mass,
}

/// What is done about the upward bias that finite samples give to mutual information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BiasCorrection {
    /// The mean over permuted labels is subtracted: it knows how alike the tokens of a group are.
    #[default]
    Permutation,
    /// The bias of independent assignments is subtracted: too little where tokens of a group are alike.
    MillerMadow,
    /// Nothing.
    None,
}

impl LabelPrior {
    /// The weight of a label with this mass, of the mass of all of so many labels.
    pub(crate) fn weight(self, mass: f64, all: f64, labels: usize) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a number of labels")]
            Self::Equal => 1.0 / labels as f64,
            Self::Mass => mass / all,
        }
    }
}

/// Shannon entropy in nats of a mass, normalised to sum 1; NaN where the mass is empty.
pub(crate) fn entropy_nats(mass: &[f64]) -> f64 {
    let total: f64 = mass.iter().sum();
    if total <= 0.0 {
        return f64::NAN;
    }
    // ln T − Σ m ln m / T needs one logarithm and no division per entry.
    let weighted: f64 = mass
        .iter()
        .filter(|m| **m > 0.0)
        .map(|m| m * m.ln())
        .sum::<f64>();
    (total.ln() - weighted / total).max(0.0)
}

/// Shannon entropy in bits of a mass, normalised to sum 1; NaN where the mass is empty.
pub(crate) fn entropy_bits(mass: &[f64]) -> f64 {
    entropy_nats(mass) / std::f64::consts::LN_2
}

/// Jensen–Shannon divergence in bits between two masses, each normalised to sum 1; between 0 and 1.
pub(crate) fn jsd_bits(a: &[f64], b: &[f64]) -> f64 {
    let (total_a, total_b): (f64, f64) = (a.iter().sum(), b.iter().sum());
    if total_a <= 0.0 || total_b <= 0.0 {
        return f64::NAN;
    }
    let divergence: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| {
            let (p, q) = (a / total_a, b / total_b);
            let mean = f64::midpoint(p, q);
            let part = |x: f64| {
                if x > 0.0 { x * (x / mean).log2() } else { 0.0 }
            };
            f64::midpoint(part(p), part(q))
        })
        .sum();
    divergence.clamp(0.0, 1.0)
}

/// Mutual information between label and expert, with the entropies it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MutualInformation {
    /// I(label; expert) in bits.
    pub(crate) bits: f64,
    /// H(label) in bits under the prior.
    pub(crate) label_entropy: f64,
    /// H(expert) in bits of the mixture.
    pub(crate) expert_entropy: f64,
}

impl MutualInformation {
    /// I divided by the arithmetic mean of both entropies, between 0 and 1; 0 where both entropies are 0.
    pub(crate) fn normalized(&self) -> f64 {
        let mean = f64::midpoint(self.label_entropy, self.expert_entropy);
        if mean > 0.0 { self.bits / mean } else { 0.0 }
    }
}

/// Mutual information of `mass`, `[labels, experts]` row-major; NaN where a label has no mass.
///
/// `I = H(Σ_d π_d p_d) − Σ_d π_d H(p_d)`, with π the prior over labels and p each label's shares.
pub(crate) fn mutual_information(
    mass: &[f64],
    experts: usize,
    prior: LabelPrior,
) -> MutualInformation {
    let grand: f64 = mass.iter().sum();
    let mut mixture = vec![0.0; experts];
    let mut within = 0.0;
    let mut priors = Vec::with_capacity(mass.len() / experts);
    for row in mass.chunks_exact(experts) {
        let total: f64 = row.iter().sum();
        let weight = prior.weight(total, grand, mass.len() / experts);
        for (mixed, m) in mixture.iter_mut().zip(row) {
            *mixed += weight * m / total;
        }
        within += weight * entropy_bits(row);
        priors.push(weight);
    }
    let expert_entropy = entropy_bits(&mixture);
    MutualInformation {
        bits: (expert_entropy - within).max(0.0),
        label_entropy: entropy_bits(&priors),
        expert_entropy,
    }
}

/// The bias in bits of [`mutual_information`] when `mass` counts independent assignments, to first order in their number.
pub(crate) fn miller_madow_bias_bits(mass: &[f64], experts: usize, prior: LabelPrior) -> f64 {
    let grand: f64 = mass.iter().sum();
    let labels = mass.len() / experts;
    let weight = |_, total| prior.weight(total, grand, labels);
    miller_madow_bias_nats(mass, experts, weight) / std::f64::consts::LN_2
}

/// The same in nats, with `weight(label, assignments)` for each label; labels without assignments do not count.
///
/// Miller and Madow's term (cells − 1) / 2N for the entropy of each label, and the same expansion for their mixture:
/// `−½ Σ_e Var(mixture_e) / mixture_e`, with the number of assignments of each label fixed.
pub(crate) fn miller_madow_bias_nats(
    mass: &[f64],
    experts: usize,
    weight: impl Fn(usize, f64) -> f64,
) -> f64 {
    let mut mixture = vec![0.0; experts];
    let mut variance = vec![0.0; experts];
    let mut within = 0.0;
    for (label, row) in mass.chunks_exact(experts).enumerate() {
        let total: f64 = row.iter().sum();
        if total <= 0.0 {
            continue;
        }
        let weight = weight(label, total);
        for ((mixture, variance), m) in mixture.iter_mut().zip(&mut variance).zip(row) {
            let share = m / total;
            *mixture += weight * share;
            *variance += weight * weight * share * (1.0 - share) / total;
            if *m > 0.0 {
                within += weight * (1.0 - share) / (2.0 * total);
            }
        }
    }
    let between: f64 = mixture
        .iter()
        .zip(&variance)
        .filter(|(mixture, _)| **mixture > 0.0)
        .map(|(mixture, variance)| variance / (2.0 * mixture))
        .sum();
    within - between
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropies_of_simple_distributions() {
        // Four equal masses: 2 bits; masses 1, 1, 2: ½·1 + 2·¼·2 = 1.5 bits.
        assert!((entropy_bits(&[3.0; 4]) - 2.0).abs() < 1e-12);
        assert!((entropy_bits(&[1.0, 1.0, 2.0]) - 1.5).abs() < 1e-12);
        assert!(entropy_bits(&[5.0, 0.0]).abs() < 1e-15);
        assert!(entropy_bits(&[0.0, 0.0]).is_nan());
    }

    #[test]
    fn divergence_is_zero_for_equal_and_one_for_disjoint_shares() {
        assert!(jsd_bits(&[1.0, 3.0], &[2.0, 6.0]).abs() < 1e-15);
        assert!((jsd_bits(&[4.0, 0.0], &[0.0, 9.0]) - 1.0).abs() < 1e-15);
        // (1, 0) against (½, ½): m = (¾, ¼), H(m) = 0.811278, minus (0 + 1)/2.
        assert!((jsd_bits(&[2.0, 0.0], &[1.0, 1.0]) - 0.311_278_124_459_132_8).abs() < 1e-12);
    }

    #[test]
    fn disjoint_labels_tell_everything() {
        // Two labels on different experts: one bit, and NMI 1.
        let found = mutual_information(&[10.0, 0.0, 0.0, 30.0], 2, LabelPrior::Equal);
        assert!((found.bits - 1.0).abs() < 1e-12);
        assert!((found.normalized() - 1.0).abs() < 1e-12);
        // By mass the label has entropy H(¼, ¾) = 0.811278 bits, and all of it is told.
        let by_mass = mutual_information(&[10.0, 0.0, 0.0, 30.0], 2, LabelPrior::Mass);
        assert!((by_mass.bits - 0.811_278_124_459_132_8).abs() < 1e-12);
        assert!((by_mass.normalized() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn equal_labels_tell_nothing() {
        let found = mutual_information(&[1.0, 3.0, 5.0, 15.0], 2, LabelPrior::Equal);
        assert!(found.bits.abs() < 1e-12 && found.normalized().abs() < 1e-12);
    }

    #[test]
    fn the_bias_of_independent_counts_is_half_a_degree_of_freedom_each() {
        // Two labels of 100 at (½, ½): within ½ · 2 · ½ / 200 · 2 = 1/200; the mixture has variance ½² · ¼ / 100 · 2 = 1/800 per
        // expert, over 2 · ½, for two experts: 1/400. Together 1/400 nats, which is (2 − 1)(2 − 1) / (2 · 200), as of a χ² test.
        let bias = miller_madow_bias_bits(&[50.0, 50.0, 50.0, 50.0], 2, LabelPrior::Equal);
        assert!((bias * std::f64::consts::LN_2 - 1.0 / 400.0).abs() < 1e-15);
        // A label with one expert only has no bias of its own, and neither has the mixture of two such labels.
        let none = miller_madow_bias_bits(&[7.0, 0.0, 0.0, 9.0], 2, LabelPrior::Mass);
        assert!(none.abs() < 1e-15);
    }
}
