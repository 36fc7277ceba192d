//! Tokens and their routing as columns, made to be appended to and read while a model writes.

use std::ops::Range;

use moescope_core::{DecisionBatch, LayerId, Phase};

use super::ChosenExperts;

/// One token of a live sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveToken {
    /// Entry of the vocabulary.
    pub id: u32,
    /// What it adds to the text.
    pub text: Box<str>,
    /// Whether it was given or drawn.
    pub phase: Phase,
    /// Whether the default scope counts it: neither a special token nor a template's.
    pub is_content: bool,
    /// Nats, of this token given those before it; `None` for the first.
    pub surprisal: Option<f32>,
    /// The most likely tokens after it, best first; empty where they were not asked for: within a prompt, until a branch
    /// is made there.
    pub next: Vec<Candidate>,
}

/// A token that may come next.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Entry of the vocabulary.
    pub id: u32,
    /// Its text alone.
    pub text: Box<str>,
    /// Its probability at temperature 1.
    pub probability: f32,
}

/// Tokens of one sequence with every decision about them, column by column.
///
/// Sums over the prompt and over the reply are kept up to date, so that a picture of 32,000 tokens costs no more than one
/// of ten.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveColumns {
    layers: Vec<LayerId>,
    num_experts: usize,
    top_k: usize,
    tokens: Vec<LiveToken>,
    /// Shares its pieces with copies, such as those that other threads read.
    chosen: ChosenExperts,
    /// `[tokens × layers × top_k]`.
    weights: Vec<f32>,
    /// Nats, `[tokens × layers]`.
    entropy: Vec<f32>,
    /// `[tokens × layers]`; NaN where every expert is chosen.
    margin: Vec<f32>,
    /// `[tokens × layers]`; `u16::MAX` where every expert is chosen.
    runner_up: Vec<u16>,
    /// Assignments of given content tokens, `[layers × experts]`.
    prompt_counts: Vec<u32>,
    /// Assignments of drawn content tokens, `[layers × experts]`.
    reply_counts: Vec<u32>,
    num_prompt_tokens: usize,
    /// Content tokens among the given and the drawn.
    content: [usize; 2],
}

impl LiveColumns {
    /// No token yet.
    #[must_use]
    pub fn new(layers: Vec<LayerId>, num_experts: usize, top_k: usize) -> Self {
        let cells = layers.len() * num_experts;
        Self {
            chosen: ChosenExperts::new(layers.len(), num_experts, top_k),
            layers,
            num_experts,
            top_k,
            tokens: Vec::new(),
            weights: Vec::new(),
            entropy: Vec::new(),
            margin: Vec::new(),
            runner_up: Vec::new(),
            prompt_counts: vec![0; cells],
            reply_counts: vec![0; cells],
            num_prompt_tokens: 0,
            content: [0; 2],
        }
    }

    /// Adds tokens with the decisions of `decisions` from row `first_row` on: one per layer for every token, in order.
    ///
    /// # Panics
    /// When there are not as many decisions, or they are of other routers or lack weights, entropy or margins.
    pub fn extend(&mut self, tokens: Vec<LiveToken>, decisions: &DecisionBatch, first_row: usize) {
        let rows = first_row..first_row + tokens.len() * self.layers.len();
        assert_eq!(rows.end, decisions.len(), "a decision per token and layer");
        let known = "our own engine records every column";
        let of_rank = rows.start * self.top_k..rows.end * self.top_k;
        let experts = &decisions.selected_experts[of_rank.clone()];
        self.chosen.extend(tokens.len(), experts);
        self.weights
            .extend_from_slice(&decisions.routing_weights.as_ref().expect(known)[of_rank]);
        self.entropy
            .extend_from_slice(&decisions.entropy.as_ref().expect(known)[rows.clone()]);
        self.margin
            .extend_from_slice(&decisions.margin.as_ref().expect(known)[rows.clone()]);
        self.runner_up
            .extend_from_slice(&decisions.runner_up.as_ref().expect(known)[rows]);
        let first = self.tokens.len();
        self.tokens.extend(tokens);
        self.count(first..self.tokens.len(), 1);
    }

