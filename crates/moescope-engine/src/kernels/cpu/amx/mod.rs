//! Products with weights in tile registers (Intel AMX).
//!
//! Tiles multiply bf16 and add in f32. Weights are taken as they are kept: bf16 where it lies in memory; the integers
//! of blocks, which bf16 holds exactly, with their scales applied to each block's sum. Activations are rounded to bf16
//! (`--compute bf16`) or split into three bf16 pieces whose sum they are exactly, and all three are multiplied: an f32
//! product at a third of the speed of bf16, several times that of f32 vector instructions.
//!
//! A token's result is the same bit for bit whatever tokens are beside it.

mod operand;
mod product;
pub(super) mod support;
mod tiles;
mod vectors;
mod weights;

use std::{
    arch::x86_64::{
        _mm512_castsi512_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
        _mm512_storeu_si512,
    },
    ops::Range,
};

use half::bf16;
use moescope_core::WeightTarget;
use rayon::prelude::*;

use self::{
    operand::{Operand, OperandShape, TilePlace, put_tile},
    product::Multiplier,
    tiles::{Results, TILE_INPUTS, TILE_ROWS, TILE_TOKENS, TILE_VALUES},
    vectors::transposed,
    weights::TileRows,
};
use super::{
    exp::exp,
    experts::{Assignments, Choice, ExpertBiasRows, ExpertRows, ExpertSizes},
    output::SharedOut,
    rows::Rows,
};
use crate::{
    config::{Activation, ExpertFunction},
    precision::ComputeType,
};

/// Bytes of weights per task, so that they stay in the second-level cache while all tokens pass.
const PANEL_BYTES: usize = 512 << 10;
/// Most rows of weights per task.
const PANEL_ROWS: usize = 128;
/// Rows of weights that two tiles hold.
const BLOCK_ROWS: usize = 2 * TILE_ROWS;
/// Multiply-adds below which threads cost more than they bring.
const SERIAL_BELOW: usize = 256 * 1024;

/// bf16 pieces per activation.
fn pieces(compute: ComputeType) -> usize {
    match compute {
        ComputeType::F32 => 3,
        ComputeType::Bf16 => 1,
    }
}

/// Whether a product is done with tiles: rows of whole steps, and weights that bf16 holds exactly or may round.
///
/// It depends on nothing but the weights and the type of the arithmetic, except for blocks: a few tokens are faster
/// without tiles, since integers are unpacked for them alone.
pub(super) fn multiplies(
    compute: ComputeType,
    weights: Rows<'_>,
    inputs: usize,
    tokens: usize,
) -> bool {
    const FEW_TOKENS: usize = 4;
    inputs.is_multiple_of(TILE_INPUTS)
        && support::is_available()
        && match weights {
            Rows::F32(_) => compute == ComputeType::Bf16,
            Rows::Bf16(_) => true,
            Rows::Blocks(..) => tokens > FEW_TOKENS,
        }
}

