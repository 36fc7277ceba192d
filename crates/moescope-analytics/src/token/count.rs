//! Counts a token's occurrences and choices in one pass over the decisions, and draws some to show.

use moescope_core::Progress;

use super::TokenConfig;
use crate::{
    AnalyticsError, MeasureRequest, TraceData,
    data::{DecisionNeeds, DocumentDecisions, Selection},
    stats::random::{self, Purpose, mix},
};

/// What was counted.
pub(super) struct Counts {
    /// Occurrences and all tokens of each label.
    pub(super) of_labels: Vec<[u64; 2]>,
    /// Documents in which the token occurs.
    pub(super) documents: u64,
    /// What its occurrences choose.
    pub(super) own: Choices,
    /// What all tokens choose.
    pub(super) all: Choices,
    /// Occurrences to show.
    pub(super) drawn: Vec<Occurrence>,
}

/// How often each expert is chosen.
pub(super) struct Choices {
    top_k: usize,
    experts: usize,
    /// Decisions with this expert first, `[layers × experts]`.
    pub(super) first: Vec<u64>,
    /// Decisions with this expert at any rank, `[layers × experts]`.
    pub(super) any: Vec<u64>,
}

impl Choices {
    fn none(layers: usize, experts: usize, top_k: usize) -> Self {
        Self {
            top_k,
            experts,
            first: vec![0; layers * experts],
            any: vec![0; layers * experts],
        }
    }

    /// Adds the experts of decisions, one list a layer.
    fn add(&mut self, of_layers: &[Vec<u16>]) {
        for (layer, chosen) in of_layers.iter().enumerate() {
            let row = layer * self.experts..(layer + 1) * self.experts;
            let first = &mut self.first[row.clone()];
            let any = &mut self.any[row];
            for decision in chosen.chunks_exact(self.top_k) {
                first[usize::from(decision[0])] += 1;
                for expert in decision {
                    any[usize::from(*expert)] += 1;
                }
            }
        }
    }
}

/// An occurrence that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Occurrence {
    /// Drawn are the smallest of these, which depend on seed, document and position alone.
    order: u64,
    pub(super) document: usize,
    pub(super) position: u32,
    /// `[selected layers × top_k]`; [`NO_EXPERT`] where there is no decision.
    experts: Vec<u16>,
}

/// No decision was recorded.
const NO_EXPERT: u16 = u16::MAX;

impl Occurrence {
    /// The experts at each selected layer; none where there is no decision.
    pub(super) fn experts_by_layer(&self, top_k: usize) -> Vec<Vec<u16>> {
        let known = |experts: &[u16]| {
            let experts = experts.iter().copied();
            experts.filter(|expert| *expert != NO_EXPERT).collect()
        };
        self.experts.chunks(top_k).map(known).collect()
    }
}

/// What a document adds.
#[derive(Default)]
struct Found {
    occurrences: u64,
    tokens: u64,
    /// The experts of the token's decisions, `[selected layers][decisions × top_k]`.
    own: Vec<Vec<u16>>,
    /// The same of any token's.
    all: Vec<Vec<u16>>,
    drawn: Vec<Occurrence>,
}

/// Reads every decision in scope once.
pub(super) fn count(
    data: &TraceData,
    selection: &Selection,
    request: &MeasureRequest,
    config: &TokenConfig,
    what: &str,
    progress: &dyn Progress,
) -> Result<Counts, AnalyticsError> {
    let needs = DecisionNeeds {
        token_ids: true,
        ..DecisionNeeds::of(&request.scope)
    };
    let places = selection.places(data);
    let layers = selection.layer_places(data);
    let num_layers = selection.layers.len();
    let reading = Reading {
        config: *config,
        layers: &layers,
        num_layers,
        key: random::key(request.seed, Purpose::Contexts),
    };
    let none = || {
        let model = data.model();
        let [experts, top_k] = [model.num_experts, model.top_k].map(usize::from);
        Choices::none(num_layers, experts, top_k)
    };
    let mut counts = Counts {
        of_labels: vec![[0; 2]; selection.labels.len()],
        documents: 0,
        own: none(),
        all: none(),
        drawn: Vec::new(),
    };
    data.map_documents(
        needs,
        what,
        progress,
        &|decisions| {
            Ok(match places[decisions.document] {
                Some(_) => reading.document(decisions),
                None => Found::default(),
            })
        },
        &mut |document, found| {
            if let Some(place) = places[document] {
                counts.add(selection.label[place], found, config.contexts);
            }
            Ok(())
        },
    )?;
    Ok(counts)
}

impl Counts {
    fn add(&mut self, label: usize, found: Found, most: usize) {
        self.of_labels[label][0] += found.occurrences;
        self.of_labels[label][1] += found.tokens;
        self.documents += u64::from(found.occurrences > 0);
        self.own.add(&found.own);
        self.all.add(&found.all);
        self.drawn.extend(found.drawn);
        self.drawn.sort_unstable();
        self.drawn.truncate(most);
    }
}

/// What is looked for in every document.
struct Reading<'a> {
    config: TokenConfig,
    /// The place of each of the trace's layers among the selected.
    layers: &'a [Option<usize>],
    num_layers: usize,
    key: u64,
}

impl Reading<'_> {
    fn document(&self, decisions: &DocumentDecisions<'_>) -> Found {
        let tokens = decisions.tokens;
        let is_it = |token: &usize| tokens.ids[*token] == self.config.id;
        let counted = || (0..tokens.position.len()).filter(|token| tokens.counted[*token]);
        let mut found = Found {
            occurrences: counted().filter(is_it).count() as u64,
            tokens: counted().count() as u64,
            own: vec![Vec::new(); self.num_layers],
            all: vec![Vec::new(); self.num_layers],
            drawn: self.draw(decisions, counted().filter(is_it)),
        };
        for row in decisions.counted_rows() {
            let Some(layer) = self.layers[decisions.layer(row)] else {
                continue;
            };
            let chosen = decisions.experts(row);
            found.all[layer].extend_from_slice(chosen);
            if !is_it(&decisions.token(row)) {
                continue;
            }
            found.own[layer].extend_from_slice(chosen);
            let position = decisions.position[row];
            if let Some(drawn) = found.drawn.iter_mut().find(|o| o.position == position) {
                let slots = layer * chosen.len()..(layer + 1) * chosen.len();
                drawn.experts[slots].copy_from_slice(chosen);
            }
        }
        found
    }

    /// Chooses which of a document's occurrences may be shown.
    fn draw(
        &self,
        decisions: &DocumentDecisions<'_>,
        occurrences: impl Iterator<Item = usize>,
    ) -> Vec<Occurrence> {
        let document_key = mix(self.key, decisions.document as u64);
        let mut ordered: Vec<(u64, u32)> = occurrences
            .map(|token| decisions.tokens.position[token])
            .map(|position| (mix(document_key, u64::from(position)), position))
            .collect();
        ordered.sort_unstable();
        ordered.truncate(self.config.contexts);
        let occurrence = |(order, position)| Occurrence {
            order,
            document: decisions.document,
            position,
            experts: vec![NO_EXPERT; self.num_layers * decisions.top_k],
        };
        ordered.into_iter().map(occurrence).collect()
    }
}
