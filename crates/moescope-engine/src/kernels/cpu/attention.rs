//! Attention of each query over its own range of cached keys: causal, sliding, and ragged batches alike.
//!
//! Neighbouring queries of a sequence, and the query heads that share a key head, are computed together, so that keys
//! and values are read once for all of them. Every sum is added in the same order as for a query alone.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    exp::shifted_exp,
    output::SharedOut,
    simd::{InstructionSet, LANES, Simd, SimdTask, with_simd},
};
use crate::kernels::{AttentionShape, KeyRange};

/// Multiply-adds below which threads cost more than they bring.
const SERIAL_BELOW: usize = 64 * 1024;
/// Rows of scores (queries times heads) that are computed together.
const MOST_ROWS: usize = 16;
/// Scores that are computed together, so that they stay in the second-level cache.
const MOST_SCORES: usize = 128 << 10;
/// Rows of a tile.
const TILE: usize = 4;

/// `queries [n, heads · D]`, `keys [rows, kv_heads · D]`, `values [rows, kv_heads · V]`, one key range per query
/// → `[n, heads · V]`.
///
/// Query head j reads kv head `⌊j / (heads / kv_heads)⌋`. Softmax in f32 with the maximum subtracted; `sinks [heads]`
/// join it as one more logit whose probability is dropped.
pub(crate) fn attention(
    set: InstructionSet,
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    sinks: Option<&[f32]>,
    ranges: &[KeyRange],
    shape: AttentionShape,
) -> Vec<f32> {
    let mut out = vec![0.0f32; ranges.len() * shape.heads * shape.value_dim];
    let shared = SharedOut::new(&mut out);
    let tasks: Vec<(Range<usize>, usize)> = neighbours(ranges, shape.heads / shape.kv_heads)
        .into_iter()
        .flat_map(|tokens| (0..shape.kv_heads).map(move |kv_head| (tokens.clone(), kv_head)))
        .collect();
    let work = |scores: &mut Vec<f32>, (tokens, kv_head): (Range<usize>, usize)| {
        let task = Block {
            queries,
            keys,
            values,
            sinks,
            ranges: &ranges[tokens.clone()],
            first_token: tokens.start,
            kv_head,
            shape,
            scores,
            out: &shared,
        };
        with_simd(set, task);
    };
    let width = shape.heads * (shape.head_dim + shape.value_dim);
    let multiply_adds: usize = ranges.iter().map(|range| range.len() * width).sum();
    if multiply_adds < SERIAL_BELOW {
        let mut scores = Vec::new();
        tasks.into_iter().for_each(|task| work(&mut scores, task));
    } else {
        tasks.into_par_iter().for_each_init(Vec::new, work);
    }
    out
}

/// Cuts tokens into runs of neighbours in one sequence: each sees one key more than the one before.
fn neighbours(ranges: &[KeyRange], group: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (token, range) in ranges.iter().enumerate() {
        if let Some(run) = runs.last_mut() {
            let (start, before) = (ranges[run.start], ranges[token - 1]);
            let rows = (token + 1 - run.start) * group;
            let keys = range.end - start.first.min(range.end);
            if range.end == before.end + 1
                && range.first >= before.first
                && rows <= MOST_ROWS
                && rows * keys <= MOST_SCORES
            {
                run.end = token + 1;
                continue;
            }
        }
        runs.push(token..token + 1);
    }
    runs
}

/// Some neighbouring queries with all heads of one kv head.
struct Block<'a> {
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    sinks: Option<&'a [f32]>,
    ranges: &'a [KeyRange],
    first_token: usize,
    kv_head: usize,
    shape: AttentionShape,
    scores: &'a mut Vec<f32>,
    out: &'a SharedOut<'a, f32>,
}

/// A query of one head: a row of scores.
#[derive(Clone, Copy)]
struct Row {
    /// Number of the query among `[n · heads]`.
    query: usize,
    head: usize,
    range: KeyRange,
}

