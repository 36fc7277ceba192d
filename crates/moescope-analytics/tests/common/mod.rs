//! Traces small enough to compute by hand, and synthetic ones with a known dependence.

use moescope_analytics::{
    ExpertsOrder, LoadMass, MeasureRequest, MemoryDocument, Profile, TraceData, find,
};
use moescope_core::{DecisionBatch, Discipline, Measurement, ModelSpec, NoProgress, Phase, Sample};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A model of so many routers, experts and chosen experts.
pub(crate) use moescope_testkit::model_spec as model;

/// A content token of given text, at a position and of an entry of the vocabulary.
pub(crate) use moescope_testkit::content_token as token;

pub(crate) fn sample(id: &str, discipline: &str, group: &str) -> Sample {
    Sample {
        id: id.into(),
        discipline: Some(Discipline::new(discipline).unwrap()),
        group: Some(group.into()),
        text: "x".into(),
        ..Sample::default()
    }
}

/// Measures with few resamples, since most tests look at values only.
pub(crate) fn quick() -> MeasureRequest {
    MeasureRequest {
        resamples: 50,
        permutations: 50,
        ..MeasureRequest::default()
    }
}

pub(crate) fn measure(data: &TraceData, name: &str, request: &MeasureRequest) -> Vec<Measurement> {
    find(name)
        .unwrap()
        .measure(data, request, &NoProgress)
        .unwrap()
}

pub(crate) fn fails(data: &TraceData, name: &str, request: &MeasureRequest) -> String {
    find(name)
        .unwrap()
        .measure(data, request, &NoProgress)
        .unwrap_err()
        .to_string()
}

/// What a synthetic trace is like.
#[derive(Clone, Copy)]
pub(crate) struct Synthetic {
    pub(crate) labels: usize,
    pub(crate) groups_per_label: usize,
    pub(crate) documents_per_group: usize,
    pub(crate) tokens: u32,
    pub(crate) layers: u16,
    pub(crate) experts: u16,
    /// How much more often a label's favourite expert is chosen; 0 means that labels do not matter.
    pub(crate) effect: f32,
    /// Spread of the documents' own preferences.
    pub(crate) between_groups: f32,
    pub(crate) seed: u64,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self {
            labels: 3,
            groups_per_label: 6,
            documents_per_group: 1,
            tokens: 24,
            layers: 2,
            experts: 8,
            effect: 1.0,
            between_groups: 0.3,
            seed: 1,
        }
    }
}

/// Metrics that need more than synthetic traces hold: generated tokens, the model's weights, pairs of samples.
pub(crate) const NEED_MORE: [&str; 4] = [
    "expert_weight_similarity",
    "phase_shift",
    "router_similarity",
    "sense_contrast",
];

pub(crate) const NAMES: [&str; 15] = moescope_core::STANDARD_DISCIPLINES;

impl Synthetic {
    pub(crate) fn model(self) -> ModelSpec {
        model(self.layers, self.experts, 2)
    }

    /// Documents whose routers add noise to preferences of label and group.
    pub(crate) fn documents(self) -> Vec<MemoryDocument> {
        let model = self.model();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut documents = Vec::new();
        for (label, name) in NAMES.iter().enumerate().take(self.labels) {
            for group in 0..self.groups_per_label {
                let preferences: Vec<f32> = (0..self.layers * self.experts)
                    .map(|slot| {
                        let favourite = usize::from(slot % self.experts) == label;
                        let own = self.between_groups * normal(&mut rng);
                        own + if favourite { self.effect } else { 0.0 }
                    })
                    .collect();
                for part in 0..self.documents_per_group {
                    let id = format!("{name}-{group}-{part}");
                    let mut meta = sample(&id, name, &format!("{name}-{group}"));
                    meta.genre = Some(
                        if group % 2 == 0 {
                            "abstract"
                        } else {
                            "textbook"
                        }
                        .into(),
                    );
                    documents.push(self.document(&model, meta, label, &preferences, &mut rng));
                }
            }
        }
        documents
    }

