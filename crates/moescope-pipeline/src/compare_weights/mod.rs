//! What another type of weights or arithmetic does to a model's routing and predictions.
//!
//! The reference (weights as stored) and each variant read the same tokens; every decision of the default scope is
//! compared. The texts become batches as in a capture.

pub(crate) mod figures;
mod variant;

use std::{collections::BTreeMap, path::Path, time::Instant};

use moescope_analytics::{ComparedDocument, MeasureRequest, RoutingComparison};
use moescope_core::{AxisKind, Measurement, Progress};
use moescope_engine::{
    ComputeDevice, ComputeType, LoadOptions, MoeModel, PairedSequence, WeightType, run_paired,
};

pub use variant::WeightVariant;

use crate::{
    capture::CapturePlan,
    error::PipelineError,
    fixed_texts::{counted, labelled, table},
    model::ModelFiles,
};

/// What to compare, and how carefully.
#[derive(Clone, Debug)]
pub struct CompareWeightsConfig {
    /// The arithmetic of the reference, whose weights are as stored.
    pub compute: ComputeType,
    /// What is compared with it.
    pub variants: Vec<WeightVariant>,
    /// Label, resampling and seed; the scope is the default one.
    pub request: MeasureRequest,
}

/// What a comparison found.
#[derive(Clone, Debug)]
pub struct WeightComparison {
    /// How the reference was loaded.
    pub reference: LoadOptions,
    /// What was compared with it.
    pub variants: Vec<WeightVariant>,
    /// The types of each variant's weights by class of tensors.
    pub weight_types: Vec<BTreeMap<String, String>>,
    /// Every table.
    pub measurements: Vec<Measurement>,
    /// Texts.
    pub samples: u64,
    /// Their tokens, special and template tokens included.
    pub tokens: u64,
    /// Seconds that it took, measuring included.
    pub elapsed_secs: f64,
}

impl WeightComparison {
    /// A metric's table over these axes.
    #[must_use]
    pub fn table(&self, metric: &str, axes: &[AxisKind]) -> Option<&Measurement> {
        table(&self.measurements, metric, axes)
    }

    /// Draws the changed selections by layer into `out` (its ending is the format), and by margin into a file beside it
    /// whose name ends in `-by-margin`; each with a caption (`.txt`). Returns the figures that were written.
    ///
    /// # Errors
    /// When the ending is no format, or a file cannot be written.
    pub fn write_figures(&self, out: &Path) -> Result<Vec<std::path::PathBuf>, PipelineError> {
        figures::write(self, out)
    }
}

/// Runs all texts of a plan through the reference and each variant, and measures what differs.
///
/// Variants run one after the other, so two loads of the model are in memory at a time.
///
/// # Errors
/// When a model cannot be loaded or fails, the request makes no sense, or `progress` cancels.
pub fn compare_weights(
    plan: &CapturePlan,
    files: &ModelFiles,
    device: &ComputeDevice,
    config: &CompareWeightsConfig,
    progress: &dyn Progress,
) -> Result<WeightComparison, PipelineError> {
    let started = Instant::now();
    let reference = LoadOptions {
        weights: WeightType::Stored,
        compute: config.compute,
        ..LoadOptions::default()
    };
    let request = labelled(plan, &config.request);
    let names = config.variants.iter().map(|variant| variant.name.clone());
    let samples = plan.samples().iter().map(|planned| planned.sample.clone());
    let mut comparison = RoutingComparison::new(
        files.checkpoint.model_spec(),
        names.collect(),
        samples.collect(),
    );
    comparison.check(&request)?;
    let load = |options| MoeModel::load(&files.checkpoint, device, options, progress);
    let model = load(reference)?;
    let mut weight_types = Vec::with_capacity(config.variants.len());
    for (number, variant) in config.variants.iter().enumerate() {
        let other = load(variant.options)?;
        weight_types.push(other.weight_types().clone());
        run_variant(
            plan,
            (&model, &other),
            progress,
            |done| {
                (
                    number as u64 * plan.num_tokens() + done,
                    config.variants.len() as u64 * plan.num_tokens(),
                    format!("comparing {} with the reference", variant.name),
                )
            },
            |document, paired| {
                let counted = counted(&plan.samples()[document]);
                let compared = ComparedDocument {
                    counted: &counted,
                    reference: &paired.reference,
                    variant: &paired.variant,
                    divergences: &paired.divergences,
                };
                comparison.add(number, document, &compared);
            },
        )?;
    }
    let mut measurements = comparison.measure(&request, progress)?;
    for measurement in &mut measurements {
        measurement.protocol.notes.push(format!(
            "reference: weights as stored, {} arithmetic, on the {}; a variant differs from it in what its name says",
            config.compute,
            device.kind.to_uppercase()
        ));
    }
    Ok(WeightComparison {
        reference,
        variants: config.variants.clone(),
        weight_types,
        measurements,
        samples: plan.samples().len() as u64,
        tokens: plan.num_tokens(),
        elapsed_secs: started.elapsed().as_secs_f64(),
    })
}

/// Runs every batch through both models and hands over what came of each text.
fn run_variant(
    plan: &CapturePlan,
    (reference, variant): (&MoeModel, &MoeModel),
    progress: &dyn Progress,
    describe: impl Fn(u64) -> (u64, u64, String),
    mut take: impl FnMut(usize, &PairedSequence),
) -> Result<(), PipelineError> {
    let mut done = 0;
    for batch in plan.batches() {
        let (done_of_all, total, message) = describe(done);
        progress.report(done_of_all, total, &message)?;
        let prompts = plan.prompts(batch);
        let paired =
            run_paired(reference, variant, &prompts).map_err(|error| plan.locate(batch, error))?;
        for (document, paired) in batch.clone().zip(&paired) {
            take(document, paired);
        }
        done += prompts.iter().map(Vec::len).sum::<usize>() as u64;
    }
    Ok(())
}
