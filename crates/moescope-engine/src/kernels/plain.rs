//! The meaning of every kernel in burn's own operators; runs on any device.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation};

use moescope_core::WeightTarget;

use super::{AttentionShape, CacheSpan, Head, Kernels, KeyRange, RotaryAngles};
use crate::{
    config::{ExpertFunction, RopeLayout, RouterConfig},
    decoder::{ExpertWeights, GluWeights},
    matrix::Matrix,
    routing::Routing,
};

/// Rows of logits that are alive at a time.
const HEAD_ROWS: usize = 256;

/// Kernels made of burn operators alone.
#[derive(Clone, Debug)]
pub struct PlainKernels {
    device: Device,
}

impl PlainKernels {
    /// Kernels for tensors on `device`.
    #[must_use]
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
        }
    }

    /// Where its tensors are.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Ids as a device tensor.
    fn ids(&self, ids: &[u32]) -> Tensor<1, Int> {
        let ids: Vec<i32> = ids.iter().map(|id| id.cast_signed()).collect();
        let len = ids.len();
        Tensor::from_data(TensorData::new(ids, [len]), &self.device)
    }

    /// `[tokens, rows]`: true where a query must not see a key.
    fn hidden_keys(&self, ranges: &[KeyRange], rows: usize) -> Tensor<2, Bool> {
        let column = |values: Vec<i32>| -> Tensor<2, Int> {
            let len = values.len();
            Tensor::<2, Int>::from_data(TensorData::new(values, [len, 1]), &self.device)
                .expand([len, rows])
        };
        let int = |value: usize| i32::try_from(value).expect("a cache has fewer than 2^31 rows");
        let first = column(ranges.iter().map(|range| int(range.first)).collect());
        let end = column(ranges.iter().map(|range| int(range.end)).collect());
        let row = Tensor::<1, Int>::arange(0..i64::try_from(rows).expect("rows fit"), &self.device)
            .unsqueeze::<2>()
            .expand([ranges.len(), rows]);
        row.clone().lower(first).bool_or(row.greater_equal(end))
    }
}

impl Kernels for PlainKernels {
    fn name(&self) -> String {
        "burn operators".to_owned()
    }

    fn embed(&self, table: &Tensor<2>, ids: &[u32]) -> Tensor<2> {
        table.clone().select(0, self.ids(ids))
    }

    fn linear(&self, x: &Tensor<2>, weight: &Matrix) -> Tensor<2> {
        x.clone().matmul(weight.to_tensor().transpose())
    }

    fn rms_norm(&self, x: &Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
        let mean_square = (x.clone() * x.clone()).mean_dim(1);
        x.clone() / (mean_square + eps).sqrt() * weight.clone().unsqueeze::<2>()
    }

    fn layer_norm(
        &self,
        x: &Tensor<2>,
        weight: &Tensor<1>,
        bias: Option<&Tensor<1>>,
        eps: f64,
    ) -> Tensor<2> {
        let centred = x.clone() - x.clone().mean_dim(1);
        let variance = (centred.clone() * centred.clone()).mean_dim(1);
        let normed = centred / (variance + eps).sqrt() * weight.clone().unsqueeze::<2>();
        add_bias(normed, bias)
    }

    fn rotate(&self, x: Tensor<2>, heads: usize, angles: &RotaryAngles) -> Tensor<2> {
        let [tokens, width] = x.dims();
        let head_dim = width / heads;
        let half = angles.cos.dims()[1];
        let x = x.reshape([tokens, heads, head_dim]);
        let cos = angles.cos.clone().unsqueeze_dim::<3>(1);
        let sin = angles.sin.clone().unsqueeze_dim::<3>(1);
        // Pairs (2i, 2i + 1) are the rows of [half, 2]; halves are the columns of [2, half].
        let (left, right) = match angles.layout {
            RopeLayout::Half => (
                x.clone().narrow(2, 0, half),
                x.clone().narrow(2, half, half),
            ),
            RopeLayout::Pairs => {
                let pairs = x
                    .clone()
                    .narrow(2, 0, 2 * half)
                    .reshape([tokens, heads, half, 2]);
                let part = |at| {
                    pairs
                        .clone()
                        .narrow(3, at, 1)
                        .reshape([tokens, heads, half])
                };
                (part(0), part(1))
            }
        };
        let turned_left = left.clone() * cos.clone() - right.clone() * sin.clone();
        let turned_right = right * cos + left * sin;
        let turned = match angles.layout {
            RopeLayout::Half => Tensor::cat(vec![turned_left, turned_right], 2),
            RopeLayout::Pairs => Tensor::cat(
                vec![
                    turned_left.unsqueeze_dim::<4>(3),
                    turned_right.unsqueeze_dim::<4>(3),
                ],
                3,
            )
            .reshape([tokens, heads, 2 * half]),
        };
        let mut parts = vec![turned];
        if 2 * half < head_dim {
            parts.push(x.narrow(2, 2 * half, head_dim - 2 * half));
        }
        Tensor::cat(parts, 2).reshape([tokens, width])
    }

