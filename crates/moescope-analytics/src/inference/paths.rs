//! Paths: a token's first choices at all layers of a scope, one after the other.

use super::layer_pairs::for_tokens;
use crate::{data::DocumentDecisions, stats::random::mix};

/// A number that stands for a path: 64 mixed bits, so that among a million paths two share one with probability 3·10⁻⁸.
pub(crate) fn path_key(path: &[u16]) -> u64 {
    path.iter()
        .fold(0, |key, expert| mix(key, u64::from(*expert)))
}

/// Shows the path of every counted token that has a decision at every layer: its token and its first choices.
pub(crate) fn for_paths(
    decisions: &DocumentDecisions<'_>,
    layer_places: &[Option<usize>],
    layers: usize,
    mut visit: impl FnMut(usize, &[u16]),
) {
    let mut path = vec![0; layers];
    for_tokens(decisions, layer_places, layers, |rows| {
        let mut token = None;
        for (choice, row) in path.iter_mut().zip(rows) {
            let Some(row) = row else { return };
            *choice = decisions.experts(*row)[0];
            token = Some(decisions.token(*row));
        }
        if let Some(token) = token {
            visit(token, &path);
        }
    });
}
