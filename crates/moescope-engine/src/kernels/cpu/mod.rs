//! Kernels for the CPU (burn's flex back end): weights as stored, all cores, results independent of the batch.
#![expect(
    unsafe_code,
    reason = "vector instructions and disjoint writes from several threads"
)]
#![expect(
    clippy::inline_always,
    reason = "code must be inlined into the function that enables the instruction set"
)]

#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod exp;
mod experts;
#[cfg(target_arch = "x86_64")]
mod integers;
mod lines;
mod matmul;
mod memory;
mod norms;
mod output;
mod rotary;
mod router;
mod rows;
mod simd;
mod softmax;
mod team;
mod token_stats;
pub(crate) use token_stats::token_stats;

use burn::tensor::{Bytes, DType, Device, Int, Shape, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor, Layout};
use moescope_core::WeightTarget;

pub use self::simd::InstructionSet;
use self::{
    experts::{Choice, ExpertBiasRows, ExpertRows, ExpertSizes},
    norms::Norm,
    output::SharedOut,
    rows::Rows,
};
use super::{AttentionShape, CacheSpan, Head, Kernels, KeyRange, RotaryAngles};
use crate::{
    blocks::BlockType,
    config::{ExpertFunction, RouterConfig},
    decoder::{ExpertWeights, GluWeights},
    matrix::{Kept, Matrix, flex},
    precision::ComputeType,
    routing::Routing,
};

/// Rows of logits that are alive at a time.
const HEAD_ROWS: usize = 64;

/// Kernels for tensors on the CPU.
#[derive(Clone, Debug)]
pub struct CpuKernels {
    device: Device,
    set: InstructionSet,
    compute: ComputeType,
}

impl CpuKernels {
    /// Kernels for the widest instruction set of this machine.
    #[must_use]
    pub fn new(compute: ComputeType) -> Self {
        Self::with(InstructionSet::detect(), compute)
    }

    /// Kernels for one of the instruction sets of this machine.
    ///
    /// # Panics
    /// When the machine does not have it.
    #[must_use]
    pub fn with(set: InstructionSet, compute: ComputeType) -> Self {
        assert!(
            InstructionSet::available().contains(&set),
            "this machine has no {set:?}"
        );
        memory::keep_freed_memory();
        Self {
            device: Device::flex(),
            set,
            compute,
        }
    }

    fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        let layout = Layout::contiguous(Shape::from(shape));
        Tensor::from_primitive::<Flex>(FlexTensor::new(
            Bytes::from_elems(values),
            layout,
            DType::F32,
        ))
    }
}

/// The contiguous storage behind a float tensor.
struct Storage(FlexTensor);

impl Storage {
    fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        Self(flex(tensor))
    }

    fn f32(&self) -> &[f32] {
        self.0
            .as_slice::<f32>()
            .expect("activations are contiguous f32")
    }

    fn rows(&self) -> Rows<'_> {
        if self.0.dtype() == DType::BF16 {
            Rows::Bf16(
                self.0
                    .as_slice::<burn::tensor::bf16>()
                    .expect("weights are contiguous"),
            )
        } else {
            Rows::F32(self.f32())
        }
    }
}

/// The memory behind a matrix of weights.
enum Weights {
    Dense(Storage),
    Blocks(BlockType, bytes::Bytes),
}

impl Weights {
    fn of(matrix: &Matrix) -> Self {
        match matrix.kept() {
            Kept::Tensor(tensor) => Self::Dense(Storage::of(tensor)),
            Kept::Blocks(kind, bytes) => Self::Blocks(*kind, bytes.clone()),
        }
    }

    fn rows(&self) -> Rows<'_> {
        match self {
            Self::Dense(storage) => storage.rows(),
            Self::Blocks(kind, bytes) => Rows::Blocks(*kind, bytes),
        }
    }
}

impl<'a> ExpertRows<'a> {
    /// gate, up and down without biases.
    fn of([gate, up, down]: &'a [Weights; 3]) -> Self {
        Self {
            gate: gate.rows(),
            up: up.rows(),
            down: down.rows(),
            biases: None,
        }
    }
}

/// Adds `bias` to every row of a matrix of its width.
fn add_to_rows(values: &mut [f32], bias: &[f32]) {
    for row in values.chunks_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(value, b)| *value += b);
    }
}

impl Kernels for CpuKernels {
    fn name(&self) -> String {
        let set = match self.set {
            InstructionSet::Portable => "portable",
            InstructionSet::Neon => "neon",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Avx512 => "avx512",
            InstructionSet::Avx512Vnni => "avx512-vnni",
            InstructionSet::Avx512Bf16 => "avx512-bf16",
            InstructionSet::Amx => "amx",
        };
        if self.set.rounds_to_integers() && self.compute == ComputeType::Bf16 {
            return format!("cpu {set}, 16-bit integers where weights are blocks");
        }
        format!("cpu {set}")
    }

