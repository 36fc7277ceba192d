//! The same texts computed in two ways, token by token: what both routers decided, and how far the predictions lie apart.

use std::sync::Arc;

use burn::tensor::Tensor;
use moescope_core::{DecisionBatch, TokenDivergence};
use rayon::prelude::*;

use crate::{
    decoder::{KvCache, MoeModel, Span},
    error::EngineError,
    interventions::Interventions,
    recorder::{StepExtras, StepRecord, TraceRecorder},
};

/// Rows whose logits are on the host at once: all tokens' of a long pass would be gigabytes.
const LOGIT_ROWS: usize = 64;

/// A model and what is changed in its routing: one way to compute a text.
#[derive(Clone, Copy, Debug)]
pub struct Computation<'m> {
    /// The model.
    pub model: &'m MoeModel,
    /// What is changed.
    pub interventions: &'m Interventions,
}

/// One sequence as the reference and a variant computed it.
#[derive(Clone, Debug)]
pub struct PairedSequence {
    /// What the reference's routers decided, by position and layer.
    pub reference: Arc<DecisionBatch>,
    /// What the variant's routers decided, by position and layer.
    pub variant: DecisionBatch,
    /// How far their predictions lie apart, by position.
    pub divergences: Vec<TokenDivergence>,
}

/// Runs sequences through both models in one pass each (teacher forcing: both read the same tokens).
///
/// Each model's layers get what that model's own layers before them made, so differences compound.
///
/// # Errors
/// When a token is unknown, a device fails, or logits are not finite.
///
/// # Panics
/// When the models have not the same routers and vocabulary.
pub fn run_paired(
    reference: &MoeModel,
    variant: &MoeModel,
    sequences: &[Vec<u32>],
) -> Result<Vec<PairedSequence>, EngineError> {
    let unchanged = Interventions::default();
    let plain = |model| Computation {
        model,
        interventions: &unchanged,
    };
    ReferencePass::run(plain(reference), sequences)?.compare(plain(variant))
}

/// Sequences as a reference computed them, to hold any number of variants against.
#[derive(Debug)]
pub struct ReferencePass<'m> {
    pass: Pass<'m>,
    sequences: &'m [Vec<u32>],
    decisions: Vec<Arc<DecisionBatch>>,
}

impl<'m> ReferencePass<'m> {
    /// Runs sequences in one pass.
    ///
    /// # Errors
    /// When a token is unknown, the device fails, or a router's logits are not finite.
    pub fn run(reference: Computation<'m>, sequences: &'m [Vec<u32>]) -> Result<Self, EngineError> {
        let pass = Pass::run(reference, sequences)?;
        let decisions = pass.decisions(sequences)?;
        Ok(Self {
            decisions: decisions.into_iter().map(Arc::new).collect(),
            pass,
            sequences,
        })
    }

    /// What the reference's routers decided about each sequence, by position and layer.
    #[must_use]
    pub fn decisions(&self) -> &[Arc<DecisionBatch>] {
        &self.decisions
    }

    /// Runs the same sequences through a variant, which reads the same tokens (teacher forcing).
    ///
    /// # Errors
    /// As [`Self::run`], and when logits are not finite.
    ///
    /// # Panics
    /// When the models have not the same routers and vocabulary.
    pub fn compare(&self, variant: Computation<'_>) -> Result<Vec<PairedSequence>, EngineError> {
        let reference = self.pass.model;
        assert_eq!(
            reference.spec(),
            variant.model.spec(),
            "two computations of one model"
        );
        let vocab = reference.config().vocab_size;
        assert_eq!(vocab, variant.model.config().vocab_size, "one vocabulary");
        let pass = Pass::run(variant, self.sequences)?;
        let divergences = divergences([&self.pass, &pass], vocab, self.sequences)?;
        let mut first = 0;
        let mut paired = Vec::with_capacity(self.sequences.len());
        for (decisions, variant) in self.decisions.iter().zip(pass.decisions(self.sequences)?) {
            let tokens = first..first + self.sequences[paired.len()].len();
            first = tokens.end;
            paired.push(PairedSequence {
                reference: Arc::clone(decisions),
                variant,
                divergences: divergences[tokens].to_vec(),
            });
        }
        Ok(paired)
    }
}

