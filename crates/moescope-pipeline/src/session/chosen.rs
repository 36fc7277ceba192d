//! The experts of every token of a sequence, in pieces that its copies share.

use std::sync::Arc;

/// Tokens of a piece.
const PIECE: usize = 256;

/// The chosen experts of tokens, `[tokens × layers × top_k]`, heaviest first.
///
/// A copy shares every piece with its original until one of the two changes it, and only the last piece ever changes. So
/// another thread can read all tokens of a sequence that goes on, and nothing is copied for it but a piece now and then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenExperts {
    num_layers: usize,
    num_experts: usize,
    top_k: usize,
    num_tokens: usize,
    /// All but the last are full.
    pieces: Vec<Arc<Vec<u16>>>,
}

impl ChosenExperts {
    pub(super) fn new(num_layers: usize, num_experts: usize, top_k: usize) -> Self {
        Self {
            num_layers,
            num_experts,
            top_k,
            num_tokens: 0,
            pieces: Vec::new(),
        }
    }

    /// Adds tokens, `[tokens × layers × top_k]`.
    pub(super) fn extend(&mut self, tokens: usize, mut experts: &[u16]) {
        assert_eq!(experts.len(), tokens * self.width(), "every layer's top_k");
        let full = PIECE * self.width();
        self.num_tokens += tokens;
        while !experts.is_empty() {
            if self.pieces.last().is_none_or(|piece| piece.len() == full) {
                self.pieces.push(Arc::default());
            }
            if let Some(piece) = self.pieces.last_mut().map(Arc::make_mut) {
                let (now, later) = experts.split_at(experts.len().min(full - piece.len()));
                piece.extend_from_slice(now);
                experts = later;
            }
        }
    }

    /// Adds the tokens of another sequence of the same model; its pieces are shared where they fit.
    pub(super) fn append(&mut self, other: &Self) {
        if self.num_tokens.is_multiple_of(PIECE) {
            self.pieces.extend(other.pieces.iter().cloned());
            self.num_tokens += other.num_tokens;
            return;
        }
        for (number, piece) in other.pieces.iter().enumerate() {
            let tokens = (other.num_tokens - number * PIECE).min(PIECE);
            self.extend(tokens, piece);
        }
    }

    /// Keeps the first `tokens` tokens.
    pub(super) fn truncate(&mut self, tokens: usize) {
        if tokens >= self.num_tokens {
            return;
        }
        self.num_tokens = tokens;
        self.pieces.truncate(tokens.div_ceil(PIECE));
        let rest = (tokens % PIECE) * self.width();
        if let Some(piece) = self.pieces.last_mut().filter(|_| rest > 0) {
            Arc::make_mut(piece).truncate(rest);
        }
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.num_tokens
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.num_tokens == 0
    }

    /// Experts per decision.
    #[must_use]
    pub fn top_k(&self) -> usize {
        self.top_k
    }

    /// A token's experts at every layer, `[layers × top_k]`.
    ///
    /// # Panics
    /// When there is no such token.
    #[must_use]
    pub fn of(&self, token: usize) -> &[u16] {
        assert!(token < self.num_tokens, "a token of the sequence");
        let start = token % PIECE * self.width();
        &self.pieces[token / PIECE][start..start + self.width()]
    }

    /// A token's experts at a layer, given by its place, `[top_k]`.
    ///
    /// # Panics
    /// When there is no such token or layer.
    #[must_use]
    pub fn at(&self, token: usize, layer: usize) -> &[u16] {
        &self.of(token)[layer * self.top_k..(layer + 1) * self.top_k]
    }

    /// Assignments of some tokens, `[layers × experts]`.
    ///
    /// # Panics
    /// When there are no such tokens.
    #[must_use]
    pub fn counts_of(&self, tokens: impl IntoIterator<Item = usize>) -> Vec<u32> {
        let mut counts = vec![0; self.num_layers * self.num_experts];
        for token in tokens {
            for cell in self.cells_of(token) {
                counts[cell] += 1;
            }
        }
        counts
    }

    /// The cell of each assignment of a token among `[layers × experts]`.
    pub(super) fn cells_of(&self, token: usize) -> impl Iterator<Item = usize> {
        let layers = self.of(token).chunks_exact(self.top_k.max(1)).enumerate();
        layers.flat_map(move |(layer, chosen)| {
            let first = layer * self.num_experts;
            chosen
                .iter()
                .map(move |expert| first + usize::from(*expert))
        })
    }

    /// Numbers of a token.
    fn width(&self) -> usize {
        self.num_layers * self.top_k
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One layer of a thousand experts, of which token `t` chooses `t` and then 0.
    fn chosen(tokens: std::ops::Range<u16>) -> ChosenExperts {
        let mut chosen = ChosenExperts::new(1, 1000, 2);
        let experts: Vec<u16> = tokens.clone().flat_map(|token| [token, 0]).collect();
        chosen.extend(tokens.len(), &experts);
        chosen
    }

    #[test]
    fn tokens_are_found_in_all_pieces_however_they_came() {
        // A piece holds 256 tokens.
        let whole = chosen(0..600);
        assert_eq!((whole.len(), whole.pieces.len()), (600, 3));
        for token in [0, 255, 256, 511, 512, 599] {
            let first = u16::try_from(token).unwrap();
            assert_eq!(whole.of(token), [first, 0]);
            assert_eq!(whole.at(token, 0), [first, 0]);
        }
        let mut parts = chosen(0..255);
        parts.append(&chosen(255..599));
        parts.extend(1, &[599, 0]);
        assert_eq!(parts, whole);
        let counts = whole.counts_of([300, 599]);
        assert_eq!((counts[0], counts[300], counts[599]), (2, 1, 1));
        assert_eq!(counts.iter().sum::<u32>(), 4);
    }

    #[test]
    fn cutting_leaves_what_was_there_before() {
        for tokens in [0, 1, 256, 300, 512] {
            let mut cut = chosen(0..600);
            cut.truncate(tokens);
            let kept = u16::try_from(tokens).unwrap();
            assert_eq!(cut, chosen(0..kept));
            cut.append(&chosen(kept..600));
            assert_eq!(cut, chosen(0..600));
        }
        let mut all = chosen(0..3);
        all.truncate(4);
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn a_copy_shares_its_pieces_and_stays_as_it_was() {
        let mut growing = chosen(0..300);
        let copy = growing.clone();
        growing.extend(1, &[300, 0]);
        assert!(Arc::ptr_eq(&growing.pieces[0], &copy.pieces[0]));
        assert!(!Arc::ptr_eq(&growing.pieces[1], &copy.pieces[1]));
        assert_eq!(copy, chosen(0..300));
        growing.truncate(10);
        assert_eq!(copy.of(299), [299, 0]);
        assert_eq!((growing.len(), growing.is_empty()), (10, false));
    }

    #[test]
    #[should_panic(expected = "a token of the sequence")]
    fn a_token_that_was_cut_is_gone() {
        let mut cut = chosen(0..300);
        cut.truncate(260);
        let _ = cut.of(260);
    }
}
