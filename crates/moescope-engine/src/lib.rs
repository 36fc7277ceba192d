//! Runs a mixture-of-experts language model and lets a [`Probe`] watch or change its routers.
//!
//! A checkpoint in Hugging Face layout becomes a [`DecoderConfig`] (what to compute) and weights on a
//! [`ComputeDevice`] (where); one decoder computes all families. [`BatchRun`] takes many texts through it at once and
//! hands back every router decision as a [`DecisionBatch`](moescope_core::DecisionBatch).
//!
//! Tensors do not leave this crate except to probes. This crate writes no file and prints nothing.
//!
//! ```no_run
//! use moescope_core::NoProgress;
//! use moescope_engine::{BatchRun, Checkpoint, ComputeDevice, DeviceChoice, Interventions, LoadOptions, MoeModel, RunConfig, Tokenizer};
//!
//! let checkpoint = Checkpoint::open("my-model".as_ref())?;
//! let device = ComputeDevice::open(DeviceChoice::Auto)?;
//! let model = MoeModel::load(&checkpoint, &device, LoadOptions::default(), &NoProgress)?;
//! let tokenizer = Tokenizer::open(checkpoint.folder())?;
//! let prompt: Vec<u32> = tokenizer.encode("Enzymes lower the activation energy")?.iter().map(|t| t.id).collect();
//!
//! let mut run = BatchRun::new(&model, &[prompt], &[0], RunConfig::default(), Interventions::default());
//! run.prefill()?;
//! let records = run.finish();
//! println!("layer 0 sent the first token to experts {:?}", records[0].decisions.experts(0));
//! # Ok::<(), moescope_engine::EngineError>(())
//! ```

mod blocks;
mod checkpoint;
mod config;
mod decoder;
mod device;
mod error;
mod families;
mod interventions;
mod kernels;
mod matrix;
mod paired;
mod precision;
mod probe;
mod product_speed;
mod recorder;
mod routing;
mod run;
mod sampling;
mod tokenizer;
mod verify;

pub use checkpoint::{Checkpoint, TensorFiles, WeightFile, parse_shard_names};
pub use config::{
    Activation, AttentionConfig, BlockOrder, ConfigJson, DecoderConfig, ExpertConfig,
    ExpertFunction, KeyMask, LatentAttention, LayerAttention, MixtureOfHeads, NormKind, Projection,
    QkNorm, QkNormScope, QueryTemperature, Rope, RopeKind, RopeLayout, RouterConfig,
    SharedExpertConfig,
};
pub use decoder::{
    ExpertBiases, ExpertWeights, GluWeights, KvCache, LayerReader, MoeModel, NeededTensor, Span,
    TensorClass,
};
pub use device::{AdapterMemory, ComputeDevice, DeviceChoice};
pub use error::EngineError;
pub use families::model_types;
pub use interventions::{Action, Intervention, Interventions};
pub use kernels::{
    AttentionShape, CacheSpan, CpuKernels, GpuKernels, Head, InstructionSet, Kernels, KeyRange,
    PlainKernels, RotaryAngles,
};
pub use matrix::Matrix;
pub use paired::{Computation, PairedSequence, ReferencePass, run_paired};
pub use precision::{ComputeType, LoadOptions, WeightType};
pub use probe::{Probe, RouterSite};
pub use product_speed::product_gflop_per_s;
pub use recorder::{RecordedStep, TraceRecorder};
pub use routing::Routing;
pub use run::{
    BatchRun, Growth, GrowthConfig, Lanes, RunConfig, SequenceRecord, SequenceToken, most_likely,
};
pub use sampling::{Sampler, SamplingConfig};
pub use tokenizer::{
    ChatClock, ChatMessage, ChatTemplate, ContentSpan, EncodedPiece, RenderedChat, ScienceUnits,
    SentencePieceModel, TextToken, Tokenizer, TokenizerSource, UnitKind, WrappedText,
};
pub use verify::{DifferingSelection, LargestError, MarginBin, Tolerances, VerifyReport, verify};
