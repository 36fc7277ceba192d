//! Attention of each query over its own range of cached keys: causal, sliding, and ragged batches alike.
//!
//! Neighbouring queries of a sequence, and the query heads that share a key head, are computed together, so that keys
//! and values are read once for all of them. Every sum is added in the same order as for a query alone.

mod cached;
mod mixture;
mod scores;

use std::ops::Range;

use super::{
    lines::Lines,
    output::SharedOut,
    simd::{InstructionSet, LANES, Simd, SimdTask, with_simd},
    softmax::softmax,
    team,
};
use cached::{Cached, Heads};
use mixture::Mixture;
use scores::scores_of;

use crate::kernels::{AttentionShape, KeyRange};

/// Multiply-adds below which threads cost more than they bring.
const SERIAL_BELOW: usize = 64 * 1024;
/// Rows of scores (queries times heads) that are computed together.
const MOST_ROWS: usize = 16;
/// Scores that are computed together, so that they stay in the second-level cache.
const MOST_SCORES: usize = 128 << 10;
/// Keys that are read together.
const KEYS: usize = 24;
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
    let cached = Cached::of(keys, values, ranges, shape);
    let mut out = vec![0.0f32; ranges.len() * shape.heads * shape.value_dim];
    let shared = SharedOut::new(&mut out);
    let runs = neighbours(ranges, shape.heads / shape.kv_heads);
    // One head after the other, so that its keys and values stay in the second-level cache.
    let tasks: Vec<(Range<usize>, usize)> = (0..shape.kv_heads)
        .flat_map(|kv_head| runs.iter().map(move |tokens| (tokens.clone(), kv_head)))
        .collect();
    let work = |scratch: &mut Scratch, (tokens, kv_head): (Range<usize>, usize)| {
        let task = Block {
            queries,
            cached: &cached,
            sinks,
            ranges: &ranges[tokens.clone()],
            first_token: tokens.start,
            kv_head,
            shape,
            scratch,
            out: &shared,
        };
        with_simd(set, task);
    };
    let width = shape.heads * (shape.head_dim + shape.value_dim);
    let multiply_adds: usize = ranges.iter().map(|range| range.len() * width).sum();
    if multiply_adds < SERIAL_BELOW {
        let mut scratch = Scratch::default();
        tasks.into_iter().for_each(|task| work(&mut scratch, task));
    } else {
        team::for_each_init(tasks.len(), Scratch::default, |scratch, task| {
            work(scratch, tasks[task].clone());
        });
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
    cached: &'a Cached<'a>,
    sinks: Option<&'a [f32]>,
    ranges: &'a [KeyRange],
    first_token: usize,
    kv_head: usize,
    shape: AttentionShape,
    scratch: &'a mut Scratch,
    out: &'a SharedOut<'a, f32>,
}

/// Rows of a task side by side. In the input and the output they are a row of all heads apart, which is often a multiple
/// of what maps to one set of the processor's caches.
#[derive(Default)]
struct Scratch {
    /// `[rows, D]`
    queries: Lines,
    /// `[rows, keys]`
    scores: Lines,
    /// `[rows, V]`
    mixed: Lines,
}

/// A query of one head: a row of scores.
#[derive(Clone, Copy)]
struct Row {
    /// Number of the query among `[n · heads]`.
    query: usize,
    head: usize,
    range: KeyRange,
}

impl Row {
    /// Those of its keys that are among some.
    fn keys_of(&self, some: KeyRange) -> KeyRange {
        KeyRange {
            first: self.range.first.clamp(some.first, some.end),
            end: self.range.end.clamp(some.first, some.end),
        }
    }
}

