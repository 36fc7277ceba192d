//! How often neighbouring tokens of a document share experts, beside what chance and the document's own marginals give.

use moescope_core::{Measurement, Progress, Weighting};

use super::{
    Coincidence, Excess, has_enough_pairs, measure_excess, token_order::weigh_blocks_alike,
};
use crate::{
    About, AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection, Summary},
    stats::random::{self, Purpose},
};

/// Random pairs drawn per adjacent pair where the null has no short closed form.
const DRAWS_PER_PAIR: usize = 4;

/// What counts as a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// Both tokens have the same heaviest expert.
    FirstChoice,
    /// The tokens share at least one expert.
    AnyOverlap,
}

impl Repetition {
    /// Whether two decisions repeat; experts are `[top_k]`.
    fn is_hit(self, a: &[u16], b: &[u16]) -> bool {
        match self {
            Self::FirstChoice => a[0] == b[0],
            Self::AnyOverlap => a.iter().any(|expert| b.contains(expert)),
        }
    }

    /// The rate of an indifferent router: 1/E, or 1 − C(E−k, k) / C(E, k).
    pub(crate) fn uniform_rate(self, experts: u16, top_k: u16) -> f64 {
        let (experts, top_k) = (f64::from(experts), f64::from(top_k));
        match self {
            Self::FirstChoice => 1.0 / experts,
            Self::AnyOverlap => {
                // C(E−k, k) / C(E, k) = Π_{i<k} (E − k − i) / (E − i); a factor of 0 ends it.
                let mut disjoint = 1.0;
                let mut i = 0.0;
                while i < top_k {
                    disjoint *= ((experts - top_k - i) / (experts - i)).max(0.0);
                    i += 1.0;
                }
                1.0 - disjoint
            }
        }
    }
}

/// Measures the repetition of every label at every layer.
pub(crate) fn measure_repetition(
    data: &TraceData,
    request: &MeasureRequest,
    about: &About,
    repetition: Repetition,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let selection = Selection::new(data, request, about.name, progress)?;
    let add = |decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
        count_pairs(decisions, repetition, request.seed, numbers);
    };
    let summary = Summary {
        name: format!("repetition {repetition:?} seed {}", request.seed),
        needs: DecisionNeeds::of(&request.scope),
        columns: 3,
        add: &add,
    };
    let pairs = data.summarize(&summary, about.name, progress)?;
    let table = selection.unit_table(4, |document, layer, row| {
        let &[hits, all, rate] = pairs.row(document, layer) else {
            unreachable!("three columns were asked for")
        };
        if all > 0.0 {
            row.copy_from_slice(&[hits, all, rate * all, all]);
            if request.scope.weighting == Weighting::Document {
                weigh_blocks_alike(row, 2);
            }
        }
    });
    let all: f64 = selection
        .documents
        .iter()
        .flat_map(|document| {
            let layers = selection.layers.iter();
            layers.map(|layer| pairs.row(*document, *layer)[1])
        })
        .sum();
    let model = data.model();
    let measurement = measure_excess(
        &selection,
        request,
        &Excess {
            about,
            table: &table,
            quantities: &[""],
            places: Vec::new(),
            evaluate: &|sums, out| out[0] = sums[0] / sums[1],
            reference: Some(repetition.uniform_rate(model.num_experts, model.top_k)),
            note: "observed: pairs of neighbouring positions of one document; shuffled: random pairs of the same document, so with its own marginals; excess: observed minus shuffled; the reference is the rate of an indifferent router",
            is_tested: Some(&[has_enough_pairs(all, &table)]),
        },
        progress,
    )?;
    Ok(vec![measurement])
}

/// Counts one document's pairs of neighbouring tokens, `[layers × (hits, pairs, rate among random pairs)]`.
fn count_pairs(
    decisions: &DocumentDecisions<'_>,
    repetition: Repetition,
    seed: u64,
    numbers: &mut [f64],
) {
    let layers = numbers.len() / 3;
    let rows_of_layers = decisions.counted_rows_of_layers(layers);
    for (layer, (rows, found)) in rows_of_layers
        .iter()
        .zip(numbers.chunks_exact_mut(3))
        .enumerate()
    {
        for pair in rows.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            if decisions.position[before].checked_add(1) == Some(decisions.position[after]) {
                let hit = repetition.is_hit(decisions.experts(before), decisions.experts(after));
                found[0] += f64::from(u8::from(hit));
                found[1] += 1.0;
            }
        }
        if found[1] > 0.0 {
            found[2] = match repetition {
                Repetition::FirstChoice => Coincidence::of(decisions, rows).first_choice,
                Repetition::AnyOverlap => {
                    let stream = (decisions.document as u64) << 16 | layer as u64;
                    sampled_rate(decisions, rows, repetition, seed, stream)
                }
            };
        }
    }
}

/// The rate among random pairs of different tokens of the document.
fn sampled_rate(
    decisions: &DocumentDecisions<'_>,
    rows: &[usize],
    repetition: Repetition,
    seed: u64,
    stream: u64,
) -> f64 {
    let mut rng = random::stream(seed, Purpose::TokenPairs, stream);
    let draws = DRAWS_PER_PAIR * rows.len();
    let mut hits = 0;
    for _ in 0..draws {
        let a = random::below(&mut rng, rows.len());
        // Any of the others, each equally likely.
        let b = (a + 1 + random::below(&mut rng, rows.len() - 1)) % rows.len();
        let hit = repetition.is_hit(decisions.experts(rows[a]), decisions.experts(rows[b]));
        hits += usize::from(hit);
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of pairs")]
    let rate = hits as f64 / draws as f64;
    rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_are_those_of_the_literature() {
        let check = |experts, top_k, first: f64, any: f64| {
            assert!((Repetition::FirstChoice.uniform_rate(experts, top_k) - first).abs() < 6e-5);
            assert!((Repetition::AnyOverlap.uniform_rate(experts, top_k) - any).abs() < 6e-5);
        };
        // (8, 2): 1 − (6/8)(5/7) = 46.43 %, Mixtral's Table 5; the others from the same formula.
        check(8, 2, 0.125, 0.4643);
        check(64, 8, 0.0156, 0.6791);
        check(64, 6, 0.0156, 0.4601);
        check(128, 8, 0.0078, 0.4123);
        check(32, 4, 0.0313, 0.4306);
        // Three of four experts always overlap.
        check(4, 3, 0.25, 1.0);
    }
}
