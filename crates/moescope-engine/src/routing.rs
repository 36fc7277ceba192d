//! From router logits to a choice of experts and their weights, on the device.

use burn::tensor::{Bool, Int, Tensor, activation};
use moescope_core::{ExpertGroups, GroupScore, ScoreFunction, WeightNormalization};

use crate::config::RouterConfig;

/// Far below every selection key, and far above the −1e30 of a masked expert; finite, so that sums stay numbers.
pub(crate) const NOT_KEPT: f32 = -1e20;

/// What a router decided for the tokens of one forward pass, on the device.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The logits that the selection came from, `[tokens, num_experts]`.
    pub router_logits: Tensor<2>,
    /// The experts to dispatch to, `[tokens, top_k]`, best selection key first.
    pub selected_experts: Tensor<2, Int>,
    /// The factor on each expert's output (or input), `[tokens, top_k]`.
    pub routing_weights: Tensor<2>,
}

impl Routing {
    /// Selects the `top_k` experts with the largest keys and weighs them by their scores alone: a bias steers the
    /// choice and never enters the weights.
    ///
    /// A key is the score plus `bias [num_experts]` (the checkpoint's correction, an intervention's, or their sum);
    /// where experts are grouped, the keys of the best groups alone.
    #[must_use]
    pub fn select(
        router_logits: Tensor<2>,
        bias: Option<&Tensor<1>>,
        config: &RouterConfig,
    ) -> Self {
        let scores = match config.gating.score_function {
            ScoreFunction::Softmax => activation::softmax(router_logits.clone(), 1),
            ScoreFunction::Sigmoid => activation::sigmoid(router_logits.clone()),
            ScoreFunction::Identity => router_logits.clone(),
        };
        let keys = bias.map(|bias| scores.clone() + bias.clone().unsqueeze::<2>());
        let keys = match config.gating.groups {
            None => keys,
            Some(groups) => Some(keep_best_groups(
                keys.unwrap_or_else(|| scores.clone()),
                groups,
            )),
        };
        let (chosen, selected_experts) = match keys {
            None => scores.topk_with_indices(config.top_k, 1),
            Some(keys) => {
                let (_, ids) = keys.topk_with_indices(config.top_k, 1);
                (scores.gather(1, ids.clone()), ids)
            }
        };
        let weights = weigh(chosen, &selected_experts, &router_logits, config);
        let scaling = config.gating.scaling;
        #[expect(clippy::float_cmp, reason = "exactly 1 means no scaling")]
        let routing_weights = if scaling == 1.0 {
            weights
        } else {
            weights * scaling
        };
        Self {
            router_logits,
            selected_experts,
            routing_weights,
        }
    }
}

/// Normalises the scores of the chosen, `[tokens, top_k]`.
fn weigh(
    chosen: Tensor<2>,
    ids: &Tensor<2, Int>,
    router_logits: &Tensor<2>,
    config: &RouterConfig,
) -> Tensor<2> {
    let gating = &config.gating;
    match gating.normalization {
        WeightNormalization::None => chosen,
        WeightNormalization::SumOfSelected => {
            let sum = chosen.clone().sum_dim(1);
            chosen / sum.clamp_min(config.least_weight_sum)
        }
        WeightNormalization::PNormOfSelected => {
            let p = gating.norm_order.unwrap_or(1.0);
            let norm = chosen.clone().abs().powf_scalar(p).sum_dim(1);
            chosen / norm.powf_scalar(1.0 / p)
        }
        WeightNormalization::SoftmaxOfSelected => activation::softmax(chosen, 1),
        WeightNormalization::SigmoidOfSelected => activation::sigmoid(chosen),
        WeightNormalization::Sparsemixer => {
            let threshold = gating.sparsemixer_threshold.unwrap_or(0.0);
            sparsemixer(&chosen, ids, router_logits, threshold)
        }
    }
}

/// Lowers the keys of experts outside their token's best groups, `[tokens, num_experts]`.
fn keep_best_groups(keys: Tensor<2>, groups: ExpertGroups) -> Tensor<2> {
    let [tokens, num_experts] = keys.dims();
    let (count, kept) = (usize::from(groups.count), usize::from(groups.kept));
    let size = num_experts / count;
    let by_group = keys.clone().reshape([tokens * count, size]);
    let ranks = match groups.ranked_by {
        GroupScore::Max => by_group.max_dim(1),
        GroupScore::SumOfTopTwo if size > 1 => by_group.topk(2, 1).sum_dim(1),
        GroupScore::SumOfTopTwo => by_group,
    };
    let (_, best) = ranks.reshape([tokens, count]).topk_with_indices(kept, 1);
    let is_kept = is_listed(&best, count)
        .unsqueeze_dim::<3>(2)
        .expand([tokens, count, size])
        .reshape([tokens, num_experts]);
    // Added, not put in place: an intervention's large bias must still be able to win or lose.
    let lowered = keys.clone() + NOT_KEPT;
    lowered.mask_where(is_kept, keys)
}

/// `[tokens, count]`: whether a number is among the token's `ids`.
fn is_listed(ids: &Tensor<2, Int>, count: usize) -> Tensor<2, Bool> {
    let [tokens, listed] = ids.dims();
    let end = i64::try_from(count).expect("a count of experts");
    let numbers = Tensor::<1, Int>::arange(0..end, &ids.device())
        .unsqueeze::<2>()
        .expand([tokens, count]);
    let is = |slot: usize| {
        let id = ids.clone().narrow(1, slot, 1).expand([tokens, count]);
        numbers.clone().equal(id)
    };
    (1..listed).fold(is(0), |any, slot| any.bool_or(is(slot)))
}

/// Each chosen expert's share among the experts whose logits are near its own; those chosen before it are left out.
///
/// An expert is near when (z − its logit) / max(|its logit|, z) ≤ 2ε, z the chosen one's logit (arXiv 2409.12136, §2).
fn sparsemixer(
    chosen: &Tensor<2>,
    ids: &Tensor<2, Int>,
    router_logits: &Tensor<2>,
    threshold: f32,
) -> Tensor<2> {
    let [tokens, num_experts] = router_logits.dims();
    let mut weights = Vec::new();
    for slot in 0..chosen.dims()[1] {
        let z = chosen
            .clone()
            .narrow(1, slot, 1)
            .expand([tokens, num_experts]);
        let distance = z.clone() - router_logits.clone();
        let scale = router_logits.clone().abs().max_pair(z.clone());
        let mut is_out = (distance / scale).greater_elem(2.0 * threshold);
        if slot > 0 {
            is_out = is_out.bool_or(is_listed(&ids.clone().narrow(1, 0, slot), num_experts));
        }
        let mass = (router_logits.clone() - z).exp().mask_fill(is_out, 0.0);
        weights.push(mass.sum_dim(1).recip());
    }
    Tensor::cat(weights, 1)
}
