//! Which of many texts a text begins with.

use std::collections::HashMap;

/// Texts by their bytes, each with a number.
#[derive(Clone, Debug)]
pub(in crate::tokenizer) struct PrefixTrie {
    /// The node after each first byte; most places of a text begin no entry at all.
    first: Box<[u32; 256]>,
    next: HashMap<(u32, u8), u32>,
    /// The number of the text that ends at each node.
    values: Vec<Option<u32>>,
}

const NONE: u32 = u32::MAX;

impl PrefixTrie {
    pub(in crate::tokenizer) fn new<'t>(entries: impl IntoIterator<Item = (&'t str, u32)>) -> Self {
        let mut trie = Self {
            first: Box::new([NONE; 256]),
            next: HashMap::new(),
            values: Vec::new(),
        };
        for (text, value) in entries {
            trie.insert(text.as_bytes(), value);
        }
        trie
    }

    fn insert(&mut self, text: &[u8], value: u32) {
        let mut node = None;
        for byte in text {
            let fresh = u32::try_from(self.values.len()).expect("a file has fewer bytes");
            let slot = match node {
                None => &mut self.first[usize::from(*byte)],
                Some(node) => self.next.entry((node, *byte)).or_insert(NONE),
            };
            if *slot == NONE {
                *slot = fresh;
                self.values.push(None);
            }
            node = Some(*slot);
        }
        if let Some(node) = node {
            self.values[node as usize] = Some(value);
        }
    }

    /// Every entry that `text` begins with, the shortest first, as length and number.
    pub(in crate::tokenizer) fn prefixes<'t>(
        &'t self,
        text: &'t [u8],
    ) -> impl Iterator<Item = (usize, u32)> + 't {
        let mut node = None;
        text.iter()
            .enumerate()
            .map_while(move |(place, byte)| {
                let found = match node {
                    None => Some(self.first[usize::from(*byte)]).filter(|found| *found != NONE),
                    Some(node) => self.next.get(&(node, *byte)).copied(),
                };
                node = found;
                found.map(|found| (place + 1, self.values[found as usize]))
            })
            .filter_map(|(len, value)| value.map(|value| (len, value)))
    }

    /// The longest entry that `text` begins with, as length and number.
    pub(in crate::tokenizer) fn longest(&self, text: &[u8]) -> Option<(usize, u32)> {
        self.prefixes(text).last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_prefixes_are_found_and_the_longest_wins() {
        let trie = PrefixTrie::new([("ab", 1), ("abcd", 2), ("b", 3), ("é", 4)]);
        let found: Vec<_> = trie.prefixes(b"abcdef").collect();
        assert_eq!(found, [(2, 1), (4, 2)]);
        assert_eq!(trie.longest(b"abc"), Some((2, 1)));
        assert_eq!(trie.longest("éa".as_bytes()), Some((2, 4)));
        assert_eq!(trie.longest(b"a"), None);
        assert_eq!(trie.longest(b""), None);
    }
}