    fn write_cache(&self, cache: Tensor<2>, new: Tensor<2>, spans: &[CacheSpan]) -> Tensor<2> {
        let [rows, width] = cache.dims();
        let covers_all = spans.iter().all(|span| span.token == span.row) && new.dims()[0] == rows;
        if covers_all {
            return new;
        }
        spans.iter().fold(cache, |cache, span| {
            let part = new.clone().narrow(0, span.token, span.len);
            cache.slice_assign([span.row..span.row + span.len, 0..width], part)
        })
    }

    fn attention(
        &self,
        queries: Tensor<2>,
        keys: &Tensor<2>,
        values: &Tensor<2>,
        sinks: Option<&Tensor<1>>,
        ranges: &[KeyRange],
        shape: AttentionShape,
    ) -> Tensor<2> {
        let AttentionShape {
            heads,
            kv_heads,
            head_dim,
            value_dim,
            scale,
        } = shape;
        let (tokens, rows, group) = (ranges.len(), keys.dims()[0], heads / kv_heads);
        let by_head = |x: &Tensor<2>, width: usize| {
            x.clone().reshape([rows, kv_heads, width]).swap_dims(0, 1)
        };
        // A kv head's query heads lie side by side: [kv_heads, group · tokens, D].
        let queries = queries
            .reshape([tokens, heads, head_dim])
            .swap_dims(0, 1)
            .reshape([kv_heads, group * tokens, head_dim]);
        let scores = queries.matmul(by_head(keys, head_dim).swap_dims(1, 2)) * scale;
        let hidden = self
            .hidden_keys(ranges, rows)
            .unsqueeze_dim::<3>(0)
            .expand([heads, tokens, rows]);
        let mut scores = scores
            .reshape([heads, tokens, rows])
            .mask_fill(hidden, f32::NEG_INFINITY);
        if let Some(sinks) = sinks {
            let sinks = sinks
                .clone()
                .reshape([heads, 1, 1])
                .expand([heads, tokens, 1]);
            scores = Tensor::cat(vec![scores, sinks], 2);
        }
        let probabilities = activation::softmax(scores, 2).narrow(2, 0, rows).reshape([
            kv_heads,
            group * tokens,
            rows,
        ]);
        probabilities
            .matmul(by_head(values, value_dim))
            .reshape([heads, tokens, value_dim])
            .swap_dims(0, 1)
            .reshape([tokens, heads * value_dim])
    }

    fn route(
        &self,
        router_logits: Tensor<2>,
        bias: Option<&Tensor<1>>,
        config: &RouterConfig,
    ) -> Routing {
        Routing::select(router_logits, bias, config)
    }

    fn glu(&self, x: &Tensor<2>, weights: &GluWeights, function: ExpertFunction) -> Tensor<2> {
        glu_of_products(self, x, weights, function)
    }

    fn experts(
        &self,
        x: &Tensor<2>,
        routing: &Routing,
        experts: &ExpertWeights,
        function: ExpertFunction,
        target: WeightTarget,
    ) -> Tensor<2> {
        experts_one_by_one(self, x, routing, experts, function, target)
    }

    fn token_stats(
        &self,
        hidden: &Tensor<2>,
        head: Head<'_>,
        next: &[Option<u32>],
    ) -> (Tensor<1>, Tensor<1, Int>) {
        token_stats_in_parts(self, &self.device, hidden, head, next)
    }
}

/// x + bias in every row.
pub(super) fn add_bias(x: Tensor<2>, bias: Option<&Tensor<1>>) -> Tensor<2> {
    match bias {
        Some(bias) => x + bias.clone().unsqueeze::<2>(),
        None => x,
    }
}

