//! The experts of one MoE layer: tokens gathered by expert, gate and up fused with the activation, never a dense mask.

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::{
    exp::silu_in_place,
    matmul::{block, round_to_bf16},
    output::SharedOut,
    rows::Rows,
    simd::InstructionSet,
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

impl Choice<'_> {
    /// The factor on an assignment's output.
    pub(crate) fn output_weight(&self, assignment: usize) -> f32 {
        match self.target {
            WeightTarget::Output => self.weights[assignment],
            WeightTarget::Input => 1.0,
        }
    }
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
    #[cfg(target_arch = "x86_64")]
    if set == InstructionSet::Amx
        && amx::multiply_experts(compute, experts, sizes, choice.selected.len())
    {
        return amx::experts(compute, x, choice, experts, function, sizes);
    }
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
            let weight = choice.output_weight(assignment);
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
        round_to_bf16(values);
    }
}

/// Assignments sorted by expert; an expert's rows keep the order of the input.
pub(super) struct Assignments {
    /// First row of each expert, and one past the last row.
    pub(super) offsets: Vec<usize>,
    /// The assignment of each row.
    pub(super) order: Vec<usize>,
}

impl Assignments {
    pub(super) fn of(selected: &[usize], num_experts: usize) -> Self {
        let mut offsets = vec![0usize; num_experts + 1];
        for expert in selected {
            offsets[expert + 1] += 1;
        }
        for expert in 0..num_experts {
            offsets[expert + 1] += offsets[expert];
        }
        let mut next = offsets.clone();
        let mut order = vec![0usize; selected.len()];
        for (assignment, expert) in selected.iter().enumerate() {
            order[next[*expert]] = assignment;
            next[*expert] += 1;
        }
        Self { offsets, order }
    }

    /// The experts that have rows.
    pub(super) fn used(&self) -> impl Iterator<Item = usize> {
        let pairs = self.offsets.windows(2).enumerate();
        pairs.filter_map(|(expert, pair)| (pair[0] < pair[1]).then_some(expert))
    }
}

/// Assignments with their inputs.
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
        let Assignments { offsets, order } = Assignments::of(choice.selected, num_experts);
        let mut place = vec![0usize; choice.selected.len()];
        let mut rows = vec![0.0f32; choice.selected.len() * hidden];
        for (to, assignment) in order.into_iter().enumerate() {
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
mod tests;
