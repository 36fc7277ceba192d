//! Row groups of `routing`, decoded into the columns of a [`DecisionShard`].

use std::{mem, ops::Range};

use moescope_core::LayerId;
use moescope_trace::{TableReader, schema};

use super::{malformed, missing_column};
use crate::{
    AnalyticsError,
    data::{DecisionNeeds, DecisionShard, TraceData},
};

/// What decoding needs to know of a trace and of a request.
pub(super) struct RoutingColumns<'a> {
    needs: DecisionNeeds,
    metric: &'a str,
    top_k: usize,
    num_experts: u16,
    /// Index among the trace's layers by the model's numbering; `u16::MAX` where a layer was not recorded.
    layer_index: Vec<u16>,
}

/// Rows of one sample that stand together in a row group.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) sample: u32,
    pub(super) rows: Range<usize>,
}

/// The rows of a shard in memory that one row group goes into.
#[derive(Default)]
pub(super) struct RowSlices<'a> {
    position: &'a mut [u32],
    layers: &'a mut [u16],
    experts: &'a mut [u16],
    weights: &'a mut [f32],
    topk_mass: &'a mut [f32],
    entropy: &'a mut [f32],
    margin: &'a mut [f32],
    runner_up: &'a mut [u16],
    logsumexp: &'a mut [f32],
    logits: &'a mut [f32],
}

impl<'a> RoutingColumns<'a> {
    pub(super) fn new(data: &TraceData, needs: DecisionNeeds, metric: &'a str) -> Self {
        let layers = data.layers();
        let highest = layers.iter().map(|layer| usize::from(layer.0)).max();
        let mut layer_index = vec![u16::MAX; highest.map_or(0, |highest| highest + 1)];
        for (index, LayerId(layer)) in (0..).zip(layers) {
            layer_index[usize::from(*layer)] = index;
        }
        Self {
            needs,
            metric,
            top_k: usize::from(data.model().top_k),
            num_experts: data.model().num_experts,
            layer_index,
        }
    }

    /// Bytes that a row takes in memory.
    pub(super) fn bytes_per_row(&self) -> usize {
        // Position, layer, place of the token and whether it counts; then experts of 2 bytes.
        let mut bytes = 11 + 2 * self.top_k;
        for (column, width) in self.lists() {
            bytes += if column == schema::EXPERTS {
                0
            } else {
                4 * width
            };
        }
        let needs = &self.needs;
        let numbers = [
            needs.topk_mass,
            needs.entropy,
            needs.margin,
            needs.logsumexp,
        ];
        bytes += 4 * numbers.into_iter().filter(|is| *is).count();
        bytes + 2 * usize::from(needs.runner_up)
    }

    /// Makes room for so many rows of every column that is needed; rows that are there stay.
    pub(super) fn resize(&self, shard: &mut DecisionShard, rows: usize) {
        let needs = &self.needs;
        let of = |is_needed: bool, width: usize| if is_needed { rows * width } else { 0 };
        shard.top_k = self.top_k;
        shard.position.resize(rows, 0);
        shard.layers.resize(rows, 0);
        shard.token.resize(rows, 0);
        shard.counted.resize(rows, false);
        shard.experts.resize(rows * self.top_k, 0);
        shard.weights.resize(of(needs.weights, self.top_k), 0.0);
        shard.topk_mass.resize(of(needs.topk_mass, 1), 0.0);
        shard.entropy.resize(of(needs.entropy, 1), 0.0);
        shard.margin.resize(of(needs.margin, 1), 0.0);
        shard.runner_up.resize(of(needs.runner_up, 1), 0);
        shard.logsumexp.resize(of(needs.logsumexp, 1), 0.0);
        shard
            .logits
            .resize(of(needs.logits, usize::from(self.num_experts)), 0.0);
    }

    /// Copies rows of another shard to the front.
    pub(super) fn copy_rows(
        &self,
        to: &mut DecisionShard,
        from: &DecisionShard,
        rows: Range<usize>,
    ) {
        fn copy<T: Copy>(to: &mut [T], from: &[T], rows: &Range<usize>, width: usize) {
            if let Some(from) = from.get(rows.start * width..rows.end * width) {
                to[..from.len()].copy_from_slice(from);
            }
        }
        copy(&mut to.position, &from.position, &rows, 1);
        copy(&mut to.layers, &from.layers, &rows, 1);
        copy(&mut to.experts, &from.experts, &rows, self.top_k);
        copy(&mut to.weights, &from.weights, &rows, self.top_k);
        copy(&mut to.topk_mass, &from.topk_mass, &rows, 1);
        copy(&mut to.entropy, &from.entropy, &rows, 1);
        copy(&mut to.margin, &from.margin, &rows, 1);
        copy(&mut to.runner_up, &from.runner_up, &rows, 1);
        copy(&mut to.logsumexp, &from.logsumexp, &rows, 1);
        copy(
            &mut to.logits,
            &from.logits,
            &rows,
            usize::from(self.num_experts),
        );
    }

