//! Comparing with what another implementation computed from the same weights.

use std::{collections::BTreeSet, path::Path};

use moescope_core::Progress;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;

use crate::{
    decoder::{KvCache, MoeModel, Span},
    error::EngineError,
    interventions::Interventions,
    recorder::{StepExtras, TraceRecorder},
    run::{BatchRun, RunConfig},
};

/// Largest file of expected values that is read.
const LARGEST: u64 = 4 << 30;
/// Examples of differing selections that a report keeps.
const EXAMPLES: usize = 20;

/// The largest differences that pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerances {
    /// On next-token and router logits, absolute.
    pub logits: f64,
    /// On routing weights, absolute.
    pub weights: f64,
}

impl Default for Tolerances {
    fn default() -> Self {
        Self {
            logits: 1e-4,
            weights: 1e-5,
        }
    }
}

/// The largest difference of one kind of value, and where it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LargestError {
    /// Values compared.
    pub compared: u64,
    /// Largest absolute difference.
    pub largest: f64,
    /// Tensor and place of the largest.
    pub at: String,
}

/// A decision whose chosen set differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DifferingSelection {
    /// Name of the tensor and row.
    pub at: String,
    /// What the other implementation chose.
    pub expected: Vec<u16>,
    /// What we chose.
    pub found: Vec<u16>,
    /// Our margin between the last chosen and the first left out; a tiny one excuses much.
    pub margin: f32,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VerifyReport {
    /// Next-token logits.
    pub logits: LargestError,
    /// Router logits.
    pub router_logits: LargestError,
    /// Routing weights, expert by expert.
    pub weights: LargestError,
    /// Decisions compared as sets.
    pub selections: u64,
    /// Decisions that differ.
    pub differing: u64,
    /// The first of them.
    pub examples: Vec<DifferingSelection>,
    /// Greedy tokens compared.
    pub greedy_tokens: u64,
    /// Greedy tokens that differ.
    pub differing_greedy: u64,
    /// What fails, in words; empty when the comparison passes.
    pub failures: Vec<String>,
}

