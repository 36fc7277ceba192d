//! Does an expert matter? What an intervention on it costs on given texts, beside the same on experts like it.
//!
//! All computations read the same tokens (teacher forcing), so every token is its own control, and what differs is the
//! intervention alone.

mod controls;
mod experts;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use moescope_analytics::{ComparedDocument, MeasureRequest, RoutingComparison};
use moescope_core::{
    AxisKind::{self, Group, Layer, Variant},
    LayerId, Measurement, Progress,
};
use moescope_engine::{Computation, Interventions, ReferencePass};
use moescope_figures::{FigureOptions, Format};
use serde::Serialize;

use controls::{Matching, choose};
pub use experts::{AblationAction, ExpertSet};

use crate::{
    capture::CapturePlan,
    compare_weights::figures::beside,
    error::PipelineError,
    figure::{kind, write_figure},
    fixed_texts::{counted, labelled, table},
    model::{LoadedModel, PassSize},
};

/// What to ablate, beside how many controls, and how carefully to measure.
#[derive(Clone, Debug)]
pub struct AblateConfig {
    /// The experts in question.
    pub experts: ExpertSet,
    /// What is done to them, and to their controls.
    pub action: AblationAction,
    /// How many controls are wanted.
    pub controls: usize,
    /// How many times as large, or as small, a control's load may be; at least 1.
    pub load_factor: f64,
    /// Label, resampling, permutations and seed, which is also that of the choice of controls; the scope is the default
    /// one.
    pub request: MeasureRequest,
}

/// Some experts and what was done to them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AblatedSet {
    /// The intervention, as `--intervene` writes it; the set's name in tables.
    pub intervention: String,
    /// The experts.
    pub experts: Vec<u16>,
    /// Their share of the layer's assignments without the intervention.
    pub load_share: f64,
}

/// What an ablation found.
#[derive(Clone, Debug)]
pub struct Ablation {
    /// The layer.
    pub layer: LayerId,
    /// The experts in question.
    pub target: AblatedSet,
    /// The experts that they were compared with.
    pub controls: Vec<AblatedSet>,
    /// Every table.
    pub measurements: Vec<Measurement>,
    /// Texts.
    pub samples: u64,
    /// Their tokens, special and template tokens included.
    pub tokens: u64,
    /// Seconds that it took, measuring included.
    pub elapsed_secs: f64,
}

impl Ablation {
    /// A metric's table over these axes.
    #[must_use]
    pub fn table(&self, metric: &str, axes: &[AxisKind]) -> Option<&Measurement> {
        table(&self.measurements, metric, axes)
    }

    /// Draws the effect by label into `out` (its ending is the format), or over all texts where there are no labels, and
    /// the change of later layers into a file beside it whose name ends in `-downstream`; each with a caption (`.txt`).
    /// Returns the figures that were written.
    ///
    /// # Errors
    /// When the ending is no format, or a file cannot be written.
    pub fn write_figures(&self, out: &Path) -> Result<Vec<PathBuf>, PipelineError> {
        let format = Format::from_path(out)?;
        let mut written = Vec::new();
        let shown = [
            ("group_effects", "ablation_effect", [Group, Variant], ""),
            (
                "layer_series",
                "ablation_downstream",
                [Layer, Variant],
                "-downstream",
            ),
        ];
        for (figure, metric, axes, suffix) in shown {
            // A text without labels has no groups, and the last layer nothing after it.
            let Some(measurement) = self.table(metric, &axes) else {
                continue;
            };
            let options = FigureOptions {
                title: Some(format!(
                    "{}: {}",
                    measurement.title, self.target.intervention
                )),
                ..FigureOptions::default()
            };
            let svg = kind(figure)?.draw_svg(measurement, &options)?;
            let path = beside(out, suffix);
            write_figure(&svg, format, &path, measurement, &options)?;
            written.push(path);
        }
        Ok(written)
    }
}

