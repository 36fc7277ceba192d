//! Traces whose truth is known: labels that matter or not, words and genres that do, documents with preferences of their own.

use std::iter;

use moescope_analytics::{
    ComparedDocument, ExpertsOrder, MemoryDocument, RoutingComparison, TraceData, TraceSet,
};
use moescope_core::{DecisionBatch, ModelSpec, Phase, Sample, TokenDivergence};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::common::{NAMES, model, normal, sample, token};

/// Experts per layer; two are chosen.
const EXPERTS: u16 = 8;
const LAYERS: u16 = 2;
/// Tokens that are generated after those given.
const GENERATED: u32 = 8;
const VOCABULARY: u32 = 16;
/// Other experts whose intervention stands beside that on the target.
const CONTROLS: usize = 19;

/// What decides the routing of a simulated trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simulation {
    pub(crate) labels: usize,
    /// Groups of one document each, per label.
    pub(crate) groups: usize,
    /// Tokens of a document that were given.
    pub(crate) given: u32,
    /// How much the label raises the logit of its favourite expert.
    pub(crate) effect: f32,
    /// How much a token's id raises the logit of its own expert.
    pub(crate) by_token: f32,
    /// How much of a token's noise stays for the next token.
    pub(crate) kept: f32,
    /// Whether labels differ in their words.
    pub(crate) has_own_words: bool,
    /// Whether labels differ in their genres, and genres in their routing.
    pub(crate) has_own_genres: bool,
}

impl Simulation {
    /// Nothing depends on the label.
    pub(crate) const NULL: Self = Self {
        labels: 2,
        groups: 8,
        given: 24,
        effect: 0.0,
        by_token: 1.0,
        kept: 0.5,
        has_own_words: false,
        has_own_genres: false,
    };
    /// Nothing depends on the label, and nothing on the token.
    pub(crate) const NO_TOKENS: Self = Self {
        by_token: 0.0,
        ..Self::NULL
    };
    /// Nothing depends on the label, and nothing on the order of tokens.
    pub(crate) const NO_ORDER: Self = Self {
        kept: 0.0,
        ..Self::NULL
    };
    /// The same in documents of sixteen blocks of 8 tokens, which are long enough to change.
    pub(crate) const LONG_NO_ORDER: Self = Self {
        given: 120,
        ..Self::NO_ORDER
    };
    /// The label matters in such documents.
    pub(crate) const LONG_EFFECT: Self = Self {
        given: 120,
        ..Self::EFFECT
    };
    /// Only the words depend on the label.
    pub(crate) const WORDS: Self = Self {
        groups: 10,
        has_own_words: true,
        ..Self::NULL
    };
    /// Only the genre depends on the label: two thirds of one label, one third of the other.
    pub(crate) const GENRES: Self = Self {
        groups: 12,
        has_own_genres: true,
        ..Self::NULL
    };
    /// The label matters.
    pub(crate) const EFFECT: Self = Self {
        groups: 30,
        effect: 0.7,
        ..Self::NULL
    };

    /// One trace; documents share the router's preferences, which depend on the token, and each adds its own.
    pub(crate) fn trace(self, seed: u64) -> TraceData {
        let documents = self.documents(seed);
        TraceData::in_memory(model(LAYERS, EXPERTS, 2), ExpertsOrder::ByWeight, documents).unwrap()
    }

    /// The same documents beside a variant of the router, whose logits are off by more in some documents than in others.
    pub(crate) fn comparison(self, seed: u64) -> RoutingComparison {
        let of_document = |rng: &mut ChaCha8Rng| 0.2 * (0.5 * normal(rng)).exp();
        self.compared(&["variant".to_owned()], seed, of_document, |_, _| 0.0)
    }

