//! Traces from what other programs recorded, with labels and the model's description from the user's files.

mod model_spec;

use std::path::PathBuf;

use moescope_core::{Discipline, LayerSelection, Phase, Progress, did_you_mean};
use moescope_trace::import::{Format, ImportConfig, ImportReport, Labels, ScoreKind, import};

use crate::{
    clock,
    data::{self, DataConfig},
    error::PipelineError,
};

/// What to import, and how.
#[derive(Clone, Debug, Default)]
pub struct ImportJob {
    /// The format's name.
    pub format: String,
    /// The files or folders, in order.
    pub paths: Vec<PathBuf>,
    /// The trace's folder.
    pub out: PathBuf,
    /// The model's `config.json`, its folder, another trace's `manifest.json`, or a description in moescope's own form.
    pub model_spec: Option<PathBuf>,
    /// The discipline of every document that has no other.
    pub discipline: Option<Discipline>,
    /// Labels of the documents.
    pub labels: Option<LabelFiles>,
    /// What the source's scores are.
    pub scores: ScoreKind,
    /// The phase of tokens whose source does not tell it.
    pub phase: Option<Phase>,
    /// Which table of a file with several.
    pub table: Option<String>,
    /// The layers that the source's lists are of.
    pub layers: LayerSelection,
    /// Whether router logits are kept.
    pub keeps_logits: bool,
    /// Whether floats keep all their bits.
    pub is_full_precision: bool,
}

/// Files with one record for each document: its id, and whatever is known of it.
pub type LabelFiles = DataConfig;

impl ImportJob {
    /// Reads everything and writes the trace.
    ///
    /// # Errors
    /// With all that cannot be used; when the format or the model is unknown; when the disk refuses. Nothing is left of
    /// an import that failed.
    pub fn run(&self, progress: &dyn Progress) -> Result<ImportReport, PipelineError> {
        let format = Format::find(&self.format).ok_or_else(|| {
            let names: Vec<&str> = moescope_trace::import::FORMATS
                .iter()
                .map(|format| format.name)
                .collect();
            PipelineError::Settings(format!(
                "no format is called '{}'{}; the formats are {}",
                self.format,
                did_you_mean(&self.format, &names),
                names.join(", ")
            ))
        })?;
        let described = self
            .model_spec
            .as_deref()
            .map(model_spec::read)
            .transpose()?;
        let (model, model_input) = described.unzip();
        let labels = self
            .labels
            .as_ref()
            .map(|files| labels(files, progress))
            .transpose()?;
        let config = ImportConfig {
            paths: self.paths.clone(),
            out: self.out.clone(),
            layers: model_spec::layers(&self.layers, model.as_ref())?,
            model,
            model_input,
            discipline: self.discipline.clone(),
            labels,
            scores: self.scores,
            phase: self.phase,
            table: self.table.clone(),
            keeps_logits: self.keeps_logits,
            is_full_precision: self.is_full_precision,
            started_at: Some(clock::now()),
        };
        Ok(import(format, &config, progress)?)
    }
}

fn labels(files: &LabelFiles, progress: &dyn Progress) -> Result<Labels, PipelineError> {
    let mut files = files.clone();
    // Named, so that a file without it is refused: a label without an id is of no document.
    files.columns.id.get_or_insert_with(|| "id".to_owned());
    let read = data::read_labels(&files, progress)?;
    Ok(Labels {
        label_columns: files.keep_columns,
        have_text: read.samples.iter().all(|s| !s.sample.text.is_empty()),
        inputs: read.inputs,
        samples: read
            .samples
            .into_iter()
            .map(|s| (s.sample.id.clone(), s.sample))
            .collect(),
    })
}