    /// Parts of a shard for row groups of these lengths, from row `first` on.
    pub(super) fn slices<'s>(
        &self,
        shard: &'s mut DecisionShard,
        first: usize,
        lengths: impl Iterator<Item = usize>,
    ) -> Vec<RowSlices<'s>> {
        let experts = usize::from(self.num_experts);
        let mut rest = RowSlices {
            position: &mut shard.position,
            layers: &mut shard.layers,
            experts: &mut shard.experts,
            weights: &mut shard.weights,
            topk_mass: &mut shard.topk_mass,
            entropy: &mut shard.entropy,
            margin: &mut shard.margin,
            runner_up: &mut shard.runner_up,
            logsumexp: &mut shard.logsumexp,
            logits: &mut shard.logits,
        };
        rest.cut(first, self.top_k, experts);
        lengths
            .map(|rows| rest.cut(rows, self.top_k, experts))
            .collect()
    }

    /// Checks what a footer says of a row group, before memory is taken for it.
    pub(super) fn check_lists(
        &self,
        reader: &TableReader,
        group: usize,
    ) -> Result<(), AnalyticsError> {
        for (column, width) in self.lists() {
            if reader.has_lists_of(group, column, width) {
                continue;
            }
            if reader.nulls(group, column).is_some_and(|nulls| nulls > 0) {
                return Err(self.missing(column));
            }
            return Err(malformed(
                schema::Table::Routing,
                reader.path(),
                format!("a list of column {column} does not have {width} elements"),
            ));
        }
        Ok(())
    }

    /// Decodes a row group and says whose rows they are.
    pub(super) fn decode(
        &self,
        reader: &TableReader,
        group: usize,
        out: RowSlices<'_>,
    ) -> Result<Vec<Run>, AnalyticsError> {
        let broken = |reason| malformed(schema::Table::Routing, reader.path(), reason);
        let rows = reader.row_group(group)?;
        let mut samples = vec![0; rows.rows()];
        rows.numbers(schema::SAMPLE, &mut samples)?;
        rows.numbers(schema::POSITION, out.position)?;
        rows.numbers(schema::LAYER, out.layers)?;
        for layer in &mut *out.layers {
            let index = self.layer_index.get(usize::from(*layer)).copied();
            *layer = index
                .filter(|index| *index != u16::MAX)
                .ok_or_else(|| broken(format!("the manifest records no layer {layer}")))?;
        }
        if !rows.lists(schema::EXPERTS, self.top_k, out.experts)? {
            return Err(self.missing(schema::EXPERTS));
        }
        let highest = out.experts.iter().copied().fold(0, u16::max);
        if highest >= self.num_experts && !out.experts.is_empty() {
            return Err(broken(format!(
                "expert {highest} in a model of {} experts",
                self.num_experts
            )));
        }
        for (column, width, out) in [
            (schema::WEIGHTS, self.top_k, out.weights),
            (schema::LOGITS, usize::from(self.num_experts), out.logits),
        ] {
            if !out.is_empty() && !rows.lists(column, width, out)? {
                return Err(self.missing(column));
            }
        }
        // With as many experts as are chosen there is nothing to compare, and margin and runner-up are NULL.
        let has_rest = self.top_k < usize::from(self.num_experts);
        for (column, out) in [
            (schema::TOPK_MASS, out.topk_mass),
            (schema::ENTROPY, out.entropy),
            (schema::MARGIN, out.margin),
            (schema::LOGSUMEXP, out.logsumexp),
        ] {
            if column == schema::MARGIN && !has_rest {
                out.fill(f32::NAN);
            } else if !out.is_empty() && rows.numbers(column, out)? > 0 {
                return Err(self.missing(column));
            }
        }
        if !has_rest {
            out.runner_up.fill(u16::MAX);
        } else if !out.runner_up.is_empty() && rows.numbers(schema::RUNNER_UP, out.runner_up)? > 0 {
            return Err(self.missing(schema::RUNNER_UP));
        }
        Ok(runs(&samples))
    }

    /// The list columns that are needed, with the length of their lists.
    fn lists(&self) -> impl Iterator<Item = (&'static str, usize)> {
        [
            (true, schema::EXPERTS, self.top_k),
            (self.needs.weights, schema::WEIGHTS, self.top_k),
            (
                self.needs.logits,
                schema::LOGITS,
                usize::from(self.num_experts),
            ),
        ]
        .into_iter()
        .filter(|(is_needed, ..)| *is_needed)
        .map(|(_, column, width)| (column, width))
    }

    fn missing(&self, column: &str) -> AnalyticsError {
        let what = match column {
            schema::EXPERTS => "the chosen experts",
            schema::WEIGHTS => "routing weights",
            schema::TOPK_MASS => "the mass of the chosen experts",
            schema::ENTROPY => "routing entropies",
            schema::MARGIN => "margins of selections",
            schema::RUNNER_UP => "runners-up of selections",
            schema::LOGITS => "router logits",
            _ => "ln Σ exp(logits)",
        };
        missing_column(self.metric, what)
    }
}

impl RowSlices<'_> {
    /// Takes the first rows off.
    fn cut(&mut self, rows: usize, top_k: usize, experts: usize) -> Self {
        #[expect(clippy::mut_mut, reason = "the rest of a column, which gets shorter")]
        fn first<'a, T>(rest: &mut &'a mut [T], len: usize) -> &'a mut [T] {
            // A column that is not needed has no rows.
            let len = len.min(rest.len());
            let (first, after) = mem::take(rest).split_at_mut(len);
            *rest = after;
            first
        }
        Self {
            position: first(&mut self.position, rows),
            layers: first(&mut self.layers, rows),
            experts: first(&mut self.experts, rows * top_k),
            weights: first(&mut self.weights, rows * top_k),
            topk_mass: first(&mut self.topk_mass, rows),
            entropy: first(&mut self.entropy, rows),
            margin: first(&mut self.margin, rows),
            runner_up: first(&mut self.runner_up, rows),
            logsumexp: first(&mut self.logsumexp, rows),
            logits: first(&mut self.logits, rows * experts),
        }
    }
}

/// Neighbouring rows of one sample.
pub(super) fn runs(samples: &[u32]) -> Vec<Run> {
    let mut end = 0;
    samples
        .chunk_by(|a, b| a == b)
        .map(|run| {
            let start = end;
            end += run.len();
            Run {
                sample: run[0],
                rows: start..end,
            }
        })
        .collect()
}
