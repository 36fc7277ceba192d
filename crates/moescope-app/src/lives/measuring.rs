//! What is measured of a generation and of experts, as jobs.

use std::{sync::Arc, time::Instant};

use moescope_analytics::{LabelReference, MeasureRequest, ReferenceScope};
use moescope_core::{LabelFilter, Progress as _};
use moescope_engine::{ComputeDevice, DeviceChoice, LoadOptions, Tokenizer};
use moescope_pipeline::{
    AblateConfig, AblationAction, CaptureConfig, CapturePlan, DataConfig, ExpertSet, ModelFiles,
    ModelFolder, PassSize, PipelineError, ablate, ablation_pass, check_memory_of_loaded,
    text_effect,
};

use super::{
    Ablated, BETWEEN_PICTURES, CellAction, LiveChoice, LiveModel, Lives, MeasuredEffect,
    effect_text::text_to_measure,
};
use crate::{
    choices::{CaptureChoice, Cell},
    job::{Job, JobProgress},
    models::{ModelKey, Models},
    traces::{TraceId, Traces},
};

/// Tokens of a pass that must fit into memory before a model is loaded for generations.
const PLANNED_TOKENS: u64 = 4096;

/// Loads a model where it shall run, unless something holds it already.
pub(super) fn load(
    key: &ModelKey,
    models: &Models,
    progress: &Arc<JobProgress>,
) -> Result<LiveModel, PipelineError> {
    let files = ModelFiles::open(ModelFolder::find(&key.name, None)?)?;
    let device = ComputeDevice::open(key.device)?;
    let told = format!("{} ({}; {})", device.kind, device.name, device.reason);
    let pass = PassSize::prefill(PLANNED_TOKENS);
    if let Some(warning) = models.check_memory(key, &files.checkpoint, &device, &pass)? {
        progress.report(0, 0, &warning)?;
    }
    let loaded = models.get_or_load(key, || {
        // Another model may have been waited for, and this one given up meanwhile.
        progress.report(0, 0, "loading the model")?;
        files.load(device, key.options, progress.as_ref())
    })?;
    Ok(LiveModel {
        name: key.name.clone(),
        device: told,
        tokenizer: loaded.files.tokenizer_identity(),
        loaded,
    })
}

impl Lives {
    /// Measures the chosen interventions on the text of the branch that is shown, or on one that they did not write.
    pub(super) fn measure_effect(
        &mut self,
        choice: &LiveChoice,
        ctx: &egui::Context,
    ) -> Result<(), String> {
        let interventions = choice.interventions()?;
        if interventions.is_empty() {
            return Err("choose an intervention first: click a cell of the heat map".to_owned());
        }
        self.need_branch()?;
        let live = (self.model.value(), &self.transcript, self.branch());
        let (Some(model), Some(transcript), Some(shown)) = live else {
            return Err("the model is not loaded".to_owned());
        };
        let (branch, origin) = text_to_measure(transcript, shown, self.other());
        let tokens = branch.columns.tokens().iter();
        let ids: Vec<u32> = tokens.map(|token| token.id).collect();
        let loaded = Arc::clone(&model.loaded);
        let (branch, model) = (branch.info.id, model.name.clone());
        self.effect
            .start("measuring the effect", ctx, move |progress| {
                let effect = text_effect(&loaded, &ids, &interventions, progress.as_ref())
                    .map_err(|error| error.to_string())?;
                Ok(MeasuredEffect {
                    branch,
                    origin,
                    model,
                    text: text_of(&loaded.files.tokenizer, &ids),
                    ids,
                    by_change: effect.by_change(),
                    effect,
                })
            });
        Ok(())
    }

    /// Measures what an expert is worth on the chosen texts.
    pub(super) fn ablate(
        &mut self,
        cell: Cell,
        choice: &LiveChoice,
        capture: &CaptureChoice,
        device: DeviceChoice,
        ctx: &egui::Context,
    ) -> Result<(), String> {
        let capture = self.ablated_with(capture);
        let held_out = capture.held_out();
        if capture.files.is_empty() && held_out.is_none() {
            return Err("choose texts first that were not used to find this expert".to_owned());
        }
        let action = action(choice)?;
        let config = AblateConfig {
            experts: ExpertSet::new(cell.layer, vec![cell.expert]),
            action,
            controls: choice.controls.max(1),
            load_factor: 2.0,
            request: MeasureRequest::default(),
        };
        let data = CaptureConfig {
            data: DataConfig {
                files: capture.files.clone(),
                embedded: held_out.unwrap_or_default(),
                limit: (choice.ablate_limit > 0).then_some(choice.ablate_limit),
                ..capture.data()
            },
            ..CaptureConfig::default()
        };
        let known = self
            .model
            .value()
            .filter(|model| model.name == capture.model);
        let known = known.map(|model| Arc::clone(&model.loaded));
        let key = ModelKey::of_live(&capture.model, device);
        let models = self.models.clone();
        let live = choice.clone();
        self.ablation
            .start("does it matter?", ctx, move |progress| {
                let work = || -> Result<Ablated, PipelineError> {
                    let loaded = match known {
                        Some(loaded) => loaded,
                        None => load(&key, &models, progress)?.loaded,
                    };
                    let kind = loaded.device.kind;
                    let plan = CapturePlan::new(data, &loaded.files, kind, progress.as_ref())?;
                    let pass = ablation_pass(&plan);
                    let weights = LoadOptions::default().weights;
                    let checkpoint = &loaded.files.checkpoint;
                    let device = &loaded.device;
                    let checked = check_memory_of_loaded(checkpoint, device, weights, &pass)?;
                    if let Some(warning) = checked {
                        progress.report(0, 0, &warning)?;
                    }
                    let found = ablate(&plan, &loaded, &config, progress.as_ref())?;
                    Ok(Ablated {
                        cell,
                        live,
                        capture,
                        found: Arc::new(found),
                    })
                };
                work().map_err(|error| error.to_string())
            });
        Ok(())
    }