impl ExpertFunction {
    /// The function of whole tensors.
    fn apply_tensor(self, gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Glu(activation) => activation.apply_tensor(gate) * up,
            Self::ClampedSwiglu { alpha, limit } => {
                let gate = gate.clamp_max(limit);
                let up = up.clamp(-limit, limit);
                (up + 1.0) * gate.clone() * activation::sigmoid(gate * alpha)
            }
        }
    }
}

/// down(f(gate(x), up(x))) of three products.
pub(super) fn glu_of_products(
    kernels: &dyn Kernels,
    x: &Tensor<2>,
    weights: &GluWeights,
    function: ExpertFunction,
) -> Tensor<2> {
    let (gate, up) = (
        kernels.linear(x, &weights.gate),
        kernels.linear(x, &weights.up),
    );
    kernels.linear(&function.apply_tensor(gate, up), &weights.down)
}

/// Every expert sees every token; what was not selected is weighted by zero. No read-back is needed.
pub(super) fn experts_one_by_one(
    kernels: &dyn Kernels,
    x: &Tensor<2>,
    routing: &Routing,
    experts: &ExpertWeights,
    function: ExpertFunction,
    target: WeightTarget,
) -> Tensor<2> {
    let [tokens, hidden] = x.dims();
    let mut out = Tensor::<2>::zeros([tokens, hidden], &x.device());
    let matrices = experts.gate.iter().zip(&experts.up).zip(&experts.down);
    for (expert, ((gate, up), down)) in matrices.enumerate() {
        let id = i64::try_from(expert).expect("an expert's number is small");
        let chosen = routing.selected_experts.clone().equal_scalar(id);
        let is_chosen = chosen.clone().float().sum_dim(1);
        let weight = routing
            .routing_weights
            .clone()
            .mask_fill(chosen.bool_not(), 0.0)
            .sum_dim(1);
        let (x, factor) = match target {
            WeightTarget::Output => (x.clone(), weight),
            WeightTarget::Input => (x.clone() * weight, is_chosen),
        };
        let bias = |biases: &Tensor<2>| biases.clone().narrow(0, expert, 1).squeeze_dim::<1>(0);
        let [gate_bias, up_bias, down_bias] = match &experts.biases {
            None => [None, None, None],
            Some(biases) => [&biases.gate, &biases.up, &biases.down].map(|b| Some(bias(b))),
        };
        let gate = add_bias(kernels.linear(&x, gate), gate_bias.as_ref());
        let up = add_bias(kernels.linear(&x, up), up_bias.as_ref());
        let inner = function.apply_tensor(gate, up);
        let result = add_bias(kernels.linear(&inner, down), down_bias.as_ref());
        out = out + result * factor;
    }
    out
}

/// Logits of a few rows at a time, so that `[tokens, vocab]` is never in memory at once.
pub(super) fn token_stats_in_parts(
    kernels: &dyn Kernels,
    device: &Device,
    hidden: &Tensor<2>,
    head: Head<'_>,
    next: &[Option<u32>],
) -> (Tensor<1>, Tensor<1, Int>) {
    let tokens = hidden.dims()[0];
    let mut surprisals = Vec::new();
    let mut predictions = Vec::new();
    for start in (0..tokens).step_by(HEAD_ROWS) {
        let len = HEAD_ROWS.min(tokens - start);
        let logits = kernels.linear(&hidden.clone().narrow(0, start, len), head.weight);
        let logits = add_bias(logits, head.bias);
        let next = &next[start..start + len];
        let ids: Vec<i32> = next
            .iter()
            .map(|id| id.unwrap_or(0).cast_signed())
            .collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [len]), device);
        let missing: Vec<bool> = next.iter().map(Option::is_none).collect();
        let missing = Tensor::<1, Bool>::from_data(TensorData::new(missing, [len]), device);
        let log_probabilities = activation::log_softmax(logits.clone(), 1);
        let chosen = log_probabilities
            .gather(1, ids.unsqueeze_dim::<2>(1))
            .squeeze_dim::<1>(1);
        surprisals.push(chosen.neg().mask_fill(missing, f32::NAN));
        predictions.push(logits.argmax(1).squeeze_dim::<1>(1));
    }
    (Tensor::cat(surprisals, 0), Tensor::cat(predictions, 0))
}
