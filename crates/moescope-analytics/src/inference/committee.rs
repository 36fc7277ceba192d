//! The experts that lead in most labels and are beaten by no other: the standing committee of arXiv 2601.03425.

use crate::stats::{count::real, ranking::by_falling_mass};

/// How a committee is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitteeRule {
    /// Experts that lead in a label; others have rank `top_k + 1`.
    pub(crate) top_k: usize,
    /// The share of labels in which a candidate must lead.
    pub(crate) least_share: f64,
    experts: usize,
}

/// The committee of one layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Committee {
    /// Experts that lead in enough labels.
    pub(crate) candidates: usize,
    /// Those of them that none beats, by rising mean rank.
    pub(crate) members: Vec<Member>,
    /// The members' share of a label's load, as a mean over labels.
    pub(crate) coverage: f64,
    /// The mean share of a member over the mean share of another expert.
    pub(crate) density_ratio: f64,
}

/// A member of a committee.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Member {
    /// The expert.
    pub(crate) expert: usize,
    /// The share of labels in which it leads.
    pub(crate) share_of_labels: f64,
    /// Mean over labels of its rank.
    pub(crate) mean_rank: f64,
    /// Variance over labels of its rank.
    pub(crate) rank_variance: f64,
    /// Its mean share over labels, times the number of experts.
    pub(crate) relative_load: f64,
}

impl Member {
    fn beats(&self, other: &Self) -> bool {
        let is_no_worse =
            self.mean_rank <= other.mean_rank && self.rank_variance <= other.rank_variance;
        is_no_worse
            && (self.mean_rank < other.mean_rank || self.rank_variance < other.rank_variance)
    }
}

impl CommitteeRule {
    /// The published rule for a model.
    pub(crate) fn published(top_k: usize, experts: usize) -> Self {
        Self {
            top_k,
            least_share: 0.8,
            experts,
        }
    }

    /// The committee of the loads `[labels, experts]`; labels without load lead nobody.
    pub(crate) fn find(self, loads: &[f64]) -> Committee {
        let experts = self.experts;
        let labels = real(loads.len() / experts);
        let beyond = real(self.top_k + 1);
        // Ranks are whole numbers, so their sums are exact and equal experts stay equal.
        let (mut led, mut sum, mut squares) =
            (vec![0.0; experts], vec![0.0; experts], vec![0.0; experts]);
        let mut share = vec![0.0; experts];
        for load in loads.chunks_exact(experts) {
            let total: f64 = load.iter().sum();
            let mut ranks = vec![beyond; experts];
            if total > 0.0 {
                let leading = by_falling_mass(load).into_iter().take(self.top_k);
                for (place, expert) in leading.enumerate() {
                    ranks[expert] = real(place + 1);
                    led[expert] += 1.0;
                }
                for (share, load) in share.iter_mut().zip(load) {
                    *share += load / (total * labels);
                }
            }
            for (expert, rank) in ranks.into_iter().enumerate() {
                sum[expert] += rank;
                squares[expert] += rank * rank;
            }
        }
        let candidates: Vec<Member> = (0..experts)
            .filter(|e| led[*e] / labels >= self.least_share - 1e-9)
            .map(|expert| Member {
                expert,
                share_of_labels: led[expert] / labels,
                mean_rank: sum[expert] / labels,
                // n Σ r² − (Σ r)², still whole, over n².
                rank_variance: (labels * squares[expert] - sum[expert].powi(2)) / labels.powi(2),
                relative_load: share[expert] * real(experts),
            })
            .collect();
        let is_beaten = |member: &Member| candidates.iter().any(|other| other.beats(member));
        let mut members: Vec<Member> = candidates
            .iter()
            .copied()
            .filter(|member| !is_beaten(member))
            .collect();
        members.sort_by(|a, b| {
            a.mean_rank
                .total_cmp(&b.mean_rank)
                .then(a.expert.cmp(&b.expert))
        });
        let coverage: f64 = members.iter().map(|member| share[member.expert]).sum();
        let others = experts - members.len();
        let density_ratio = if members.is_empty() {
            0.0
        } else {
            (coverage / real(members.len())) / ((1.0 - coverage) / real(others))
        };
        Committee {
            candidates: candidates.len(),
            members,
            coverage,
            density_ratio,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_the_candidates_that_none_beats() {
        // Top 2 of 4 experts, five labels; rank 3 is the penalty.
        let loads = [
            [0.5, 0.3, 0.1, 0.1], // ranks 1, 2
            [0.3, 0.5, 0.1, 0.1], // 2, 1
            [0.5, 0.3, 0.1, 0.1],
            [0.5, 0.3, 0.1, 0.1],
            [0.5, 0.1, 0.3, 0.1], // expert 2 leads beside 0
        ];
        let found = CommitteeRule::published(2, 4).find(&loads.concat());
        // Expert 0: ranks 1 2 1 1 1, mean 1.2, variance 0.16. Expert 1: 2 1 2 2 3, mean 2, variance 0.4: beaten by 0.
        // Expert 2 leads in one of five labels only.
        assert_eq!(found.candidates, 2);
        assert_eq!(found.members.len(), 1);
        let member = found.members[0];
        assert_eq!(member.expert, 0);
        for (found, expected) in [
            (member.share_of_labels, 1.0),
            (member.mean_rank, 1.2),
            (member.rank_variance, 0.16),
            // Mean share 2.3/5 = 0.46.
            (member.relative_load, 1.84),
            (found.coverage, 0.46),
            // 0.46 / (0.54 / 3).
            (found.density_ratio, 0.46 / 0.18),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn a_steady_expert_is_a_member_beside_one_of_better_mean() {
        // Expert 0: ranks 1 1 1 1 3, mean 1.4, variance 0.64; expert 1: always 2, mean 2, variance 0.
        let usual = [0.6, 0.3, 0.1];
        let loads = [usual, usual, usual, usual, [0.1, 0.3, 0.6]];
        let found = CommitteeRule::published(2, 3).find(&loads.concat());
        let members: Vec<usize> = found.members.iter().map(|member| member.expert).collect();
        assert_eq!(members, [0, 1]);
    }

    #[test]
    fn no_expert_leads_where_labels_have_nothing_in_common() {
        let loads = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let found = CommitteeRule::published(1, 3).find(&loads.concat());
        assert_eq!((found.candidates, found.members.len()), (0, 0));
        assert!(found.coverage.abs() < 1e-12 && found.density_ratio.abs() < 1e-12);
    }
}
