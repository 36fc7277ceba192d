//! The token that a piece of text means.

use std::collections::BTreeMap;

use anyhow::bail;
use moescope_analytics::TokenSpelling;
use moescope_core::did_you_mean;

use crate::output::{count, visible};

/// So many tokens are named where several are spelled alike.
const MOST_NAMED: usize = 10;

/// The token that was meant.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Entry of the vocabulary.
    pub(super) id: u32,
    /// Other tokens that differ in spaces only.
    pub(super) others: Vec<&'a TokenSpelling>,
}

/// Whether a piece is what was typed, with every space.
fn is_exact(typed: &str, piece: &str) -> bool {
    piece == typed
}

/// Whether a piece is shown in tables as what was typed.
fn is_as_shown(typed: &str, piece: &str) -> bool {
    visible(piece) == typed
}

/// Whether a piece is what was typed but for spaces around it; of spaces alone nothing would be left.
fn is_but_for_spaces(typed: &str, piece: &str) -> bool {
    let typed = typed.trim();
    !typed.is_empty() && piece.trim() == typed
}

/// Finds a token of the trace by its spelling: what is typed exactly comes first, then as tables show it, then but for
/// spaces.
///
/// # Errors
/// When the trace spells nothing, no token is spelled so, or several are.
pub(super) fn find<'a>(typed: &str, known: &'a [TokenSpelling]) -> anyhow::Result<Found<'a>> {
    if known.is_empty() {
        bail!("the trace keeps no text of its tokens; name the token by its number with --id");
    }
    for is_meant in [is_exact, is_as_shown, is_but_for_spaces] {
        let mut by_id: BTreeMap<u32, &TokenSpelling> = BTreeMap::new();
        for spelling in known.iter().filter(|s| is_meant(typed, &s.text)) {
            by_id.entry(spelling.id).or_insert(spelling);
        }
        let ids: Vec<u32> = by_id.keys().copied().collect();
        match ids.as_slice() {
            [] => {}
            [id] => {
                return Ok(Found {
                    id: *id,
                    others: others(*id, &by_id[id].text, known),
                });
            }
            _ => bail!(
                "several tokens are spelled '{}': {}; choose one with --id",
                visible(typed),
                named(by_id.into_values())
            ),
        }
    }
    let words: Vec<&str> = known
        .iter()
        .map(|spelling| spelling.text.trim())
        .filter(|word| !word.is_empty())
        .collect();
    bail!(
        "no token is spelled '{}'{}; a word may be several tokens, which `moescope show` lists for a document",
        visible(typed),
        did_you_mean(typed.trim(), &words)
    )
}

/// Tokens with other numbers that differ from one in spaces only.
fn others<'a>(id: u32, text: &str, known: &'a [TokenSpelling]) -> Vec<&'a TokenSpelling> {
    known
        .iter()
        .filter(|spelling| spelling.id != id && is_but_for_spaces(text, &spelling.text))
        .collect()
}

/// A token with its number: `--id 450 (·the, 1,234 times)`.
pub(super) fn told(spelling: &TokenSpelling) -> String {
    format!(
        "--id {} ({}, {} times)",
        spelling.id,
        visible(&spelling.text),
        count(spelling.occurrences)
    )
}

/// Tokens with their numbers, most frequent first.
fn named<'a>(spellings: impl Iterator<Item = &'a TokenSpelling>) -> String {
    let mut all: Vec<&TokenSpelling> = spellings.collect();
    all.sort_by_key(|spelling| std::cmp::Reverse(spelling.occurrences));
    let mut named: Vec<String> = all.iter().take(MOST_NAMED).map(|s| told(s)).collect();
    if all.len() > MOST_NAMED {
        named.push(format!("and {} more", all.len() - MOST_NAMED));
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `the` is a token of its own and one with a space before it; `of` has the space alone; a line feed is a token.
    fn known() -> Vec<TokenSpelling> {
        [
            (" enzyme", 5, 4),
            (" of", 2, 30),
            (" the", 1, 40),
            ("\n", 9, 8),
            ("the", 1, 2),
            ("the", 3, 6),
            (" a", 6, 5),
            ("  a", 7, 9),
        ]
        .map(|(text, id, occurrences)| TokenSpelling {
            text: text.to_owned(),
            id,
            occurrences,
        })
        .to_vec()
    }

    #[track_caller]
    fn check(typed: &str, expected: u32) {
        assert_eq!(find(typed, &known()).unwrap().id, expected, "'{typed}'");
    }

    #[track_caller]
    fn refused(typed: &str, words: &[&str]) {
        let error = find(typed, &known()).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "'{word}' is not in {error}");
        }
    }

    #[test]
    fn a_token_is_found_by_its_text_as_shown_or_without_its_space() {
        check(" the", 1);
        check("·the", 1);
        check(" of", 2);
        check("of", 2);
        check("enzyme", 5);
        check("⏎", 9);
        check("\n", 9);
        check(" a", 6);
        check("··a", 7);
    }

    #[test]
    fn tokens_that_are_spelled_alike_are_named_with_their_numbers() {
        // The first entry begins a text without its space, where it looks like the third.
        refused(
            "the",
            &["'the'", "--id 3 (the, 6 times), --id 1 (the, 2 times)"],
        );
        refused("a", &["--id 7 (··a, 9 times), --id 6 (·a, 5 times)"]);
        let known = known();
        let of_space = find(" the", &known).unwrap();
        let others: Vec<String> = of_space.others.into_iter().map(told).collect();
        assert_eq!(others, ["--id 3 (the, 6 times)"]);
        assert!(find(" of", &known).unwrap().others.is_empty());
    }

    #[test]
    fn what_is_no_token_is_refused_with_near_ones() {
        refused(
            "enzime",
            &["'enzime' (did you mean 'enzyme'?)", "several tokens"],
        );
        // Nothing and spaces are not taken for the line feed.
        refused("", &["no token is spelled ''"]);
        refused("  ", &["no token is spelled '··'"]);
        assert!(find("\n", &known()).unwrap().others.is_empty());
        let nothing = find("the", &[]).unwrap_err().to_string();
        assert!(nothing.contains("--id"), "{nothing}");
    }
}