    /// The same documents under an intervention on one expert and on [`CONTROLS`] others of its layer. Each raises surprisal by
    /// an amount of its own; where the label matters, amounts are those of every seed, and the first is larger in the first label.
    pub(crate) fn ablation(self, seed: u64) -> RoutingComparison {
        let controls = (1..=CONTROLS).map(|n| format!("control {n}"));
        let names: Vec<String> = iter::once("target".to_owned()).chain(controls).collect();
        let fixed = self.effect > 0.0;
        let mut rng = ChaCha8Rng::seed_from_u64(if fixed { 0 } else { seed ^ 0xab1a });
        let own: Vec<f32> = names
            .iter()
            .map(|_| 0.1 + 0.05 * normal(&mut rng))
            .collect();
        let raised = |variant: usize, label: &str| {
            let is_raised = variant == 0 && label == NAMES[0];
            own[variant] + if is_raised { 0.3 * self.effect } else { 0.0 }
        };
        let of_document = |rng: &mut ChaCha8Rng| 0.2 * (0.3 * normal(rng)).exp();
        self.compared(&names, seed, of_document, raised)
    }

    /// Every document beside its variants: by how much a document is off, and by how much a variant raises the surprisal of a
    /// label's tokens.
    fn compared(
        self,
        names: &[String],
        seed: u64,
        of_document: impl Fn(&mut ChaCha8Rng) -> f32,
        raised: impl Fn(usize, &str) -> f32,
    ) -> RoutingComparison {
        let model = model(LAYERS, EXPERTS, 2);
        let documents = self.documents(seed);
        let samples = documents.iter().map(|document| document.sample.clone());
        let tokens = self.given + GENERATED;
        let counted = vec![true; tokens as usize];
        let mut comparison =
            RoutingComparison::new(model.clone(), names.to_vec(), samples.collect());
        let mut rng = ChaCha8Rng::seed_from_u64(!seed);
        for (place, document) in documents.iter().enumerate() {
            let reference = document.decisions.as_ref().unwrap();
            let label = document.sample.discipline.as_ref().unwrap().as_str();
            let scale = of_document(&mut rng);
            for variant in 0..names.len() {
                let rerouted = rerouted(reference, scale, 0.0, &model, &mut rng);
                let raised = raised(variant, label);
                let divergences: Vec<TokenDivergence> = (0..tokens)
                    .map(|_| TokenDivergence {
                        kl_nats: f64::from((scale * normal(&mut rng)).powi(2)),
                        is_prediction_changed: rng.random_bool(f64::from(scale.min(0.5))),
                        surprisals: Some((2.0, 2.0 + f64::from(raised + scale * normal(&mut rng)))),
                    })
                    .collect();
                let compared = ComparedDocument {
                    counted: &counted,
                    reference,
                    variant: &rerouted,
                    divergences: &divergences,
                };
                comparison.add(variant, place, &compared);
            }
        }
        comparison
    }

    /// The same documents under two routers that are off by noise of their own, more in some documents than in others;
    /// the first one likes an expert more.
    pub(crate) fn two_traces(self, seed: u64) -> TraceSet {
        let model = model(LAYERS, EXPERTS, 2);
        let mut rng = ChaCha8Rng::seed_from_u64(!seed);
        let documents = self.documents(seed);
        let scales: Vec<f32> = documents
            .iter()
            .map(|_| 0.4 * (0.5 * normal(&mut rng)).exp())
            .collect();
        let traces = [("first", self.effect), ("second", 0.0)].map(|(name, liked)| {
            let routed = documents.iter().zip(&scales).map(|(document, scale)| {
                let decisions = document.decisions.as_ref().unwrap();
                MemoryDocument::from_decisions(
                    &model,
                    document.sample.clone(),
                    document.tokens.clone(),
                    rerouted(decisions, *scale, liked, &model, &mut rng),
                )
            });
            let routed = routed.collect();
            let trace = TraceData::in_memory(model.clone(), ExpertsOrder::ByWeight, routed);
            (name.to_owned(), trace.unwrap())
        });
        TraceSet::new(traces.into(), 1).unwrap()
    }