/// One computation's pass over all sequences.
#[derive(Debug)]
struct Pass<'m> {
    model: &'m MoeModel,
    record: StepRecord,
    /// After the final norm, `[tokens, hidden]`.
    hidden: Tensor<2>,
}

impl<'m> Pass<'m> {
    fn run(computation: Computation<'m>, sequences: &[Vec<u32>]) -> Result<Self, EngineError> {
        let model = computation.model;
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        let spans: Vec<Span<'_>> = sequences
            .iter()
            .enumerate()
            .filter(|(_, tokens)| !tokens.is_empty())
            .map(|(sequence, tokens)| Span { sequence, tokens })
            .collect();
        let mut probe = (computation.interventions.clone(), TraceRecorder::new());
        let mut cache = KvCache::new(model, &lengths);
        let hidden = model.forward(&spans, &mut cache, &mut probe)?;
        let record = probe.1.end_step().read(StepExtras::default())?;
        Ok(Self {
            model,
            record,
            hidden,
        })
    }

    /// What the routers decided about each sequence.
    fn decisions(&self, sequences: &[Vec<u32>]) -> Result<Vec<DecisionBatch>, EngineError> {
        let spec = self.model.spec();
        let mut first = 0;
        let mut all = Vec::with_capacity(sequences.len());
        for (number, tokens) in sequences.iter().enumerate() {
            let mut decisions =
                DecisionBatch::new(usize::from(spec.num_experts), usize::from(spec.top_k));
            let rows = first..first + tokens.len();
            first = rows.end;
            self.record
                .push_decisions(rows, 0, number, self.model, &mut decisions)?;
            all.push(decisions);
        }
        Ok(all)
    }

    /// Next-token logits of some tokens on the host, `[len × vocab]`.
    fn logits(&self, start: usize, len: usize) -> Result<Vec<f32>, EngineError> {
        let rows = self.hidden.clone().narrow(0, start, len);
        self.model
            .logits(&rows)
            .try_into_data()
            .map_err(|error| EngineError::Execution(error.to_string()))?
            .try_into_vec::<f32>()
            .map_err(|error| EngineError::Execution(format!("cannot read logits back: {error:?}")))
    }
}

/// How far the predictions lie apart at every token of all sequences.
fn divergences(
    [reference, variant]: [&Pass<'_>; 2],
    vocab: usize,
    sequences: &[Vec<u32>],
) -> Result<Vec<TokenDivergence>, EngineError> {
    let next: Vec<Option<u32>> = sequences
        .iter()
        .filter(|tokens| !tokens.is_empty())
        .flat_map(|tokens| tokens[1..].iter().copied().map(Some).chain([None]))
        .collect();
    let mut rows: Vec<RowDivergence> = Vec::with_capacity(next.len());
    for (chunk, next) in next.chunks(LOGIT_ROWS).enumerate() {
        let start = chunk * LOGIT_ROWS;
        let (p, q) = (
            reference.logits(start, next.len())?,
            variant.logits(start, next.len())?,
        );
        rows.par_extend(
            p.par_chunks_exact(vocab)
                .zip(q.par_chunks_exact(vocab))
                .zip(next)
                .map(|((p, q), next)| RowDivergence::between(p, q, *next)),
        );
    }
    if rows.iter().any(|row| !row.kl_nats.is_finite()) {
        return Err(EngineError::Execution(
            "a model gave next-token logits that are not finite".to_owned(),
        ));
    }
    // The surprisal that a row gives is that of the token after it.
    let before = std::iter::once(None).chain(rows.iter().map(|row| row.next_surprisals));
    Ok(rows
        .iter()
        .zip(before)
        .map(|(row, surprisals)| TokenDivergence {
            kl_nats: row.kl_nats,
            is_prediction_changed: row.is_prediction_changed,
            surprisals,
        })
        .collect())
}

/// What two models' logits after one token say.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RowDivergence {
    kl_nats: f64,
    is_prediction_changed: bool,
    /// Of the token that follows; `None` after the last one of a sequence.
    next_surprisals: Option<(f64, f64)>,
}