/// What one pass of an ablation holds in memory: what the reference recorded is kept while a variant runs.
#[must_use]
pub fn ablation_pass(plan: &CapturePlan) -> PassSize {
    let one = plan.pass_size();
    PassSize {
        tokens: 2 * one.tokens,
        cached_tokens: 2 * one.cached_tokens,
        ..one
    }
}

/// Measures what an intervention on some experts does to the texts of a plan, beside the same on experts like them.
///
/// The texts go through the model once to learn every expert's load, then, batch by batch, once without and once with
/// each intervention.
///
/// # Errors
/// When the experts do not exist, are never chosen in these texts, or have no like; when the model fails, the request
/// makes no sense, or `progress` cancels.
pub fn ablate(
    plan: &CapturePlan,
    loaded: &LoadedModel,
    config: &AblateConfig,
    progress: &dyn Progress,
) -> Result<Ablation, PipelineError> {
    let started = Instant::now();
    let spec = loaded.model.spec();
    config.check()?;
    config.experts.check(spec)?;
    let target = config.action.on(&config.experts, spec)?;
    let request = labelled(plan, &config.request);
    let samples: Vec<_> = plan.samples().iter().map(|s| s.sample.clone()).collect();
    RoutingComparison::new(spec.clone(), Vec::new(), samples.clone()).check(&request)?;
    let loads = loads(plan, loaded, config.experts.layer, progress)?;
    check_loads(&loads, config)?;
    let matching = Matching {
        number: config.controls,
        load_factor: config.load_factor,
        seed: request.seed,
    };
    let mut sets = vec![config.experts.clone()];
    sets.extend(choose(&config.experts, &loads, matching)?);
    let mut interventions = vec![target];
    for set in &sets[1..] {
        interventions.push(config.action.on(set, spec)?);
    }
    let names: Vec<String> = sets.iter().map(|set| config.action.spec(set)).collect();
    let mut comparison = RoutingComparison::new(spec.clone(), names, samples);
    run(plan, loaded, &interventions, &mut comparison, progress)?;
    let layer = config.experts.layer;
    let mut measurements = comparison.measure_ablation(layer, &request, progress)?;
    let described = describe(&sets, config, matching);
    for measurement in &mut measurements {
        measurement.protocol.notes.extend(described.clone());
    }
    let of = |set: &ExpertSet| AblatedSet::of(set, config, &loads);
    Ok(Ablation {
        layer,
        target: of(&config.experts),
        controls: sets[1..].iter().map(of).collect(),
        measurements,
        samples: plan.samples().len() as u64,
        tokens: plan.num_tokens(),
        elapsed_secs: started.elapsed().as_secs_f64(),
    })
}

impl AblateConfig {
    fn check(&self) -> Result<(), PipelineError> {
        let error = |reason: &str| Err(PipelineError::Settings(reason.to_owned()));
        if self.controls == 0 {
            return error(
                "an ablation needs at least one control; without one, no effect is large or small",
            );
        }
        if !(self.load_factor.is_finite() && self.load_factor >= 1.0) {
            return error("the factor between loads is at least 1, e.g. 2");
        }
        Ok(())
    }
}