impl VerifyReport {
    /// Whether everything agrees within the tolerances.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Compares a model with `expected`, a safetensors file that holds for some lengths T
/// `input_ids.T [T]`, and any of `logits.T [T, vocab]`, `router_logits.T.L [T, experts]`, `selected.T.L [T, k]`,
/// `weights.T.L [T, k]` for the layers L that have a router, in the model's numbering; and `generated [n]` with `generated_logits [n, vocab]`: greedy tokens after
/// the prompt of length 7 (or the shortest one above 1) with a KV cache.
///
/// # Errors
/// When the file cannot be read, or holds neither logits nor selections to compare.
pub fn verify(
    model: &MoeModel,
    expected: &Path,
    tolerances: Tolerances,
    progress: &dyn Progress,
) -> Result<VerifyReport, EngineError> {
    let expected = Expected::open(expected)?;
    let lengths = expected.lengths();
    let mut report = VerifyReport::default();
    for (done, length) in lengths.iter().enumerate() {
        progress.report(
            done as u64,
            lengths.len() as u64,
            &format!("comparing {length} tokens"),
        )?;
        compare_prefill(model, &expected, length, &mut report)?;
    }
    compare_greedy(model, &expected, &lengths, &mut report)?;
    judge(&mut report, tolerances);
    Ok(report)
}

fn compare_prefill(
    model: &MoeModel,
    expected: &Expected,
    length: &str,
    report: &mut VerifyReport,
) -> Result<(), EngineError> {
    let ids = expected.ids(&format!("input_ids.{length}"))?;
    let mut cache = KvCache::new(model, &[ids.len()]);
    let mut recorder = TraceRecorder::new();
    let hidden = model.forward(
        &[Span {
            sequence: 0,
            tokens: &ids,
        }],
        &mut cache,
        &mut recorder,
    )?;
    let logits_name = format!("logits.{length}");
    let wanted = expected.floats(&logits_name)?;
    let extras = StepExtras {
        token_stats: None,
        logits: wanted.is_some().then(|| model.logits(&hidden)),
    };
    let step = recorder.end_step().read(extras)?;
    if let (Some(wanted), Some(found)) = (&wanted, &step.logits) {
        report.logits.compare(&logits_name, wanted, found)?;
    }
    let spec = model.spec();
    let (experts, top_k) = (usize::from(spec.num_experts), usize::from(spec.top_k));
    let mut decisions = moescope_core::DecisionBatch::new(experts, top_k);
    step.push_decisions(0..ids.len(), 0, 0, model, &mut decisions)?;
    let layers = spec.moe_layers.len();
    for (moe_layer, layer) in spec.moe_layers.iter().enumerate() {
        let layer = layer.0;
        let row = |token: usize| token * layers + moe_layer;
        let name = format!("router_logits.{length}.{layer}");
        if let Some(wanted) = expected.floats(&name)? {
            let found: Vec<f32> = (0..ids.len())
                .flat_map(|t| decisions.logits(row(t)).into_iter().flatten().copied())
                .collect();
            report.router_logits.compare(&name, &wanted, &found)?;
        }
        let name = format!("selected.{length}.{layer}");
        let Some(selected) = expected.ids_opt(&name)? else {
            continue;
        };
        if selected.len() != ids.len() * top_k {
            return Err(EngineError::Expected(format!(
                "{name} has {} entries, not {}",
                selected.len(),
                ids.len() * top_k
            )));
        }
        let weights = expected
            .floats(&format!("weights.{length}.{layer}"))?
            .filter(|w| w.len() == selected.len());
        for token in 0..ids.len() {
            let wanted: Vec<u16> = selected[token * top_k..(token + 1) * top_k]
                .iter()
                .map(|id| u16::try_from(*id).unwrap_or(u16::MAX))
                .collect();
            let found = decisions.experts(row(token));
            report.selections += 1;
            let as_set = |ids: &[u16]| ids.iter().copied().collect::<BTreeSet<u16>>();
            if as_set(&wanted) != as_set(found) {
                report.differing += 1;
                if report.examples.len() < EXAMPLES {
                    report.examples.push(DifferingSelection {
                        at: format!("{name}, token {token}"),
                        expected: wanted,
                        found: found.to_vec(),
                        margin: decisions
                            .margin
                            .as_ref()
                            .map_or(f32::NAN, |margins| margins[row(token)]),
                    });
                }
            } else if let (Some(weights), Some(ours)) = (&weights, decisions.weights(row(token))) {
                let mut found_by_expert = Vec::with_capacity(top_k);
                for id in &wanted {
                    let slot = found
                        .iter()
                        .position(|f| f == id)
                        .expect("the sets are equal");
                    found_by_expert.push(ours[slot]);
                }
                report.weights.compare(
                    &format!("weights.{length}.{layer}, token {token}"),
                    &weights[token * top_k..(token + 1) * top_k],
                    &found_by_expert,
                )?;
            }
        }
    }
    Ok(())
}

fn compare_greedy(
    model: &MoeModel,
    expected: &Expected,
    lengths: &[String],
    report: &mut VerifyReport,
) -> Result<(), EngineError> {
    let Some(wanted) = expected.ids_opt("generated")? else {
        return Ok(());
    };
    let prompt = if lengths.iter().any(|length| length == "7") {
        "7"
    } else {
        lengths.last().map_or("7", |l| l)
    };
    let prompt = expected.ids(&format!("input_ids.{prompt}"))?;
    let config = RunConfig {
        records_routing: false,
        records_surprisal: false,
        max_new_tokens: wanted.len() + 1,
        ..RunConfig::default()
    };
    let mut run = BatchRun::new(
        model,
        std::slice::from_ref(&prompt),
        &[0],
        config,
        Interventions::default(),
    );
    run.prefill()?;
    let logits = expected.floats("generated_logits")?;
    for (step, wanted_id) in wanted.iter().enumerate() {
        let vocab = model.config().vocab_size;
        if let (Some(logits), Some(found)) = (&logits, run.last_logits(0)) {
            let name = format!("generated_logits, step {step}");
            let wanted = logits
                .get(step * vocab..(step + 1) * vocab)
                .ok_or_else(|| {
                    EngineError::Expected("generated_logits is shorter than generated".to_owned())
                })?;
            report.logits.compare(&name, wanted, found)?;
        }
        let drawn = run.decode_step()?;
        report.greedy_tokens += 1;
        if drawn.first().map(|(_, id)| id) != Some(wanted_id) {
            // From here on the two texts differ; comparing further would count one difference many times.
            report.differing_greedy += 1;
            break;
        }
    }
    Ok(())
}

fn judge(report: &mut VerifyReport, tolerances: Tolerances) {
    let mut failures = Vec::new();
    if report.logits.compared == 0 {
        failures.push("no next-token logits were compared".to_owned());
    }
    if report.selections == 0 {
        failures.push("no layer's selections were compared".to_owned());
    }
    for (what, error, tolerance) in [
        ("next-token logits", &report.logits, tolerances.logits),
        ("router logits", &report.router_logits, tolerances.logits),
        ("routing weights", &report.weights, tolerances.weights),
    ] {
        if error.compared > 0 && (error.largest > tolerance || error.largest.is_nan()) {
            failures.push(format!(
                "{what} differ by {:e} at {} (allowed {tolerance:e})",
                error.largest, error.at
            ));
        }
    }
    if report.differing > 0 {
        failures.push(format!(
            "{} of {} selections differ",
            report.differing, report.selections
        ));
    }
    if report.differing_greedy > 0 {
        failures.push("greedy generation differs".to_owned());
    }
    report.failures = failures;
}

impl LargestError {
    fn compare(&mut self, name: &str, wanted: &[f32], found: &[f32]) -> Result<(), EngineError> {
        if wanted.len() != found.len() {
            return Err(EngineError::Expected(format!(
                "{name} has {} values, the model gives {}",
                wanted.len(),
                found.len()
            )));
        }
        for (place, (a, b)) in wanted.iter().zip(found).enumerate() {
            let difference = (f64::from(*a) - f64::from(*b)).abs();
            self.compared += 1;
            if difference > self.largest || difference.is_nan() {
                self.largest = if difference.is_nan() {
                    f64::INFINITY
                } else {
                    difference
                };
                self.at = format!("{name}[{place}]");
            }
        }
        Ok(())
    }
}

/// A file of expected values in memory.
struct Expected {
    bytes: Vec<u8>,
}

impl Expected {
    fn open(path: &Path) -> Result<Self, EngineError> {
        let io = |source| EngineError::io("read the expected values", path, source);
        let size = std::fs::metadata(path).map_err(io)?.len();
        if size > LARGEST {
            return Err(EngineError::Expected(format!(
                "{size} bytes of expected values are too many: {}",
                path.display()
            )));
        }
        let bytes = std::fs::read(path).map_err(io)?;
        SafeTensors::deserialize(&bytes).map_err(|error| {
            EngineError::Expected(format!(
                "the expected values are not safetensors: {error}: {}",
                path.display()
            ))
        })?;
        Ok(Self { bytes })
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("checked when it was opened")
    }

