//! The experts of one MoE layer: tokens gathered by expert, gate and up fused with the activation, never a dense mask.

use rayon::prelude::*;

use super::{
    exp::silu_in_place, matmul::block, output::SharedOut, rows::Rows, simd::InstructionSet,
};
use moescope_core::WeightTarget;

use crate::{
    config::{Activation, ExpertFunction},
    precision::ComputeType,
};

/// Rows of an expert's matrix per task: small enough to balance unequal experts over threads.
const COLUMN_BLOCK: usize = 32;
/// Gathered tokens per task, so that they stay in the second-level cache.
const ROW_BLOCK: usize = 128;
/// Multiply-adds below which threads cost more than they bring.
const SERIAL_BELOW: usize = 64 * 1024;

/// The three matrices of one expert: gate and up `[I, H]`, down `[H, I]`.
#[derive(Clone, Copy)]
pub(crate) struct ExpertRows<'a> {
    pub(crate) gate: Rows<'a>,
    pub(crate) up: Rows<'a>,
    pub(crate) down: Rows<'a>,
    pub(crate) biases: Option<ExpertBiasRows<'a>>,
}

/// The biases of one expert: gate and up `[I]`, down `[H]`.
#[derive(Clone, Copy)]
pub(crate) struct ExpertBiasRows<'a> {
    pub(crate) gate: &'a [f32],
    pub(crate) up: &'a [f32],
    pub(crate) down: &'a [f32],
}

/// Where each token goes: experts and their weights, `[n × k]` each.
#[derive(Clone, Copy)]
pub(crate) struct Choice<'a> {
    pub(crate) selected: &'a [usize],
    pub(crate) weights: &'a [f32],
    pub(crate) target: WeightTarget,
}

/// Sizes of a layer's experts.
#[derive(Clone, Copy)]
pub(crate) struct ExpertSizes {
    pub(crate) hidden: usize,
    pub(crate) intermediate: usize,
    pub(crate) top_k: usize,
}

/// A rectangle of one expert's product: some of its tokens times some of its rows.
#[derive(Clone, Copy)]
struct Task {
    expert: usize,
    first_row: usize,
    rows: usize,
    first_column: usize,
    columns: usize,
}

