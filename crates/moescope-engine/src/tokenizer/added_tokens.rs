//! Tokens that were added to a vocabulary: they are found in the text before anything else cuts it.

use std::{collections::HashMap, ops::Range};

use super::{files::AddedToken, sentencepiece::PrefixTrie};

/// Added tokens, to be found by their text.
#[derive(Clone, Debug)]
pub(super) struct AddedTokens {
    by_id: HashMap<u32, AddedToken>,
    trie: PrefixTrie,
}

/// A stretch of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Text that the model cuts.
    Text(Range<usize>),
    /// An added token.
    Token(u32, Range<usize>),
}

impl AddedTokens {
    pub(super) fn new(tokens: impl IntoIterator<Item = (u32, AddedToken)>) -> Self {
        let by_id: HashMap<u32, AddedToken> = tokens.into_iter().collect();
        let mut ordered: Vec<(&str, u32)> = by_id
            .iter()
            .map(|(id, token)| (token.content.as_str(), *id))
            .collect();
        // Of two ids with one text the higher counts, whatever the map's order.
        ordered.sort_unstable_by_key(|(_, id)| *id);
        Self {
            trie: PrefixTrie::new(ordered),
            by_id,
        }
    }

    pub(super) fn get(&self, id: u32) -> Option<&AddedToken> {
        self.by_id.get(&id)
    }

    pub(super) fn id(&self, content: &str) -> Option<u32> {
        self.trie
            .longest(content.as_bytes())
            .filter(|(len, _)| *len == content.len())
            .map(|(_, id)| id)
    }

    /// The highest id, where there is a token.
    pub(super) fn last_id(&self) -> Option<u32> {
        self.by_id.keys().copied().max()
    }

    /// Cuts a text at the added tokens, the leftmost and longest first, as the slow tokenizers of transformers do.
    ///
    /// White space that a token takes belongs to no segment. A token that must stand alone and does not is text.
    pub(super) fn split(&self, text: &str) -> Vec<Segment> {
        let mut segments = self.cut(text);
        for place in 0..segments.len() {
            let Segment::Token(id, own) = segments[place].clone() else {
                continue;
            };
            let token = &self.by_id[&id];
            if token.strips_right
                && let Some(Segment::Text(right)) = segments.get_mut(place + 1)
            {
                let stripped = text[right.clone()].trim_start_matches(is_space).len();
                right.start = right.end - stripped;
            }
            if token.strips_left
                && let Some(Segment::Text(left)) = left_of(&mut segments, place)
            {
                left.end = left.start + text[left.clone()].trim_end_matches(is_space).len();
            }
            if token.is_single_word {
                self.keep_or_join(text, &mut segments, place, own);
            }
        }
        segments.retain(|segment| match segment {
            Segment::Text(range) | Segment::Token(_, range) => !range.is_empty(),
        });
        segments
    }

    fn cut(&self, text: &str) -> Vec<Segment> {
        let mut segments = Vec::new();
        let (mut done, mut place) = (0, 0);
        while place < text.len() {
            if let Some((len, id)) = self.trie.longest(&text.as_bytes()[place..]) {
                if done < place {
                    segments.push(Segment::Text(done..place));
                }
                segments.push(Segment::Token(id, place..place + len));
                place += len;
                done = place;
            } else {
                place += 1;
            }
        }
        if done < text.len() {
            segments.push(Segment::Text(done..text.len()));
        }
        segments
    }

    /// Makes a token that does not stand between spaces a part of its neighbour.
    fn keep_or_join(&self, text: &str, segments: &mut [Segment], place: usize, own: Range<usize>) {
        let range_of = |segment: &Segment| match segment {
            Segment::Text(range) | Segment::Token(_, range) => range.clone(),
        };
        let left = place.checked_sub(1).map(|left| range_of(&segments[left]));
        let right = segments.get(place + 1).map(range_of);
        let joins_left = left
            .as_ref()
            .is_some_and(|left| !left.is_empty() && !text[left.clone()].ends_with(' '));
        let joins_right = right
            .as_ref()
            .is_some_and(|right| !right.is_empty() && !text[right.clone()].starts_with(' '));
        if joins_left {
            segments[place - 1] = Segment::Text(left.map_or(own.start, |left| left.start)..own.end);
        } else if joins_right {
            segments[place + 1] =
                Segment::Text(own.start..right.map_or(own.end, |right| right.end));
        } else {
            return;
        }
        segments[place] = Segment::Text(own.end..own.end);
    }
}

fn left_of(segments: &mut [Segment], place: usize) -> Option<&mut Segment> {
    segments.get_mut(place.checked_sub(1)?)
}

/// White space as Python's `str.strip` has it: Unicode's, and four separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(change: fn(&mut AddedToken)) -> AddedTokens {
        AddedTokens::new([(1, "<a>"), (2, "<a>>"), (3, "b<")].map(|(id, text)| {
            let mut token = AddedToken::plain(text.to_owned(), true);
            change(&mut token);
            (id, token)
        }))
    }

    fn check(tokens: &AddedTokens, text: &str, expected: &[&str]) {
        let found: Vec<String> = tokens
            .split(text)
            .into_iter()
            .map(|segment| match segment {
                Segment::Text(range) => text[range].to_owned(),
                Segment::Token(id, _) => format!("{id}"),
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn the_leftmost_and_longest_token_is_found() {
        let tokens = tokens(|_| {});
        check(&tokens, "x<a>>y<a>", &["x", "2", "y", "1"]);
        check(&tokens, "b<a>", &["3", "a>"]);
        check(&tokens, "", &[]);
    }

    #[test]
    fn white_space_goes_where_a_token_takes_it() {
        check(
            &tokens(|t| t.strips_right = true),
            "x <a> \n y",
            &["x ", "1", "y"],
        );
        check(
            &tokens(|t| t.strips_left = true),
            "x \u{1c}<a> y",
            &["x", "1", " y"],
        );
        check(&tokens(|t| t.strips_right = true), "<a>  ", &["1"]);
    }

    #[test]
    fn a_single_word_stands_alone() {
        let tokens = tokens(|t| t.is_single_word = true);
        check(&tokens, "x <a> y", &["x ", "1", " y"]);
        check(&tokens, "x<a> y", &["x<a>", " y"]);
        check(&tokens, "x <a>y", &["x ", "<a>y"]);
    }
}
