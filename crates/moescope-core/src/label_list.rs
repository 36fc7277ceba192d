//! Labels on a command line.

use std::{convert::Infallible, fmt, str::FromStr};

/// Labels in one argument: joined by commas, or by a colon where two are compared.
///
/// A label may hold any of these characters; a backslash before one, or before another backslash, takes it as part of the label.
///
/// ```
/// use moescope_core::LabelList;
///
/// let list: LabelList = r"law,arts\, letters".parse().unwrap();
/// assert_eq!(list.0, ["law", "arts, letters"]);
/// assert_eq!(list.to_string(), r"law,arts\, letters");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelList(pub Vec<String>);

impl LabelList {
    /// The labels of several arguments.
    #[must_use]
    pub fn all_of(lists: &[Self]) -> Vec<String> {
        lists.iter().flat_map(|list| list.0.clone()).collect()
    }

    /// Two labels written `first:second`; `None` where they are fewer or more.
    #[must_use]
    pub fn pair(text: &str) -> Option<(String, String)> {
        let [first, second] = split(text, ':').try_into().ok()?;
        Some((first, second))
    }

    /// How [`Self::pair`] is written.
    #[must_use]
    pub fn of_pair(first: &str, second: &str) -> String {
        format!("{}:{}", escaped(first, &MEANT), escaped(second, &MEANT))
    }

    /// A name and the labels that belong to it, written `name=label,label`; `None` where nothing is named.
    ///
    /// In the name an equals sign is written `\=`; the labels may hold it as it is.
    #[must_use]
    pub fn named(text: &str) -> Option<(String, Self)> {
        let mut name = String::new();
        let mut chars = text.char_indices().peekable();
        while let Some((place, c)) = chars.next() {
            if c == '=' {
                return Some((name, Self::read(&text[place + 1..])));
            }
            let is_escape = c == '\\';
            let escaped = chars.next_if(|(_, next)| is_escape && MEANT_IN_NAMES.contains(next));
            name.push(escaped.map_or(c, |(_, next)| next));
        }
        None
    }

    /// How [`Self::named`] is written.
    #[must_use]
    pub fn of_named(name: &str, labels: &[String]) -> String {
        let name = escaped(name, &MEANT_IN_NAMES);
        format!("{name}={}", Self(labels.to_vec()))
    }

    fn read(text: &str) -> Self {
        Self(if text.is_empty() {
            Vec::new()
        } else {
            split(text, ',')
        })
    }
}

impl FromStr for LabelList {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::read(text))
    }
}

impl fmt::Display for LabelList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.0.iter().map(|label| escaped(label, &MEANT));
        let labels: Vec<String> = labels.collect();
        f.write_str(&labels.join(","))
    }
}

const MEANT: [char; 3] = ['\\', ',', ':'];

/// What a backslash stands before in the name of labels.
const MEANT_IN_NAMES: [char; 2] = ['\\', '='];

fn escaped(label: &str, meant: &[char]) -> String {
    let mut out = String::with_capacity(label.len());
    for c in label.chars() {
        if meant.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The parts between separators that no backslash precedes.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == separator {
            parts.push(String::new());
            continue;
        }
        let is_escape = c == '\\' && chars.peek().is_some_and(|next| MEANT.contains(next));
        let taken = if is_escape { chars.next() } else { Some(c) };
        if let Some(part) = parts.last_mut() {
            part.extend(taken);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for labels in [
            vec!["math"],
            vec!["a,b", "c:d", r"e\f", r"\,", ":"],
            vec![" spaced ", "last"],
            vec![],
        ] {
            let list = LabelList(labels.into_iter().map(str::to_owned).collect());
            assert_eq!(list.to_string().parse(), Ok(list));
        }
        let pair = LabelList::of_pair("law: civil", "arts, letters");
        assert_eq!(
            LabelList::pair(&pair),
            Some(("law: civil".to_owned(), "arts, letters".to_owned()))
        );
    }

    #[test]
    fn named_labels_are_read_as_they_are_written() {
        for (name, labels) in [
            ("genre", vec!["abstract"]),
            ("a=b", vec!["c=d", "e,f"]),
            (r"a\", vec![r"\="]),
            ("a, b: c", vec![]),
        ] {
            let labels: Vec<String> = labels.into_iter().map(str::to_owned).collect();
            let text = LabelList::of_named(name, &labels);
            assert_eq!(
                LabelList::named(&text),
                Some((name.to_owned(), LabelList(labels))),
                "{text}"
            );
        }
        assert_eq!(LabelList::named("genre"), None);
        assert_eq!(LabelList::named(r"genre\=abstract"), None);
    }

    #[test]
    fn a_pair_has_two_labels_and_a_lone_backslash_stands_for_itself() {
        assert_eq!(LabelList::pair("math"), None);
        assert_eq!(LabelList::pair("a:b:c"), None);
        assert_eq!(split(r"a\b,c\", ','), [r"a\b", r"c\"]);
    }
}