impl SimdTask for Block<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            queries,
            keys,
            values,
            sinks,
            ranges,
            first_token,
            kv_head,
            shape,
            scores,
            out,
        } = self;
        let AttentionShape {
            heads,
            kv_heads,
            head_dim,
            value_dim,
            scale,
        } = shape;
        let group = heads / kv_heads;
        let rows: Vec<Row> = ranges
            .iter()
            .enumerate()
            .flat_map(|(token, range)| {
                (0..group).map(move |number| {
                    let head = kv_head * group + number;
                    Row {
                        query: (first_token + token) * heads + head,
                        head,
                        range: *range,
                    }
                })
            })
            .collect();
        // Ranges begin and end no earlier than those before.
        let all = KeyRange {
            first: ranges[0].first,
            end: ranges[ranges.len() - 1].end,
        };
        scores.clear();
        scores.resize(rows.len() * all.len(), 0.0);
        let keys = Heads {
            values: keys,
            stride: kv_heads * head_dim,
            start: kv_head * head_dim,
            width: head_dim,
        };
        let values = Heads {
            values,
            stride: kv_heads * value_dim,
            start: kv_head * value_dim,
            width: value_dim,
        };
        let query = |row: &Row| &queries[row.query * head_dim..(row.query + 1) * head_dim];
        for (rows, scores) in rows.chunks(TILE).zip(scores.chunks_mut(TILE * all.len())) {
            // SAFETY (both): queries are as wide as keys, scores are as many rows as queries, the machine has `S`.
            if let [a, b, c, d] = rows {
                let queries = [a, b, c, d].map(query);
                unsafe { scores_of::<S, TILE>(queries, keys, all, scale, scores) };
            } else {
                for (row, scores) in rows.iter().zip(scores.chunks_mut(all.len())) {
                    unsafe { scores_of::<S, 1>([query(row)], keys, all, scale, scores) };
                }
            }
        }
        for (row, scores) in rows.iter().zip(scores.chunks_mut(all.len())) {
            let own = &mut scores[row.range.first - all.first..row.range.end - all.first];
            let sink = sinks.map(|sinks| sinks[row.head]);
            // SAFETY: the machine has `S`.
            unsafe { softmax::<S>(own, sink) };
        }
        for (rows, scores) in rows.chunks(TILE).zip(scores.chunks(TILE * all.len())) {
            let weights = |row: usize| &scores[row * all.len()..(row + 1) * all.len()];
            let place = |row: &Row| {
                // SAFETY: each query of each head has its own place in the output.
                unsafe { out.range(row.query * value_dim, value_dim) }
            };
            // SAFETY (both): weights cover `all`, ranges lie within it, the machine has `S`.
            if let [a, b, c, d] = rows {
                let mixture = Mixture {
                    ranges: [a, b, c, d].map(|row| row.range),
                    weights: [0, 1, 2, 3].map(weights),
                    first: all.first,
                };
                unsafe { mixture.mix::<S>(values, [a, b, c, d].map(place)) };
            } else {
                for (number, row) in rows.iter().enumerate() {
                    let mixture = Mixture {
                        ranges: [row.range],
                        weights: [weights(number)],
                        first: all.first,
                    };
                    unsafe { mixture.mix::<S>(values, [place(row)]) };
                }
            }
        }
    }
}

/// One head's columns of the cache.
#[derive(Clone, Copy)]
struct Heads<'a> {
    values: &'a [f32],
    stride: usize,
    start: usize,
    width: usize,
}

impl<'a> Heads<'a> {
    #[inline(always)]
    fn row(&self, row: usize) -> &'a [f32] {
        let at = row * self.stride + self.start;
        &self.values[at..at + self.width]
    }
}

/// q · k · scale for `R` queries and all keys, into `scores [R, keys]`.
///
/// # Safety
/// Queries are as wide as keys, and the machine has `S`.
#[inline(always)]
unsafe fn scores_of<S: Simd, const R: usize>(
    queries: [&[f32]; R],
    keys: Heads<'_>,
    range: KeyRange,
    scale: f32,
    scores: &mut [f32],
) {
    let len = range.len();
    let mut key = 0;
    while key < len {
        // The last tile repeats its last key, whose scores are not written twice.
        let rows: [&[f32]; TILE] =
            std::array::from_fn(|c| keys.row(range.first + (key + c).min(len - 1)));
        // SAFETY: by the contract.
        let found = unsafe { dots::<S, R>(queries, rows) };
        let width = TILE.min(len - key);
        for (row, found) in found.iter().enumerate() {
            let scores = &mut scores[row * len + key..row * len + key + width];
            for (score, found) in scores.iter_mut().zip(found) {
                *score = found * scale;
            }
        }
        key += TILE;
    }
}

/// Dot products in sixteen running sums, always added in the same order.
///
/// # Safety
/// All slices have the same length, and the machine has `S`.
#[inline(always)]
unsafe fn dots<S: Simd, const R: usize>(a: [&[f32]; R], b: [&[f32]; TILE]) -> [[f32; TILE]; R] {
    let len = a[0].len();
    let body = len - len % LANES;
    unsafe {
        let mut sums = [[S::zero(); TILE]; R];
        let mut at = 0;
        while at < body {
            let b: [S::V; TILE] = std::array::from_fn(|c| S::load(b[c].as_ptr().add(at)));
            for r in 0..R {
                let a = S::load(a[r].as_ptr().add(at));
                for c in 0..TILE {
                    sums[r][c] = S::fma(a, b[c], sums[r][c]);
                }
            }
            at += LANES;
        }
        if body < len {
            let rest = len - body;
            let b: [S::V; TILE] =
                std::array::from_fn(|c| S::load_part(b[c].as_ptr().add(body), rest));
            for r in 0..R {
                let a = S::load_part(a[r].as_ptr().add(body), rest);
                for c in 0..TILE {
                    sums[r][c] = S::fma(a, b[c], sums[r][c]);
                }
            }
        }
        let mut dots = [[0.0; TILE]; R];
        for (dots, sums) in dots.iter_mut().zip(sums) {
            *dots = S::sums(sums);
        }
        dots
    }
}

