//! From records to samples: labels found by name, every complaint noted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use moescope_core::{Discipline, Sample, did_you_mean};

use super::{
    DataConfig, LONGEST_RECORD, OnBadRow, SourcedSample,
    row::{Field, Row},
};
use crate::{Problems, error::PipelineError};

/// Columns that are taken where they are present, without being asked for.
const SOURCE: &str = "source";
const LICENCE: [&str; 2] = ["licence", "license"];
const PAIR: &str = "pair";

/// Longest id in bytes; ids are typed by people and printed in tables.
const LONGEST_ID: usize = 512;

/// Takes the records of all files and keeps what is needed of them.
pub(super) struct Collector<'c> {
    config: &'c DataConfig,
    text: &'c str,
    /// Whether records are labels, which may be without a text.
    is_text_optional: bool,
    samples: Vec<SourcedSample>,
    ids: HashSet<String>,
    kept: BTreeMap<Option<Discipline>, usize>,
    problems: Problems,
    /// Problems that no setting excuses: files that cannot be read, columns that are nowhere.
    fatal: Problems,
    seen_columns: BTreeSet<String>,
    file: FileState,
}

/// What is known of the file that is being read.
#[derive(Default)]
struct FileState {
    rows: u64,
    rows_with_text: u64,
    without_text: Problems,
    columns: BTreeSet<String>,
}

impl<'c> Collector<'c> {
    pub(super) fn new(config: &'c DataConfig) -> Self {
        Self {
            config,
            text: config.columns.text.as_deref().unwrap_or("text"),
            is_text_optional: false,
            samples: Vec::new(),
            ids: HashSet::new(),
            kept: BTreeMap::new(),
            problems: Problems::default(),
            fatal: Problems::default(),
            seen_columns: BTreeSet::new(),
            file: FileState::default(),
        }
    }

    /// A collector of labels: a record without a text gets an empty one.
    pub(super) fn of_labels(config: &'c DataConfig) -> Self {
        Self {
            is_text_optional: true,
            ..Self::new(config)
        }
    }

    /// Notes a record that could not even be taken apart.
    pub(super) fn bad_record(&mut self, at: String, what: impl Into<String>) {
        self.file.rows += 1;
        self.problems.push(at, what);
    }

    /// Notes that a file could not be read, to its end or at all.
    pub(super) fn bad_file(&mut self, file: &str, what: impl Into<String>) {
        self.fatal.push(file, what);
    }

    /// The name of the text's column.
    pub(super) fn text_column(&self) -> &str {
        self.text
    }

    /// The names of all columns that were seen, in alphabetical order.
    pub(super) fn into_columns(self) -> Vec<String> {
        self.seen_columns.into_iter().collect()
    }

    /// Ends a file and says how many records it had.
    pub(super) fn end_file(&mut self, file: &str) -> u64 {
        let state = std::mem::take(&mut self.file);
        if state.rows_with_text == 0 && state.without_text.total() > 0 {
            // One message instead of one for every record.
            let columns: Vec<&str> = state.columns.iter().map(String::as_str).collect();
            self.fatal.push(
                file,
                format!(
                    "no record has the column '{}'{}; the columns are {}; name the right one with --text-column",
                    self.text,
                    did_you_mean(self.text, &columns),
                    columns.join(", ")
                ),
            );
        } else {
            self.problems.extend(state.without_text);
        }
        state.rows
    }

    /// Takes one record.
    pub(super) fn row(&mut self, mut row: Row) {
        self.file.rows += 1;
        let names: Vec<String> = row.fields.iter().map(|(name, _)| name.clone()).collect();
        self.note_columns(names.iter());
        let text = match row.take(self.text) {
            None | Some(Field::Missing) if self.is_text_optional => String::new(),
            None => {
                let columns: Vec<&str> = names.iter().map(String::as_str).collect();
                let what = format!(
                    "no column '{}'{}; the columns are {}",
                    self.text,
                    did_you_mean(self.text, &columns),
                    columns.join(", ")
                );
                self.file.without_text.push(row.at, what);
                return;
            }
            Some(field) => {
                self.file.rows_with_text += 1;
                match field {
                    Field::Text(text) => text,
                    Field::Missing => {
                        return self
                            .problems
                            .push(row.at, format!("'{}' is null", self.text));
                    }
                    Field::Plain(_, kind) | Field::Nested(_, kind) => {
                        let what = format!("'{}' is {kind}, not a text", self.text);
                        return self.problems.push(row.at, what);
                    }
                }
            }
        };
        match self.sample(&row, text) {
            Ok(sample) => self.keep(sample, row.at),
            Err(what) => self.problems.push(row.at, what),
        }
    }

