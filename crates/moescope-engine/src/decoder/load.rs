//! From a checkpoint to weights on a device.

use burn::tensor::{Device, Tensor, TensorData};
use moescope_core::Progress;
use safetensors::Dtype;

use super::{
    layout::{
        AttentionLayout, Catalogue, ExpertLayout, FeedForwardLayout, GluLayout, LayerLayout,
        Layout, LinearLayout, NormLayout, Place, ProjectionLayout, SparseLayout, Wanted,
    },
    needs::block_type,
    untrained_routers::untrain,
    weights::{
        AttentionWeights, DecoderWeights, ExpertBiases, ExpertWeights, FeedForwardWeights,
        GluWeights, GroupedWeights, HeadMixtureWeights, LatentWeights, LayerWeights, LinearWeights,
        NormWeights, ProjectionWeights, SparseWeights,
    },
};
use crate::{
    checkpoint::{Checkpoint, StoredTensor, Target, TensorFiles},
    config::DecoderConfig,
    device::ComputeDevice,
    error::EngineError,
    matrix::Matrix,
    precision::{LoadOptions, WeightType},
};

/// Loads all weights, reporting each layer.
pub(super) fn load(
    checkpoint: &Checkpoint,
    device: &ComputeDevice,
    options: LoadOptions,
    progress: &dyn Progress,
) -> Result<DecoderWeights, EngineError> {
    let (layout, catalogue) = Layout::of(checkpoint)?;
    catalogue.check()?;
    let config = checkpoint.config();
    let loader = Loader {
        files: checkpoint.files(),
        catalogue,
        config,
        target: Target {
            device: device.device(),
            is_cpu: device.is_cpu(),
        },
        host: Device::flex(),
        weights: options.weights,
    };
    let vocabulary = [config.vocab_size, config.hidden_size];
    let total = config.num_layers as u64;
    progress.report(0, total, "loading weights")?;
    let embed_tokens = loader.files.matrix(
        loader.stored(layout.embed_tokens),
        0..vocabulary[0] * vocabulary[1],
        vocabulary,
        loader.target,
    )?;
    let mut layers = Vec::with_capacity(config.num_layers);
    for (number, layer) in layout.layers.iter().enumerate() {
        let mut layer = loader.layer(layer)?;
        if let Some(seed) = options.untrained_routers {
            untrain(&mut layer, number, seed);
        }
        layers.push(layer);
        device.sync()?;
        progress.report(number as u64 + 1, total, "loading weights")?;
    }
    let norm = loader.norm(&layout.norm)?;
    let lm_head = match layout.lm_head {
        None => Matrix::from(embed_tokens.clone()),
        Some(head) => loader.slice(head, 0, vocabulary)?,
    };
    let lm_head_bias = layout
        .lm_head_bias
        .map(|bias| loader.vector(bias))
        .transpose()?;
    device.sync()?;
    Ok(DecoderWeights {
        embed_tokens,
        layers,
        norm,
        lm_head,
        lm_head_bias,
    })
}

/// Reads tensors by their place in a layout.
pub(super) struct Loader<'a> {
    files: &'a TensorFiles,
    catalogue: Catalogue<'a>,
    config: &'a DecoderConfig,
    target: Target<'a>,
    /// Where weights are rounded to blocks.
    host: Device,
    weights: WeightType,
}

impl<'a> Loader<'a> {
    /// Reads weights in the types that they are stored in, on the CPU.
    pub(super) fn as_stored(
        checkpoint: &'a Checkpoint,
        catalogue: Catalogue<'a>,
        host: &'a Device,
    ) -> Self {
        Self {
            files: checkpoint.files(),
            catalogue,
            config: checkpoint.config(),
            target: Target {
                device: host,
                is_cpu: true,
            },
            host: host.clone(),
            weights: WeightType::Stored,
        }
    }

    /// The model that the weights are of.
    pub(super) fn config(&self) -> &'a DecoderConfig {
        self.config
    }
}

