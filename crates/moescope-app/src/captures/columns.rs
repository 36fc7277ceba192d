//! The columns that the chosen files have, read on another thread.

use std::{collections::BTreeSet, path::PathBuf};

use moescope_pipeline::data;

use crate::job::Job;

/// The columns of the files that are chosen.
#[derive(Debug, Default)]
pub struct FileColumns {
    files: Vec<PathBuf>,
    names: Job<Vec<String>>,
}

impl FileColumns {
    /// Reads the columns of files, if they are not the last ones.
    pub(super) fn follow(&mut self, files: &[PathBuf], ctx: &egui::Context) {
        if self.files == files {
            return;
        }
        self.files = files.to_vec();
        if let Some(progress) = self.names.progress() {
            progress.cancel();
        }
        self.names = Job::Idle;
        if files.is_empty() {
            return;
        }
        let files = files.to_vec();
        self.names.start("reading columns", ctx, move |progress| {
            let mut names = BTreeSet::new();
            for file in files {
                if progress.is_cancelled() {
                    break;
                }
                names.extend(data::columns_of(&file).map_err(|error| error.to_string())?);
            }
            Ok(names.into_iter().collect())
        });
    }

    pub(super) fn poll(&mut self) {
        self.names.poll();
    }

    /// Their names in alphabetical order, as far as they are known.
    #[must_use]
    pub fn names(&self) -> &[String] {
        self.names.value().map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn is_reading(&self) -> bool {
        self.names.is_running()
    }
}