impl RowDivergence {
    /// Compares two rows of logits, `[vocab]` each, in f64.
    ///
    /// With p = softmax(z) and q = softmax(y), KL(p ‖ q) = Σ p (z − y) + ln Σ eʸ − ln Σ eᶻ.
    fn between(z: &[f32], y: &[f32], next: Option<u32>) -> Self {
        let (z_best, y_best) = (best(z), best(y));
        let (z_max, y_max) = (f64::from(z[z_best]), f64::from(y[y_best]));
        let (mut z_sum, mut y_sum, mut weighted) = (0.0, 0.0, 0.0);
        for (z, y) in z.iter().zip(y) {
            let (z, y) = (f64::from(*z) - z_max, f64::from(*y) - y_max);
            let mass = z.exp();
            z_sum += mass;
            y_sum += y.exp();
            weighted += mass * (z - y);
        }
        // Rounding may leave a negative number of the size of an f64's error; a NaN must stay one.
        let kl = weighted / z_sum + y_sum.ln() - z_sum.ln();
        Self {
            kl_nats: if kl < 0.0 { 0.0 } else { kl },
            is_prediction_changed: z_best != y_best,
            next_surprisals: next.map(|id| {
                let at = |logits: &[f32]| f64::from(logits[id as usize]);
                (z_sum.ln() + z_max - at(z), y_sum.ln() + y_max - at(y))
            }),
        }
    }
}

/// The index of the largest value, the first of equal ones.
fn best(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits of a distribution.
    fn logits(p: &[f64], shift: f64) -> Vec<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "a test's logits")]
        let narrow = |x: f64| x as f32;
        p.iter().map(|p| narrow(p.ln() + shift)).collect()
    }

    #[test]
    fn kl_is_the_textbook_value_whatever_constant_is_added() {
        // Kullback's own example: p = (0.36, 0.48, 0.16), q uniform: KL(p ‖ q) = 0.0852996, KL(q ‖ p) = 0.0974551.
        let (p, q) = ([0.36, 0.48, 0.16], [1.0 / 3.0; 3]);
        let found = RowDivergence::between(&logits(&p, 3.0), &logits(&q, -7.0), Some(2));
        assert!((found.kl_nats - 0.085_299_6).abs() < 1e-6, "{found:?}");
        let (of_p, of_q) = found.next_surprisals.unwrap();
        // −ln 0.16 and −ln (1/3).
        assert!((of_p - 1.832_581).abs() < 1e-5 && (of_q - 1.098_612).abs() < 1e-5);
        // Of equal logits the first is the best: 0, where p has 1.
        assert!(found.is_prediction_changed);
        let back = RowDivergence::between(&logits(&q, 0.0), &logits(&p, 0.0), None);
        assert!((back.kl_nats - 0.097_455_1).abs() < 1e-6, "{back:?}");
        assert_eq!(back.next_surprisals, None);
    }

    #[test]
    fn equal_logits_diverge_by_exactly_nothing() {
        let z: Vec<f32> = (0..1000u16).map(|i| (f32::from(i) * 0.37).sin()).collect();
        let found = RowDivergence::between(&z, &z, Some(5));
        assert_eq!(found.kl_nats.to_bits(), 0.0_f64.to_bits());
        assert!(!found.is_prediction_changed);
        let (a, b) = found.next_surprisals.unwrap();
        assert_eq!(a.to_bits(), b.to_bits());
    }

    #[test]
    fn broken_logits_are_not_taken_for_agreement() {
        let found = RowDivergence::between(&[0.0, f32::NAN], &[0.0, 1.0], None);
        assert!(!found.kl_nats.is_finite());
        let found = RowDivergence::between(&[0.0, 1.0], &[0.0, f32::INFINITY], None);
        assert!(!found.kl_nats.is_finite());
    }
}