impl SimdTask for Block<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            queries,
            cached,
            sinks,
            ranges,
            first_token,
            kv_head,
            shape,
            scratch,
            out,
        } = self;
        let AttentionShape {
            head_dim,
            value_dim,
            scale,
            ..
        } = shape;
        let rows = rows_of(ranges, first_token, kv_head, shape);
        // Ranges begin and end no earlier than those before.
        let all = KeyRange {
            first: ranges[0].first,
            end: ranges[ranges.len() - 1].end,
        };
        let stride = score_stride(all.len());
        let Scratch {
            queries: own,
            scores,
            mixed,
        } = scratch;
        own.grow(rows.len() * head_dim);
        scores.grow(rows.len() * stride);
        mixed.grow(rows.len() * value_dim);
        mixed[..rows.len() * value_dim].fill(0.0);
        for (row, own) in rows.iter().zip(own.chunks_mut(head_dim)) {
            own.copy_from_slice(&queries[row.query * head_dim..(row.query + 1) * head_dim]);
        }
        let [keys, values] = cached.head(kv_head, shape);
        let query = |row: usize| &own[row * head_dim..(row + 1) * head_dim];
        for some in blocks(all) {
            for first in (0..rows.len()).step_by(TILE) {
                let scores = &mut scores[first * stride..];
                // SAFETY (both): queries are as wide as keys, scores are as many rows as queries, the machine has `S`.
                if first + TILE <= rows.len() {
                    let queries = [first, first + 1, first + 2, first + 3].map(query);
                    unsafe { scores_of::<S, TILE>(queries, keys, (all, some), scale, scores) };
                } else {
                    for (row, scores) in (first..rows.len()).zip(scores.chunks_mut(stride)) {
                        let queries = [query(row)];
                        unsafe { scores_of::<S, 1>(queries, keys, (all, some), scale, scores) };
                    }
                }
            }
        }
        for (row, scores) in rows.iter().zip(scores.chunks_mut(stride)) {
            let own = &mut scores[row.range.first - all.first..row.range.end - all.first];
            let sink = sinks.map(|sinks| sinks[row.head]);
            // SAFETY: the machine has `S`.
            unsafe { softmax::<S>(own, sink) };
        }
        let weights = |row: usize| &scores[row * stride..(row + 1) * stride];
        for some in blocks(all) {
            let mixed = mixed.chunks_mut(TILE * value_dim);
            for ((number, rows), mixed) in rows.chunks(TILE).enumerate().zip(mixed) {
                let first = number * TILE;
                // SAFETY (both): weights cover `all`, ranges lie within it, the machine has `S`.
                if let [a, b, c, d] = rows {
                    let mixture = Mixture {
                        ranges: [a, b, c, d].map(|row| row.keys_of(some)),
                        weights: [first, first + 1, first + 2, first + 3].map(weights),
                        first: all.first,
                    };
                    unsafe { mixture.mix::<S>(values, mixed) };
                } else {
                    let mixed = mixed.chunks_mut(value_dim);
                    for ((number, row), mixed) in (first..).zip(rows).zip(mixed) {
                        let mixture = Mixture {
                            ranges: [row.keys_of(some)],
                            weights: [weights(number)],
                            first: all.first,
                        };
                        unsafe { mixture.mix::<S>(values, mixed) };
                    }
                }
            }
        }
        for (row, mixed) in rows.iter().zip(mixed.chunks(value_dim)) {
            // SAFETY: each query of each head has its own place in the output.
            let out = unsafe { out.range(row.query * value_dim, value_dim) };
            out.copy_from_slice(mixed);
        }
    }
}

/// The heads of one kv head for every query, query by query.
fn rows_of(
    ranges: &[KeyRange],
    first_token: usize,
    kv_head: usize,
    shape: AttentionShape,
) -> Vec<Row> {
    let group = shape.heads / shape.kv_heads;
    let tokens = (first_token..).zip(ranges);
    tokens
        .flat_map(|(token, range)| {
            (kv_head * group..(kv_head + 1) * group).map(move |head| Row {
                query: token * shape.heads + head,
                head,
                range: *range,
            })
        })
        .collect()
}

/// Floats from one row of scores to the next: whole lines, an odd number of them, so that the same keys of different rows
/// do not share a set of the processor's caches.
fn score_stride(keys: usize) -> usize {
    (keys.div_ceil(LANES) | 1) * LANES
}

/// Keys that all rows of a task pass before the next ones, so that they stay in the first-level cache.
fn blocks(all: KeyRange) -> impl Iterator<Item = KeyRange> {
    (all.first..all.end)
        .step_by(KEYS)
        .map(move |first| KeyRange {
            first,
            end: (first + KEYS).min(all.end),
        })
}
