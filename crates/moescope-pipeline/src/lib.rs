//! Jobs: what the command line and the app do, with progress, cancel and resume, and without printing anything.
//!
//! A job takes a configuration and a [`Progress`](moescope_core::Progress), and returns a result or one error that
//! tells the user what to change.
//!
//! ```no_run
//! use moescope_core::NoProgress;
//! use moescope_engine::{ComputeDevice, DeviceChoice, LoadOptions};
//! use moescope_pipeline::{CaptureConfig, CapturePlan, DataConfig, ModelFiles, ModelFolder};
//!
//! let files = ModelFiles::open(ModelFolder::find("demo", None)?)?;
//! let device = ComputeDevice::open(DeviceChoice::Cpu)?;
//! let config = CaptureConfig {
//!     data: DataConfig { files: vec!["texts.jsonl".into()], ..DataConfig::default() },
//!     out: "my-trace".into(),
//!     ..CaptureConfig::default()
//! };
//! let plan = CapturePlan::new(config, &files, device.kind, &NoProgress)?;
//! let outcome = plan.run(&files.load(device, LoadOptions::default(), &NoProgress)?, &NoProgress)?;
//! println!("{} samples", outcome.manifest.counts.samples);
//! # Ok::<(), moescope_pipeline::PipelineError>(())
//! ```

mod ablate;
pub mod bench;
mod cache_folder;
mod capture;
mod checksum;
mod clock;
pub mod command_words;
mod compare_traces;
mod compare_weights;
pub mod data;
pub mod demo;
mod error;
mod figure;
mod findings;
mod fixed_texts;
mod generate;
mod import;
mod inspect;
mod model;
mod prompt;
pub mod session;
pub mod sizes;
mod stored_weights;
mod text_effect;
mod trace_names;

pub use ablate::{
    AblateConfig, AblatedSet, Ablation, AblationAction, ExpertSet, ablate, ablation_pass,
};
pub use capture::{
    BYTES_PER_DECISION, BYTES_PER_LOGIT, BYTES_PER_TOKEN, BYTES_PER_WEIGHT, CaptureConfig,
    CaptureOutcome, CapturePlan, Estimate, PlannedSample, PlannedToken, trace_bytes_per_token,
};
pub use compare_traces::{ComparedMetric, OriginDifference, TraceComparison, compare_traces};
pub use compare_weights::{CompareWeightsConfig, WeightComparison, WeightVariant, compare_weights};
pub use data::{
    Columns, DataConfig, EmbeddedFile, LabelledTexts, OnBadRow, SourcedSample, read as read_texts,
};
pub use error::PipelineError;
pub use figure::{
    FigureJob, FigureSource, FigureSpec, SpecFigure, caption_of, export_figure, kind,
    latex_caption_of, measurements_to_json, read_measurements, usual_metric,
};
pub use findings::{Finding, Findings, findings};
pub use generate::{FinishReason, GenerateConfig, Generation, generate, pass_size};
pub use import::{ImportJob, LabelFiles};
pub use inspect::{FileSize, Inspection, TokenizerKind, inspect};
pub use model::{
    DEMO, DEMO_NAME, DeviceCapacity, Download, Fit, HubError, LoadedModel, MemoryNeed,
    MemoryReport, ModelFiles, ModelFolder, ModelSizes, PassSize, Placement, WeightBytes,
    WeightForm, available_memory, check_memory, check_memory_of_loaded, check_memory_of_pair, fit,
    left_as_stored, memory_need, memory_reports, resident_memory,
};
pub use moescope_core::{Problem, Problems};
pub use prompt::{ChatConfig, PromptConfig, prompt_id};
pub use stored_weights::StoredWeights;
pub use text_effect::{LayerEffect, TextEffect, TokenEffect, text_effect};
pub use trace_names::{NamedTrace, name_traces, name_traces_and_doubles, place_of_reference};