impl Loader<'_> {
    fn stored(&self, wanted: Wanted) -> &StoredTensor {
        self.files
            .get(&self.catalogue.need(wanted).name)
            .expect("`Catalogue::check` has seen every name")
    }

    /// The `number`-th matrix of shape `dims` in a tensor.
    fn slice(
        &self,
        wanted: Wanted,
        number: usize,
        dims: [usize; 2],
    ) -> Result<Matrix, EngineError> {
        let size = dims[0] * dims[1];
        let part = number * size..(number + 1) * size;
        self.kept(wanted, |target| {
            self.files
                .matrix(self.stored(wanted), part.clone(), dims, target)
        })
    }

    /// A matrix, in blocks where its class is kept so.
    fn matrix(&self, place: Place) -> Result<Matrix, EngineError> {
        self.kept(place.tensor, |target| self.tensor(place, target))
    }

    /// A matrix that is kept as stored whatever `--weights` says.
    fn stored_matrix(&self, place: Place) -> Result<Matrix, EngineError> {
        Ok(self.tensor(place, self.target)?.into())
    }

    fn tensor(&self, place: Place, target: Target<'_>) -> Result<Tensor<2>, EngineError> {
        let Place {
            tensor,
            scales,
            first_row,
            dims,
        } = place;
        let stored = self.stored(tensor);
        if let (Some(scales), Some(block)) = (scales, self.config.fp8_block) {
            let tensors = [stored, self.stored(scales)];
            return self.files.fp8(tensors, first_row, dims, block, target);
        }
        let start = first_row * dims[1];
        let part = start..start + dims[0] * dims[1];
        self.files.matrix(stored, part, dims, target)
    }

    /// Brings a matrix into the type it is kept in. Rows that are no whole blocks stay as stored; the types that
    /// [`Checkpoint::types_kept`] tells follow from the same rule.
    fn kept(
        &self,
        wanted: Wanted,
        load: impl Fn(Target<'_>) -> Result<Tensor<2>, EngineError>,
    ) -> Result<Matrix, EngineError> {
        let need = self.catalogue.need(wanted);
        if block_type(self.weights, need.row_width).is_none() {
            let matrix = load(self.target)?;
            let stored = self.stored(wanted);
            let has_kept_type = matches!(stored.dtype, Dtype::F32 | Dtype::BF16);
            let is_copy = need.is_rearranged || !has_kept_type || !self.target.is_cpu;
            if is_copy {
                self.files.release(stored);
            }
            return Ok(matrix.into());
        }
        let host = Target {
            device: &self.host,
            is_cpu: true,
        };
        let matrix = Matrix::kept_as(&load(host)?, self.weights)
            .map_err(|error| EngineError::Precision(format!("{}: {error}", need.name)))?;
        self.files.release(self.stored(wanted));
        Ok(if self.target.is_cpu {
            matrix
        } else {
            // Other devices compute in f32: the same rounded values, without the saving.
            Tensor::<2>::from_data(matrix.to_tensor().into_data(), self.target.device).into()
        })
    }

    /// A vector; always f32, since it is small.
    fn vector(&self, wanted: Wanted) -> Result<Tensor<1>, EngineError> {
        let values = self.files.host_vector(self.stored(wanted))?;
        let len = values.len();
        Ok(Tensor::from_data(
            TensorData::new(values, [len]),
            self.target.device,
        ))
    }

    fn norm(&self, layout: &NormLayout) -> Result<NormWeights, EngineError> {
        Ok(NormWeights {
            weight: self.vector(layout.weight)?,
            bias: layout.bias.map(|bias| self.vector(bias)).transpose()?,
        })
    }

    pub(super) fn linear(&self, layout: &LinearLayout) -> Result<LinearWeights, EngineError> {
        Ok(LinearWeights {
            weight: self.matrix(layout.weight)?,
            bias: layout.bias.map(|bias| self.vector(bias)).transpose()?,
        })
    }

    fn layer(&self, layout: &LayerLayout) -> Result<LayerWeights, EngineError> {
        Ok(LayerWeights {
            attention_norm: self.norm(&layout.attention_norm)?,
            attention: self.attention(&layout.attention)?,
            feed_forward_norm: self.norm(&layout.feed_forward_norm)?,
            feed_forward: match &layout.feed_forward {
                FeedForwardLayout::Dense(glu) => {
                    FeedForwardWeights::Dense(Box::new(self.glu(glu)?))
                }
                FeedForwardLayout::Sparse(sparse) => {
                    FeedForwardWeights::Sparse(Box::new(self.sparse(sparse)?))
                }
            },
        })
    }

    fn attention(&self, layout: &AttentionLayout) -> Result<AttentionWeights, EngineError> {
        let qk_norm = match layout.qk_norm {
            None => None,
            Some([q, k]) => Some([self.vector(q)?, self.vector(k)?]),
        };
        Ok(AttentionWeights {
            projection: self.projection(&layout.projection)?,
            qk_norm,
            sinks: layout.sinks.map(|sinks| self.vector(sinks)).transpose()?,
        })
    }

    fn projection(&self, layout: &ProjectionLayout) -> Result<ProjectionWeights, EngineError> {
        Ok(match layout {
            ProjectionLayout::Grouped { q, k, v, o } => {
                ProjectionWeights::Grouped(Box::new(GroupedWeights {
                    q: self.linear(q)?,
                    k: self.linear(k)?,
                    v: self.linear(v)?,
                    o: self.linear(o)?,
                }))
            }
            ProjectionLayout::Latent {
                q_down,
                q_up,
                kv_down,
                kv_norm,
                kv_up,
                o,
            } => ProjectionWeights::Latent(Box::new(LatentWeights {
                q_down: match q_down {
                    None => None,
                    Some((down, norm)) => Some((self.matrix(*down)?, self.vector(*norm)?)),
                },
                q_up: self.matrix(*q_up)?,
                kv_down: self.matrix(*kv_down)?,
                kv_norm: self.vector(*kv_norm)?,
                kv_up: self.matrix(*kv_up)?,
                o: self.matrix(*o)?,
            })),
            ProjectionLayout::MixtureOfHeads {
                router,
                input,
                output,
                bias,
                k,
                v,
            } => {
                let [experts, hidden] = router.dims;
                let width = k.dims[0];
                let all = |wanted: Wanted, dims| {
                    (0..experts)
                        .map(|expert| self.slice(wanted, expert, dims))
                        .collect::<Result<Vec<_>, _>>()
                };
                ProjectionWeights::MixtureOfHeads(Box::new(HeadMixtureWeights {
                    router: self.stored_matrix(*router)?,
                    input: all(*input, [width, hidden])?,
                    output: all(*output, [hidden, width])?,
                    bias: self.vector(*bias)?,
                    k: self.matrix(*k)?,
                    v: self.matrix(*v)?,
                }))
            }
        })
    }

    fn glu(&self, layout: &GluLayout) -> Result<GluWeights, EngineError> {
        Ok(GluWeights {
            gate: self.matrix(layout.gate)?,
            up: self.matrix(layout.up)?,
            down: self.matrix(layout.down)?,
        })
    }

    fn sparse(&self, layout: &SparseLayout) -> Result<SparseWeights, EngineError> {
        let correction_bias = match layout.correction_bias {
            None => None,
            Some(wanted) => {
                let host = self.files.host_vector(self.stored(wanted))?;
                Some((self.vector(wanted)?, host))
            }
        };
        Ok(SparseWeights {
            router: self.linear(&layout.router)?,
            correction_bias,
            experts: self.experts(&layout.experts)?,
            shared: layout
                .shared
                .as_ref()
                .map(|glu| self.glu(glu))
                .transpose()?,
            shared_gate: layout
                .shared_gate
                .map(|gate| self.stored_matrix(gate))
                .transpose()?,
            bias: layout.bias.map(|bias| self.vector(bias)).transpose()?,
        })
    }

    fn experts(&self, layout: &ExpertLayout) -> Result<ExpertWeights, EngineError> {
        let config = self.config;
        let (hidden, inner) = (config.hidden_size, config.experts.intermediate_size);
        let mut weights = ExpertWeights {
            gate: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
            biases: None,
        };
        for expert in 0..config.router.num_experts {
            let [gate, up, down] = self.expert(layout, expert)?;
            weights.gate.push(gate);
            weights.up.push(up);
            weights.down.push(down);
        }
        if let ExpertLayout::Transposed {
            biases: Some(biases),
            ..
        }
        | ExpertLayout::Mxfp4 {
            biases: Some(biases),
            ..
        } = layout
        {
            weights.biases = Some(self.biases(*biases, hidden, inner)?);
        }
        Ok(weights)
    }

    /// Gate, up and down of an expert.
    pub(super) fn expert(
        &self,
        layout: &ExpertLayout,
        expert: usize,
    ) -> Result<[Matrix; 3], EngineError> {
        let config = self.config;
        let (hidden, inner) = (config.hidden_size, config.experts.intermediate_size);
        let (wide, narrow) = ([inner, hidden], [hidden, inner]);
        Ok(match layout {
            ExpertLayout::Separate(all) => {
                let [gate, up, down] = all[expert];
                [self.matrix(gate)?, self.matrix(up)?, self.matrix(down)?]
            }
            ExpertLayout::Fused { gate_up, down } => [
                self.slice(*gate_up, 2 * expert, wide)?,
                self.slice(*gate_up, 2 * expert + 1, wide)?,
                self.slice(*down, expert, narrow)?,
            ],
            ExpertLayout::Transposed {
                gate_up,
                down,
                is_interleaved,
                ..
            } => {
                let transposed =
                    |wanted: Wanted,
                     size: usize,
                     dims: [usize; 2],
                     index: &dyn Fn(usize, usize) -> usize| {
                        let part = expert * size..(expert + 1) * size;
                        self.kept(wanted, |target| {
                            self.files.rearranged(
                                self.stored(wanted),
                                part.clone(),
                                dims,
                                index,
                                target,
                            )
                        })
                    };
                let column = |row: usize, is_up: usize| {
                    if *is_interleaved {
                        2 * row + is_up
                    } else {
                        is_up * inner + row
                    }
                };
                let both = 2 * inner * hidden;
                [
                    transposed(*gate_up, both, wide, &|r, c| c * 2 * inner + column(r, 0))?,
                    transposed(*gate_up, both, wide, &|r, c| c * 2 * inner + column(r, 1))?,
                    transposed(*down, inner * hidden, narrow, &|r, c| c * hidden + r)?,
                ]
            }
            ExpertLayout::Flat([gate, up, down]) => {
                let size = inner * hidden;
                [
                    self.slice(*gate, expert, wide)?,
                    self.slice(*up, expert, wide)?,
                    self.kept(*down, |target| {
                        self.files.rearranged(
                            self.stored(*down),
                            expert * size..(expert + 1) * size,
                            narrow,
                            |r, c| c * hidden + r,
                            target,
                        )
                    })?,
                ]
            }
            ExpertLayout::Mxfp4 { gate_up, down, .. } => {
                let load = |[blocks, scales]: [Wanted; 2], rows, dims: [usize; 2]| {
                    let tensors = [self.stored(blocks), self.stored(scales)];
                    self.kept(blocks, |target| {
                        self.files.mxfp4(tensors, expert, rows, dims, target)
                    })
                };
                [
                    load(*gate_up, (0, 2), wide)?,
                    load(*gate_up, (1, 2), wide)?,
                    load(*down, (0, 1), narrow)?,
                ]
            }
        })
    }

    /// Gate and up biases lie entry by entry in turn, as their rows do.
    fn biases(
        &self,
        [gate_up, down]: [Wanted; 2],
        hidden: usize,
        inner: usize,
    ) -> Result<ExpertBiases, EngineError> {
        let experts = self.config.router.num_experts;
        let both = self.files.host_vector(self.stored(gate_up))?;
        let device = self.target.device;
        let every_second = |first: usize| {
            let values: Vec<f32> = both.iter().skip(first).step_by(2).copied().collect();
            Tensor::from_data(TensorData::new(values, [experts, inner]), device)
        };
        let down = self.files.host_vector(self.stored(down))?;
        Ok(ExpertBiases {
            gate: every_second(0),
            up: every_second(1),
            down: Tensor::from_data(TensorData::new(down, [experts, hidden]), device),
        })
    }
}
