//! Reading a trace's Parquet files shard by shard, only the columns that are needed.

mod columns;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use moescope_core::{LayerId, Phase, PhaseSelection, Progress};
use moescope_trace::{RoutingTrace, schema, schema::Table};

use super::{
    DecisionNeeds, DecisionShard, Document, DocumentTensor, ProfileColumn, TraceData,
    decisions::{DocumentRows, TokenColumns},
    is_in_phase,
    source::digest,
};
use crate::AnalyticsError;
use columns::Frame;

/// The files of a trace.
#[derive(Debug)]
pub(super) struct ParquetTrace {
    trace: RoutingTrace,
    /// The tables whose checksums were compared.
    checked: Mutex<Vec<Table>>,
    /// The shard of each sample.
    shard_of: HashMap<u32, usize>,
    samples: Vec<PathBuf>,
    tokens: Vec<PathBuf>,
    routing: Vec<PathBuf>,
    profiles: Vec<PathBuf>,
}

impl ParquetTrace {
    pub(super) fn open(trace: &RoutingTrace) -> Result<(Self, Vec<Document>), AnalyticsError> {
        let mut documents: Vec<Document> = Vec::new();
        let mut shard_of = HashMap::new();
        trace.check_sums(Table::Samples, |_| Ok(()))?;
        let samples = trace.table_paths(Table::Samples);
        for (shard, path) in samples.iter().enumerate() {
            let first = documents.len();
            read_samples(path, &mut documents)?;
            shard_of.extend(documents[first..].iter().map(|d| (d.sample, shard)));
        }
        let files = Self {
            trace: trace.clone(),
            checked: Mutex::default(),
            shard_of,
            samples,
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

    pub(super) fn shards(&self) -> usize {
        self.routing.len()
    }

    pub(super) fn shard_of(&self, sample: u32) -> usize {
        self.shard_of.get(&sample).copied().unwrap_or_default()
    }

    pub(super) fn read_shard(
        &self,
        data: &TraceData,
        shard: usize,
        needs: DecisionNeeds,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<DecisionShard, AnalyticsError> {
        self.check(Table::Tokens, progress)?;
        self.check(Table::Routing, progress)?;
        read_shard(
            data,
            needs,
            metric,
            &self.tokens[shard],
            &self.routing[shard],
        )
    }

    /// Whether a column, as `table.column`, has a value somewhere.
    pub(super) fn knows(&self, column: &str) -> bool {
        !self.trace.manifest().is_unknown(column)
    }

    /// A digest of each sample's text, where it was kept; read shard by shard.
    pub(super) fn text_digests(&self) -> Result<HashMap<u32, u64>, AnalyticsError> {
        let mut digests = HashMap::new();
        for path in &self.samples {
            let frame = Frame::read("samples", path, &[schema::SAMPLE, schema::TEXT])?;
            let texts = frame.strings(schema::TEXT)?;
            for (sample, text) in frame.u32s(schema::SAMPLE)?.into_iter().zip(texts) {
                if let Some(text) = text {
                    digests.insert(sample, digest(&text));
                }
            }
        }
        Ok(digests)
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
            phase,
            include_special,
            ..DecisionNeeds::default()
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

/// Reads one shard of `routing` with its `tokens`.
fn read_shard(
    data: &TraceData,
    needs: DecisionNeeds,
    metric: &str,
    tokens: &Path,
    routing: &Path,
) -> Result<DecisionShard, AnalyticsError> {
    let top_k = usize::from(data.model().top_k);
    let num_experts = usize::from(data.model().num_experts);
    let mut wanted = vec![
        schema::SAMPLE,
        schema::POSITION,
        schema::LAYER,
        schema::EXPERTS,
    ];
    let optional = [
        (needs.weights, schema::WEIGHTS),
        (needs.topk_mass, schema::TOPK_MASS),
        (needs.entropy, schema::ENTROPY),
        (needs.margin, schema::MARGIN),
        (needs.runner_up, schema::RUNNER_UP),
        (needs.logsumexp, schema::LOGSUMEXP),
        (needs.logits, schema::LOGITS),
    ];
    wanted.extend(optional.iter().filter(|(is, _)| *is).map(|(_, name)| name));
    let frame = Frame::read("routing", routing, &wanted)?;
    let missing = |what: &str| missing_column(metric, what);
    let numbers = |is_needed: bool, name: &str, what: &str| -> Result<Vec<f32>, AnalyticsError> {
        if is_needed {
            frame.f32s(name)?.ok_or_else(|| missing(what))
        } else {
            Ok(Vec::new())
        }
    };
    let lists = |is_needed: bool,
                 name: &str,
                 width: usize,
                 what: &str|
     -> Result<Vec<f32>, AnalyticsError> {
        if is_needed {
            let values = frame.lists(name, width)?.ok_or_else(|| missing(what))?;
            Ok(values.into_iter().map(narrow).collect())
        } else {
            Ok(Vec::new())
        }
    };
    let layers = frame
        .u16s(schema::LAYER)?
        .into_iter()
        .map(|layer| {
            let index = frame.layer(data, layer)?;
            Ok(u16::try_from(index).expect("layers are numbered in 16 bits"))
        })
        .collect::<Result<Vec<u16>, AnalyticsError>>()?;
    // With as many experts as are chosen there is nothing to compare, and margin and runner-up are NULL.
    let has_rest = top_k < num_experts;
    let rows = frame.rows();
    let samples = frame.u32s(schema::SAMPLE)?;
    let position = frame.u32s(schema::POSITION)?;
    let table = TokenTable::read(tokens)?;
    let token = table.places(&frame, &samples, &position)?;
    let columns = table.columns(needs, metric)?;
    let mut documents = Vec::new();
    let mut start = 0;
    for run in samples.chunk_by(|a, b| a == b) {
        documents.push(DocumentRows {
            document: frame.document(data, run[0])?,
            rows: start..start + run.len(),
            tokens: table.of_sample(run[0]),
        });
        start += run.len();
    }
    let counted = token
        .iter()
        .map(|at| columns.counted[*at as usize])
        .collect();
    let mut token = token;
    for document in &documents {
        let first = u32::try_from(document.tokens.start).expect("checked by TokenTable::places");
        token[document.rows.clone()]
            .iter_mut()
            .for_each(|at| *at -= first);
    }
    Ok(DecisionShard {
        top_k,
        documents,
        layers,
        token,
        counted,
        experts: frame.expert_lists(top_k, data.model().num_experts)?,
        weights: lists(needs.weights, schema::WEIGHTS, top_k, "routing weights")?,
        topk_mass: numbers(
            needs.topk_mass,
            schema::TOPK_MASS,
            "the mass of the chosen experts",
        )?,
        entropy: numbers(needs.entropy, schema::ENTROPY, "routing entropies")?,
        margin: if has_rest {
            numbers(needs.margin, schema::MARGIN, "margins of selections")?
        } else {
            vec![f32::NAN; if needs.margin { rows } else { 0 }]
        },
        runner_up: match (needs.runner_up, has_rest) {
            (true, true) => frame
                .optional_u16s(schema::RUNNER_UP)?
                .into_iter()
                .collect::<Option<_>>()
                .ok_or_else(|| missing("runners-up of selections"))?,
            (true, false) => vec![u16::MAX; rows],
            (false, _) => Vec::new(),
        },
        logsumexp: numbers(needs.logsumexp, schema::LOGSUMEXP, "ln Σ exp(logits)")?,
        logits: lists(needs.logits, schema::LOGITS, num_experts, "router logits")?,
        tokens: columns,
        position,
    })
}

fn missing_column(metric: &str, what: &str) -> AnalyticsError {
    AnalyticsError::MissingInput {
        metric: metric.to_owned(),
        missing: what.to_owned(),
        help: if what == "router logits" {
            "capture with --logits".to_owned()
        } else {
            "the source of this trace did not know them; capture with this toolkit".to_owned()
        },
    }
}

/// The parts of a shard of `tokens` that say which tokens count.
struct TokenTable {
    path: PathBuf,
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
            path: path.to_owned(),
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

    /// The token of each decision; both tables are sorted by sample and position.
    fn places(
        &self,
        routing: &Frame,
        samples: &[u32],
        positions: &[u32],
    ) -> Result<Vec<u32>, AnalyticsError> {
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
                match u32::try_from(token) {
                    Ok(place) if token < self.samples.len() && at(token) == key => Ok(place),
                    _ => Err(routing.malformed(format!(
                        "sample {sample} position {position} has no token, or rows are not sorted"
                    ))),
                }
            })
            .collect()
    }

    /// The rows of a sample that has some.
    fn of_sample(&self, sample: u32) -> Range<usize> {
        self.samples.partition_point(|s| *s < sample)
            ..self.samples.partition_point(|s| *s <= sample)
    }

    /// What a metric asked for.
    fn columns(&self, needs: DecisionNeeds, metric: &str) -> Result<TokenColumns, AnalyticsError> {
        let mut columns = TokenColumns {
            position: self.positions.clone(),
            counted: (0..self.samples.len())
                .map(|row| self.is_counted(row, needs))
                .collect(),
            phase: self
                .phases
                .iter()
                .map(|phase| phase.unwrap_or(Phase::Prefill))
                .collect(),
            ..TokenColumns::default()
        };
        let optional = [
            (needs.token_ids, schema::TOKEN_ID),
            (needs.surprisal, schema::SURPRISAL),
            (needs.predicted_ids, schema::PREDICTED_ID),
            (needs.byte_ranges, schema::BYTE_START),
            (needs.byte_ranges, schema::BYTE_END),
        ];
        let wanted: Vec<&str> = optional
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, name)| *name)
            .collect();
        if wanted.is_empty() {
            return Ok(columns);
        }
        let frame = Frame::read("tokens", &self.path, &wanted)?;
        if needs.token_ids {
            columns.ids = frame
                .optional_u32s(schema::TOKEN_ID)?
                .into_iter()
                .collect::<Option<_>>()
                .ok_or_else(|| missing_column(metric, "token ids"))?;
        }
        if needs.byte_ranges {
            let starts = frame.optional_u32s(schema::BYTE_START)?;
            let ends = frame.optional_u32s(schema::BYTE_END)?;
            let ranges = starts.into_iter().zip(ends);
            columns.byte_ranges = ranges
                .map(|(start, end)| start.zip(end).unwrap_or_default())
                .collect();
        }
        if needs.surprisal {
            let values = frame.optional_f32s(schema::SURPRISAL)?;
            if values.iter().all(Option::is_none) {
                return Err(missing_column(metric, "surprisals"));
            }
            columns.surprisal = values.into_iter().map(|v| v.unwrap_or(f32::NAN)).collect();
        }
        if needs.predicted_ids {
            let values = frame.optional_u32s(schema::PREDICTED_ID)?;
            if values.iter().all(Option::is_none) {
                return Err(missing_column(metric, "predicted tokens"));
            }
            columns.predicted_ids = values.into_iter().map(|v| v.unwrap_or(u32::MAX)).collect();
        }
        Ok(columns)
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