/// Whether a layer's experts are computed with tiles, for so many assignments.
pub(super) fn multiply_experts(
    compute: ComputeType,
    experts: &[ExpertRows<'_>],
    sizes: ExpertSizes,
    assignments: usize,
) -> bool {
    // So many tokens has an expert when all are equally likely.
    let tokens = assignments / experts.len();
    let fits = |weights, inputs| multiplies(compute, weights, inputs, tokens);
    experts.iter().all(|expert| {
        fits(expert.gate, sizes.hidden)
            && fits(expert.up, sizes.hidden)
            && fits(expert.down, sizes.intermediate)
    })
}

/// Splits `rows` of so many inputs into panels for the threads there are.
fn panels(rows: usize, inputs: usize, unit: usize) -> Vec<Range<usize>> {
    let fair = rows.div_ceil(4 * rayon::current_num_threads());
    let fitting = (PANEL_BYTES / (size_of::<bf16>() * inputs)).min(PANEL_ROWS);
    let size = (fair.min(fitting) / unit * unit).max(unit);
    (0..rows)
        .step_by(size)
        .map(|first| first..(first + size).min(rows))
        .collect()
}

fn run<T: Send>(tasks: Vec<T>, multiply_adds: usize, work: impl Fn(T) + Send + Sync) {
    if multiply_adds < SERIAL_BELOW {
        tasks.into_iter().for_each(work);
    } else {
        tasks.into_par_iter().for_each(work);
    }
}

/// `x [n, k]`, `weight [m, k]` → `[n, m]`.
pub(super) fn linear(compute: ComputeType, x: &[f32], weight: Rows<'_>, k: usize) -> Vec<f32> {
    let (n, m) = (x.len() / k, weight.len() / k);
    let shape = OperandShape {
        inputs: k,
        pieces: pieces(compute),
        offsets: vec![0, n],
    };
    let operand = Operand::of(shape, |row| &x[row * k..(row + 1) * k]);
    let mut out = Vec::new();
    // SAFETY: the panels cover all columns of all tokens, and nothing is read.
    let shared = unsafe { SharedOut::unwritten(&mut out, n * m) };
    run(panels(m, k, BLOCK_ROWS), n * m * k, |panel| {
        // SAFETY: `multiplies` has seen the instructions; panels are disjoint columns of the output.
        unsafe { linear_panel(&operand, weight, panel, m, &shared) };
    });
    // SAFETY: every element has been written.
    unsafe { out.set_len(n * m) };
    out
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn linear_panel(
    x: &Operand,
    weight: Rows<'_>,
    panel: Range<usize>,
    m: usize,
    out: &SharedOut<'_, f32>,
) {
    let shape = &x.shape;
    let blocks: Vec<TileRows<'_>> = panel
        .clone()
        .step_by(BLOCK_ROWS)
        .map(|first| TileRows::of_one(weight, shape.inputs, first, panel.end))
        .collect();
    // SAFETY: tiles are available, and a task has its thread for itself.
    let mut multiplier = unsafe { Multiplier::new() };
    let write = |block: usize, tile: usize, results: &Results| {
        for (number, half) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let rows = &blocks[block];
            let columns = rows.first[half]..rows.first[half] + rows.count[half];
            let result = results.tile(2 * number + half);
            // SAFETY: this task alone writes these columns.
            unsafe { write_tile(result, shape.rows(0, tile + number), columns, m, out) };
        }
    };
    // SAFETY: weights and activations have the same inputs.
    unsafe { multiplier.multiply_panel(x, 0, &blocks, write) };
}

/// Writes a tile of results `[16 outputs, 16 tokens]` to `out [tokens, m]`.
#[target_feature(enable = "avx512f")]
unsafe fn write_tile(
    result: &[f32; TILE_VALUES],
    tokens: Range<usize>,
    columns: Range<usize>,
    m: usize,
    out: &SharedOut<'_, f32>,
) {
    if columns.is_empty() || tokens.is_empty() {
        return;
    }
    for (values, token) in transposed(result).into_iter().zip(tokens) {
        let mut row = [0.0f32; TILE_ROWS];
        // SAFETY: the row has room for 16 values; the range is this task's alone.
        unsafe {
            _mm512_storeu_si512(row.as_mut_ptr().cast(), values);
            out.range(token * m + columns.start, columns.len())
                .copy_from_slice(&row[..columns.len()]);
        }
    }
}

/// The experts of one layer, as `experts::experts` defines them.
pub(super) fn experts(
    compute: ComputeType,
    x: &[f32],
    choice: Choice<'_>,
    experts: &[ExpertRows<'_>],
    function: ExpertFunction,
    sizes: ExpertSizes,
) -> Vec<f32> {
    let ExpertSizes {
        hidden,
        intermediate,
        top_k,
    } = sizes;
    let assignments = Assignments::of(choice.selected, experts.len());
    let shape = |inputs: usize| OperandShape {
        inputs,
        pieces: pieces(compute),
        offsets: assignments.offsets.clone(),
    };
    let token_row = |assignment: usize| {
        let token = assignment / top_k;
        &x[token * hidden..(token + 1) * hidden]
    };
    let gathered = match choice.target {
        WeightTarget::Output => Operand::of(shape(hidden), |row| token_row(assignments.order[row])),
        WeightTarget::Input => {
            let scaled: Vec<f32> = assignments
                .order
                .iter()
                .flat_map(|assignment| {
                    let weight = choice.weights[*assignment];
                    token_row(*assignment).iter().map(move |x| x * weight)
                })
                .collect();
            Operand::of(shape(hidden), |row| {
                &scaled[row * hidden..(row + 1) * hidden]
            })
        }
    };
    let inner_shape = shape(intermediate);
    let mut pairs = Vec::new();
    // SAFETY: the tasks cover all inputs of all assignments, and nothing is read.
    let places = unsafe { SharedOut::unwritten(&mut pairs, inner_shape.len()) };
    let multiply_adds = choice.selected.len() * hidden * intermediate;
    let tasks: Vec<(usize, Range<usize>)> = assignments
        .used()
        .flat_map(|expert| {
            // Gate and up: twice the weights per row.
            panels(intermediate, 2 * hidden, TILE_ROWS)
                .into_iter()
                .map(move |panel| (expert, panel))
        })
        .collect();
    run(tasks, 2 * multiply_adds, |(expert, panel)| {
        let task = InnerTask {
            x: &gathered,
            expert,
            weights: experts[expert],
            function,
            inner: &inner_shape,
        };
        // SAFETY: `multiplies` has seen the instructions; tasks are disjoint inputs of the inner operand.
        unsafe { task.run(panel, &places) };
    });
    // SAFETY: every pair has been written.
    unsafe { pairs.set_len(inner_shape.len()) };
    let inner = Operand {
        pairs,
        shape: inner_shape,
    };
    let mut out = vec![0.0f32; x.len()];
    let shared = SharedOut::new(&mut out);
    let used: Vec<usize> = assignments.used().collect();
    run(
        panels(hidden, intermediate, BLOCK_ROWS),
        multiply_adds,
        |panel| {
            let task = OuterTask {
                inner: &inner,
                assignments: &assignments,
                used: &used,
                choice,
                experts,
                sizes,
            };
            // SAFETY: as above; panels are disjoint columns of the output.
            unsafe { task.run(panel, &shared) };
        },
    );
    out
}

/// f(gate(x), up(x)) of one expert's tokens.
struct InnerTask<'a> {
    x: &'a Operand,
    expert: usize,
    weights: ExpertRows<'a>,
    function: ExpertFunction,
    inner: &'a OperandShape,
}

impl InnerTask<'_> {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn run(&self, panel: Range<usize>, out: &SharedOut<'_, u32>) {
        let inputs = self.x.shape.inputs;
        let blocks: Vec<TileRows<'_>> = panel
            .clone()
            .step_by(TILE_ROWS)
            .map(|first| TileRows {
                matrices: [self.weights.gate, self.weights.up],
                first: [first; 2],
                count: [TILE_ROWS; 2],
                inputs,
            })
            .collect();
        // SAFETY: tiles are available, and a task has its thread for itself.
        let mut multiplier = unsafe { Multiplier::new() };
        let put = |block: usize, tile: usize, results: &Results| {
            for number in 0..2 {
                let place = TilePlace {
                    group: self.expert,
                    tile: tile + number,
                    first_input: blocks[block].first[0],
                };
                if !self.inner.rows(place.group, place.tile).is_empty() {
                    // SAFETY: this task alone has these inputs of this expert's tokens.
                    unsafe {
                        let values = self.activate(results, number, place.first_input);
                        put_tile(&values, &place, self.inner, out);
                    }
                }
            }
        };
        // SAFETY: weights and activations have the same inputs.
        unsafe { multiplier.multiply_panel(self.x, self.expert, &blocks, put) };
    }

    /// f(gate, up) of one tile of results, `[16 inner, 16 tokens]`.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn activate(&self, results: &Results, number: usize, first: usize) -> [f32; TILE_VALUES] {
        let mut gate = *results.tile(2 * number);
        let mut up = *results.tile(2 * number + 1);
        if let Some(ExpertBiasRows {
            gate: gate_bias,
            up: up_bias,
            ..
        }) = self.weights.biases
        {
            for (values, bias) in [(&mut gate, gate_bias), (&mut up, up_bias)] {
                let bias = &bias[first..first + TILE_ROWS];
                for (row, bias) in values.chunks_exact_mut(TILE_TOKENS).zip(bias) {
                    row.iter_mut().for_each(|value| *value += bias);
                }
            }
        }
        if self.function == ExpertFunction::Glu(Activation::Silu) {
            for (gate, up) in gate.iter_mut().zip(&up) {
                *gate = *gate / (1.0 + exp(-*gate)) * up;
            }
        } else {
            for (gate, up) in gate.iter_mut().zip(&up) {
                *gate = self.function.apply(*gate, *up);
            }
        }
        gate
    }
}

