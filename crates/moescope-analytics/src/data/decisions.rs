//! Decisions in order, one document at a time.

use std::ops::Range;

use moescope_core::Scope;

use super::{TokenSelection, steps::Steps};

/// What a metric needs of each decision and of its token, and which decisions it counts.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag per column that costs time to read"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DecisionNeeds {
    /// The experts' weights.
    pub(crate) weights: bool,
    /// The probability mass of the chosen experts.
    pub(crate) topk_mass: bool,
    /// The routing entropy.
    pub(crate) entropy: bool,
    /// The k-th minus the (k+1)-th selection score.
    pub(crate) margin: bool,
    /// The (k+1)-th expert.
    pub(crate) runner_up: bool,
    /// ln Σ exp(logits).
    pub(crate) logsumexp: bool,
    /// All router logits.
    pub(crate) logits: bool,
    /// The tokens' ids.
    pub(crate) token_ids: bool,
    /// Where the tokens stand in their text.
    pub(crate) byte_ranges: bool,
    /// The tokens' surprisals.
    pub(crate) surprisal: bool,
    /// The most likely next tokens.
    pub(crate) predicted_ids: bool,
    /// The tokens that count.
    pub(crate) tokens: TokenSelection,
}

impl DecisionNeeds {
    /// The experts of the decisions in a scope, and nothing else.
    pub(crate) fn of(scope: &Scope) -> Self {
        Self {
            tokens: TokenSelection::of(scope),
            ..Self::default()
        }
    }
}

/// The decisions of one document, sorted by position, then layer; counted and uncounted ones.
///
/// A column that was not asked for is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DocumentDecisions<'a> {
    /// Index into the trace's documents.
    pub(crate) document: usize,
    /// The token's position, `[rows]`.
    pub(crate) position: &'a [u32],
    /// Index into the trace's layers, `[rows]`.
    pub(crate) layers: &'a [u16],
    /// Whether the token is in scope, `[rows]`.
    pub(crate) counted: &'a [bool],
    /// Index into `tokens`, `[rows]`.
    pub(crate) token: &'a [u32],
    /// Experts per decision.
    pub(crate) top_k: usize,
    /// The chosen experts, each below the number of experts, `[rows × top_k]`.
    pub(crate) all_experts: &'a [u16],
    /// Their weights, `[rows × top_k]`.
    pub(crate) all_weights: &'a [f32],
    /// Probability mass of the chosen experts before normalisation, `[rows]`.
    pub(crate) topk_mass: &'a [f32],
    /// Nats, `[rows]`.
    pub(crate) entropy: &'a [f32],
    /// Margin of the selection, `[rows]`; NaN where every expert is chosen.
    pub(crate) margin: &'a [f32],
    /// The best expert left out, `[rows]`; `u16::MAX` where every expert is chosen.
    pub(crate) runner_up: &'a [u16],
    /// ln Σ exp(logits), `[rows]`.
    pub(crate) logsumexp: &'a [f32],
    /// Router logits, `[rows × num_experts]`.
    pub(crate) all_logits: &'a [f32],
    /// The document's tokens, routed or not.
    pub(crate) tokens: DocumentTokens<'a>,
}

/// The tokens of one document, by position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DocumentTokens<'a> {
    /// Positions, ascending, `[tokens]`.
    pub(crate) position: &'a [u32],
    /// Whether the token is in scope, `[tokens]`.
    pub(crate) counted: &'a [bool],
    /// Vocabulary entries, `[tokens]`.
    pub(crate) ids: &'a [u32],
    /// First byte in the text and one past the last; equal where the token does not stand in the text. `[tokens]`.
    pub(crate) byte_ranges: &'a [(u32, u32)],
    /// Nats of each token given those before it, NaN where unknown, `[tokens]`.
    ///
    /// The routing that led to token t is that of the token before it.
    pub(crate) surprisal: &'a [f32],
    /// The most likely next token after each, `u32::MAX` where unknown, `[tokens]`.
    pub(crate) predicted_ids: &'a [u32],
}

