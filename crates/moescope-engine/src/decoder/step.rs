//! What all layers of one forward pass share: tokens, rotations, and who sees which keys.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};

use super::{KvCache, MoeModel};
use crate::{
    config::{KeyMask, QueryTemperature, Rope},
    error::EngineError,
    kernels::{CacheSpan, KeyRange, RotaryAngles},
};

/// New tokens of one sequence, to be appended to its part of the cache.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The sequence's number in the cache.
    pub sequence: usize,
    /// The new tokens, in order.
    pub tokens: &'a [u32],
}

/// The plan of one forward pass.
pub(super) struct Step {
    pub(super) tokens: Vec<u32>,
    pub(super) angles: RotaryAngles,
    /// The keys that each token sees, by mask.
    ranges: BTreeMap<KeyMask, Vec<KeyRange>>,
    pub(super) cache_spans: Vec<CacheSpan>,
    /// Factors on the queries of layers without rotary positions, `[tokens, 1]`.
    pub(super) temperatures: Option<Tensor<2>>,
}

impl Step {
    pub(super) fn plan(
        model: &MoeModel,
        spans: &[Span<'_>],
        cache: &KvCache,
    ) -> Result<Self, EngineError> {
        let config = &model.config;
        let total: usize = spans.iter().map(|span| span.tokens.len()).sum();
        let mut tokens = Vec::with_capacity(total);
        let mut rotations = Rotations::new(&config.attention.rope, total);
        let mut cache_spans = Vec::with_capacity(spans.len());
        let mut positions = Vec::with_capacity(total);
        let masks = config.attention.layers.iter().map(|layer| layer.mask);
        let mut ranges: BTreeMap<KeyMask, Vec<KeyRange>> = masks
            .map(|mask| (mask, Vec::with_capacity(total)))
            .collect();
        for span in spans {
            if let Some(id) = span
                .tokens
                .iter()
                .find(|id| **id as usize >= config.vocab_size)
            {
                return Err(EngineError::TokenOutOfRange {
                    id: *id,
                    vocab_size: config.vocab_size,
                });
            }
            let (start, offset) = cache.place(span.sequence, span.tokens.len())?;
            let end = start + span.tokens.len();
            cache_spans.push(CacheSpan {
                token: tokens.len(),
                row: offset + start,
                len: span.tokens.len(),
            });
            tokens.extend_from_slice(span.tokens);
            positions.extend(start..end);
            rotations.push(start..end);
            for (mask, ranges) in &mut ranges {
                ranges.extend((start..end).map(|position| KeyRange {
                    first: offset + mask.first(position),
                    end: offset + position + 1,
                }));
            }
        }
        let temperatures = config
            .attention
            .temperature
            .map(|temperature| temperatures(model, temperature, &positions));
        Ok(Self {
            tokens,
            angles: rotations.on_device(model),
            ranges,
            cache_spans,
            temperatures,
        })
    }

    /// The keys that each token sees under a mask.
    pub(super) fn ranges(&self, mask: KeyMask) -> &[KeyRange] {
        &self.ranges[&mask]
    }
}

/// Cosines and sines of all tokens, row by row.
struct Rotations<'a> {
    rope: &'a Rope,
    cos: Vec<f32>,
    sin: Vec<f32>,
    tokens: usize,
}

impl<'a> Rotations<'a> {
    fn new(rope: &'a Rope, tokens: usize) -> Self {
        let len = tokens * rope.rotary_dim / 2;
        Self {
            rope,
            cos: Vec::with_capacity(len),
            sin: Vec::with_capacity(len),
            tokens,
        }
    }

    /// Adds the positions of one sequence, whose length after the step scales the frequencies.
    fn push(&mut self, positions: std::ops::Range<usize>) {
        let frequencies = self.rope.inverse_frequencies(positions.end);
        let factor = self.rope.attention_factor(positions.end);
        for position in positions {
            #[expect(clippy::cast_precision_loss, reason = "positions are far below 2^52")]
            for frequency in &frequencies {
                let (s, c) = (position as f64 * frequency).sin_cos();
                #[expect(clippy::cast_possible_truncation, reason = "rotations are f32")]
                {
                    self.cos.push((c * factor) as f32);
                    self.sin.push((s * factor) as f32);
                }
            }
        }
    }

    fn on_device(self, model: &MoeModel) -> RotaryAngles {
        let dims = [self.tokens, self.rope.rotary_dim / 2];
        let tensor =
            |values: Vec<f32>| Tensor::from_data(TensorData::new(values, dims), &model.device);
        RotaryAngles {
            cos: tensor(self.cos),
            sin: tensor(self.sin),
            layout: self.rope.layout,
        }
    }
}

fn temperatures(model: &MoeModel, temperature: QueryTemperature, positions: &[usize]) -> Tensor<2> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "positions are far below 2^52, activations are f32"
    )]
    let factors: Vec<f32> = positions
        .iter()
        .map(|position| {
            let steps = ((*position as f64 + 1.0) / temperature.floor).floor();
            (steps.ln_1p() * temperature.scale + 1.0) as f32
        })
        .collect();
    let len = factors.len();
    Tensor::from_data(TensorData::new(factors, [len, 1]), &model.device)
}
