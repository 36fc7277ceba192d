//! Keys and values of the tokens so far, for any number of sequences side by side.

use burn::tensor::{Device, Tensor};

use super::{MoeModel, step::Span};
use crate::{
    error::EngineError,
    kernels::{CacheSpan, Kernels},
};

/// Keys and values of every layer. Each sequence owns a run of rows of its full capacity.
///
/// A clone shares what is there until one of the two is written to.
#[derive(Clone, Debug)]
pub struct KvCache {
    device: Device,
    /// First row of each sequence, and one past the last sequence's rows.
    offsets: Vec<usize>,
    lengths: Vec<usize>,
    key_width: usize,
    value_width: usize,
    /// Per layer `[rows, kv_heads · D]`; absent before the first write.
    keys: Vec<Option<Tensor<2>>>,
    /// Per layer `[rows, kv_heads · V]`.
    values: Vec<Option<Tensor<2>>>,
}

impl KvCache {
    /// An empty cache; `capacities` are the most tokens that each sequence will hold.
    #[must_use]
    pub fn new(model: &MoeModel, capacities: &[usize]) -> Self {
        let attention = &model.config.attention;
        let mut offsets = vec![0];
        for capacity in capacities {
            offsets.push(offsets[offsets.len() - 1] + capacity);
        }
        Self {
            device: model.device.clone(),
            offsets,
            lengths: vec![0; capacities.len()],
            key_width: attention.kv_heads * attention.head_dim,
            value_width: attention.kv_heads * attention.value_dim,
            keys: vec![None; model.config.num_layers],
            values: vec![None; model.config.num_layers],
        }
    }

    /// Tokens of a sequence so far.
    #[must_use]
    pub fn len(&self, sequence: usize) -> usize {
        self.lengths[sequence]
    }

    /// Whether no sequence holds a token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.iter().all(|length| *length == 0)
    }

    /// The sequence's length and first row, if `more` tokens fit.
    pub(super) fn place(
        &self,
        sequence: usize,
        more: usize,
    ) -> Result<(usize, usize), EngineError> {
        let capacity = self.offsets[sequence + 1] - self.offsets[sequence];
        let length = self.lengths[sequence];
        if length + more > capacity {
            return Err(EngineError::Execution(format!(
                "sequence {sequence} would hold {} tokens, its cache has room for {capacity}",
                length + more
            )));
        }
        Ok((length, self.offsets[sequence]))
    }

    /// Forgets a sequence, so that another one may use its rows.
    pub(crate) fn clear(&mut self, sequence: usize) {
        self.lengths[sequence] = 0;
    }

    /// Forgets all but the first `tokens` of a sequence.
    pub(crate) fn truncate(&mut self, sequence: usize, tokens: usize) {
        self.lengths[sequence] = self.lengths[sequence].min(tokens);
    }

    /// Makes room for `capacity` tokens of the last sequence; what it holds stays.
    pub(crate) fn grow_last(&mut self, capacity: usize) {
        let last = self.offsets.len() - 1;
        let (before, rows) = (self.offsets[last - 1], self.offsets[last]);
        let more = (before + capacity).saturating_sub(rows);
        if more == 0 {
            return;
        }
        self.offsets[last] += more;
        let device = &self.device;
        for layer in self.keys.iter_mut().chain(&mut self.values) {
            if let Some(old) = layer.take() {
                let width = old.dims()[1];
                let room = Tensor::zeros([more, width], device);
                *layer = Some(Tensor::cat(vec![old, room], 0));
            }
        }
    }

    pub(super) fn advance(&mut self, spans: &[Span<'_>]) {
        for span in spans {
            self.lengths[span.sequence] += span.tokens.len();
        }
    }

    /// Adds a layer's new keys and values and returns all of that layer's.
    pub(super) fn write(
        &mut self,
        kernels: &dyn Kernels,
        layer: usize,
        keys: Tensor<2>,
        values: Tensor<2>,
        spans: &[CacheSpan],
    ) -> (&Tensor<2>, &Tensor<2>) {
        let rows = self.offsets[self.offsets.len() - 1];
        let fills_all = keys.dims()[0] == rows && spans.iter().all(|span| span.token == span.row);
        let (keys, values) = if fills_all {
            (keys, values)
        } else {
            let empty = |width: usize| Tensor::zeros([rows, width], &self.device);
            let old = (
                self.keys[layer]
                    .take()
                    .unwrap_or_else(|| empty(self.key_width)),
                self.values[layer]
                    .take()
                    .unwrap_or_else(|| empty(self.value_width)),
            );
            (
                kernels.write_cache(old.0, keys, spans),
                kernels.write_cache(old.1, values, spans),
            )
        };
        (
            self.keys[layer].insert(keys),
            self.values[layer].insert(values),
        )
    }
}