    fn embed(&self, table: &Tensor<2>, ids: &[u32]) -> Tensor<2> {
        let hidden = table.dims()[1];
        let storage = Storage::of(table);
        let rows = storage.rows();
        let mut out = vec![0.0f32; ids.len() * hidden];
        for (id, out) in ids.iter().zip(out.chunks_mut(hidden)) {
            rows.widen_into(*id as usize * hidden, out);
        }
        Self::tensor(out, [ids.len(), hidden])
    }

    fn linear(&self, x: &Tensor<2>, weight: &Matrix) -> Tensor<2> {
        let ([tokens, k], [m, _]) = (x.dims(), weight.dims());
        let (x, weight) = (Storage::of(x), Weights::of(weight));
        Self::tensor(
            matmul::linear(self.set, self.compute, x.f32(), weight.rows(), k),
            [tokens, m],
        )
    }

    fn rms_norm(&self, x: &Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
        let (values, weight) = (Storage::of(x), Storage::of(weight));
        let norm = Norm::Rms {
            weight: weight.f32(),
            eps,
        };
        Self::tensor(norms::norm(self.set, values.f32(), norm), x.dims())
    }

    fn layer_norm(
        &self,
        x: &Tensor<2>,
        weight: &Tensor<1>,
        bias: Option<&Tensor<1>>,
        eps: f64,
    ) -> Tensor<2> {
        let (values, weight) = (Storage::of(x), Storage::of(weight));
        let bias = bias.map(Storage::of);
        let norm = Norm::Layer {
            weight: weight.f32(),
            bias: bias.as_ref().map(Storage::f32),
            eps,
        };
        Self::tensor(norms::norm(self.set, values.f32(), norm), x.dims())
    }

    fn rotate(&self, x: Tensor<2>, heads: usize, angles: &RotaryAngles) -> Tensor<2> {
        let [tokens, width] = x.dims();
        let head_dim = width / heads;
        let (cos, sin) = (Storage::of(&angles.cos), Storage::of(&angles.sin));
        let mut out = Storage::of(&x).f32().to_vec();
        rotary::rotate(
            &mut out,
            width,
            head_dim,
            (cos.f32(), sin.f32()),
            angles.layout,
        );
        Self::tensor(out, [tokens, width])
    }

    fn write_cache(&self, cache: Tensor<2>, new: Tensor<2>, spans: &[CacheSpan]) -> Tensor<2> {
        let [rows, width] = cache.dims();
        let new = Storage::of(&new);
        let mut primitive = cache
            .try_into_primitive::<Flex>()
            .expect("the decoder keeps every tensor on the device of its kernels");
        if primitive.try_storage_mut::<f32>().is_none() {
            // The cache was shared (cloned by a caller): write into a copy of our own.
            let copy = Storage(primitive.to_contiguous()).f32().to_vec();
            primitive = FlexTensor::new(
                Bytes::from_elems(copy),
                Layout::contiguous(Shape::from([rows, width])),
                DType::F32,
            );
        }
        let storage = primitive.storage_mut::<f32>();
        for span in spans {
            storage[span.row * width..(span.row + span.len) * width]
                .copy_from_slice(&new.f32()[span.token * width..(span.token + span.len) * width]);
        }
        Tensor::from_primitive::<Flex>(primitive)
    }

    fn attention(
        &self,
        queries: Tensor<2>,
        keys: &Tensor<2>,
        values: &Tensor<2>,
        sinks: Option<&Tensor<1>>,
        ranges: &[KeyRange],
        shape: AttentionShape,
    ) -> Tensor<2> {
        let (queries, keys, values) = (
            Storage::of(&queries),
            Storage::of(keys),
            Storage::of(values),
        );
        let sinks = sinks.map(Storage::of);
        let out = attention::attention(
            self.set,
            queries.f32(),
            keys.f32(),
            values.f32(),
            sinks.as_ref().map(Storage::f32),
            ranges,
            shape,
        );
        Self::tensor(out, [ranges.len(), shape.heads * shape.value_dim])
    }

    fn route(
        &self,
        router_logits: Tensor<2>,
        bias: Option<&Tensor<1>>,
        config: &RouterConfig,
    ) -> Routing {
        let tokens = router_logits.dims()[0];
        let (logits, bias) = (Storage::of(&router_logits), bias.map(Storage::of));
        let bias = bias.as_ref().map(Storage::f32);
        let router::Chosen { experts, weights } =
            router::route(self.set, logits.f32(), bias, config);
        let dims = [tokens, config.top_k];
        Routing {
            router_logits,
            selected_experts: Tensor::from_data(TensorData::new(experts, dims), &self.device),
            routing_weights: Self::tensor(weights, dims),
        }
    }