impl AblatedSet {
    fn of(set: &ExpertSet, config: &AblateConfig, loads: &[u64]) -> Self {
        Self {
            intervention: config.action.spec(set),
            experts: set.experts.clone(),
            load_share: share(loads, &set.experts),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of counts")]
fn share(loads: &[u64], experts: &[u16]) -> f64 {
    let own: u64 = experts
        .iter()
        .map(|expert| loads[usize::from(*expert)])
        .sum();
    own as f64 / loads.iter().sum::<u64>().max(1) as f64
}

/// Assignments of counted tokens by expert of a layer, without any intervention.
fn loads(
    plan: &CapturePlan,
    loaded: &LoadedModel,
    layer: LayerId,
    progress: &dyn Progress,
) -> Result<Vec<u64>, PipelineError> {
    let unchanged = Interventions::default();
    let mut loads = vec![0; usize::from(loaded.model.spec().num_experts)];
    let mut done = 0;
    for batch in plan.batches() {
        progress.report(done, plan.num_tokens(), "counting every expert's load")?;
        let prompts = plan.prompts(batch);
        let reference = ReferencePass::run(computation(loaded, &unchanged), &prompts)
            .map_err(|error| plan.locate(batch, error))?;
        for (document, decisions) in batch.clone().zip(reference.decisions()) {
            let counted = counted(&plan.samples()[document]);
            let here = (0..decisions.len())
                .filter(|row| decisions.layer[*row] == layer)
                .filter(|row| counted[decisions.position[*row] as usize]);
            for expert in here.flat_map(|row| decisions.experts(row)) {
                loads[usize::from(*expert)] += 1;
            }
        }
        done += prompts.iter().map(Vec::len).sum::<usize>() as u64;
    }
    Ok(loads)
}

/// Refuses to take away what is never used.
fn check_loads(loads: &[u64], config: &AblateConfig) -> Result<(), PipelineError> {
    let used = config
        .experts
        .experts
        .iter()
        .any(|e| loads[usize::from(*e)] > 0);
    if used || !config.action.takes_away() {
        return Ok(());
    }
    Err(PipelineError::Settings(format!(
        "no token of these texts chooses '{}', so taking it away changes nothing; give texts that use it (moescope expert \
         shows which do)",
        config.experts
    )))
}

/// Runs every batch without and with each intervention.
fn run(
    plan: &CapturePlan,
    loaded: &LoadedModel,
    interventions: &[Interventions],
    comparison: &mut RoutingComparison,
    progress: &dyn Progress,
) -> Result<(), PipelineError> {
    let unchanged = Interventions::default();
    let passes = interventions.len() as u64 + 1;
    let mut done = 0;
    for batch in plan.batches() {
        let prompts = plan.prompts(batch);
        let tokens = prompts.iter().map(Vec::len).sum::<usize>() as u64;
        let report = |pass: u64| {
            let message = "running the texts with each intervention";
            progress.report(done + pass * tokens, plan.num_tokens() * passes, message)
        };
        report(0)?;
        let reference = ReferencePass::run(computation(loaded, &unchanged), &prompts)
            .map_err(|error| plan.locate(batch, error))?;
        for (variant, interventions) in interventions.iter().enumerate() {
            report(variant as u64 + 1)?;
            let paired = reference
                .compare(computation(loaded, interventions))
                .map_err(|error| plan.locate(batch, error))?;
            for (document, paired) in batch.clone().zip(&paired) {
                let compared = ComparedDocument {
                    counted: &counted(&plan.samples()[document]),
                    reference: &paired.reference,
                    variant: &paired.variant,
                    divergences: &paired.divergences,
                };
                comparison.add(variant, document, &compared);
            }
        }
        done += tokens * passes;
    }
    Ok(())
}

fn computation<'m>(loaded: &'m LoadedModel, interventions: &'m Interventions) -> Computation<'m> {
    Computation {
        model: &loaded.model,
        interventions,
    }
}

/// What a reader must know of how the numbers came about.
fn describe(sets: &[ExpertSet], config: &AblateConfig, matching: Matching) -> Vec<String> {
    let controls: Vec<String> = sets[1..]
        .iter()
        .map(|set| config.action.spec(set))
        .collect();
    let mut notes = vec![
        format!(
            "target {}; controls {}, drawn at random (seed {}) from experts of the same layer whose load on these texts is \
             within a factor of {} of the target's",
            config.action.spec(&config.experts),
            controls.join(", "),
            matching.seed,
            matching.load_factor
        ),
        "teacher-forced: every computation reads the same tokens, and each token is compared with itself".to_owned(),
        "the texts are held out only if the experts were not chosen by looking at them".to_owned(),
    ];
    if controls.len() < matching.number {
        notes.push(format!(
            "{} controls were wanted, {} different ones with such a load were found",
            matching.number,
            controls.len()
        ));
    }
    notes
}