    /// Adds the tokens of other columns of the same model.
    ///
    /// # Panics
    /// When they are of other routers.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(
            (&self.layers, self.num_experts, self.top_k),
            (&other.layers, other.num_experts, other.top_k),
            "columns of one model"
        );
        let first = self.tokens.len();
        self.tokens.extend_from_slice(&other.tokens);
        self.chosen.append(&other.chosen);
        self.weights.extend_from_slice(&other.weights);
        self.entropy.extend_from_slice(&other.entropy);
        self.margin.extend_from_slice(&other.margin);
        self.runner_up.extend_from_slice(&other.runner_up);
        // A single token chooses far fewer experts than there are sums, and the next event or frame waits for this.
        if other.len() * self.top_k < self.num_experts {
            self.count(first..self.tokens.len(), 1);
            return;
        }
        let add = |sums: &mut [u32], more: &[u32]| {
            sums.iter_mut().zip(more).for_each(|(sum, n)| *sum += n);
        };
        add(&mut self.prompt_counts, &other.prompt_counts);
        add(&mut self.reply_counts, &other.reply_counts);
        self.num_prompt_tokens += other.num_prompt_tokens;
        self.content[0] += other.content[0];
        self.content[1] += other.content[1];
    }

    /// Keeps the first `tokens` tokens.
    pub fn truncate(&mut self, tokens: usize) {
        if tokens >= self.len() {
            return;
        }
        self.count(tokens..self.len(), -1);
        let rows = tokens * self.layers.len();
        self.tokens.truncate(tokens);
        self.chosen.truncate(tokens);
        self.weights.truncate(rows * self.top_k);
        self.entropy.truncate(rows);
        self.margin.truncate(rows);
        self.runner_up.truncate(rows);
    }

    /// The MoE layers, in the model's numbering.
    #[must_use]
    pub fn layers(&self) -> &[LayerId] {
        &self.layers
    }

    /// Experts per layer.
    #[must_use]
    pub fn num_experts(&self) -> usize {
        self.num_experts
    }

    /// Experts per decision.
    #[must_use]
    pub fn top_k(&self) -> usize {
        self.top_k
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> &[LiveToken] {
        &self.tokens
    }

    /// Tokens that were given.
    #[must_use]
    pub fn num_prompt_tokens(&self) -> usize {
        self.num_prompt_tokens
    }

    /// The chosen experts of a token at a layer, given by its place among [`Self::layers`], heaviest first, `[top_k]`.
    ///
    /// # Panics
    /// Like the next four, when there is no such token or layer.
    #[must_use]
    pub fn experts(&self, token: usize, layer: usize) -> &[u16] {
        self.chosen.at(token, layer)
    }

    /// The weights of these experts, `[top_k]`.
    #[must_use]
    pub fn weights(&self, token: usize, layer: usize) -> &[f32] {
        let row = self.row(token, layer) * self.top_k;
        &self.weights[row..row + self.top_k]
    }

    /// Nats, of the distribution over all experts.
    #[must_use]
    pub fn entropy(&self, token: usize, layer: usize) -> f32 {
        self.entropy[self.row(token, layer)]
    }

    /// How close the best expert that was left out came; `None` where none was left out.
    #[must_use]
    pub fn margin(&self, token: usize, layer: usize) -> Option<f32> {
        Some(self.margin[self.row(token, layer)]).filter(|margin| !margin.is_nan())
    }

    /// The best expert that was left out; `None` where none was.
    #[must_use]
    pub fn runner_up(&self, token: usize, layer: usize) -> Option<u16> {
        Some(self.runner_up[self.row(token, layer)]).filter(|expert| *expert != u16::MAX)
    }

    /// The chosen experts of all tokens; a copy is cheap, whatever their number.
    #[must_use]
    pub fn chosen(&self) -> &ChosenExperts {
        &self.chosen
    }

    /// Content tokens among the given, and among the drawn.
    #[must_use]
    pub fn content_tokens(&self) -> [usize; 2] {
        self.content
    }

    /// The last content tokens, at most so many, ascending.
    #[must_use]
    pub fn last_content(&self, most: usize) -> Vec<usize> {
        let content = (0..self.len())
            .rev()
            .filter(|place| self.tokens[*place].is_content);
        let mut last: Vec<usize> = content.take(most).collect();
        last.reverse();
        last
    }

    /// Assignments of the given content tokens, `[layers × experts]`.
    #[must_use]
    pub fn prompt_counts(&self) -> &[u32] {
        &self.prompt_counts
    }

    /// Assignments of the drawn content tokens, `[layers × experts]`.
    #[must_use]
    pub fn reply_counts(&self) -> &[u32] {
        &self.reply_counts
    }

    /// Other tokens with the same id, ascending.
    #[must_use]
    pub fn same_token(&self, token: usize) -> Vec<usize> {
        let id = self.tokens[token].id;
        let others = self.tokens.iter().enumerate();
        others
            .filter(|(place, other)| *place != token && other.id == id)
            .map(|(place, _)| place)
            .collect()
    }

    fn row(&self, token: usize, layer: usize) -> usize {
        assert!(layer < self.layers.len(), "a layer of the model");
        token * self.layers.len() + layer
    }

    /// Adds tokens to the sums (or takes them away, with −1).
    fn count(&mut self, tokens: Range<usize>, sign: i32) {
        let (mut prompt, mut reply) = (
            std::mem::take(&mut self.prompt_counts),
            std::mem::take(&mut self.reply_counts),
        );
        for token in tokens {
            let is_prompt = self.tokens[token].phase == Phase::Prefill;
            let step = isize::try_from(sign).unwrap_or(0);
            if self.tokens[token].is_content {
                let sums = if is_prompt { &mut prompt } else { &mut reply };
                for cell in self.chosen.cells_of(token) {
                    sums[cell] = sums[cell].saturating_add_signed(sign);
                }
                let content = &mut self.content[usize::from(!is_prompt)];
                *content = content.saturating_add_signed(step);
            }
            if is_prompt {
                self.num_prompt_tokens = self.num_prompt_tokens.saturating_add_signed(step);
            }
        }
        (self.prompt_counts, self.reply_counts) = (prompt, reply);
    }
}

