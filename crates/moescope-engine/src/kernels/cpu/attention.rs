//! Attention of each query over its own range of cached keys: causal, sliding, and ragged batches alike.

use rayon::prelude::*;

use super::{
    exp::shifted_exp,
    output::SharedOut,
    simd::{InstructionSet, LANES, Simd, SimdTask, with_simd},
};
use crate::kernels::{AttentionShape, KeyRange};

/// Multiply-adds below which threads cost more than they bring.
const SERIAL_BELOW: usize = 64 * 1024;

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
    let AttentionShape {
        heads,
        kv_heads,
        head_dim,
        value_dim,
        scale,
    } = shape;
    let group = heads / kv_heads;
    let (key_width, value_width) = (kv_heads * head_dim, kv_heads * value_dim);
    let mut out = vec![0.0f32; ranges.len() * heads * value_dim];
    let shared = SharedOut::new(&mut out);
    let longest = ranges.iter().map(KeyRange::len).max().unwrap_or(0);
    let work = |scores: &mut Vec<f32>, index: usize| {
        let (token, head) = (index / heads, index % heads);
        let range = ranges[token];
        scores.clear();
        scores.resize(range.len(), 0.0);
        // SAFETY: each (token, head) has its own place in the output.
        let out = unsafe { shared.range(index * value_dim, value_dim) };
        with_simd(
            set,
            OneHead {
                query: &queries[index * head_dim..(index + 1) * head_dim],
                keys: &keys[range.first * key_width..range.end * key_width],
                values: &values[range.first * value_width..range.end * value_width],
                key_stride: key_width,
                value_stride: value_width,
                kv_head: head / group,
                scale,
                sink: sinks.map(|sinks| sinks[head]),
                scores,
                out,
            },
        );
    };
    let multiply_adds: usize = ranges
        .iter()
        .map(|range| range.len() * heads * (head_dim + value_dim))
        .sum();
    let all = ranges.len() * heads;
    if multiply_adds < SERIAL_BELOW {
        let mut scores = Vec::with_capacity(longest);
        (0..all).for_each(|index| work(&mut scores, index));
    } else {
        (0..all)
            .into_par_iter()
            .for_each_init(|| Vec::with_capacity(longest), work);
    }
    out
}

struct OneHead<'a> {
    query: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    key_stride: usize,
    value_stride: usize,
    kv_head: usize,
    scale: f32,
    sink: Option<f32>,
    scores: &'a mut [f32],
    out: &'a mut [f32],
}

impl SimdTask for OneHead<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self {
            query,
            keys,
            values,
            key_stride,
            value_stride,
            kv_head,
            scale,
            sink,
            scores,
            out,
        } = self;
        let mut max = sink.unwrap_or(f32::NEG_INFINITY);
        let key_at = kv_head * query.len()..(kv_head + 1) * query.len();
        for (score, key) in scores.iter_mut().zip(keys.chunks_exact(key_stride)) {
            // SAFETY: both slices hold head_dim values.
            *score = unsafe { dot::<S>(query, &key[key_at.clone()]) } * scale;
            max = max.max(*score);
        }
        shifted_exp(scores, max);
        // SAFETY: the machine has `S`, by the contract of `run`.
        let mut sum = unsafe { total::<S>(scores) };
        if let Some(sink) = sink {
            sum += (sink - max).exp();
        }
        let value_at = kv_head * out.len()..(kv_head + 1) * out.len();
        for (score, value) in scores.iter().zip(values.chunks_exact(value_stride)) {
            // SAFETY: both slices hold value_dim values.
            unsafe { add_scaled::<S>(out, &value[value_at.clone()], *score / sum) };
        }
    }
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

/// # Safety
/// The slices have the same length and the machine has `S`.
#[inline(always)]
unsafe fn dot<S: Simd>(a: &[f32], b: &[f32]) -> f32 {
    let body = a.len() - a.len() % LANES;
    unsafe {
        let mut sums = S::zero();
        let mut at = 0;
        while at < body {
            sums = S::fma(
                S::load(a.as_ptr().add(at)),
                S::load(b.as_ptr().add(at)),
                sums,
            );
            at += LANES;
        }
        let mut tail = 0.0f32;
        for t in body..a.len() {
            tail = S::fma1(a[t], b[t], tail);
        }
        S::sum(sums) + tail
    }
}

/// out += factor · v
///
/// # Safety
/// The slices have the same length and the machine has `S`.
#[inline(always)]
unsafe fn add_scaled<S: Simd>(out: &mut [f32], v: &[f32], factor: f32) {
    let body = out.len() - out.len() % LANES;
    unsafe {
        let factors = S::splat(factor);
        let mut at = 0;
        while at < body {
            let to = out.as_mut_ptr().add(at);
            S::store(
                to,
                S::fma(factors, S::load(v.as_ptr().add(at)), S::load(to)),
            );
            at += LANES;
        }
        for t in body..out.len() {
            out[t] = S::fma1(factor, v[t], out[t]);
        }
    }
}
