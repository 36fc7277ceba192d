//! What cannot be told apart because it always comes together.

use std::collections::BTreeMap;

use crate::data::{Document, GENRE};

/// Notes on labels whose documents are all of one genre, where genre differs between labels.
///
/// A difference between two such labels may be one of genre; no analysis of these documents can tell.
pub(super) fn notes(
    documents: &[Document],
    selected: &[usize],
    label: &[usize],
    labels: &[String],
    by: &str,
) -> Vec<String> {
    if by == GENRE || labels.len() < 2 {
        return Vec::new();
    }
    let mut genres: Vec<BTreeMap<&str, usize>> = vec![BTreeMap::new(); labels.len()];
    let mut unknown = 0;
    for (document, label) in selected.iter().zip(label) {
        match documents[*document].label(GENRE) {
            Some(genre) => *genres[*label].entry(genre).or_default() += 1,
            None => unknown += 1,
        }
    }
    if unknown > 0 {
        return vec![format!(
            "the genre of {unknown} documents is unknown: a difference of {by} may be one of genre"
        )];
    }
    let mut seen: Vec<&str> = genres.iter().flat_map(|g| g.keys().copied()).collect();
    seen.sort_unstable();
    seen.dedup();
    if let [only] = seen[..] {
        return vec![format!(
            "every document is of genre '{only}': nothing here speaks of other genres"
        )];
    }
    let single: Vec<String> = labels
        .iter()
        .zip(&genres)
        .filter(|(_, genres)| genres.len() == 1)
        .map(|(label, genres)| {
            let genre = genres.keys().next().copied().unwrap_or_default();
            format!("{label} (only {genre})")
        })
        .collect();
    if single.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "a genre-free claim is not identifiable about: {}",
        single.join(", ")
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[(&str, Option<&str>)], expected: &[&str]) {
        let labels = ["law".to_owned(), "math".to_owned()];
        let documents: Vec<Document> = rows
            .iter()
            .map(|(_, genre)| Document {
                sample: 0,
                id: String::new(),
                labels: genre
                    .iter()
                    .map(|g| (GENRE.to_owned(), (*g).to_owned()))
                    .collect(),
            })
            .collect();
        let selected: Vec<usize> = (0..rows.len()).collect();
        let label: Vec<usize> = rows
            .iter()
            .map(|(l, _)| usize::from(*l == "math"))
            .collect();
        assert_eq!(
            notes(&documents, &selected, &label, &labels, "discipline"),
            expected
        );
    }

    #[test]
    fn a_label_of_one_genre_is_named_when_genres_differ() {
        check(
            &[
                ("law", Some("statute")),
                ("math", Some("abstract")),
                ("math", Some("textbook")),
            ],
            &["a genre-free claim is not identifiable about: law (only statute)"],
        );
        check(
            &[("law", Some("abstract")), ("math", Some("abstract"))],
            &["every document is of genre 'abstract': nothing here speaks of other genres"],
        );
        check(
            &[
                ("law", Some("abstract")),
                ("law", Some("textbook")),
                ("math", Some("abstract")),
                ("math", Some("textbook")),
            ],
            &[],
        );
        check(
            &[("law", None), ("math", Some("abstract"))],
            &[
                "the genre of 1 documents is unknown: a difference of discipline may be one of genre",
            ],
        );
    }
}