impl<'a> DocumentDecisions<'a> {
    /// The rows of tokens in scope.
    pub(crate) fn counted_rows(&self) -> impl Iterator<Item = usize> + 'a {
        let counted = self.counted;
        (0..counted.len()).filter(move |row| counted[*row])
    }

    /// The rows of tokens in scope, by layer and then position, `[layers]`.
    pub(crate) fn counted_rows_of_layers(&self, layers: usize) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); layers];
        for row in self.counted_rows() {
            rows[self.layer(row)].push(row);
        }
        rows
    }

    /// The layer of a row, as an index into the trace's layers.
    pub(crate) fn layer(&self, row: usize) -> usize {
        usize::from(self.layers[row])
    }

    /// The experts of a row, `[top_k]`.
    pub(crate) fn experts(&self, row: usize) -> &'a [u16] {
        &self.all_experts[row * self.top_k..(row + 1) * self.top_k]
    }

    /// The weights of a row, `[top_k]`.
    pub(crate) fn weights(&self, row: usize) -> &'a [f32] {
        &self.all_weights[row * self.top_k..(row + 1) * self.top_k]
    }

    /// The router logits of a row, `[num_experts]`.
    pub(crate) fn logits(&self, row: usize) -> &'a [f32] {
        let experts = self.all_logits.len() / self.position.len();
        &self.all_logits[row * experts..(row + 1) * experts]
    }

    /// The token of a row, as an index into [`Self::tokens`].
    pub(crate) fn token(&self, row: usize) -> usize {
        self.token[row] as usize
    }
}

/// The decisions and tokens of some whole documents, as columns.
///
/// Columns may have rows beyond those of the documents.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecisionShard {
    /// How far the pass is that this is part of.
    pub(super) steps: Steps,
    pub(super) top_k: usize,
    pub(super) documents: Vec<DocumentRows>,
    pub(super) position: Vec<u32>,
    pub(super) layers: Vec<u16>,
    pub(super) token: Vec<u32>,
    pub(super) counted: Vec<bool>,
    pub(super) experts: Vec<u16>,
    pub(super) weights: Vec<f32>,
    pub(super) topk_mass: Vec<f32>,
    pub(super) entropy: Vec<f32>,
    pub(super) margin: Vec<f32>,
    pub(super) runner_up: Vec<u16>,
    pub(super) logsumexp: Vec<f32>,
    pub(super) logits: Vec<f32>,
    pub(super) tokens: TokenColumns,
}

/// The tokens of some whole documents.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenColumns {
    pub(super) position: Vec<u32>,
    pub(super) counted: Vec<bool>,
    pub(super) ids: Vec<u32>,
    pub(super) byte_ranges: Vec<(u32, u32)>,
    pub(super) surprisal: Vec<f32>,
    pub(super) predicted_ids: Vec<u32>,
}

impl TokenColumns {
    /// Adds rows of other columns.
    pub(super) fn append(&mut self, from: &Self, rows: Range<usize>) {
        fn append<T: Copy>(to: &mut Vec<T>, from: &[T], rows: Range<usize>) {
            // What was not asked for has no values.
            to.extend_from_slice(from.get(rows).unwrap_or_default());
        }
        append(&mut self.position, &from.position, rows.clone());
        append(&mut self.counted, &from.counted, rows.clone());
        append(&mut self.ids, &from.ids, rows.clone());
        append(&mut self.byte_ranges, &from.byte_ranges, rows.clone());
        append(&mut self.surprisal, &from.surprisal, rows.clone());
        append(&mut self.predicted_ids, &from.predicted_ids, rows);
    }

    /// Drops all rows and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.position.clear();
        self.counted.clear();
        self.ids.clear();
        self.byte_ranges.clear();
        self.surprisal.clear();
        self.predicted_ids.clear();
    }
}