#[cfg(test)]
mod tests {
    use moescope_core::Gating;

    use super::*;

    fn token(id: u32, phase: Phase) -> LiveToken {
        LiveToken {
            id,
            text: "x".into(),
            phase,
            is_content: true,
            surprisal: None,
            next: Vec::new(),
        }
    }

    /// One decision per token at layers 1 and 3: experts (0, 1) at the first, `second` at the other.
    fn decisions(second: &[[u16; 2]]) -> DecisionBatch {
        let mut batch = DecisionBatch::new(4, 2);
        for (position, experts) in (0..).zip(second) {
            for (number, experts) in (0..).zip([[0, 1], *experts]) {
                let gating = Gating::top_k_softmax();
                let logits = [2.0, 1.0, 0.5, 0.0];
                let layer = LayerId(2 * number + 1);
                batch.push_decision(
                    position,
                    layer,
                    number,
                    &experts,
                    &[0.75, 0.25],
                    &logits,
                    &gating,
                );
            }
        }
        batch
    }

    fn columns() -> LiveColumns {
        let mut columns = LiveColumns::new(vec![LayerId(1), LayerId(3)], 4, 2);
        let all = decisions(&[[2, 3], [2, 0], [2, 1]]);
        let mut prompt = all.clone();
        prompt.truncate(4);
        let given = vec![token(7, Phase::Prefill), token(8, Phase::Prefill)];
        columns.extend(given, &prompt, 0);
        columns.extend(vec![token(7, Phase::Decode)], &all, 4);
        columns
    }

    #[test]
    fn sums_follow_what_is_added_and_cut() {
        let mut columns = columns();
        assert_eq!(columns.prompt_counts(), [2, 2, 0, 0, 1, 0, 2, 1]);
        assert_eq!(columns.reply_counts(), [1, 1, 0, 0, 0, 1, 1, 0]);
        assert_eq!(columns.chosen().counts_of(1..3), [2, 2, 0, 0, 1, 1, 2, 0]);
        assert_eq!((columns.len(), columns.num_prompt_tokens()), (3, 2));
        assert_eq!(columns.content_tokens(), [2, 1]);
        columns.truncate(1);
        assert_eq!(columns.prompt_counts(), [1, 1, 0, 0, 0, 0, 1, 1]);
        assert_eq!(columns.reply_counts(), [0; 8]);
        assert_eq!((columns.len(), columns.num_prompt_tokens()), (1, 1));
    }

    #[test]
    fn what_a_template_wrote_is_shown_and_not_counted() {
        let mut columns = columns();
        let template = LiveToken {
            is_content: false,
            ..token(1, Phase::Prefill)
        };
        let mut further = LiveColumns::new(columns.layers().to_vec(), 4, 2);
        further.extend(vec![template], &decisions(&[[0, 1]]), 0);
        let before = columns.prompt_counts().to_vec();
        columns.append(&further);
        assert_eq!(columns.prompt_counts(), before);
        assert_eq!(
            (columns.content_tokens(), columns.num_prompt_tokens()),
            ([2, 1], 3)
        );
        assert_eq!(columns.last_content(2), [1, 2]);
        assert_eq!(columns.chosen().counts_of([3]), [1, 1, 0, 0, 1, 1, 0, 0]);
    }

    #[test]
    fn a_token_has_its_path_and_its_like() {
        let columns = columns();
        assert_eq!(columns.experts(1, 1), [2, 0]);
        assert_eq!(columns.weights(1, 1), [0.75, 0.25]);
        // At layer 1 expert 2 has the best logit of the two that are left out, 0.5 under the last chosen one's.
        assert_eq!(columns.runner_up(2, 0), Some(2));
        assert!((columns.margin(2, 0).unwrap() - 0.5).abs() < 1e-6);
        assert!(columns.entropy(0, 0) > 0.0);
        assert_eq!(columns.same_token(0), [2]);
        assert!(columns.same_token(1).is_empty());
    }

    #[test]
    fn appended_columns_are_those_of_all_tokens() {
        let whole = columns();
        // Sums of two tokens are added, and the choices of a single one counted.
        for kept in [1, 2] {
            let mut first = whole.clone();
            first.truncate(kept);
            let mut rest = LiveColumns::new(whole.layers().to_vec(), 4, 2);
            let second = &[[2, 3], [2, 0], [2, 1]][kept..];
            rest.extend(whole.tokens()[kept..].to_vec(), &decisions(second), 0);
            first.append(&rest);
            assert_eq!(first, whole);
        }
    }
}