    fn sample(&self, row: &Row, text: String) -> Result<Sample, String> {
        if text.trim().is_empty() && !self.is_text_optional {
            return Err("the text is empty".to_owned());
        }
        if text.len() > LONGEST_RECORD {
            return Err(format!(
                "the text has {} bytes, more than 64 MiB",
                text.len()
            ));
        }
        let columns = &self.config.columns;
        let labels = self
            .config
            .keep_columns
            .iter()
            .filter_map(|name| Some((name.clone(), row.label(name)?)))
            .collect();
        let named =
            |name: &Option<String>, usual: &str| row.label(name.as_deref().unwrap_or(usual));
        let discipline = named(&columns.discipline, "discipline")
            .map(|name| Discipline::new(&name))
            .transpose()
            .map_err(|error| error.to_string())?;
        let id = named(&columns.id, "id");
        let group = named(&columns.group, "group");
        let genre = named(&columns.genre, "genre");
        let id = id.unwrap_or_else(|| row.fallback_id.clone());
        if id.len() > LONGEST_ID || id.chars().any(char::is_control) {
            return Err(format!(
                "its id is longer than {LONGEST_ID} bytes or holds control characters"
            ));
        }
        let parent = || {
            let (parent, _) = id.split_once(columns.group_before.as_deref()?)?;
            (!parent.is_empty()).then(|| parent.to_owned())
        };
        Ok(Sample {
            group: group.or_else(parent),
            id,
            discipline,
            genre,
            source: row.label(SOURCE),
            licence: LICENCE.iter().find_map(|name| row.label(name)),
            pair: row.label(PAIR),
            text,
            labels,
        })
    }

    fn keep(&mut self, sample: Sample, at: String) {
        if !self.ids.insert(sample.id.clone()) {
            let shown: String = sample.id.chars().take(80).collect();
            return self.problems.push(
                at,
                format!("the id '{shown}' occurred before; ids must be unique"),
            );
        }
        let kept = self.kept.entry(sample.discipline.clone()).or_default();
        if self.config.limit.is_some_and(|limit| *kept >= limit) {
            return;
        }
        *kept += 1;
        self.samples.push(SourcedSample { sample, at });
    }

    fn note_columns<'a>(&mut self, names: impl Iterator<Item = &'a String>) {
        /// Files with a different key in every record would otherwise fill the memory with names.
        const MOST: usize = 1000;
        for name in names {
            if self.file.columns.len() < MOST && !self.file.columns.contains(name) {
                self.file.columns.insert(name.clone());
                self.seen_columns.insert(name.clone());
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<(Vec<SourcedSample>, Problems), PipelineError> {
        self.check_requested_columns();
        let may_skip = self.config.on_bad_row == OnBadRow::Skip && self.fatal.is_empty();
        if !(self.problems.is_empty() || may_skip) || !self.fatal.is_empty() {
            let mut problems = self.fatal;
            problems.extend(self.problems);
            let heading = match problems.total() {
                1 => "the data cannot be used because of 1 problem:".to_owned(),
                n => format!("the data cannot be used because of {n} problems:"),
            };
            return Err(PipelineError::Data { heading, problems });
        }
        if self.samples.is_empty() {
            let reason = if self.problems.is_empty() {
                "the data files hold no record".to_owned()
            } else {
                format!("no usable record is left{}", self.problems)
            };
            return Err(PipelineError::Settings(format!(
                "there is nothing to capture: {reason}"
            )));
        }
        Ok((self.samples, self.problems))
    }

    /// A column that was named on the command line must be somewhere.
    fn check_requested_columns(&mut self) {
        if self.seen_columns.is_empty() {
            return;
        }
        let columns = &self.config.columns;
        let requested = [
            (&columns.discipline, "--discipline-column"),
            (&columns.id, "--id-column"),
            (&columns.group, "--group-column"),
            (&columns.genre, "--genre-column"),
        ]
        .into_iter()
        .filter_map(|(name, option)| Some((name.as_ref()?, option)))
        .chain(
            self.config
                .keep_columns
                .iter()
                .map(|name| (name, "--keep-columns")),
        );
        for (name, option) in requested {
            if !self.seen_columns.contains(name) {
                let known: Vec<&str> = self.seen_columns.iter().map(String::as_str).collect();
                self.fatal.push(
                    option,
                    format!(
                        "no file has the column '{name}'{}; the columns are {}",
                        did_you_mean(name, &known),
                        known.join(", ")
                    ),
                );
            }
        }
    }
}
