//! Reading a trace's Parquet files shard by shard, only the columns that are needed.

mod columns;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use moescope_core::{LayerId, Phase, PhaseSelection, Progress};
use moescope_trace::{RoutingTrace, schema, schema::Table};

use super::{
    DecisionNeeds, Document, DocumentDecisions, DocumentTensor, ProfileColumn, TraceData,
    is_in_phase,
};
use crate::AnalyticsError;
use columns::Frame;

/// The files of a trace.
#[derive(Debug)]
pub(super) struct ParquetTrace {
    trace: RoutingTrace,
    /// The tables whose checksums were compared.
    checked: Mutex<Vec<Table>>,
    tokens: Vec<PathBuf>,
    routing: Vec<PathBuf>,
    profiles: Vec<PathBuf>,
}

impl ParquetTrace {
    pub(super) fn open(trace: &RoutingTrace) -> Result<(Self, Vec<Document>), AnalyticsError> {
        let mut documents = Vec::new();
        trace.check_sums(Table::Samples, |_| Ok(()))?;
        for path in trace.table_paths(Table::Samples) {
            read_samples(&path, &mut documents)?;
        }
        let files = Self {
            trace: trace.clone(),
            checked: Mutex::default(),
            tokens: trace.table_paths(Table::Tokens),
            routing: trace.table_paths(Table::Routing),
            profiles: trace.table_paths(Table::Profiles),
        };
        Ok((files, documents))
    }

    pub(super) fn folder(&self) -> &Path {
        self.trace.path()
    }

    /// Compares a table's files with their checksums, at its first use: a measurement of other bits than those that
    /// were captured would look like any other.
    fn check(&self, table: Table, progress: &dyn Progress) -> Result<(), AnalyticsError> {
        // A poisoned lock means that a check was cut short, and what was checked before it stands.
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.contains(&table) {
            return Ok(());
        }
        let total = self.trace.manifest().shards.iter();
        let total = total.map(|shard| shard.tables[table.name()].bytes).sum();
        let mut done = 0;
        self.trace.check_sums(table, |bytes| {
            done += bytes;
            Ok(progress.report(done, total, &format!("checking {table}"))?)
        })?;
        checked.push(table);
        Ok(())
    }

