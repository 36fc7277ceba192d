//! Two computations of one model, decision by decision: what another type of weights or arithmetic does to routing.
//!
//! A [`RoutingComparison`] adds up documents as they come and keeps sums alone; its measurements resample groups as all
//! others do. Definitions are in `docs/COMPARE_WEIGHTS.md`.

mod ablation;
pub(crate) mod bins;
pub(crate) mod measurements;
mod quantities;
pub(crate) mod ratios;
mod sums;
mod tables;

use moescope_core::{
    DecisionBatch, LayerId, Measurement, ModelSpec, Phase, Progress, Sample, Scope, ScoreFunction,
    TokenDivergence,
};

use crate::{AnalyticsError, ExpertsOrder, MeasureRequest, MemoryDocument, Profile, TraceData};
use sums::DocumentSums;

/// One document as the reference and a variant saw it.
#[derive(Clone, Copy, Debug)]
pub struct ComparedDocument<'a> {
    /// Whether a token counts, by position.
    pub counted: &'a [bool],
    /// What the reference's routers decided.
    pub reference: &'a DecisionBatch,
    /// What the variant's routers decided about the same tokens.
    pub variant: &'a DecisionBatch,
    /// How far their predictions lie apart, by position.
    pub divergences: &'a [TokenDivergence],
}

/// Sums of a comparison of one reference with several variants.
///
/// ```
/// use moescope_analytics::{ComparedDocument, MeasureRequest, RoutingComparison};
/// use moescope_core::{DecisionBatch, Gating, LayerId, ModelSpec, NoProgress, Sample, TokenDivergence};
///
/// let model = ModelSpec {
///     family: "mixtral".into(),
///     num_layers: 1,
///     moe_layers: vec![LayerId(0)],
///     num_experts: 3,
///     top_k: 1,
///     num_shared_experts: 0,
///     has_shared_expert_gate: false,
///     hidden_size: None,
///     vocab_size: None,
///     gating: Gating::softmax_top_k(),
/// };
/// let decide = |expert: u16| {
///     let mut batch = DecisionBatch::new(3, 1);
///     batch.push_decision(0, LayerId(0), 0, &[expert], &[1.0], &[2.0, 1.9, 0.0], &model.gating);
///     batch
/// };
/// let sample = Sample { id: "a".into(), ..Sample::default() };
/// let mut comparison = RoutingComparison::new(model.clone(), vec!["q4".into()], vec![sample]);
/// comparison.add(0, 0, &ComparedDocument {
///     counted: &[true],
///     reference: &decide(0),
///     variant: &decide(1),
///     divergences: &[TokenDivergence { kl_nats: 0.5, is_prediction_changed: false, surprisals: None }],
/// });
/// let request = MeasureRequest { by: "all".into(), ..MeasureRequest::default() };
/// let found = comparison.measure(&request, &NoProgress)?;
/// let changed = found.iter().find(|m| m.metric == "changed_selections").unwrap();
/// assert_eq!(changed.values, [1.0]);
/// # Ok::<(), moescope_analytics::AnalyticsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RoutingComparison {
    model: ModelSpec,
    variants: Vec<String>,
    samples: Vec<Sample>,
    /// `[variants][documents]`; `None` until the document is added.
    sums: Vec<Vec<Option<DocumentSums>>>,
}

impl RoutingComparison {
    /// A comparison without documents; `variants` are the names in tables, `samples` the documents to come.
    #[must_use]
    pub fn new(model: ModelSpec, variants: Vec<String>, samples: Vec<Sample>) -> Self {
        Self {
            sums: vec![vec![None; samples.len()]; variants.len()],
            model,
            variants,
            samples,
        }
    }

    /// Says before anything is run whether [`Self::measure`] will take the request.
    ///
    /// # Errors
    /// When the request makes no sense, or names a column that the samples do not have.
    pub fn check(&self, request: &MeasureRequest) -> Result<(), AnalyticsError> {
        request.check()?;
        request.refuse_reference_scope("a comparison of fixed texts")?;
        if request.scope != Scope::default() || request.contrast.is_some() {
            return Err(AnalyticsError::Request(
                "a comparison has the default scope and no contrast".to_owned(),
            ));
        }
        let data = self.data()?;
        request.labels_in(&data)?;
        // `group` may be absent everywhere: a document without one is a group of its own.
        if request.resample_by != "group" {
            data.labels(&request.resample_by)?;
        }
        Ok(())
    }

    /// Adds what a variant did to a document.
    ///
    /// # Panics
    /// When there is no such variant or document, or the two batches are of other tokens, or lack weights or margins.
    pub fn add(&mut self, variant: usize, document: usize, compared: &ComparedDocument<'_>) {
        let layers = self.model.moe_layers.len();
        self.sums[variant][document] = Some(DocumentSums::of(compared, layers));
    }