    /// Makes profiles of the labels of the trace that is shown, where a view needs them.
    pub(super) fn follow_reference(&mut self, traces: &Traces, ctx: &egui::Context) {
        let Some(trace) = traces.active().filter(|_| self.branch().is_some()) else {
            return;
        };
        if self.reference_of == Some(trace.id) || self.reference.is_running() {
            return;
        }
        self.reference_of = Some(trace.id);
        let model = self.model.value();
        let other = model.and_then(|model| trace.other_checkpoint(model));
        self.reference_is_of = other.map(str::to_owned);
        let asked = traces.asked(trace.id);
        self.reference
            .start("profiles of the labels", ctx, move |progress| {
                let request = request_of_profiles();
                asked?
                    .answer(|data| LabelReference::fit(data, &request, progress.as_ref()))
                    .map(Arc::new)
            });
    }

    /// Has profiles of a trace's labels made anew, where they are there and of that trace.
    pub(crate) fn forget_labels_of(&mut self, trace: TraceId) {
        if self.reference_of == Some(trace) && !self.reference.is_running() {
            self.reference_of = None;
        }
    }

    /// What a reply minus a label takes away: the trace of the labels' profiles, and which of its decisions those of the
    /// label are made of.
    ///
    /// # Errors
    /// Says why nothing is taken away.
    pub(crate) fn taken_away(
        &self,
        choice: &LiveChoice,
    ) -> Result<(TraceId, ReferenceScope), &'static str> {
        const NO_LABELS: &str = "open a trace of this model whose texts have labels";
        let branch = self.branch().ok_or("generate something first")?;
        let reference = match &self.reference {
            Job::Ready(reference) => reference,
            Job::Running(_) => return Err("wait until the labels of the trace are read"),
            Job::Idle | Job::Failed { .. } => return Err(NO_LABELS),
        };
        if !reference.has_routers(branch.columns.layers(), branch.columns.num_experts()) {
            return Err(
                "the trace that is open has other layers or experts than this model; open a trace of this model",
            );
        }
        let (trace, label) = self.reference_of.zip(self.label(choice)).ok_or(NO_LABELS)?;
        let MeasureRequest { scope, by, .. } = request_of_profiles();
        let documents = LabelFilter {
            column: by,
            labels: vec![label.to_owned()],
        };
        let scope = ReferenceScope {
            phase: Some(scope.phase),
            only: vec![documents],
            ..ReferenceScope::default()
        };
        Ok((trace, scope))
    }

    /// Which label the last window of content tokens looks like; asked anew when there are other tokens, and not too
    /// often.
    pub(super) fn look_again(&mut self, ctx: &egui::Context) {
        if self.looking.poll() {
            self.look = self.looking.value().cloned().flatten();
        }
        let key = self.branch().zip(self.reference.value());
        let Some((branch, reference)) = key else {
            (self.look, self.looked) = (None, None);
            self.looking = Job::Idle;
            return;
        };
        let (id, tokens) = (branch.info.id, branch.columns.len());
        if let Some((known, at)) = self.looked {
            // The thread asks for a frame when it has looked.
            if known == (id, tokens) || self.looking.is_running() {
                return;
            }
            let left = BETWEEN_PICTURES.saturating_sub(at.elapsed());
            if known.0 == id && !left.is_zero() {
                ctx.request_repaint_after(left);
                return;
            }
        }
        let columns = &branch.columns;
        let is_alike = reference.has_routers(columns.layers(), columns.num_experts());
        let window = columns.last_content(reference.window as usize);
        let counted = u32::try_from(window.len()).unwrap_or(u32::MAX);
        let chosen = columns.chosen().clone();
        let reference = Arc::clone(reference);
        let is_of_another = self.reference_is_of.is_some();
        self.looked = Some(((id, tokens), Instant::now()));
        self.looking
            .start("which label it looks like", ctx, move |_| {
                if !is_alike || counted == 0 {
                    return Ok(None);
                }
                let counts = chosen.counts_of(window);
                Ok(Some(if is_of_another {
                    reference.distances(&counts)
                } else {
                    reference.look(&counts, counted)
                }))
            });
    }
}

/// What the labels' profiles are made of: the given texts of all documents, special and template tokens apart, by the
/// usual label.
fn request_of_profiles() -> MeasureRequest {
    MeasureRequest {
        resamples: 200,
        ..MeasureRequest::default()
    }
}

/// The text of some tokens, if the tokenizer makes the same tokens of it: a text as the command line takes it.
fn text_of(tokenizer: &Tokenizer, ids: &[u32]) -> Option<String> {
    let text = tokenizer.decode(ids).ok()?;
    let tokens = tokenizer.encode(&text).ok()?;
    let is_same = tokens.iter().map(|token| token.id).eq(ids.iter().copied());
    // No shell passes a zero byte on.
    (is_same && !text.is_empty() && !text.contains('\0')).then_some(text)
}

/// What an ablation does, by what a click does.
fn action(choice: &LiveChoice) -> Result<AblationAction, String> {
    match choice.action {
        CellAction::Mask => Ok(AblationAction::Mask),
        CellAction::Zero => Ok(AblationAction::Zero),
        CellAction::Force => Ok(AblationAction::Force),
        CellAction::Boost => Ok(AblationAction::Boost(choice.boost)),
        CellAction::Swap => {
            Err("a swap has no controls; choose mask, zero, force or boost".to_owned())
        }
    }
}
