//! Which reader a file needs.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use moescope_core::{Cancelled, Progress};
use moescope_trace::Input;

use super::{
    LONGEST_RECORD,
    collector::Collector,
    compressed, json, lines,
    row::{Field, Row},
    table,
};
use crate::{checksum, error::PipelineError};

const UNKNOWN_FORMAT: &str = "its ending names no known format; known are .jsonl, .ndjson, .json, .csv, .tsv and .txt, each also with .zst";

/// A file's names: as the user gave it, and its own without the folder.
pub(super) struct FileNames<'a> {
    pub(super) shown: &'a str,
    pub(super) own: &'a str,
}

impl FileNames<'_> {
    pub(super) fn at(&self, line: u64) -> String {
        format!("{}:{line}", self.shown)
    }

    pub(super) fn id(&self, line: u64) -> String {
        format!("{}:{line}", self.own)
    }
}

enum Format {
    JsonLines,
    JsonList,
    Table(u8),
    Text,
}

/// Reads one file; what is wrong with it goes to the collector. `None` where it could not be opened.
pub(super) fn read_file(
    path: &Path,
    collector: &mut Collector<'_>,
    progress: &dyn Progress,
) -> Result<Option<Input>, PipelineError> {
    let shown = path.display().to_string();
    let own = own_name(path);
    let names = FileNames {
        shown: &shown,
        own: &own,
    };
    let Some((format, is_compressed)) = format_of(&own) else {
        collector.bad_file(&shown, UNKNOWN_FORMAT);
        return Ok(None);
    };
    let sha256 = match checksum::sha256_of(path) {
        Ok(sha256) => sha256,
        Err(error) => {
            collector.bad_file(&shown, describe(&error));
            return Ok(None);
        }
    };
    match read_as(path, &names, &format, is_compressed, collector, progress) {
        Ok(()) => {}
        Err(ReadError::Io(error)) => collector.bad_file(&shown, describe(&error)),
        Err(ReadError::Stop(error)) => return Err(error),
    }
    let rows = collector.end_file(&shown);
    Ok(Some(Input {
        name: own,
        sha256: Some(sha256),
        rows,
    }))
}

/// Reads a file's first few thousand records. What is wrong with them goes to the collector, as for [`read_file`].
pub(super) fn read_first(path: &Path, collector: &mut Collector<'_>) -> Result<(), PipelineError> {
    let shown = path.display().to_string();
    let own = own_name(path);
    let names = FileNames {
        shown: &shown,
        own: &own,
    };
    let Some((format, is_compressed)) = format_of(&own) else {
        return Err(PipelineError::Settings(format!(
            "{UNKNOWN_FORMAT}: {shown}"
        )));
    };
    match read_as(
        path,
        &names,
        &format,
        is_compressed,
        collector,
        &FirstRecords,
    ) {
        Err(ReadError::Io(error)) => Err(PipelineError::io("read the data file", path, error)),
        Err(ReadError::Stop(error)) if !error.is_cancelled() => Err(error),
        Ok(()) | Err(ReadError::Stop(_)) => Ok(()),
    }
}

/// Ends the reading when it first reports, which is after some thousand records.
struct FirstRecords;

impl Progress for FirstRecords {
    fn report(&self, _done: u64, _total: u64, _message: &str) -> Result<(), Cancelled> {
        Err(Cancelled)
    }
}

fn own_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The format that a file's name tells, and whether it is compressed.
fn format_of(name: &str) -> Option<(Format, bool)> {
    let lower = name.to_lowercase();
    let (stem, is_compressed) = match lower.strip_suffix(".zst") {
        Some(stem) => (stem, true),
        None => (lower.as_str(), false),
    };
    let format = match Path::new(stem).extension()?.to_str()? {
        "jsonl" | "ndjson" => Format::JsonLines,
        "json" => Format::JsonList,
        "csv" => Format::Table(b','),
        "tsv" => Format::Table(b'\t'),
        "txt" => Format::Text,
        _ => return None,
    };
    Some((format, is_compressed))
}

/// Why reading ended early.
pub(super) enum ReadError {
    /// The file cannot be read further.
    Io(io::Error),
    /// The whole job ends.
    Stop(PipelineError),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn read_as(
    path: &Path,
    names: &FileNames<'_>,
    format: &Format,
    is_compressed: bool,
    collector: &mut Collector<'_>,
    progress: &dyn Progress,
) -> Result<(), ReadError> {
    let file = File::open(path)?;
    let mut reader: Box<dyn BufRead> = if is_compressed {
        Box::new(BufReader::with_capacity(1 << 16, compressed::open(file)?))
    } else {
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    skip_byte_order_mark(reader.as_mut())?;
    // A reader reports to be cancelled, now and then.
    let mut tick = |records: u64| {
        progress
            .report(records, 0, &format!("reading {}", names.shown))
            .map_err(|cancelled| ReadError::Stop(cancelled.into()))
    };
    match format {
        Format::JsonLines => lines::read(reader, names, collector, &mut tick),
        Format::JsonList => json::read(reader, names, collector, &mut tick),
        Format::Table(delimiter) => table::read(reader, *delimiter, names, collector, &mut tick),
        Format::Text => read_text(reader, names, collector),
    }
}

fn read_text(
    reader: Box<dyn BufRead>,
    names: &FileNames<'_>,
    collector: &mut Collector<'_>,
) -> Result<(), ReadError> {
    let mut bytes = Vec::new();
    reader
        .take(LONGEST_RECORD as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > LONGEST_RECORD {
        collector.bad_record(names.shown.to_owned(), "the document is longer than 64 MiB");
        return Ok(());
    }
    match String::from_utf8(bytes) {
        Ok(text) => collector.document(names, text),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.split(|byte| *byte == b'\n').count() as u64 - 1;
            collector.bad_record(names.at(line), "the line is not UTF-8");
        }
    }
    Ok(())
}

impl Collector<'_> {
    /// Takes a whole file as one document, whatever the text's column is called.
    fn document(&mut self, names: &FileNames<'_>, text: String) {
        self.row(Row {
            at: names.shown.to_owned(),
            fallback_id: names.own.to_owned(),
            fields: vec![(self.text_column().to_owned(), Field::Text(text))],
        });
    }
}

/// Some editors begin UTF-8 files with U+FEFF, which belongs to no column's name and no text.
fn skip_byte_order_mark(reader: &mut dyn BufRead) -> io::Result<()> {
    if reader.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
        reader.consume(3);
    }
    Ok(())
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "this is a folder; give the files in it".to_owned(),
        _ => format!("cannot read the file: {error}"),
    }
}
