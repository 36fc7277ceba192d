//! The texts that are part of the program.

use crate::{data::EmbeddedFile, model::DEMO};

/// The files of a folder of `datasets`, one per discipline.
macro_rules! prompt_sets {
    ($folder:literal) => {
        prompt_sets!(
            $folder: "math", "physics", "chemistry", "materials", "biology", "medicine", "cs", "code", "astronomy",
            "earth", "economics", "law", "humanities", "smiles", "protein"
        )
    };
    ($folder:literal: $($name:literal),*) => {
        [$(EmbeddedFile {
            name: concat!($name, ".jsonl"),
            text: include_str!(concat!("../../../../datasets/", $folder, "/data/", $name, ".jsonl")),
        }),*]
    };
}

/// The texts of the demo's trace.
pub(super) static PROMPT_SETS: [EmbeddedFile; 15] = prompt_sets!("disciplines");

/// Others of the same kinds.
static HELD_OUT: [EmbeddedFile; 15] = prompt_sets!("held-out");

/// What [`held_out_for`] gives, in words.
pub const HELD_OUT_TOLD: &str = "150 embedded texts that are not in the demo's trace";

/// Texts on which to measure what experts are worth, where the user gives none; only the embedded model has some.
///
/// They have the labels and genres of the prompt sets from which the demo's trace is made, and no text in common with
/// them, so an expert that was found in that trace was not chosen by looking at these.
#[must_use]
pub fn held_out_for(model: &str) -> Option<&'static [EmbeddedFile]> {
    (model == DEMO).then_some(&HELD_OUT[..])
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use moescope_core::{NoProgress, Sample};

    use super::*;
    use crate::data::{self, DataConfig};

    fn samples(files: &'static [EmbeddedFile]) -> Vec<Sample> {
        let config = DataConfig {
            embedded: files,
            ..DataConfig::default()
        };
        let texts = data::read(&config, &NoProgress).unwrap();
        texts.samples.into_iter().map(|text| text.sample).collect()
    }

    /// How many samples each cell of label and genre has.
    fn cells(samples: &[Sample]) -> BTreeMap<(String, String), usize> {
        samples.iter().fold(BTreeMap::new(), |mut cells, sample| {
            let label = sample.discipline.as_ref().unwrap().to_string();
            let genre = sample.genre.clone().unwrap();
            *cells.entry((label, genre)).or_default() += 1;
            cells
        })
    }

    /// The runs of eight words of a text; of eight residues, where it is a protein.
    fn pieces(sample: &Sample) -> BTreeSet<String> {
        if sample.genre.as_deref() == Some("fasta") {
            let residues: Vec<char> = sample.text.chars().collect();
            return residues
                .windows(8)
                .map(|run| run.iter().collect())
                .collect();
        }
        let lower = sample.text.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        words.windows(8).map(|run| run.join(" ")).collect()
    }

    #[test]
    fn held_out_texts_have_the_labels_and_genres_of_the_prompt_sets() {
        let (used, held) = (cells(&samples(&PROMPT_SETS)), cells(&samples(&HELD_OUT)));
        assert!(used.keys().eq(held.keys()), "{held:?}");
        // The same mixture: 10 of 16 samples of every label, in every genre.
        for (cell, number) in &used {
            assert_eq!(held[cell] * 16, number * 10, "{cell:?}");
        }
        let number: usize = held.values().sum();
        assert!(HELD_OUT_TOLD.starts_with(&format!("{number} ")));
    }

    #[test]
    fn no_id_group_or_text_occurs_twice() {
        let mut seen = BTreeSet::new();
        for sample in samples(&PROMPT_SETS).iter().chain(&samples(&HELD_OUT)) {
            for key in [
                format!("id {}", sample.id),
                format!("group {}", sample.group.as_ref().unwrap()),
                format!("text {}", sample.text),
            ] {
                assert!(seen.insert(key.clone()), "{key}");
            }
        }
    }

    #[test]
    fn held_out_texts_share_no_run_of_words_with_the_prompt_sets() {
        let is_molecules = |sample: &Sample| sample.genre.as_deref() == Some("smiles");
        let used = samples(&PROMPT_SETS);
        let known: BTreeSet<String> = used
            .iter()
            .filter(|sample| !is_molecules(sample))
            .flat_map(pieces)
            .collect();
        let molecules: BTreeSet<&str> = used
            .iter()
            .filter(|sample| is_molecules(sample))
            .flat_map(|sample| sample.text.lines())
            .collect();
        for sample in samples(&HELD_OUT) {
            if is_molecules(&sample) {
                // Canonical strings, so the same molecule would be the same line.
                for line in sample.text.lines() {
                    assert!(!molecules.contains(line), "{}: {line}", sample.id);
                }
            } else {
                let shared: Vec<String> = pieces(&sample).intersection(&known).cloned().collect();
                assert!(shared.is_empty(), "{}: {shared:?}", sample.id);
            }
        }
    }

    #[test]
    fn only_the_embedded_model_has_texts_of_its_own() {
        assert!(held_out_for("demo").is_some_and(|files| files.len() == 15));
        assert!(held_out_for("./demo").is_none());
    }
}