    /// The lengths T of all `input_ids.T`, longest first.
    fn lengths(&self) -> Vec<String> {
        let mut lengths: Vec<(usize, String)> = self
            .tensors()
            .names()
            .into_iter()
            .filter_map(|name| name.strip_prefix("input_ids."))
            .filter_map(|length| length.parse().ok().map(|n: usize| (n, length.to_owned())))
            .collect();
        lengths.sort_by(|a, b| b.cmp(a));
        lengths.into_iter().map(|(_, length)| length).collect()
    }

    fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, EngineError> {
        let tensors = self.tensors();
        let Ok(view) = tensors.tensor(name) else {
            return Ok(None);
        };
        if view.dtype() != Dtype::F32 {
            return Err(EngineError::Expected(format!(
                "{name} must be F32, found {:?}",
                view.dtype()
            )));
        }
        Ok(Some(
            view.data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
        ))
    }

    fn ids_opt(&self, name: &str) -> Result<Option<Vec<u32>>, EngineError> {
        let tensors = self.tensors();
        let Ok(view) = tensors.tensor(name) else {
            return Ok(None);
        };
        let error = |found: String| {
            EngineError::Expected(format!("{name} must hold ids as I64 or I32, found {found}"))
        };
        let wide: Vec<i64> = match view.dtype() {
            Dtype::I64 => view
                .data()
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes(b.try_into().expect("chunks of eight")))
                .collect(),
            Dtype::I32 => view
                .data()
                .chunks_exact(4)
                .map(|b| i64::from(i32::from_le_bytes(b.try_into().expect("chunks of four"))))
                .collect(),
            other => return Err(error(format!("{other:?}"))),
        };
        wide.into_iter()
            .map(|id| u32::try_from(id).map_err(|_| error(id.to_string())))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn ids(&self, name: &str) -> Result<Vec<u32>, EngineError> {
        self.ids_opt(name)?
            .ok_or_else(|| EngineError::Expected(format!("the expected values have no {name}")))
    }
}
