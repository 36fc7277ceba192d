//! What cannot be told apart because it comes together.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Control,
    data::{Document, GENRE},
};

/// Columns that may be what a label seems to be; a trace need not have them.
const CONFOUNDS: [&str; 2] = [GENRE, "source"];

/// Adjusted shares of variance of log length below this are not worth a word.
const SMALLEST_LENGTH_SHARE: f64 = 0.05;

/// The selected documents, each with its label.
pub(super) struct Described<'a> {
    pub(super) documents: Vec<&'a Document>,
    pub(super) tokens: Vec<f64>,
    pub(super) label: &'a [usize],
    pub(super) labels: &'a [String],
}

impl Described<'_> {
    /// Notes on what differs between labels besides the label, unless it is what is asked for or was matched.
    ///
    /// A difference between labels that share no genre may be one of genre; no analysis of these documents can tell.
    pub(super) fn notes(&self, by: &str, matched: &[Control]) -> Vec<String> {
        if self.labels.len() < 2 {
            return Vec::new();
        }
        let is_open = |column: &&str| {
            *column != by && !matched.contains(&Control::Label((*column).to_owned()))
        };
        let columns = CONFOUNDS.into_iter().filter(is_open);
        let mut notes: Vec<String> = columns.filter_map(|c| self.coincidence(c, by)).collect();
        if !matched.contains(&Control::Length) {
            notes.extend(self.length(by));
        }
        notes
    }

    /// What a column of labels has to do with the labels.
    fn coincidence(&self, column: &str, by: &str) -> Option<String> {
        let mut values: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); self.labels.len()];
        let mut unknown = 0;
        for (document, label) in self.documents.iter().zip(self.label) {
            match document.label(column) {
                Some(value) => _ = values[*label].insert(value),
                None => unknown += 1,
            }
        }
        if unknown > 0 {
            // Every corpus has genres, named or not; other columns may make no sense for it.
            let is_told = column == GENRE || unknown < self.documents.len();
            return is_told.then(|| {
                format!(
                    "the {column} of {unknown} documents is unknown: a difference of {by} may be one of {column}"
                )
            });
        }
        let mut labels_of: BTreeMap<&str, usize> = BTreeMap::new();
        for value in values.iter().flatten() {
            *labels_of.entry(value).or_default() += 1;
        }
        if let Some((only, _)) = labels_of.first_key_value().filter(|_| labels_of.len() == 1) {
            return Some(format!(
                "every document is of {column} '{only}': nothing here speaks of other {column}s"
            ));
        }
        // A value for every document or two, such as a title, is an id.
        if labels_of.len() * 2 > self.documents.len() && self.documents.len() > 4 {
            return None;
        }
        let confounded: Vec<String> = self
            .labels
            .iter()
            .zip(&values)
            .filter_map(|(label, values)| {
                let only = values.first().filter(|_| values.len() == 1);
                match only {
                    Some(only) => Some(format!("{label} (only {only})")),
                    None if values.iter().all(|value| labels_of[value] == 1) => {
                        Some(format!("{label} ({column}s of its own)"))
                    }
                    None => None,
                }
            })
            .collect();
        (!confounded.is_empty()).then(|| {
            format!(
                "a {column}-free claim is not identifiable about: {}",
                confounded.join(", ")
            )
        })
    }

    /// How far the documents of different labels differ in length.
    #[expect(clippy::cast_precision_loss, reason = "numbers of documents")]
    fn length(&self, by: &str) -> Option<String> {
        let mut sums = vec![(0.0, 0.0); self.labels.len()];
        let mut squares = 0.0;
        for (tokens, label) in self.tokens.iter().zip(self.label) {
            let log = tokens.ln();
            sums[*label].0 += log;
            sums[*label].1 += 1.0;
            squares += log * log;
        }
        let (n, k) = (self.tokens.len() as f64, self.labels.len() as f64);
        if n <= k {
            return None;
        }
        let sum: f64 = sums.iter().map(|(sum, _)| sum).sum();
        let total = squares - sum * sum / n;
        let within = squares - sums.iter().map(|(sum, n)| sum * sum / n).sum::<f64>();
        // Adjusted for the share that k labels explain by chance.
        let share = 1.0 - (within / (n - k)) / (total / (n - 1.0));
        if share.is_nan() || share < SMALLEST_LENGTH_SHARE || total < 1e-9 {
            return None;
        }
        let mean = |label: usize| (sums[label].0 / sums[label].1).exp();
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_by(|a, b| mean(*a).total_cmp(&mean(*b)));
        let describe = |label: usize| format!("{:.0} ({})", mean(label), self.labels[label]);
        Some(format!(
            "length differs with {by}, which explains {:.0} % of the variance of log token counts (geometric means from {} to {}): a difference may be one of length; --match length compares equal lengths",
            100.0 * share,
            describe(order[0]),
            describe(order[order.len() - 1])
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(labels: &[(&str, &str)]) -> Document {
        Document {
            sample: 0,
            id: String::new(),
            labels: labels
                .iter()
                .map(|(column, value)| ((*column).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    /// A document's discipline, tokens and other labels.
    type Row<'a> = (&'a str, f64, &'a [(&'a str, &'a str)]);

    fn check(rows: &[Row<'_>], matched: &[Control], expected: &[&str]) {
        let labels = ["law".to_owned(), "math".to_owned()];
        let documents: Vec<Document> = rows.iter().map(|(_, _, l)| document(l)).collect();
        let label: Vec<usize> = rows.iter().map(|r| usize::from(r.0 == "math")).collect();
        let described = Described {
            documents: documents.iter().collect(),
            tokens: rows.iter().map(|(_, tokens, _)| *tokens).collect(),
            label: &label,
            labels: &labels,
        };
        assert_eq!(described.notes("discipline", matched), expected);
    }

    #[test]
    fn a_label_of_one_genre_is_named_when_genres_differ() {
        let (statute, paper, book) = (
            &[(GENRE, "statute")],
            &[(GENRE, "abstract")],
            &[(GENRE, "textbook")],
        );
        let confounded: [Row<'_>; 3] = [
            ("law", 9.0, statute),
            ("math", 9.0, paper),
            ("math", 9.0, book),
        ];
        check(
            &confounded,
            &[],
            &[
                "a genre-free claim is not identifiable about: law (only statute), math (genres of its own)",
            ],
        );
        check(&confounded, &[Control::Label(GENRE.into())], &[]);
        check(
            &[("law", 9.0, paper), ("math", 9.0, paper)],
            &[],
            &["every document is of genre 'abstract': nothing here speaks of other genres"],
        );
        check(
            &[
                ("law", 9.0, paper),
                ("law", 9.0, book),
                ("math", 9.0, paper),
                ("math", 9.0, book),
            ],
            &[],
            &[],
        );
        check(
            &[("law", 9.0, &[]), ("math", 9.0, paper)],
            &[],
            &[
                "the genre of 1 documents is unknown: a difference of discipline may be one of genre",
            ],
        );
    }

    #[test]
    fn a_label_with_sources_of_its_own_is_named() {
        let of = |source: &'static str| [(GENRE, "abstract"), ("source", source)];
        let (arxiv, zb, court, code) = (of("arxiv"), of("zbmath"), of("court"), of("code"));
        let rows: Vec<Row<'_>> = [
            ("law", &court),
            ("law", &code),
            ("law", &court),
            ("math", &arxiv),
            ("math", &zb),
            ("math", &zb),
            ("math", &arxiv),
            ("law", &code),
        ]
        .map(|(label, labels)| (label, 9.0, &labels[..]))
        .to_vec();
        check(
            &rows,
            &[Control::Length],
            &[
                "every document is of genre 'abstract': nothing here speaks of other genres",
                "a source-free claim is not identifiable about: law (sources of its own), math (sources of its own)",
            ],
        );
    }

    #[test]
    fn an_association_with_length_is_measured() {
        let paper: &[(&str, &str)] = &[(GENRE, "abstract")];
        // ln: law 100, 200; math 1,000, 2,000. η² = ln(10)² / (ln(10)² + ln(2)²) = 0.9169; 1 − 0.0831 · 3/2 = 0.8754.
        let rows = [
            ("law", 100.0, paper),
            ("law", 200.0, paper),
            ("math", 1000.0, paper),
            ("math", 2000.0, paper),
        ];
        let genre = "every document is of genre 'abstract': nothing here speaks of other genres";
        check(
            &rows,
            &[],
            &[
                genre,
                "length differs with discipline, which explains 88 % of the variance of log token counts (geometric means from 141 (law) to 1414 (math)): a difference may be one of length; --match length compares equal lengths",
            ],
        );
        check(&rows, &[Control::Length], &[genre]);
    }
}
