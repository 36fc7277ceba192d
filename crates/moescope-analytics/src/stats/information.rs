//! Entropy, divergence and mutual information of distributions given as non-negative masses.

use serde::{Deserialize, Serialize};

use super::count::real;

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

/// Cramér's V of label and expert of `mass`, `[labels, experts]` row-major; NaN where a label has no mass.
///
/// Experts without mass do not count; 0 where only one is left.
pub(crate) fn cramers_v(mass: &[f64], experts: usize, prior: LabelPrior) -> f64 {
    let joint = Joint::of(mass, experts, prior);
    if joint.of_label.iter().any(|p| p.is_nan() || *p <= 0.0) {
        return f64::NAN;
    }
    let used = joint.of_expert.iter().filter(|p| **p > 0.0).count();
    let smaller = joint.of_label.len().min(used);
    if smaller < 2 {
        return 0.0;
    }
    let squares: f64 = joint
        .cells()
        .filter(|(_, expected)| *expected > 0.0)
        .map(|(p, expected)| (p - expected).powi(2) / expected)
        .sum();
    (squares / real(smaller - 1)).sqrt()
}

/// Normalised pointwise mutual information of every label and expert, from `mass` to `out`, both `[labels, experts]` row-major.
///
/// `ln(p(e, d) / (p(e) p(d))) / −ln p(e, d)`: −1 where they never meet, NaN where either never occurs.
pub(crate) fn normalized_pmi(mass: &[f64], experts: usize, prior: LabelPrior, out: &mut [f64]) {
    let joint = Joint::of(mass, experts, prior);
    for (out, (p, expected)) in out.iter_mut().zip(joint.cells()) {
        *out = if expected.is_nan() || expected <= 0.0 {
            f64::NAN
        } else if p <= 0.0 {
            -1.0
        } else if p >= 1.0 {
            // A single label with a single expert: the limit.
            1.0
        } else {
            (p / expected).ln() / -p.ln()
        };
    }
}

/// The distribution of label and expert together, with its marginals; NaN in rows of labels without mass.
struct Joint {
    /// `[labels, experts]`.
    both: Vec<f64>,
    of_label: Vec<f64>,
    of_expert: Vec<f64>,
}

impl Joint {
    fn of(mass: &[f64], experts: usize, prior: LabelPrior) -> Self {
        let labels = mass.len() / experts;
        let grand: f64 = mass.iter().sum();
        let mut joint = Self {
            both: Vec::with_capacity(mass.len()),
            of_label: vec![0.0; labels],
            of_expert: vec![0.0; experts],
        };
        for (row, of_label) in mass.chunks_exact(experts).zip(&mut joint.of_label) {
            let total: f64 = row.iter().sum();
            let scale = match prior {
                LabelPrior::Equal => 1.0 / (real(labels) * total),
                LabelPrior::Mass => 1.0 / grand,
            };
            for (m, of_expert) in row.iter().zip(&mut joint.of_expert) {
                let p = m * scale;
                joint.both.push(p);
                *of_label += p;
                *of_expert += p;
            }
        }
        joint
    }

    /// Every probability beside the product of its marginals, row-major.
    fn cells(&self) -> impl Iterator<Item = (f64, f64)> {
        let expected = self
            .of_label
            .iter()
            .flat_map(|label| self.of_expert.iter().map(move |expert| label * expert));
        self.both.iter().copied().zip(expected)
    }
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
    fn association_is_whole_for_disjoint_labels_and_absent_for_equal_ones() {
        let v = |mass: &[f64], prior| cramers_v(mass, 3, prior);
        for prior in [LabelPrior::Equal, LabelPrior::Mass] {
            // The third expert is never chosen.
            assert!((v(&[10.0, 0.0, 0.0, 0.0, 30.0, 0.0], prior) - 1.0).abs() < 1e-12);
            assert!(v(&[1.0, 3.0, 0.0, 5.0, 15.0, 0.0], prior).abs() < 1e-12);
            assert!(v(&[1.0, 0.0, 0.0, 5.0, 0.0, 0.0], prior).abs() < 1e-12);
        }
        // Rows (3, 1) and (2, 6) of 12: χ² = 12 (18 − 2)² / (4 · 8 · 5 · 7) = 2.742857; V = √(χ²/12) = 0.4780914.
        assert!((v(&[3.0, 1.0, 0.0, 2.0, 6.0, 0.0], LabelPrior::Mass) - 0.478_091_4).abs() < 1e-7);
        // Scaled to (¾, ¼) and (¼, ¾): V = ½.
        assert!((v(&[3.0, 1.0, 0.0, 2.0, 6.0, 0.0], LabelPrior::Equal) - 0.5).abs() < 1e-12);
        assert!(v(&[0.0, 0.0, 0.0, 2.0, 6.0, 0.0], LabelPrior::Equal).is_nan());
        assert!(v(&[0.0, 0.0, 0.0, 2.0, 6.0, 0.0], LabelPrior::Mass).is_nan());
    }

    #[test]
    fn pointwise_information_is_normalised_by_surprise() {
        // Equal priors: p = (⅜, ⅛, ⅛, ⅜), marginals ½: ln(3/2) / −ln ⅜ = 0.4133901, ln(½) / −ln ⅛ = −⅓.
        let mut out = [0.0; 4];
        normalized_pmi(&[3.0, 1.0, 2.0, 6.0], 2, LabelPrior::Equal, &mut out);
        for (found, expected) in out
            .iter()
            .zip([0.413_390_1, -1.0 / 3.0, -1.0 / 3.0, 0.413_390_1])
        {
            assert!((found - expected).abs() < 1e-7, "{out:?}");
        }
        let mut out = [0.0; 6];
        normalized_pmi(
            &[4.0, 0.0, 0.0, 0.0, 4.0, 0.0],
            3,
            LabelPrior::Mass,
            &mut out,
        );
        assert!((out[0] - 1.0).abs() < 1e-12 && (out[1] + 1.0).abs() < 1e-12);
        assert!(out[2].is_nan());
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