/// Scores become probabilities.
///
/// # Safety
/// The machine has `S`.
#[inline(always)]
unsafe fn softmax<S: Simd>(scores: &mut [f32], sink: Option<f32>) {
    // SAFETY: by the contract.
    let max = unsafe { largest::<S>(scores) }.max(sink.unwrap_or(f32::NEG_INFINITY));
    shifted_exp(scores, max);
    // SAFETY: by the contract.
    let mut sum = unsafe { total::<S>(scores) };
    if let Some(sink) = sink {
        sum += (sink - max).exp();
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// The largest value, −∞ where there is none.
///
/// # Safety
/// The machine has `S`.
#[inline(always)]
unsafe fn largest<S: Simd>(values: &[f32]) -> f32 {
    let body = values.len() - values.len() % LANES;
    let mut lanes = [f32::NEG_INFINITY; LANES];
    unsafe {
        let mut max = S::splat(f32::NEG_INFINITY);
        let mut at = 0;
        while at < body {
            max = S::max(S::load(values.as_ptr().add(at)), max);
            at += LANES;
        }
        S::store(lanes.as_mut_ptr(), max);
    }
    let rest = values[body..].iter();
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |max, value| max.max(*value))
}

/// The sum of all values, in sixteen running sums and a tail.
///
/// # Safety
/// The machine has `S`.
#[inline(always)]
unsafe fn total<S: Simd>(values: &[f32]) -> f32 {
    let body = values.len() - values.len() % LANES;
    unsafe {
        let ones = S::splat(1.0);
        let mut sums = S::zero();
        let mut at = 0;
        while at < body {
            sums = S::fma(S::load(values.as_ptr().add(at)), ones, sums);
            at += LANES;
        }
        S::sum(sums) + values[body..].iter().sum::<f32>()
    }
}

/// Σ of probability · value for `R` rows at once.
struct Mixture<'a, const R: usize> {
    ranges: [KeyRange; R],
    /// Probabilities of the keys from `first`.
    weights: [&'a [f32]; R],
    first: usize,
}

impl<const R: usize> Mixture<'_, R> {
    /// # Safety
    /// Weights cover the ranges, outputs are as wide as values, and the machine has `S`.
    #[inline(always)]
    unsafe fn mix<S: Simd>(&self, values: Heads<'_>, mut out: [&mut [f32]; R]) {
        const WIDE: usize = 4;
        let mut at = 0;
        // SAFETY (all): the dimensions from `at` are within the values' width.
        while at + WIDE * LANES <= values.width {
            unsafe { self.mix_part::<S, WIDE>(values, at, &mut out) };
            at += WIDE * LANES;
        }
        while at + LANES <= values.width {
            unsafe { self.mix_part::<S, 1>(values, at, &mut out) };
            at += LANES;
        }
        if at < values.width && values.width >= LANES {
            // The last sixteen dimensions; some of them come out a second time, the same.
            unsafe { self.mix_part::<S, 1>(values, values.width - LANES, &mut out) };
            at = values.width;
        }
        for at in at..values.width {
            for (r, out) in out.iter_mut().enumerate() {
                let KeyRange { first, end } = self.ranges[r];
                out[at] = (first..end).fold(0.0, |sum, key| {
                    let weight = self.weights[r][key - self.first];
                    unsafe { S::fma1(weight, values.row(key)[at], sum) }
                });
            }
        }
    }

    /// `C` vectors of dimensions from `at`: keys that all rows see are read once for all of them.
    ///
    /// # Safety
    /// As for [`Self::mix`], and `at + C · LANES ≤ width`.
    #[inline(always)]
    unsafe fn mix_part<S: Simd, const C: usize>(
        &self,
        values: Heads<'_>,
        at: usize,
        out: &mut [&mut [f32]; R],
    ) {
        let first = self
            .ranges
            .iter()
            .map(|range| range.first)
            .max()
            .unwrap_or(0);
        let end = self.ranges.iter().map(|range| range.end).min().unwrap_or(0);
        let (first, end) = (first.min(end), end);
        unsafe {
            let mut sums = [[S::zero(); C]; R];
            let load = |key: usize| -> [S::V; C] {
                let row = values.row(key).as_ptr().add(at);
                std::array::from_fn(|c| S::load(row.add(c * LANES)))
            };
            let add = |r: usize, key: usize, value: &[S::V; C], sums: &mut [S::V; C]| {
                let weight = S::splat(self.weights[r][key - self.first]);
                for (sum, value) in sums.iter_mut().zip(value) {
                    *sum = S::fma(weight, *value, *sum);
                }
            };
            for (r, sums) in sums.iter_mut().enumerate() {
                for key in self.ranges[r].first..first.max(self.ranges[r].first) {
                    add(r, key, &load(key), sums);
                }
            }
            for key in first..end {
                let value = load(key);
                for (r, sums) in sums.iter_mut().enumerate() {
                    add(r, key, &value, sums);
                }
            }
            for (r, (sums, out)) in sums.iter_mut().zip(out).enumerate() {
                for key in end.max(self.ranges[r].first)..self.ranges[r].end {
                    add(r, key, &load(key), sums);
                }
                for (c, sum) in sums.iter().enumerate() {
                    S::store(out.as_mut_ptr().add(at + c * LANES), *sum);
                }
            }
        }
    }
}
