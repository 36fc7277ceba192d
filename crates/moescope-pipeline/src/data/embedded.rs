//! Records that are part of the program.

use moescope_core::Progress;
use moescope_trace::Input;

use super::{
    collector::Collector,
    format::{FileNames, ReadError},
    lines,
};
use crate::{checksum, error::PipelineError};

/// A file of JSON lines that is part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedFile {
    /// Its name in traces and messages, with its ending.
    pub name: &'static str,
    /// One JSON object a line.
    pub text: &'static str,
}

/// Reads one file, as one of the same content on the disk is read.
pub(super) fn read(
    file: &EmbeddedFile,
    collector: &mut Collector<'_>,
    progress: &dyn Progress,
) -> Result<Input, PipelineError> {
    let names = FileNames {
        shown: file.name,
        own: file.name,
    };
    let mut tick = |records: u64| {
        progress
            .report(records, 0, &format!("reading {}", file.name))
            .map_err(|cancelled| ReadError::Stop(cancelled.into()))
    };
    match lines::read(Box::new(file.text.as_bytes()), &names, collector, &mut tick) {
        Ok(()) => {}
        Err(ReadError::Io(error)) => collector.bad_file(file.name, error.to_string()),
        Err(ReadError::Stop(error)) => return Err(error),
    }
    Ok(Input {
        name: file.name.to_owned(),
        sha256: Some(checksum::sha256_of_bytes(file.text.as_bytes())),
        rows: collector.end_file(file.name),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use moescope_core::NoProgress;

    use crate::data::{self, DataConfig};

    use super::*;

    #[test]
    fn an_embedded_file_reads_as_one_on_the_disk_does() {
        static EMBEDDED: [EmbeddedFile; 1] = [EmbeddedFile {
            name: "law.jsonl",
            text: "{\"text\": \"the court held\", \"discipline\": \"law\"}\n{\"text\": \"the price\"}\n",
        }];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(EMBEDDED[0].name);
        fs::write(&path, EMBEDDED[0].text).unwrap();
        let read = |config: DataConfig| data::read(&config, &NoProgress).unwrap();
        let on_disk = read(DataConfig {
            files: vec![path],
            ..DataConfig::default()
        });
        let embedded = read(DataConfig {
            embedded: &EMBEDDED,
            ..DataConfig::default()
        });
        let samples = |texts: &data::LabelledTexts| -> Vec<_> {
            texts
                .samples
                .iter()
                .map(|text| text.sample.clone())
                .collect()
        };
        assert_eq!(samples(&embedded), samples(&on_disk));
        assert_eq!(embedded.samples[1].at, "law.jsonl:2");
        assert_eq!(embedded.inputs, on_disk.inputs);
    }
}