/// Where a document's rows are.
#[derive(Clone, Debug)]
pub(super) struct DocumentRows {
    /// Index into the trace's documents.
    pub(super) document: usize,
    /// Its decisions.
    pub(super) rows: Range<usize>,
    /// Its tokens.
    pub(super) tokens: Range<usize>,
}

/// A part of a column; what was not asked for has no values.
fn part<T>(column: &[T], range: Range<usize>) -> &[T] {
    column.get(range).unwrap_or_default()
}

impl DecisionShard {
    /// Gives documents other indices, and leaves out those that have none.
    pub(super) fn renumber(&mut self, places: &[Option<usize>]) {
        self.documents.retain_mut(|rows| {
            let place = places[rows.document];
            rows.document = place.unwrap_or_default();
            place.is_some()
        });
    }

    /// One of the shard's documents as a shard of its own.
    pub(crate) fn extract(&self, place: usize) -> Self {
        let found = self.document(place);
        let own = &self.documents[place];
        let mut tokens = TokenColumns::default();
        tokens.append(&self.tokens, own.tokens.clone());
        Self {
            steps: self.steps.clone(),
            top_k: self.top_k,
            documents: vec![DocumentRows {
                document: own.document,
                rows: 0..own.rows.len(),
                tokens: 0..own.tokens.len(),
            }],
            position: found.position.to_vec(),
            layers: found.layers.to_vec(),
            token: found.token.to_vec(),
            counted: found.counted.to_vec(),
            experts: found.all_experts.to_vec(),
            weights: found.all_weights.to_vec(),
            topk_mass: found.topk_mass.to_vec(),
            entropy: found.entropy.to_vec(),
            margin: found.margin.to_vec(),
            runner_up: found.runner_up.to_vec(),
            logsumexp: found.logsumexp.to_vec(),
            logits: found.all_logits.to_vec(),
            tokens,
        }
    }

    /// The indices of the shard's documents among the trace's, in their order here.
    pub(crate) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.documents.iter().map(|rows| rows.document)
    }

    /// Roughly the bytes that experts, margins and tokens take.
    pub(crate) fn bytes(&self) -> usize {
        11 * self.position.len()
            + 2 * self.experts.len()
            + 4 * self.margin.len()
            + 24 * self.tokens.position.len()
    }

    /// Number of documents with decisions.
    pub(crate) fn len(&self) -> usize {
        self.documents.len()
    }

    /// The decisions of one of the shard's documents.
    pub(crate) fn document(&self, place: usize) -> DocumentDecisions<'_> {
        let DocumentRows {
            document,
            rows,
            tokens,
        } = self.documents[place].clone();
        let slots = rows.start * self.top_k..rows.end * self.top_k;
        let experts = self.logits.len() / self.position.len().max(1);
        DocumentDecisions {
            document,
            position: &self.position[rows.clone()],
            layers: &self.layers[rows.clone()],
            counted: &self.counted[rows.clone()],
            token: &self.token[rows.clone()],
            top_k: self.top_k,
            all_experts: &self.experts[slots.clone()],
            all_weights: part(&self.weights, slots),
            topk_mass: part(&self.topk_mass, rows.clone()),
            entropy: part(&self.entropy, rows.clone()),
            margin: part(&self.margin, rows.clone()),
            runner_up: part(&self.runner_up, rows.clone()),
            logsumexp: part(&self.logsumexp, rows.clone()),
            all_logits: part(&self.logits, rows.start * experts..rows.end * experts),
            tokens: DocumentTokens {
                position: &self.tokens.position[tokens.clone()],
                counted: &self.tokens.counted[tokens.clone()],
                ids: part(&self.tokens.ids, tokens.clone()),
                byte_ranges: part(&self.tokens.byte_ranges, tokens.clone()),
                surprisal: part(&self.tokens.surprisal, tokens.clone()),
                predicted_ids: part(&self.tokens.predicted_ids, tokens),
            },
        }
    }
}