    /// Measures everything: over all documents, and by the label of the request where it is not `all`.
    ///
    /// Scope and weighting of the request must be the default ones: prefill, content tokens, tokens alike.
    ///
    /// # Errors
    /// When a document was not added for every variant, the request makes no sense, there is too little to measure, or
    /// `progress` cancels.
    pub fn measure(
        &self,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        self.with_tables(request, progress, "a comparison of weights", |tables| {
            let mut found = tables.of_all(request)?;
            if request.by != "all" {
                found.extend(tables.of_labels(request)?);
            }
            Ok(found)
        })
    }

    /// Measures what an intervention at `layer` does beside the same intervention on other experts of that layer: the
    /// first variant is the target, all others are its controls.
    ///
    /// Every table `ablation_…` has the target, the mean of its controls and their difference as variants; the target is
    /// placed among the controls (p), corrected for all values of its table (q). `ablation_selectivity` asks whether one
    /// label suffers more than the others. After them come the pooled tables of [`Self::measure`] for every variant.
    ///
    /// # Errors
    /// As [`Self::measure`], and when there is no control.
    pub fn measure_ablation(
        &self,
        layer: LayerId,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        if self.variants.len() < 2 {
            return Err(AnalyticsError::Request(
                "an ablation needs at least one control to compare with".to_owned(),
            ));
        }
        let all = self.model.moe_layers.iter();
        let downstream: Vec<bool> = all.map(|other| *other > layer).collect();
        self.with_tables(request, progress, "ablate", |tables| {
            ablation::measure(tables, &downstream, request)
        })
    }

    /// Makes tables of all documents, if each was added for every variant.
    fn with_tables(
        &self,
        request: &MeasureRequest,
        progress: &dyn Progress,
        name: &str,
        make: impl FnOnce(&tables::Tables<'_>) -> Result<Vec<Measurement>, AnalyticsError>,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        self.check(request)?;
        let data = self.data()?;
        let sums: Vec<Vec<&DocumentSums>> = self.sums.iter().map(|s| in_order(&data, s)).collect();
        let missing = |sums: &Vec<&DocumentSums>| sums.len() < self.samples.len();
        if let Some(variant) = sums.iter().position(missing) {
            return Err(AnalyticsError::Request(format!(
                "{} of {} documents were not run through '{}'",
                self.samples.len() - sums[variant].len(),
                self.samples.len(),
                self.variants[variant]
            )));
        }
        make(&tables::Tables {
            data: &data,
            variants: &self.variants,
            sums: &sums,
            margin_words: margin_words(&self.model),
            name,
            progress,
        })
    }

    /// The documents as other measurements see them: their labels, and how many of their tokens count.
    fn data(&self) -> Result<TraceData, AnalyticsError> {
        let experts = usize::from(self.model.num_experts);
        let documents = self.samples.iter().enumerate().map(|(number, sample)| {
            let sums = self.sums.first().and_then(|all| all[number].as_ref());
            let layers = sums.map_or(&[][..], |sums| &sums.layers);
            let profile = |(index, sums): (usize, &sums::LayerSums)| Profile {
                layer: self.model.moe_layers[index],
                moe_layer: u16::try_from(index).expect("layers are numbered in 16 bits"),
                phase: Phase::Prefill,
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a number of tokens"
                )]
                n_tokens: sums.decisions as u32,
                counts: vec![0; experts],
                weight_sum: None,
                prob_sum: None,
                logit_sum: None,
                last_prob: None,
            };
            MemoryDocument {
                sample: Sample {
                    text: String::new(),
                    ..sample.clone()
                },
                tokens: Vec::new(),
                decisions: None,
                profiles: layers.iter().enumerate().map(profile).collect(),
            }
        });
        TraceData::in_memory(
            self.model.clone(),
            ExpertsOrder::ByWeight,
            documents.collect(),
        )
    }
}

/// The sums that are there, in the order of the data's documents.
fn in_order<'a>(data: &TraceData, sums: &'a [Option<DocumentSums>]) -> Vec<&'a DocumentSums> {
    data.documents()
        .iter()
        .filter_map(|document| sums[document.sample as usize].as_ref())
        .collect()
}

/// What a margin is, in words.
fn margin_words(model: &ModelSpec) -> String {
    let score = match model.gating.score_function {
        ScoreFunction::Softmax => "probability",
        ScoreFunction::Sigmoid => "sigmoid score",
        ScoreFunction::Identity => "logit",
    };
    let bias = if model.gating.has_correction_bias {
        " plus correction bias"
    } else {
        ""
    };
    format!(
        "margin: {score}{bias} of the last expert that the reference chose minus that of the best it left out"
    )
}