    fn glu(&self, x: &Tensor<2>, weights: &GluWeights, function: ExpertFunction) -> Tensor<2> {
        let [tokens, hidden] = x.dims();
        let x = Storage::of(x);
        let storages = [&weights.gate, &weights.up, &weights.down].map(Weights::of);
        let sizes = ExpertSizes {
            hidden,
            intermediate: weights.gate.dims()[0],
            top_k: 1,
        };
        let choice = Choice {
            selected: &vec![0; tokens],
            weights: &vec![1.0; tokens],
            target: WeightTarget::Output,
        };
        let only = ExpertRows::of(&storages);
        let out = experts::experts(
            self.set,
            self.compute,
            x.f32(),
            choice,
            &[only],
            function,
            sizes,
        );
        Self::tensor(out, [tokens, hidden])
    }

    fn experts(
        &self,
        x: &Tensor<2>,
        routing: &Routing,
        experts: &ExpertWeights,
        function: ExpertFunction,
        target: WeightTarget,
    ) -> Tensor<2> {
        let [tokens, hidden] = x.dims();
        let x = Storage::of(x);
        let selected: Vec<usize> = routing
            .selected_experts
            .to_data()
            .iter::<i64>()
            .map(|id| usize::try_from(id).expect("the selection holds expert ids"))
            .collect();
        let weights = Storage::of(&routing.routing_weights);
        let storages: Vec<[Weights; 3]> = experts
            .gate
            .iter()
            .zip(&experts.up)
            .zip(&experts.down)
            .map(|((gate, up), down)| [gate, up, down].map(Weights::of))
            .collect();
        let biases = experts
            .biases
            .as_ref()
            .map(|biases| [&biases.gate, &biases.up, &biases.down].map(Storage::of));
        let intermediate = experts.gate[0].dims()[0];
        let rows: Vec<ExpertRows<'_>> = storages
            .iter()
            .enumerate()
            .map(|(expert, storages)| {
                let inner = expert * intermediate..(expert + 1) * intermediate;
                ExpertRows {
                    biases: biases.as_ref().map(|[gate, up, down]| ExpertBiasRows {
                        gate: &gate.f32()[inner.clone()],
                        up: &up.f32()[inner.clone()],
                        down: &down.f32()[expert * hidden..(expert + 1) * hidden],
                    }),
                    ..ExpertRows::of(storages)
                }
            })
            .collect();
        let sizes = ExpertSizes {
            hidden,
            intermediate,
            top_k: routing.selected_experts.dims()[1],
        };
        let choice = Choice {
            selected: &selected,
            weights: weights.f32(),
            target,
        };
        let out = experts::experts(
            self.set,
            self.compute,
            x.f32(),
            choice,
            &rows,
            function,
            sizes,
        );
        Self::tensor(out, [tokens, hidden])
    }

    fn token_stats(
        &self,
        hidden: &Tensor<2>,
        head: Head<'_>,
        next: &[Option<u32>],
    ) -> (Tensor<1>, Tensor<1, Int>) {
        let [tokens, k] = hidden.dims();
        let vocab = head.weight.dims()[0];
        let bias = head.bias.map(Storage::of);
        let (hidden, head) = (Storage::of(hidden), Weights::of(head.weight));
        let mut surprisals = Vec::with_capacity(tokens);
        let mut predictions = Vec::with_capacity(tokens);
        for (rows, next) in hidden
            .f32()
            .chunks(HEAD_ROWS * k)
            .zip(next.chunks(HEAD_ROWS))
        {
            let mut logits = matmul::linear(self.set, self.compute, rows, head.rows(), k);
            if let Some(bias) = &bias {
                add_to_rows(&mut logits, bias.f32());
            }
            let mut stats = vec![(0.0, 0); next.len()];
            let shared = SharedOut::new(&mut stats);
            team::for_each(next.len(), |row| {
                // SAFETY: every task has its own row.
                let stats = unsafe { shared.range(row, 1) };
                stats[0] = token_stats(&logits[row * vocab..(row + 1) * vocab], next[row]);
            });
            surprisals.extend(stats.iter().map(|(nats, _)| *nats));
            predictions.extend(stats.iter().map(|(_, id)| i64::from(*id)));
        }
        let predictions = TensorData::new(predictions, [tokens]);
        (
            Self::tensor(surprisals, [tokens]),
            Tensor::from_data(predictions, &self.device),
        )
    }
}
