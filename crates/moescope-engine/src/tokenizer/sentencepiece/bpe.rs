//! Byte pair encoding: neighbours are joined, the best score first.
//!
//! Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword units" (2016), in the order that
//! `SentencePiece` joins: by score, then from the left.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap},
    ops::Range,
};

use super::vocabulary::Vocabulary;

/// How often a piece that is not to be used is taken apart again, as in `SentencePiece`.
const DEEPEST: u32 = 100;
const NONE: u32 = u32::MAX;

/// A stretch of the text that is one piece so far.
struct Symbol {
    start: u32,
    /// Zero once it has become part of its left neighbour.
    len: u32,
    previous: u32,
    next: u32,
    /// A user's own symbol, which is never joined with anything.
    is_frozen: bool,
}

/// Two neighbours that make a piece.
struct Pair {
    score: f32,
    left: u32,
    right: u32,
    len: u32,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then(Reverse(self.left).cmp(&Reverse(other.left)))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

/// The pieces of a normalised text, each as its bytes and, where there is one, its id.
pub(super) fn encode(vocabulary: &Vocabulary, text: &str) -> Vec<(Range<usize>, Option<u32>)> {
    let mut encoder = Encoder {
        vocabulary,
        text,
        symbols: symbols(vocabulary, text),
        agenda: BinaryHeap::new(),
        halves: HashMap::new(),
    };
    encoder.join();
    encoder.pieces()
}

/// Single characters, and the user's own symbols whole.
fn symbols(vocabulary: &Vocabulary, text: &str) -> Vec<Symbol> {
    let narrow = |size: usize| u32::try_from(size).expect("a text is shorter than 2^32 bytes");
    let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
    let mut done = 0;
    while let Some(first) = text[done..].chars().next() {
        let own = vocabulary.user_defined.longest(&text.as_bytes()[done..]);
        let len = own.map_or(first.len_utf8(), |(len, _)| len);
        let place = narrow(symbols.len());
        symbols.push(Symbol {
            start: narrow(done),
            len: narrow(len),
            previous: place.checked_sub(1).unwrap_or(NONE),
            next: place + 1,
            is_frozen: own.is_some(),
        });
        done += len;
    }
    if let Some(last) = symbols.last_mut() {
        last.next = NONE;
    }
    symbols
}

struct Encoder<'t> {
    vocabulary: &'t Vocabulary,
    text: &'t str,
    symbols: Vec<Symbol>,
    agenda: BinaryHeap<Pair>,
    /// Where pieces that are not to be used were joined: the length of the left half.
    halves: HashMap<&'t str, usize>,
}

impl<'t> Encoder<'t> {
    fn join(&mut self) {
        for right in 1..u32::try_from(self.symbols.len()).expect("checked when they were made") {
            self.consider(right - 1, right);
        }
        while let Some(pair) = self.agenda.pop() {
            let [left, right] = [pair.left, pair.right].map(|place| &self.symbols[place as usize]);
            if left.len == 0 || right.len == 0 || left.len + right.len != pair.len {
                continue;
            }
            let next = right.next;
            self.symbols[pair.right as usize].len = 0;
            let left = &mut self.symbols[pair.left as usize];
            left.len = pair.len;
            left.next = next;
            let previous = left.previous;
            if next != NONE {
                self.symbols[next as usize].previous = pair.left;
            }
            self.consider(previous, pair.left);
            self.consider(pair.left, next);
        }
    }

    /// Notes two neighbours if they make a piece.
    fn consider(&mut self, left: u32, right: u32) {
        if left == NONE || right == NONE {
            return;
        }
        let [first, second] = [left, right].map(|place| &self.symbols[place as usize]);
        if first.is_frozen || second.is_frozen {
            return;
        }
        let len = first.len + second.len;
        let start = first.start as usize;
        let text = self.text;
        let joined = &text[start..start + len as usize];
        let Some(id) = self.vocabulary.regular(joined) else {
            return;
        };
        if self.vocabulary.is_unused(id) {
            self.halves.insert(joined, first.len as usize);
        }
        self.agenda.push(Pair {
            score: self.vocabulary.score(id),
            left,
            right,
            len,
        });
    }

    fn pieces(&self) -> Vec<(Range<usize>, Option<u32>)> {
        let mut pieces = Vec::new();
        let mut place = 0;
        while let Some(symbol) = self.symbols.get(place as usize) {
            let start = symbol.start as usize;
            self.resegment(start..start + symbol.len as usize, &mut pieces);
            place = symbol.next;
        }
        pieces
    }

    /// Takes pieces that are not to be used apart, the way they were joined.
    fn resegment(&self, whole: Range<usize>, pieces: &mut Vec<(Range<usize>, Option<u32>)>) {
        let mut waiting = vec![(whole, 0)];
        while let Some((range, depth)) = waiting.pop() {
            let text = &self.text[range.clone()];
            let id = self.vocabulary.regular(text);
            let half = id
                .filter(|id| self.vocabulary.is_unused(*id) && depth <= DEEPEST)
                .map(|_| self.halves.get(text));
            match half {
                None => pieces.push((range, id)),
                Some(None) => pieces.push((range, None)),
                Some(Some(half)) => {
                    let middle = range.start + half;
                    waiting.push((middle..range.end, depth + 1));
                    waiting.push((range.start..middle, depth + 1));
                }
            }
        }
    }
}