/// `x [n, H]` → Σ over each token's k experts of weight · expert(x), or of expert(weight · x), `[n, H]`.
///
/// A token's experts are added in the order of its selection, so the result does not depend on the other tokens.
pub(crate) fn experts(
    set: InstructionSet,
    compute: ComputeType,
    x: &[f32],
    choice: Choice<'_>,
    experts: &[ExpertRows<'_>],
    function: ExpertFunction,
    sizes: ExpertSizes,
) -> Vec<f32> {
    let ExpertSizes { hidden, top_k, .. } = sizes;
    let mut gathered = Gathered::of(x, choice, experts.len(), sizes);
    round_to(compute, &mut gathered.rows);
    let mut inner = gate_and_up(set, &gathered, experts, function, sizes);
    round_to(compute, &mut inner);
    let outer = down(set, &gathered.offsets, &inner, experts, sizes);
    let mut out = vec![0.0f32; x.len()];
    for (token, out) in out.chunks_mut(hidden).enumerate() {
        for slot in 0..top_k {
            let assignment = token * top_k + slot;
            let from = gathered.place[assignment] * hidden;
            let weight = match choice.target {
                WeightTarget::Output => choice.weights[assignment],
                WeightTarget::Input => 1.0,
            };
            for (to, value) in out.iter_mut().zip(&outer[from..from + hidden]) {
                *to += weight * value;
            }
            if let Some(biases) = experts[choice.selected[assignment]].biases {
                for (to, bias) in out.iter_mut().zip(biases.down) {
                    *to += weight * bias;
                }
            }
        }
    }
    out
}

/// Rounds activations to what goes into a product.
fn round_to(compute: ComputeType, values: &mut [f32]) {
    if compute == ComputeType::Bf16 {
        values
            .iter_mut()
            .for_each(|value| *value = half::bf16::from_f32(*value).to_f32());
    }
}

/// Assignments sorted by expert.
struct Gathered {
    /// First row of each expert, and one past the last row.
    offsets: Vec<usize>,
    /// The row of each assignment of the input.
    place: Vec<usize>,
    /// `[n × k, H]`.
    rows: Vec<f32>,
}

impl Gathered {
    fn of(x: &[f32], choice: Choice<'_>, num_experts: usize, sizes: ExpertSizes) -> Self {
        let ExpertSizes { hidden, top_k, .. } = sizes;
        let mut offsets = vec![0usize; num_experts + 1];
        for e in choice.selected {
            offsets[e + 1] += 1;
        }
        for e in 0..num_experts {
            offsets[e + 1] += offsets[e];
        }
        let mut next = offsets.clone();
        let mut place = vec![0usize; choice.selected.len()];
        let mut rows = vec![0.0f32; choice.selected.len() * hidden];
        for (assignment, e) in choice.selected.iter().enumerate() {
            let to = next[*e];
            next[*e] += 1;
            place[assignment] = to;
            let token = assignment / top_k;
            let row = &mut rows[to * hidden..(to + 1) * hidden];
            row.copy_from_slice(&x[token * hidden..(token + 1) * hidden]);
            if choice.target == WeightTarget::Input {
                row.iter_mut()
                    .for_each(|x| *x *= choice.weights[assignment]);
            }
        }
        Self {
            offsets,
            place,
            rows,
        }
    }
}

/// f(gate(x), up(x)) of every assignment, `[n × k, I]`.
fn gate_and_up(
    set: InstructionSet,
    gathered: &Gathered,
    experts: &[ExpertRows<'_>],
    function: ExpertFunction,
    sizes: ExpertSizes,
) -> Vec<f32> {
    let ExpertSizes {
        hidden,
        intermediate,
        ..
    } = sizes;
    let assignments = gathered.place.len();
    let mut inner = vec![0.0f32; assignments * intermediate];
    let shared = SharedOut::new(&mut inner);
    // The usual activation of a whole block is one loop of vector instructions.
    let is_silu = function == ExpertFunction::Glu(Activation::Silu);
    run(
        tasks(&gathered.offsets, intermediate),
        assignments * hidden * intermediate * 2,
        |task| {
            let rows =
                &gathered.rows[task.first_row * hidden..(task.first_row + task.rows) * hidden];
            let columns = task.first_column..task.first_column + task.columns;
            let expert = experts[task.expert];
            let product = |matrix: Rows<'_>, bias: Option<&[f32]>| {
                let mut values = vec![0.0f32; task.rows * task.columns];
                block(set, rows, matrix, hidden, columns.clone(), |i, j, value| {
                    values[i * task.columns + j] = value;
                });
                if let Some(bias) = bias {
                    for row in values.chunks_mut(task.columns) {
                        let biases = bias[columns.clone()].iter();
                        row.iter_mut()
                            .zip(biases)
                            .for_each(|(value, b)| *value += b);
                    }
                }
                values
            };
            let mut gate = product(expert.gate, expert.biases.map(|biases| biases.gate));
            if is_silu {
                silu_in_place(set, &mut gate);
            }
            let up = product(expert.up, expert.biases.map(|biases| biases.up));
            for i in 0..task.rows {
                let at = (task.first_row + i) * intermediate + task.first_column;
                // SAFETY: tasks cover disjoint rectangles of the inner activations.
                let inner = unsafe { shared.range(at, task.columns) };
                let row = i * task.columns..(i + 1) * task.columns;
                for ((to, gate), up) in inner.iter_mut().zip(&gate[row.clone()]).zip(&up[row]) {
                    *to = if is_silu {
                        gate * up
                    } else {
                        function.apply(*gate, *up)
                    };
                }
            }
        },
    );
    inner
}

/// The down projection of every assignment without its bias, `[n × k, H]`.
fn down(
    set: InstructionSet,
    offsets: &[usize],
    inner: &[f32],
    experts: &[ExpertRows<'_>],
    sizes: ExpertSizes,
) -> Vec<f32> {
    let ExpertSizes {
        hidden,
        intermediate,
        ..
    } = sizes;
    let assignments = inner.len() / intermediate;
    let mut outer = vec![0.0f32; assignments * hidden];
    let shared = SharedOut::new(&mut outer);
    run(
        tasks(offsets, hidden),
        assignments * hidden * intermediate,
        |task| {
            let rows =
                &inner[task.first_row * intermediate..(task.first_row + task.rows) * intermediate];
            let columns = task.first_column..task.first_column + task.columns;
            let expert = experts[task.expert];
            block(
                set,
                rows,
                expert.down,
                intermediate,
                columns,
                |i, j, value| {
                    let at = (task.first_row + i) * hidden + task.first_column + j;
                    // SAFETY: tasks cover disjoint rectangles of the outputs.
                    unsafe { shared.write(at, value) };
                },
            );
        },
    );
    outer
}

fn tasks(offsets: &[usize], width: usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (expert, pair) in offsets.windows(2).enumerate() {
        for first_row in (pair[0]..pair[1]).step_by(ROW_BLOCK) {
            for first_column in (0..width).step_by(COLUMN_BLOCK) {
                tasks.push(Task {
                    expert,
                    first_row,
                    rows: ROW_BLOCK.min(pair[1] - first_row),
                    first_column,
                    columns: COLUMN_BLOCK.min(width - first_column),
                });
            }
        }
    }
    tasks
}

fn run(tasks: Vec<Task>, multiply_adds: usize, work: impl Fn(Task) + Send + Sync) {
    if multiply_adds < SERIAL_BELOW {
        tasks.into_iter().for_each(work);
    } else {
        tasks.into_par_iter().for_each(work);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The meaning, expert by expert and number by number.
    fn oracle(
        x: &[f32],
        selected: &[usize],
        weights: &[f32],
        w: &[[Vec<f32>; 3]],
        sizes: ExpertSizes,
    ) -> Vec<f32> {
        let ExpertSizes {
            hidden,
            intermediate,
            top_k,
        } = sizes;
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let mut out = vec![0.0; x.len()];
        for (assignment, e) in selected.iter().enumerate() {
            let token = assignment / top_k;
            let row = &x[token * hidden..(token + 1) * hidden];
            let inner: Vec<f32> = (0..intermediate)
                .map(|i| {
                    let g = dot(row, &w[*e][0][i * hidden..(i + 1) * hidden]);
                    g / (1.0 + (-g).exp()) * dot(row, &w[*e][1][i * hidden..(i + 1) * hidden])
                })
                .collect();
            for h in 0..hidden {
                let value = dot(&inner, &w[*e][2][h * intermediate..(h + 1) * intermediate]);
                out[token * hidden + h] += weights[assignment] * value;
            }
        }
        out
    }

    #[test]
    fn grouped_experts_agree_with_one_token_at_a_time() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        // Shapes with empty experts, one token, all experts chosen, odd widths.
        for (n, num_experts, top_k, hidden, intermediate) in [
            (1, 4, 1, 5, 7),
            (9, 8, 2, 32, 24),
            (40, 4, 4, 20, 36),
            (3, 512, 10, 16, 8),
            (300, 3, 2, 33, 40),
        ] {
            let mut random = |len: usize| -> Vec<f32> {
                (0..len).map(|_| rng.random_range(-0.5f32..0.5)).collect()
            };
            let x = random(n * hidden);
            let weights = random(n * top_k);
            let matrices: Vec<[Vec<f32>; 3]> = (0..num_experts)
                .map(|_| {
                    [
                        random(hidden * intermediate),
                        random(hidden * intermediate),
                        random(hidden * intermediate),
                    ]
                })
                .collect();
            let mut selected = Vec::new();
            for _ in 0..n {
                let mut ids: Vec<usize> = (0..num_experts).collect();
                ids.shuffle(&mut rng);
                selected.extend_from_slice(&ids[..top_k]);
            }
            let rows: Vec<ExpertRows<'_>> = matrices
                .iter()
                .map(|[g, u, d]| ExpertRows {
                    gate: Rows::F32(g),
                    up: Rows::F32(u),
                    down: Rows::F32(d),
                    biases: None,
                })
                .collect();
            let sizes = ExpertSizes {
                hidden,
                intermediate,
                top_k,
            };
            let want = oracle(&x, &selected, &weights, &matrices, sizes);
            for set in InstructionSet::available() {
                let silu = ExpertFunction::Glu(Activation::Silu);
                let choice = |range: std::ops::RangeFrom<usize>| Choice {
                    selected: &selected[range.clone()],
                    weights: &weights[range],
                    target: WeightTarget::Output,
                };
                let got = experts(set, ComputeType::F32, &x, choice(0..), &rows, silu, sizes);
                for (a, b) in got.iter().zip(&want) {
                    assert!((a - b).abs() < 1e-4, "{set:?}: {a} against {b}");
                }
                let last = &x[(n - 1) * hidden..];
                let alone = experts(
                    set,
                    ComputeType::F32,
                    last,
                    choice((n - 1) * top_k..),
                    &rows,
                    silu,
                    sizes,
                );
                assert_eq!(
                    alone,
                    got[(n - 1) * hidden..],
                    "{set:?}: the last token alone"
                );
            }
        }
    }
}