    pub(super) fn tensor(
        &self,
        data: &TraceData,
        column: ProfileColumn,
        phase: PhaseSelection,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<DocumentTensor, AnalyticsError> {
        self.check(Table::Profiles, progress)?;
        let width = column.width(usize::from(data.model().num_experts));
        let name = column_name(column);
        let mut frames = Vec::with_capacity(self.profiles.len());
        for (shard, path) in self.profiles.iter().enumerate() {
            progress.report(shard as u64, self.profiles.len() as u64, "reading profiles")?;
            let wanted = [schema::SAMPLE, schema::LAYER, schema::PHASE, name];
            frames.push(Frame::read("profiles", path, &wanted)?);
        }
        let rows = frames.iter().map(Frame::rows).sum();
        let mut tensor = DocumentTensor::zeros(
            data.documents().len(),
            data.layers().len(),
            width,
            rows,
            self.folder(),
        )?;
        for frame in frames {
            let samples = frame.u32s(schema::SAMPLE)?;
            let layers = frame.u16s(schema::LAYER)?;
            let phases = frame.phases()?;
            let values = if column == ProfileColumn::Tokens {
                frame.u32s(name)?.into_iter().map(f64::from).collect()
            } else {
                frame
                    .lists(name, width)?
                    .ok_or_else(|| column.missing(metric))?
            };
            for (row, values) in values.chunks_exact(width).enumerate() {
                let row_phase = phases[row].unwrap_or(Phase::Prefill);
                if !phase.contains(row_phase) {
                    continue;
                }
                let document = frame.document(data, samples[row])?;
                let layer = frame.layer(data, layers[row])?;
                if column == ProfileColumn::LastProb {
                    // Decoding comes after prefill, so its last token is the last.
                    let target = tensor.row_mut(document, layer);
                    if row_phase == Phase::Decode || target.iter().all(|x| *x == 0.0) {
                        target.copy_from_slice(values);
                    }
                } else {
                    tensor.add(document, layer, values.iter().copied());
                }
            }
        }
        Ok(tensor)
    }

    pub(super) fn visit_decisions(
        &self,
        data: &TraceData,
        needs: DecisionNeeds,
        metric: &str,
        progress: &dyn Progress,
        visit: &mut dyn FnMut(DocumentDecisions<'_>) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        let missing = |what: &str, help: &str| AnalyticsError::MissingInput {
            metric: metric.to_owned(),
            missing: what.to_owned(),
            help: help.to_owned(),
        };
        self.check(Table::Tokens, progress)?;
        self.check(Table::Routing, progress)?;
        let top_k = usize::from(data.model().top_k);
        let mut rows_seen = 0;
        for (shard, (tokens, routing)) in self.tokens.iter().zip(&self.routing).enumerate() {
            progress.report(shard as u64, self.routing.len() as u64, "reading decisions")?;
            let mut wanted = vec![
                schema::SAMPLE,
                schema::POSITION,
                schema::LAYER,
                schema::EXPERTS,
            ];
            wanted.extend(needs.weights.then_some(schema::WEIGHTS));
            wanted.extend(needs.entropy.then_some(schema::ENTROPY));
            let frame = Frame::read("routing", routing, &wanted)?;
            rows_seen += frame.rows();
            let samples = frame.u32s(schema::SAMPLE)?;
            let positions = frame.u32s(schema::POSITION)?;
            let layers = frame
                .u16s(schema::LAYER)?
                .into_iter()
                .map(|layer| {
                    let index = frame.layer(data, layer)?;
                    Ok(u16::try_from(index).expect("layers are numbered in 16 bits"))
                })
                .collect::<Result<Vec<u16>, AnalyticsError>>()?;
            let experts = frame.expert_lists(top_k, data.model().num_experts)?;
            let help = "the source of this trace did not know them; capture with this toolkit";
            let weights = if needs.weights {
                frame
                    .lists(schema::WEIGHTS, top_k)?
                    .ok_or_else(|| missing("routing weights", help))?
                    .into_iter()
                    .map(narrow)
                    .collect()
            } else {
                Vec::new()
            };
            let entropy = if needs.entropy {
                frame
                    .f32s(schema::ENTROPY)?
                    .ok_or_else(|| missing("routing entropies", help))?
            } else {
                Vec::new()
            };
            let counted = TokenTable::read(tokens)?.counted(&frame, &samples, &positions, needs)?;
            let mut start = 0;
            for run in samples.chunk_by(|a, b| a == b) {
                let rows = start..start + run.len();
                start = rows.end;
                let slots = rows.start * top_k..rows.end * top_k;
                visit(DocumentDecisions {
                    document: frame.document(data, run[0])?,
                    position: &positions[rows.clone()],
                    layers: &layers[rows.clone()],
                    counted: &counted[rows.clone()],
                    top_k,
                    all_experts: &experts[slots.clone()],
                    all_weights: weights.get(slots).unwrap_or_default(),
                    entropy: entropy.get(rows).unwrap_or_default(),
                })?;
            }
        }
        if rows_seen == 0 {
            return Err(missing(
                "decisions one by one (its routing table is empty)",
                "its source knew sums only; use a metric of counts, or capture with this toolkit",
            ));
        }
        Ok(())
    }

    pub(super) fn token_counts(
        &self,
        data: &TraceData,
        phase: PhaseSelection,
        include_special: bool,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<(u32, u32)>>, AnalyticsError> {
        let needs = DecisionNeeds {
            weights: false,
            entropy: false,
            phase,
            include_special,
        };
        let missing = || AnalyticsError::MissingInput {
            metric: metric.to_owned(),
            missing: "token ids".to_owned(),
            help: "the bag-of-tokens baseline needs them; capture with this toolkit".to_owned(),
        };
        self.check(Table::Tokens, progress)?;
        let mut counts: Vec<BTreeMap<u32, u32>> = vec![BTreeMap::new(); data.documents().len()];
        let mut rows_seen = 0;
        for (shard, path) in self.tokens.iter().enumerate() {
            progress.report(shard as u64, self.tokens.len() as u64, "reading tokens")?;
            let table = TokenTable::read(path)?;
            let ids = Frame::read("tokens", path, &[schema::TOKEN_ID])?
                .optional_u32s(schema::TOKEN_ID)?;
            rows_seen += ids.len();
            for (row, id) in ids.into_iter().enumerate() {
                if table.is_counted(row, needs) {
                    let document = table.frame.document(data, table.samples[row])?;
                    *counts[document].entry(id.ok_or_else(missing)?).or_default() += 1;
                }
            }
        }
        if rows_seen == 0 {
            return Err(missing());
        }
        Ok(counts
            .into_iter()
            .map(|c| c.into_iter().collect())
            .collect())
    }
}

/// The parts of a shard of `tokens` that say which tokens count.
struct TokenTable {
    frame: Frame,
    samples: Vec<u32>,
    positions: Vec<u32>,
    phases: Vec<Option<Phase>>,
    is_routed: Vec<bool>,
    is_content: Vec<bool>,
}

impl TokenTable {
    fn read(path: &Path) -> Result<Self, AnalyticsError> {
        let frame = Frame::read(
            "tokens",
            path,
            &[
                schema::SAMPLE,
                schema::POSITION,
                schema::PHASE,
                schema::IS_ROUTED,
                schema::IS_SPECIAL,
                schema::IS_TEMPLATE,
            ],
        )?;
        let is_special = frame.flags(schema::IS_SPECIAL)?;
        let is_template = frame.flags(schema::IS_TEMPLATE)?;
        Ok(Self {
            samples: frame.u32s(schema::SAMPLE)?,
            positions: frame.u32s(schema::POSITION)?,
            phases: frame.phases()?,
            is_routed: frame.flags(schema::IS_ROUTED)?,
            is_content: is_special
                .iter()
                .zip(&is_template)
                .map(|(special, template)| !special && !template)
                .collect(),
            frame,
        })
    }

    fn is_counted(&self, row: usize, needs: DecisionNeeds) -> bool {
        self.is_routed[row]
            && is_in_phase(self.phases[row], needs.phase)
            && (needs.include_special || self.is_content[row])
    }

    /// Whether the token of each decision counts; both tables are sorted by sample and position.
    fn counted(
        &self,
        routing: &Frame,
        samples: &[u32],
        positions: &[u32],
        needs: DecisionNeeds,
    ) -> Result<Vec<bool>, AnalyticsError> {
        let mut token = 0;
        samples
            .iter()
            .zip(positions)
            .map(|(sample, position)| {
                let key = (*sample, *position);
                let at = |token: usize| (self.samples[token], self.positions[token]);
                while token < self.samples.len() && at(token) < key {
                    token += 1;
                }
                if token < self.samples.len() && at(token) == key {
                    Ok(self.is_counted(token, needs))
                } else {
                    Err(routing.malformed(format!(
                        "sample {sample} position {position} has no token, or rows are not sorted"
                    )))
                }
            })
            .collect()
    }
}

fn read_samples(path: &Path, documents: &mut Vec<Document>) -> Result<(), AnalyticsError> {
    /// Columns that are no labels; the texts would cost most of the memory.
    const NO_LABELS: [&str; 5] = [
        schema::TEXT,
        schema::NUM_TOKENS,
        schema::NUM_PROMPT_TOKENS,
        schema::SEED,
        schema::SAMPLE,
    ];
    let names: Vec<String> = Frame::column_names("samples", path)?
        .into_iter()
        .filter(|name| !NO_LABELS.contains(&name.as_str()) && name != schema::ID)
        .collect();
    let mut wanted: Vec<&str> = vec![schema::SAMPLE, schema::ID];
    wanted.extend(names.iter().map(String::as_str));
    let frame = Frame::read("samples", path, &wanted)?;
    let ids = frame.strings(schema::ID)?;
    let first = documents.len();
    for (sample, id) in frame.u32s(schema::SAMPLE)?.into_iter().zip(ids) {
        let id = id.ok_or_else(|| frame.malformed(format!("sample {sample} has no id")))?;
        documents.push(Document {
            sample,
            id,
            labels: BTreeMap::new(),
        });
    }
    for name in &names {
        for (document, value) in documents[first..].iter_mut().zip(frame.strings(name)?) {
            if let Some(value) = value {
                document.labels.insert(name.clone(), value);
            }
        }
    }
    Ok(())
}

fn column_name(column: ProfileColumn) -> &'static str {
    match column {
        ProfileColumn::Tokens => schema::N_TOKENS,
        ProfileColumn::Counts => schema::COUNTS,
        ProfileColumn::WeightSum => schema::WEIGHT_SUM,
        ProfileColumn::ProbSum => schema::PROB_SUM,
        ProfileColumn::LogitSum => schema::LOGIT_SUM,
        ProfileColumn::LastProb => schema::LAST_PROB,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the file holds f32")]
fn narrow(x: f64) -> f32 {
    x as f32
}

impl Frame {
    /// The document of a sample number in this table.
    fn document(&self, data: &TraceData, sample: u32) -> Result<usize, AnalyticsError> {
        data.index_of(sample)
            .ok_or_else(|| self.malformed(format!("there is no sample {sample}")))
    }

    /// The index of a layer in this table.
    fn layer(&self, data: &TraceData, layer: u16) -> Result<usize, AnalyticsError> {
        data.layer_index(LayerId(layer))
            .ok_or_else(|| self.malformed(format!("the manifest records no layer {layer}")))
    }
}
