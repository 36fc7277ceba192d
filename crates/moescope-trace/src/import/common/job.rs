//! An import from its paths to a finished trace.

use std::{collections::HashMap, path::PathBuf};

use moescope_core::{Discipline, LayerId, ModelSpec, Phase, Progress, Sample};

use super::{
    super::{Format, Request, ScoreKind},
    intake::Intake,
    sink::Stop,
    workshop::Workshop,
};
use crate::{Input, Manifest, error::TraceError, folder};

/// What to import, and how.
#[derive(Clone, Debug, Default)]
pub struct ImportConfig {
    /// The files or folders, in order.
    pub paths: Vec<PathBuf>,
    /// The trace's folder; it must not exist or be empty.
    pub out: PathBuf,
    /// The model's description.
    pub model: Option<ModelSpec>,
    /// What the model's description was read from, by name and checksum.
    pub model_input: Option<Input>,
    /// The discipline of every document that `labels` do not give one.
    pub discipline: Option<Discipline>,
    /// Labels by the documents' ids.
    pub labels: Option<Labels>,
    /// What the source's scores are.
    pub scores: ScoreKind,
    /// The phase of tokens whose source does not tell it.
    pub phase: Option<Phase>,
    /// Which table of a file with several.
    pub table: Option<String>,
    /// The layers that the source's lists are of.
    pub layers: Option<Vec<LayerId>>,
    /// Whether router logits are kept.
    pub keeps_logits: bool,
    /// Whether floats keep all their bits.
    pub is_full_precision: bool,
    /// RFC 3339 time of the start, from the caller's clock.
    pub started_at: Option<String>,
}

/// What is known of documents beyond their routing.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// The documents by id.
    pub samples: HashMap<String, Sample>,
    /// Further columns of `samples`.
    pub label_columns: Vec<String>,
    /// Whether every document has its text.
    pub have_text: bool,
    /// The files that the labels are from.
    pub inputs: Vec<Input>,
}

/// What an import did.
#[derive(Clone, Debug)]
pub struct ImportReport {
    /// The manifest of the finished trace.
    pub manifest: Manifest,
    /// Documents that have labels, but were not in the source.
    pub unused_labels: u64,
}

/// Reads all paths and writes a trace.
///
/// The trace is written beside `out` and moved there when it is complete; before that `out` does not exist.
///
/// # Errors
/// [`TraceError::Import`] with everything that cannot be used; when `out` is in use; when the disk refuses.
pub fn import(
    format: &Format,
    config: &ImportConfig,
    progress: &dyn Progress,
) -> Result<ImportReport, TraceError> {
    check_options(format, config)?;
    if !folder::is_absent_or_empty(&config.out)? {
        return Err(TraceError::NotEmpty {
            path: config.out.clone(),
        });
    }
    let workshop = Workshop::beside(&config.out)?;
    let mut intake = Intake::new(format, config, &workshop.path, progress);
    for (number, path) in config.paths.iter().enumerate() {
        intake.path = number;
        let request = Request {
            paths: std::slice::from_ref(path),
            model: config.model.as_ref(),
            scores: config.scores,
            phase: config.phase,
            table: config.table.as_deref(),
            layers: config.layers.as_deref(),
        };
        (format.read)(&request, &mut intake).map_err(|Stop(error)| error)?;
    }
    let report = intake.finish()?;
    workshop.move_to(&config.out)?;
    Ok(report)
}

fn check_options(format: &Format, config: &ImportConfig) -> Result<(), TraceError> {
    let refuse = |reason: String| Err(TraceError::ImportSettings(reason));
    if config.paths.is_empty() {
        return refuse("no path was given".to_owned());
    }
    if format.needs_model && config.model.is_none() {
        return refuse(format!(
            "the format '{}' does not describe its model; give --model-spec with the model's config.json",
            format.name
        ));
    }
    let given = [
        ("--scores", config.scores != ScoreKind::Logits),
        ("--phase", config.phase.is_some()),
        ("--table", config.table.is_some()),
        ("--layers", config.layers.is_some()),
    ];
    for (option, is_given) in given {
        if is_given && !format.options.contains(&option) {
            return refuse(format!("{option} is not for the format '{}'", format.name));
        }
    }
    Ok(())
}