    fn documents(self, seed: u64) -> Vec<MemoryDocument> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut documents = Vec::new();
        for (label, name) in NAMES.iter().enumerate().take(self.labels) {
            for group in 0..self.groups {
                let id = format!("{name}-{group:04}");
                let is_abstract = if self.has_own_genres {
                    (group % 3 == 0) == (label == 0)
                } else {
                    group % 2 == 0
                };
                let meta = Sample {
                    genre: Some(if is_abstract { "abstract" } else { "textbook" }.into()),
                    ..sample(&id, name, &id)
                };
                documents.push(self.document(meta, label, is_abstract, &mut rng));
            }
        }
        documents
    }

    fn document(
        self,
        meta: Sample,
        label: usize,
        is_abstract: bool,
        rng: &mut ChaCha8Rng,
    ) -> MemoryDocument {
        /// Standard deviations of what a document prefers, and of a token's noise.
        const OWN: f32 = 0.4;
        const NOISE: f32 = 0.8;
        let model = model(LAYERS, EXPERTS, 2);
        let slots = usize::from(LAYERS * EXPERTS);
        let experts = usize::from(EXPERTS);
        let mut preferences: Vec<f32> = (0..slots).map(|_| OWN * normal(rng)).collect();
        for of_layer in preferences.chunks_mut(experts) {
            of_layer[label] += self.effect;
            of_layer[4] += if self.has_own_genres && is_abstract {
                0.8
            } else {
                0.0
            };
        }
        let mut noise = vec![0.0f32; slots];
        let mut batch = DecisionBatch::new(experts, 2);
        let mut tokens = Vec::new();
        for position in 0..self.given + GENERATED {
            let mut id = rng.random_range(0..VOCABULARY);
            if self.has_own_words && rng.random_bool(0.4) {
                id = id % 5 + 5 * u32::try_from(label).unwrap();
            }
            let mut row = token(position, id);
            row.phase = Some(if position < self.given {
                Phase::Prefill
            } else {
                Phase::Decode
            });
            row.surprisal = Some(2.0 + 0.5 * normal(rng).abs());
            row.predicted_id = Some(rng.random_range(0..VOCABULARY));
            tokens.push(row);
            for place in 0..LAYERS {
                let start = usize::from(place) * experts;
                let logits: Vec<f32> = (start..start + experts)
                    .map(|slot| {
                        noise[slot] = self.kept * noise[slot] + NOISE * normal(rng);
                        let is_own = slot - start == id as usize % experts;
                        preferences[slot] + noise[slot] + if is_own { self.by_token } else { 0.0 }
                    })
                    .collect();
                choose(&mut batch, position, place, &logits, &model);
            }
        }
        MemoryDocument::from_decisions(&model, meta, tokens, batch)
    }
}

/// The decisions of a router whose logits are off by noise of this standard deviation, and whose fourth expert's logit is raised.
fn rerouted(
    decisions: &DecisionBatch,
    noise: f32,
    liked: f32,
    model: &ModelSpec,
    rng: &mut ChaCha8Rng,
) -> DecisionBatch {
    let mut batch = DecisionBatch::new(usize::from(EXPERTS), 2);
    for row in 0..decisions.len() {
        let logits = decisions.logits(row).unwrap().iter();
        let mut logits: Vec<f32> = logits.map(|x| x + noise * normal(rng)).collect();
        logits[3] += liked;
        let (position, place) = (decisions.position[row], decisions.moe_layer[row]);
        choose(&mut batch, position, place, &logits, model);
    }
    batch
}

/// Adds the decision that logits lead to.
fn choose(batch: &mut DecisionBatch, position: u32, place: u16, logits: &[f32], model: &ModelSpec) {
    let mut order: Vec<u16> = (0..EXPERTS).collect();
    order.sort_by(|a, b| logits[usize::from(*b)].total_cmp(&logits[usize::from(*a)]));
    let (a, b) = (logits[usize::from(order[0])], logits[usize::from(order[1])]);
    let first = 1.0 / (1.0 + (b - a).exp());
    let layer = model.moe_layers[usize::from(place)];
    let weights = [first, 1.0 - first];
    batch.push_decision(
        position,
        layer,
        place,
        &order[..2],
        &weights,
        logits,
        &model.gating,
    );
}
