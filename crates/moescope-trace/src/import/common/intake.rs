//! The sink of an import: labels documents, writes them while all is well, and gathers problems.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use moescope_core::{Discipline, Problems, Progress, Sample};

use super::{
    super::Format,
    files::{self, SourceFile},
    job::{ImportConfig, ImportReport},
    provenance::{IMPORT, ImportProvenance},
    sink::{Content, Facts, Imported, Sink, Stop},
};
use crate::{
    CaptureSummary, Checkpoint, Engine, Input, Manifest, ProfileRecord, SampleRecord, Scores,
    Times, TraceWriter, WriterConfig, error::TraceError,
};

/// The sink: labels documents, writes them while all is well, and gathers problems.
pub(super) struct Intake<'c> {
    format: &'c Format,
    config: &'c ImportConfig,
    workshop: &'c Path,
    progress: &'c dyn Progress,
    writer: Option<TraceWriter>,
    facts: Option<Facts>,
    problems: Problems,
    /// Which of the paths is being read.
    pub(super) path: usize,
    files: Vec<Vec<(String, [u8; 32])>>,
    documents: Vec<u64>,
    ids: HashMap<String, String>,
    used_labels: u64,
    without_routing: u64,
}

impl<'c> Intake<'c> {
    pub(super) fn new(
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
                    decisions: *decisions,
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

    pub(super) fn finish(mut self) -> Result<ImportReport, TraceError> {
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
            checkpoint: facts.checkpoint.clone().map(|id| Checkpoint {
                id: Some(id),
                ..Checkpoint::default()
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
