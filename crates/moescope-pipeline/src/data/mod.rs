//! Labelled texts from files, every one of them checked before anything runs.
//!
//! The format follows from the file's name: `.jsonl` and `.ndjson` (one object a line), `.json` (a list of objects),
//! `.csv` and `.tsv` (a header, then one record a row), `.txt` (one document a file); each may be compressed (`.zst`).

mod collector;
mod compressed;
mod embedded;
mod format;
mod json;
mod lines;
mod row;
mod table;

use std::path::{Path, PathBuf};

use moescope_core::{Progress, Sample};
use moescope_trace::Input;

use crate::{Problems, error::PipelineError};
use collector::Collector;
pub use embedded::EmbeddedFile;

/// Longest line, record or document that is read, in bytes.
pub const LONGEST_RECORD: usize = 64 << 20;

/// Which files to read, and how.
#[derive(Clone, Debug, Default)]
pub struct DataConfig {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// Files that are part of the program; read before the others.
    pub embedded: &'static [EmbeddedFile],
    /// Where each label is.
    pub columns: Columns,
    /// Further columns to keep as labels.
    pub keep_columns: Vec<String>,
    /// At most this many samples of each discipline, the first ones.
    pub limit: Option<usize>,
    /// What to do with records that cannot be used.
    pub on_bad_row: OnBadRow,
}

/// The names of the columns. `None` stands for the usual name, which may then be absent (but for the text).
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// The text; usually `text`.
    pub text: Option<String>,
    /// The discipline; usually `discipline`.
    pub discipline: Option<String>,
    /// The unique id; usually `id`.
    pub id: Option<String>,
    /// The parent document; usually `group`.
    pub group: Option<String>,
    /// Where a record has no group: its id up to the first of these signs, as in `book#p5`.
    pub group_before: Option<String>,
    /// The kind of text; usually `genre`.
    pub genre: Option<String>,
}

/// What to do with a record that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBadRow {
    /// List all of them and refuse the data.
    #[default]
    Error,
    /// Leave it out and say so.
    Skip,
}

/// What the files hold.
#[derive(Clone, Debug, Default)]
pub struct LabelledTexts {
    /// The samples in input order.
    pub samples: Vec<SourcedSample>,
    /// The files by name, checksum and number of records.
    pub inputs: Vec<Input>,
    /// Records that were left out because they cannot be used.
    pub skipped: Problems,
}

/// A sample and the place that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcedSample {
    /// The sample.
    pub sample: Sample,
    /// `FILE:LINE`.
    pub at: String,
}

/// Reads all files.
///
/// # Errors
/// When any record cannot be used and `on_bad_row` says so (all are listed), when a file cannot be read, when a column
/// that was asked for is nowhere, or when no sample is left.
pub fn read(config: &DataConfig, progress: &dyn Progress) -> Result<LabelledTexts, PipelineError> {
    if config.files.is_empty() && config.embedded.is_empty() {
        return Err(PipelineError::Settings(
            "no data file was given; give one or more with --data".to_owned(),
        ));
    }
    collect(config, Collector::new(config), progress)
}

/// Reads labels of documents that are elsewhere: as [`read`], but a record may be without a text.
///
/// # Errors
/// As [`read`].
pub fn read_labels(
    config: &DataConfig,
    progress: &dyn Progress,
) -> Result<LabelledTexts, PipelineError> {
    collect(config, Collector::of_labels(config), progress)
}

/// The names of the columns that a file's first few thousand records have, in alphabetical order.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("papers.csv");
/// std::fs::write(&path, "abstract,field\nThe court held,law\n")?;
/// assert_eq!(moescope_pipeline::data::columns_of(&path)?, ["abstract", "field"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the file cannot be read, or its ending names no known format.
pub fn columns_of(path: &Path) -> Result<Vec<String>, PipelineError> {
    // No text is kept, however many records are looked at.
    let config = DataConfig {
        limit: Some(0),
        ..DataConfig::default()
    };
    let mut collector = Collector::new(&config);
    format::read_first(path, &mut collector)?;
    Ok(collector.into_columns())
}

fn collect(
    config: &DataConfig,
    mut collector: Collector<'_>,
    progress: &dyn Progress,
) -> Result<LabelledTexts, PipelineError> {
    let mut inputs = Vec::with_capacity(config.embedded.len() + config.files.len());
    for file in config.embedded {
        inputs.push(embedded::read(file, &mut collector, progress)?);
    }
    let total = config.files.len() as u64;
    for (done, path) in config.files.iter().enumerate() {
        progress.report(done as u64, total, &format!("reading {}", path.display()))?;
        inputs.extend(format::read_file(path, &mut collector, progress)?);
    }
    let (samples, skipped) = collector.finish()?;
    Ok(LabelledTexts {
        samples,
        inputs,
        skipped,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_columns_of_a_file_are_those_of_its_first_records() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, content: &str, expected: &[&str]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            assert_eq!(columns_of(&path).unwrap(), expected, "{name}");
        };
        check(
            "a.jsonl",
            "{\"text\": \"x\", \"field\": 1}\nno JSON\n{\"id\": \"2\"}\n",
            &["field", "id", "text"],
        );
        check("a.json", "[{\"body\": \"x\"}]", &["body"]);
        check("a.tsv", "abstract\tyear\nx\t1990\n", &["abstract", "year"]);
        // So many records are not needed for it.
        let many = "{\"text\": \"x\"}\n".repeat(5000) + "{\"late\": \"x\"}\n";
        check("many.jsonl", &many, &["text"]);

        let path = folder.path().join("a.docx");
        let told = columns_of(&path).unwrap_err().to_string();
        assert!(told.contains("no known format"), "{told}");
        assert!(columns_of(&folder.path().join("none.csv")).is_err());
    }
}
