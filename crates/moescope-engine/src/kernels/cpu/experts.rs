//! The experts of one MoE layer: tokens gathered by expert, gate and up fused with the activation, never a dense mask.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::{
    exp::silu_in_place,
    matmul::{Inputs, Rounding, block, pieces},
    output::{Rectangle, SharedOut},
    rows::Rows,
    simd::InstructionSet,
    team,
};
use moescope_core::WeightTarget;

use crate::{
    config::{Activation, ExpertFunction},
    precision::ComputeType,
};

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
struct Task {
    expert: usize,
    rows: Range<usize>,
    columns: Range<usize>,
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
    let gathered = Gathered::of(set, compute, x, choice, experts, sizes);
    let inner = gate_and_up(set, &gathered, experts, function, sizes);
    let outer = down(set, compute, &gathered.pieces, &inner, experts, sizes);
    let mut out = vec![0.0f32; x.len()];
    let shared = SharedOut::new(&mut out);
    let add = |token: usize| {
        // SAFETY: every token has its own row.
        let out = unsafe { shared.range(token * hidden, hidden) };
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
    };
    let tokens = x.len() / hidden;
    if outer.len() < SERIAL_BELOW {
        (0..tokens).for_each(add);
    } else {
        team::for_each(tokens, add);
    }
    out
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
    /// The rows of the experts, cut into what tasks multiply.
    pieces: Vec<(usize, Range<usize>)>,
    /// The row of each assignment of the input.
    place: Vec<usize>,
    /// `[n × k, H]`.
    rows: Inputs<'static>,
}

impl Gathered {
    fn of(
        set: InstructionSet,
        compute: ComputeType,
        x: &[f32],
        choice: Choice<'_>,
        experts: &[ExpertRows<'_>],
        sizes: ExpertSizes,
    ) -> Self {
        let ExpertSizes { hidden, top_k, .. } = sizes;
        let Assignments { offsets, order } = Assignments::of(choice.selected, experts.len());
        let mut place = vec![0usize; choice.selected.len()];
        for (row, assignment) in order.iter().enumerate() {
            place[*assignment] = row;
        }
        let pieces: Vec<(usize, Range<usize>)> = offsets
            .windows(2)
            .enumerate()
            .flat_map(|(expert, pair)| pieces(pair[0]..pair[1]).map(move |rows| (expert, rows)))
            .collect();
        let weights = experts.iter().flat_map(|expert| [expert.gate, expert.up]);
        let rounding = Rounding::of(set, compute, weights, hidden);
        let rows = Inputs::arranged(set, rounding, &rows_of(&pieces), hidden, |row, out| {
            let token = order[row] / top_k;
            out.copy_from_slice(&x[token * hidden..(token + 1) * hidden]);
            if choice.target == WeightTarget::Input {
                out.iter_mut()
                    .for_each(|x| *x *= choice.weights[order[row]]);
            }
        });
        Self {
            pieces,
            place,
            rows,
        }
    }
}

fn rows_of(pieces: &[(usize, Range<usize>)]) -> Vec<Range<usize>> {
    pieces.iter().map(|(_, rows)| rows.clone()).collect()
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
        &tasks(&gathered.pieces, intermediate, gathered.rows.column_block()),
        assignments * hidden * intermediate * 2,
        |task| {
            let rows = gathered.rows.piece(task.rows.clone());
            let (columns, width) = (task.columns.clone(), task.columns.len());
            let expert = experts[task.expert];
            let product = |matrix: Rows<'_>, bias: Option<&[f32]>| {
                let mut values = vec![0.0f32; task.rows.len() * width];
                let out = Rectangle::whole(&mut values, width);
                block(set, rows, matrix, hidden, columns.clone(), out);
                if let Some(bias) = bias {
                    for row in values.chunks_mut(width) {
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
            let rows = gate.chunks(width).zip(up.chunks(width));
            for (row, (gate, up)) in task.rows.clone().zip(rows) {
                let at = row * intermediate + columns.start;
                // SAFETY: tasks cover disjoint rectangles of the inner activations.
                let inner = unsafe { shared.range(at, width) };
                for ((to, gate), up) in inner.iter_mut().zip(gate).zip(up) {
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
    compute: ComputeType,
    pieces: &[(usize, Range<usize>)],
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
    let weights = experts.iter().map(|expert| expert.down);
    let rounding = Rounding::of(set, compute, weights, intermediate);
    let rows = Inputs::arranged(set, rounding, &rows_of(pieces), intermediate, |row, out| {
        out.copy_from_slice(&inner[row * intermediate..(row + 1) * intermediate]);
    });
    let mut outer = vec![0.0f32; assignments * hidden];
    let shared = SharedOut::new(&mut outer);
    run(
        &tasks(pieces, hidden, rows.column_block()),
        assignments * hidden * intermediate,
        |task| {
            let (x, columns) = (rows.piece(task.rows.clone()), task.columns.clone());
            let matrix = experts[task.expert].down;
            // SAFETY: tasks cover disjoint rectangles of the outputs.
            let out = unsafe { shared.rectangle(hidden, task.rows.clone(), columns.clone()) };
            block(set, x, matrix, intermediate, columns, out);
        },
    );
    outer
}

/// All pieces of an expert pass a block of its weights before the next one is read.
fn tasks(pieces: &[(usize, Range<usize>)], width: usize, column_block: usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    for pieces in pieces.chunk_by(|(one, _), (other, _)| one == other) {
        for first in (0..width).step_by(column_block) {
            for (expert, rows) in pieces {
                tasks.push(Task {
                    expert: *expert,
                    rows: rows.clone(),
                    columns: first..(first + column_block).min(width),
                });
            }
        }
    }
    tasks
}

fn run(tasks: &[Task], multiply_adds: usize, work: impl Fn(&Task) + Sync) {
    if multiply_adds < SERIAL_BELOW {
        tasks.iter().for_each(work);
    } else {
        team::for_each(tasks.len(), |task| work(&tasks[task]));
    }
}

#[cfg(test)]
mod tests;