    fn document(
        self,
        model: &ModelSpec,
        meta: Sample,
        label: usize,
        preferences: &[f32],
        rng: &mut ChaCha8Rng,
    ) -> MemoryDocument {
        let experts = usize::from(self.experts);
        let mut batch = DecisionBatch::new(experts, 2);
        let mut tokens = Vec::new();
        for position in 0..self.tokens {
            let words = 20;
            let own = u32::try_from(label).unwrap() * 7;
            let id = rng.random_range(0..words) + if rng.random::<f32>() < 0.3 { own } else { 0 };
            let mut token = token(position, id);
            token.surprisal = Some((u16::try_from(id).unwrap() % 7).into());
            tokens.push(token);
            for (place, layer) in (0u16..).zip(&model.moe_layers) {
                let start = usize::from(place) * experts;
                let logits: Vec<f32> = preferences[start..start + experts]
                    .iter()
                    .map(|p| p + normal(rng))
                    .collect();
                let mut order: Vec<u16> = (0..self.experts).collect();
                order.sort_by(|a, b| logits[usize::from(*b)].total_cmp(&logits[usize::from(*a)]));
                let (a, b) = (logits[usize::from(order[0])], logits[usize::from(order[1])]);
                let first = 1.0 / (1.0 + (b - a).exp());
                batch.push_decision(
                    position,
                    *layer,
                    place,
                    &order[..2],
                    &[first, 1.0 - first],
                    &logits,
                    &model.gating,
                );
            }
        }
        MemoryDocument::from_decisions(model, meta, tokens, batch)
    }

    pub(crate) fn data(self) -> TraceData {
        TraceData::in_memory(self.model(), ExpertsOrder::ByWeight, self.documents()).unwrap()
    }
}

pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let u: f32 = 1.0 - rng.random::<f32>();
    let v: f32 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

/// A document of content tokens at one layer, of which only the chosen experts are known, best first.
pub(crate) fn chosen<const K: usize>(
    model: &ModelSpec,
    meta: Sample,
    choices: &[[u16; K]],
) -> MemoryDocument {
    let mut batch = DecisionBatch::ids_only(usize::from(model.num_experts), K);
    let mut tokens = Vec::new();
    for (position, experts) in (0u32..).zip(choices) {
        tokens.push(token(position, u32::from(experts[0])));
        batch.position.push(position);
        batch.layer.push(model.moe_layers[0]);
        batch.moe_layer.push(0);
        batch.selected_experts.extend(experts);
    }
    MemoryDocument::from_decisions(model, meta, tokens, batch)
}

/// A document of which only counts are known, `[layers][experts]`.
pub(crate) fn counted(model: &ModelSpec, meta: Sample, counts: &[Vec<u32>]) -> MemoryDocument {
    let profiles = (0u16..)
        .zip(counts)
        .map(|(place, counts)| Profile {
            layer: model.moe_layers[usize::from(place)],
            moe_layer: place,
            phase: Phase::Prefill,
            n_tokens: counts.iter().sum::<u32>() / u32::from(model.top_k),
            counts: counts.clone(),
            weight_sum: None,
            prob_sum: None,
            logit_sum: None,
            last_prob: None,
        })
        .collect();
    MemoryDocument {
        sample: meta,
        profiles,
        ..MemoryDocument::default()
    }
}

/// Counts of one layer of a top-2 model, as one document per label.
pub(crate) fn of_counts(experts: u16, counts: &[Vec<u32>]) -> TraceData {
    let model = model(1, experts, 2);
    let documents = counts
        .iter()
        .zip(NAMES)
        .map(|(counts, label)| {
            counted(
                &model,
                sample(label, label, label),
                std::slice::from_ref(counts),
            )
        })
        .collect();
    TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap()
}

#[track_caller]
pub(crate) fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= tolerance,
            "found {found:?}, expected {expected:?}"
        );
    }
}

/// The first table of a metric.
pub(crate) fn first(data: &TraceData, name: &str) -> Measurement {
    measure(data, name, &quick()).remove(0)
}

/// [`quick`] with another load.
pub(crate) fn with_mass(mass: LoadMass) -> MeasureRequest {
    MeasureRequest {
        mass: Some(mass),
        ..quick()
    }
}