/// Σ of weight · down(inner), for some outputs of all tokens.
struct OuterTask<'a> {
    inner: &'a Operand,
    assignments: &'a Assignments,
    used: &'a [usize],
    choice: Choice<'a>,
    experts: &'a [ExpertRows<'a>],
    sizes: ExpertSizes,
}

impl OuterTask<'_> {
    /// Experts are added in the order of their numbers.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn run(&self, panel: Range<usize>, out: &SharedOut<'_, f32>) {
        let ExpertSizes { hidden, top_k, .. } = self.sizes;
        let shape = &self.inner.shape;
        let tokens = self.choice.selected.len() / top_k;
        let width = panel.len().next_multiple_of(BLOCK_ROWS);
        let mut sums = vec![0.0f32; tokens * width];
        // SAFETY: tiles are available, and a task has its thread for itself.
        let mut multiplier = unsafe { Multiplier::new() };
        for expert in self.used.iter().copied() {
            let down = self.experts[expert].down;
            let blocks: Vec<TileRows<'_>> = panel
                .clone()
                .step_by(BLOCK_ROWS)
                .map(|first| TileRows::of_one(down, shape.inputs, first, panel.end))
                .collect();
            let add = |block: usize, tile: usize, results: &Results| {
                for (number, half) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let rows = shape.rows(expert, tile + number);
                    let column = block * BLOCK_ROWS + half * TILE_ROWS;
                    let result = results.tile(2 * number + half);
                    self.add_tile(result, rows, (column, width), &mut sums);
                }
            };
            // SAFETY: weights and activations have the same inputs.
            unsafe { multiplier.multiply_panel(self.inner, expert, &blocks, add) };
        }
        for (token, sums) in sums.chunks_exact(width).enumerate() {
            // SAFETY: this task alone writes these columns.
            let out = unsafe { out.range(token * hidden + panel.start, panel.len()) };
            out.copy_from_slice(&sums[..panel.len()]);
        }
        self.add_biases(panel, out);
    }

    /// Adds weight · result to the sums of the tokens in `rows`.
    #[target_feature(enable = "avx512f")]
    fn add_tile(
        &self,
        result: &[f32; TILE_VALUES],
        rows: Range<usize>,
        (column, width): (usize, usize),
        sums: &mut [f32],
    ) {
        if rows.is_empty() {
            return;
        }
        let order = &self.assignments.order[rows];
        for (values, assignment) in transposed(result).into_iter().zip(order) {
            let at = assignment / self.sizes.top_k * width + column;
            let sums = &mut sums[at..at + TILE_ROWS];
            let weight = _mm512_set1_ps(self.choice.output_weight(*assignment));
            // SAFETY: the slice is 16 values.
            unsafe {
                let values = _mm512_castsi512_ps(values);
                let sum = _mm512_fmadd_ps(weight, values, _mm512_loadu_ps(sums.as_ptr()));
                _mm512_storeu_ps(sums.as_mut_ptr(), sum);
            }
        }
    }

    fn add_biases(&self, panel: Range<usize>, out: &SharedOut<'_, f32>) {
        let ExpertSizes { hidden, top_k, .. } = self.sizes;
        for (assignment, expert) in self.choice.selected.iter().enumerate() {
            let Some(biases) = self.experts[*expert].biases else {
                return;
            };
            let weight = self.choice.output_weight(assignment);
            let start = assignment / top_k * hidden + panel.start;
            // SAFETY: this task alone writes these columns.
            let out = unsafe { out.range(start, panel.len()) };
            for (out, bias) in out.iter_mut().zip(&biases.down[panel.clone()]) {
                *out += weight * bias;
            }
        }
    }
}
