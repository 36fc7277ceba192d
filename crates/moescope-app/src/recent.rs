//! What was opened lately.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Entries that are kept.
const MOST: usize = 12;

/// Traces, models and texts that were opened lately, the last one first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recent {
    /// Folders of traces.
    pub traces: Vec<PathBuf>,
    /// Models: folders, or names of repositories.
    pub models: Vec<String>,
    /// Files of texts; those that were chosen together are one entry.
    pub texts: Vec<Vec<PathBuf>>,
}

impl Recent {
    /// Notes a trace.
    pub fn note_trace(&mut self, path: &Path) {
        note(&mut self.traces, path.to_owned());
    }

    /// Notes a model.
    pub fn note_model(&mut self, model: &str) {
        note(&mut self.models, model.to_owned());
    }

    /// Notes files of texts that were chosen together.
    pub fn note_texts(&mut self, files: Vec<PathBuf>) {
        if !files.is_empty() {
            note(&mut self.texts, files);
        }
    }
}

fn note<T: PartialEq>(list: &mut Vec<T>, entry: T) {
    list.retain(|known| *known != entry);
    list.insert(0, entry);
    list.truncate(MOST);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_comes_first_and_once() {
        let mut recent = Recent::default();
        for name in ["a", "b", "a"] {
            recent.note_trace(Path::new(name));
        }
        assert_eq!(recent.traces, [PathBuf::from("a"), PathBuf::from("b")]);
    }

    #[test]
    fn texts_that_were_chosen_together_are_one_entry() {
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let mut recent = Recent::default();
        let (both, one) = (files(&["law", "math"]), files(&["law"]));
        for chosen in [&both, &one, &both, &files(&[])] {
            recent.note_texts(chosen.clone());
        }
        assert_eq!(recent.texts, [both, one]);
    }
}
