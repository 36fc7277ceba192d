//! Finding the files of an import and reading them, each with its checksum.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::sink::{Sink, Stop};
use crate::durable::hex;

/// Largest file of arrays that is read, since it is read whole.
pub(crate) const LARGEST_FILE: u64 = 4 << 30;
/// Longest line: the routing of about a hundred thousand tokens of a large model, in base64.
const LONGEST_LINE: u64 = 256 << 20;

/// One file of an import.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    /// The name in messages: as the user gave it.
    pub(crate) shown: String,
    /// Its own name without folder and ending.
    pub(crate) stem: String,
    /// Its ending in lower case.
    pub(crate) ending: String,
}

impl SourceFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        let text = |part: Option<&std::ffi::OsStr>| {
            part.map_or_else(String::new, |part| part.to_string_lossy().into_owned())
        };
        Self {
            shown: path.display().to_string(),
            stem: text(path.file_stem()),
            ending: text(path.extension()).to_lowercase(),
            path,
        }
    }
}

/// The files that a path of the command line stands for: itself, or those of a folder with one of `endings`, by name.
///
/// What cannot be listed goes to the sink.
pub(crate) fn expand(path: &Path, endings: &[&str], sink: &mut dyn Sink) -> Vec<SourceFile> {
    let given = SourceFile::new(path.to_owned());
    if !path.is_dir() {
        if path.exists() && !endings.contains(&given.ending.as_str()) {
            sink.problem(
                &given.shown,
                format!("its ending is not one of {}", shown(endings)),
            );
            return Vec::new();
        }
        return vec![given];
    }
    let entries = match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => {
            sink.problem(&given.shown, format!("cannot list the folder: {error}"));
            return Vec::new();
        }
    };
    let mut files: Vec<SourceFile> = entries
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .map(SourceFile::new)
        .filter(|file| endings.contains(&file.ending.as_str()))
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if files.is_empty() {
        sink.problem(
            &given.shown,
            format!("the folder holds no file ending in {}", shown(endings)),
        );
    }
    files
}

fn shown(endings: &[&str]) -> String {
    let endings: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
    endings.join(", ")
}

/// Reads a whole file and tells the sink its checksum; `None` after a problem that the sink was told.
pub(crate) fn read_whole(file: &SourceFile, sink: &mut dyn Sink) -> Option<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let opened = File::open(&file.path)?;
        let len = opened.metadata()?.len();
        if len > LARGEST_FILE {
            return Err(io::Error::other(format!(
                "it has {len} bytes, more than {LARGEST_FILE}; save fewer tokens in each file"
            )));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        opened.take(LARGEST_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => {
            sink.file(file, Sha256::digest(&bytes).into());
            Some(bytes)
        }
        Err(error) => {
            sink.problem(&file.shown, describe(&error));
            None
        }
    }
}

/// Why a file cannot be used.
pub(crate) fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("cannot read the file: {error}"),
    }
}

/// The lines of a file, bounded, hashed while they are read.
pub(crate) struct Lines {
    reader: BufReader<File>,
    hasher: Sha256,
    line: Vec<u8>,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            reader: BufReader::with_capacity(1 << 18, File::open(path)?),
            hasher: Sha256::new(),
            line: Vec::new(),
        })
    }

    /// The next line without its end; `None` after the last.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<&str>> {
        self.line.clear();
        let read = (&mut self.reader)
            .take(LONGEST_LINE + 1)
            .read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 > LONGEST_LINE {
            return Err(io::Error::other(format!(
                "a line is longer than {LONGEST_LINE} bytes"
            )));
        }
        self.hasher.update(&self.line);
        let text =
            std::str::from_utf8(&self.line).map_err(|_| io::Error::other("a line is not UTF-8"))?;
        Ok(Some(text.trim_end_matches(['\n', '\r'])))
    }

    pub(crate) fn digest(self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}

/// The checksum of one argument of the command line: of the file itself, or of the list of a folder's files.
///
/// The list is what `sha256sum *` prints in the folder, so anyone can check it by `sha256sum * | sha256sum`.
pub(crate) fn digest_of(files: &[(String, [u8; 32])], is_folder: bool) -> Option<String> {
    match files {
        [] => None,
        [(_, digest)] if !is_folder => Some(hex(digest)),
        several => {
            let list = several.iter().fold(Sha256::new(), |sum, (name, digest)| {
                sum.chain_update(format!("{}  {name}\n", hex(digest)))
            });
            Some(hex(&list.finalize()))
        }
    }
}

/// Hands each record of a file on, with its place: the lines of `.jsonl`, the one value of `.json`.
pub(crate) fn for_each_json(
    file: &SourceFile,
    sink: &mut dyn Sink,
    mut take: impl FnMut(&str, &str, &mut dyn Sink) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if file.ending == "json" {
        let Some(bytes) = read_whole(file, sink) else {
            return Ok(());
        };
        let Ok(text) = std::str::from_utf8(&bytes) else {
            sink.problem(&file.shown, "the file is not UTF-8".to_owned());
            return Ok(());
        };
        return take(text, &file.shown, sink);
    }
    let mut lines = match Lines::open(&file.path) {
        Ok(lines) => lines,
        Err(error) => {
            sink.problem(&file.shown, describe(&error));
            return Ok(());
        }
    };
    for number in 1u64.. {
        let at = format!("{}:{number}", file.shown);
        match lines.next_line() {
            Ok(None) => break,
            Ok(Some(text)) if text.trim().is_empty() => {}
            Ok(Some(text)) => take(text, &at, sink)?,
            Err(error) => {
                sink.problem(&at, describe(&error));
                return Ok(());
            }
        }
    }
    sink.file(file, lines.digest());
    Ok(())
}
