//! An import from its paths to a finished trace.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use moescope_core::{Discipline, LayerId, ModelSpec, Phase, Problems, Progress, Sample};

use super::{
    super::{Format, Request, ScoreKind},
    files::{self, SourceFile},
    provenance::{IMPORT, ImportProvenance},
    sink::{Content, Facts, Imported, Sink, Stop},
};
use crate::{
    CaptureSummary, Engine, Input, Manifest, ProfileRecord, SampleRecord, Scores, Times,
    TraceWriter, WriterConfig, error::TraceError,
};

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
    if !crate::folder::is_absent_or_empty(&config.out)? {
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

/// A hidden folder beside the trace's, which vanishes unless it becomes the trace.
struct Workshop {
    path: PathBuf,
    is_done: bool,
}

impl Workshop {
    fn beside(out: &Path) -> Result<Self, TraceError> {
        let name = out.file_name().map_or_else(
            || "trace".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        let path = out.with_file_name(format!(".{name}.import-{}", std::process::id()));
        if fs::symlink_metadata(&path).is_ok() {
            return Err(TraceError::NotEmpty { path });
        }
        Ok(Self {
            path,
            is_done: false,
        })
    }

    fn move_to(mut self, out: &Path) -> Result<(), TraceError> {
        // An empty folder may stand there; a full one is not removed by this.
        if let Err(error) = fs::remove_dir(out)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(TraceError::io("replace the empty folder", out, error));
        }
        crate::durable::rename(&self.path, out)?;
        self.is_done = true;
        if let Some(parent) = out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // A parent that may not be read cannot be synced, and need not be.
            drop(crate::durable::sync_folder(parent));
        }
        Ok(())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if !self.is_done {
            // Nothing but our own unfinished trace is in it, and nothing can be done where it cannot be removed.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// The sink: labels documents, writes them while all is well, and gathers problems.
struct Intake<'c> {
    format: &'c Format,
    config: &'c ImportConfig,
    workshop: &'c Path,
    progress: &'c dyn Progress,
    writer: Option<TraceWriter>,
    facts: Option<Facts>,
    problems: Problems,
    /// Which of the paths is being read.
    path: usize,
    files: Vec<Vec<(String, [u8; 32])>>,
    documents: Vec<u64>,
    ids: HashMap<String, String>,
    used_labels: u64,
    without_routing: u64,
}

impl<'c> Intake<'c> {
    fn new(
        format: &'c Format,
        config: &'c ImportConfig,
        workshop: &'c Path,
        progress: &'c dyn Progress,
    ) -> Self {
        Self {
            format,
            config,
            workshop,
            progress,
            writer: None,
            facts: None,
            problems: Problems::default(),
            path: 0,
            files: vec![Vec::new(); config.paths.len()],
            documents: vec![0; config.paths.len()],
            ids: HashMap::new(),
            used_labels: 0,
            without_routing: 0,
        }
    }

    /// The document's row of `samples`.
    fn sample(&mut self, document: &Imported) -> Result<Sample, String> {
        let id = &document.id;
        if id.is_empty() || id.len() > 512 || id.chars().any(char::is_control) {
            return Err(
                "its id is empty, longer than 512 bytes or holds control characters".to_owned(),
            );
        }
        if let Some(before) = self.ids.insert(id.clone(), document.at.clone()) {
            return Err(format!("its id occurred before, in {before}"));
        }
        let mut sample = match &self.config.labels {
            None => Sample {
                id: id.clone(),
                ..Sample::default()
            },
            Some(labels) => {
                let sample = labels.samples.get(id).cloned();
                self.used_labels += u64::from(sample.is_some());
                sample.ok_or("the labels have no row with its id")?
            }
        };
        if sample.discipline.is_none() {
            sample.discipline = match (&self.config.discipline, &document.discipline) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(own)) => Some(Discipline::new(own).map_err(|error| error.to_string())?),
                (None, None) => None,
            };
        }
        Ok(sample)
    }

    fn append(&mut self, document: Imported) -> Result<(), Stop> {
        let at = document.at.clone();
        let shown = format!(
            "sample '{}'",
            document.id.chars().take(80).collect::<String>()
        );
        let meta = match self.sample(&document) {
            Ok(meta) => meta,
            Err(what) => {
                self.problem(&at, format!("{shown}: {what}"));
                return Ok(());
            }
        };
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let number = writer.next_sample();
        let result = match document.content {
            Content::Decisions {
                tokens,
                num_prompt_tokens,
                decisions,
            } => {
                self.without_routing +=
                    tokens.iter().filter(|token| !token.is_routed).count() as u64;
                let record = SampleRecord {
                    sample: number,
                    meta,
                    num_prompt_tokens,
                    seed: None,
                    tokens,
                    decisions,
                };
                if self.problems.is_empty() {
                    writer.append(record).and_then(|()| writer.end_batch())
                } else {
                    record.check(writer.manifest())
                }
            }
            Content::Profiles {
                num_tokens,
                profiles,
            } => {
                let record = ProfileRecord {
                    sample: number,
                    meta,
                    num_tokens,
                    profiles,
                };
                if self.problems.is_empty() {
                    writer
                        .append_profiles(record)
                        .and_then(|()| writer.end_batch())
                } else {
                    record.check(writer.manifest())
                }
            }
        };
        match result {
            Ok(()) => {
                self.documents[self.path] += 1;
                Ok(())
            }
            Err(TraceError::Record { reason, .. }) => {
                self.problem(&at, format!("{shown}: {reason}"));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn finish(mut self) -> Result<ImportReport, TraceError> {
        if self.problems.is_empty() && self.writer.is_none() {
            let shown = self
                .config
                .paths
                .first()
                .map(|path| path.display().to_string());
            self.problem(
                &shown.unwrap_or_default(),
                "there is no document in it".to_owned(),
            );
        }
        let Some(mut writer) = self.writer.take().filter(|_| self.problems.is_empty()) else {
            return Err(TraceError::Import {
                format: self.format.name,
                problems: self.problems,
            });
        };
        let inputs = self.inputs();
        let provenance = ImportProvenance {
            format: self.format.name.to_owned(),
            derived: self.facts.map(|facts| facts.derived).unwrap_or_default(),
            tokens_without_routing: self.without_routing,
            notes: Vec::new(),
        };
        writer.amend(|manifest| {
            manifest.inputs = inputs;
            let value = serde_json::to_value(&provenance).unwrap_or_default();
            manifest.settings.insert(IMPORT.to_owned(), value);
        });
        let manifest = writer.finish(CaptureSummary::default())?;
        let labels = self
            .config
            .labels
            .as_ref()
            .map_or(0, |labels| labels.samples.len() as u64);
        Ok(ImportReport {
            manifest,
            unused_labels: labels.saturating_sub(self.used_labels),
        })
    }

    /// One entry for each path, then the labels and the model's description.
    fn inputs(&self) -> Vec<Input> {
        let paths = self
            .config
            .paths
            .iter()
            .zip(&self.files)
            .zip(&self.documents);
        let sources = paths.map(|((path, files), documents)| {
            let name = path
                .canonicalize()
                .ok()
                .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .unwrap_or_else(|| "input".to_owned());
            Input {
                name,
                sha256: files::digest_of(files, path.is_dir()),
                rows: *documents,
            }
        });
        let labels = self
            .config
            .labels
            .iter()
            .flat_map(|labels| labels.inputs.clone());
        sources
            .chain(labels)
            .chain(self.config.model_input.clone())
            .collect()
    }
}

impl Sink for Intake<'_> {
    fn begin(&mut self, facts: Facts) -> Result<(), Stop> {
        if let Some(first) = &self.facts {
            // Each path begins anew; what holds for the trace was said by the first.
            let differs = first.experts_order != facts.experts_order
                || first.derived != facts.derived
                || first.checkpoint.is_some()
                    && facts.checkpoint.is_some()
                    && first.checkpoint != facts.checkpoint
                || first.layers != facts.layers;
            if differs {
                let path = self.config.paths[self.path].display().to_string();
                let what = "it is of another model, or holds other kinds of scores than the first path; import them one by one";
                self.problem(&path, what.to_owned());
            }
            return Ok(());
        }
        let labels = self.config.labels.as_ref();
        let manifest = Manifest {
            model: facts.model.clone(),
            layers: facts.layers.clone(),
            scores: Scores {
                experts_order: facts.experts_order,
                ..Scores::default()
            },
            checkpoint: facts.checkpoint.clone().map(|id| crate::Checkpoint {
                id: Some(id),
                ..crate::Checkpoint::default()
            }),
            engine: Some(Engine {
                name: facts.engine.to_owned(),
                version: facts.engine_version.clone(),
                ..Engine::default()
            }),
            label_columns: labels
                .map(|labels| labels.label_columns.clone())
                .unwrap_or_default(),
            profiles_only: facts.is_profiles_only,
            times: Times {
                started_at: self.config.started_at.clone(),
                finished_at: None,
            },
            settings: BTreeMap::new(),
            ..Manifest::default()
        };
        let writer = WriterConfig {
            keep_text: labels.is_some_and(|labels| labels.have_text),
            keep_logits: self.config.keeps_logits,
            full_precision: self.config.is_full_precision,
            ..WriterConfig::default()
        };
        self.writer = Some(TraceWriter::create(self.workshop, manifest, writer)?);
        self.facts = Some(facts);
        Ok(())
    }

    fn document(&mut self, document: Imported) -> Result<(), Stop> {
        let read: u64 = self.documents.iter().sum();
        self.progress
            .report(read, 0, &format!("importing {}", document.at))?;
        self.append(document)
    }

    fn problem(&mut self, at: &str, what: String) {
        self.problems.push(at, what);
    }

    fn file(&mut self, file: &SourceFile, digest: [u8; 32]) {
        let name = file.path.file_name().map_or_else(
            || file.stem.clone(),
            |name| name.to_string_lossy().into_owned(),
        );
        self.files[self.path].push((name, digest));
    }
}
