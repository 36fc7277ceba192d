//! Four Parquet files that grow together under temporary names and become a shard at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{Array as _, RecordBatch};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use crate::{
    durable::{self, HashingFile},
    error::TraceError,
    manifest::{Manifest, Shard, ShardFile},
    schema::{self, Table, qualified},
    table_file::TableFile,
};

/// Constant, so that the same rows give the same bytes whichever build wrote them.
const CREATED_BY: &str = "moescope version 1.0.0";
/// Level 3 is where zstd's ratio flattens on rounded floats and expert ids.
const ZSTD_LEVEL: i32 = 3;
/// Query engines read row groups in parallel; about this many rows each keeps all of them busy.
const ROWS_PER_GROUP: usize = 1 << 17;
/// Readers decode a row group at once, so its uncompressed lists are bounded as well.
const LIST_BYTES_PER_GROUP: usize = 32 << 20;

/// A shard that is being written.
pub(crate) struct ShardWriter {
    folder: PathBuf,
    index: u32,
    first_sample: u32,
    samples: u32,
    tables: Vec<TableWriter>,
    by_discipline: BTreeMap<String, u64>,
}

impl ShardWriter {
    /// The shard that comes next.
    pub(crate) fn create(folder: &Path, manifest: &Manifest) -> Result<Self, TraceError> {
        let first_sample = manifest
            .shards
            .last()
            .map_or(0, |shard| shard.first_sample + shard.samples);
        Self::begin(folder, manifest.next_shard(), first_sample, manifest)
    }

    /// A shard with a number that no other has.
    pub(crate) fn begin(
        folder: &Path,
        index: u32,
        first_sample: u32,
        manifest: &Manifest,
    ) -> Result<Self, TraceError> {
        let tables = Table::ALL
            .into_iter()
            .map(|table| TableWriter::create(folder, table, index, manifest))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            folder: folder.to_owned(),
            index,
            first_sample,
            samples: 0,
            tables,
            by_discipline: BTreeMap::new(),
        })
    }

    /// Adds one document: a batch for each table, in the order of [`Table::ALL`].
    pub(crate) fn append(
        &mut self,
        discipline: Option<&str>,
        batches: [RecordBatch; 4],
    ) -> Result<(), TraceError> {
        for (writer, batch) in self.tables.iter_mut().zip(batches) {
            writer.append(&batch)?;
        }
        self.samples += 1;
        if let Some(label) = discipline {
            *self.by_discipline.entry(label.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    /// Adds all documents of a shard that is on the disk, some thousand rows at a time.
    pub(crate) fn copy(&mut self, shard: &Shard, manifest: &Manifest) -> Result<(), TraceError> {
        for writer in &mut self.tables {
            let path = self.folder.join(writer.table.shard_file(shard.index));
            writer.copy(&path, &shard.tables[writer.table.name()], manifest)?;
        }
        self.samples += shard.samples;
        Ok(())
    }

    pub(crate) fn decisions(&self) -> u64 {
        self.tables[2].rows
    }

    /// Puts all four files on the disk, gives them their names, and then names them in the manifest.
    ///
    /// Until the manifest is replaced the shard does not exist: a resumed capture removes its files.
    pub(crate) fn commit(mut self, manifest: &mut Manifest) -> Result<(), TraceError> {
        let (tokens, decisions) = (self.tables[1].rows, self.tables[2].rows);
        let by_discipline = mem::take(&mut self.by_discipline);
        let folder = self.folder.clone();
        let (shard, seen) = self.place()?;
        let mut next = manifest.clone();
        next.counts.samples += u64::from(shard.samples);
        next.counts.tokens += tokens;
        next.counts.decisions += decisions;
        for (label, count) in by_discipline {
            *next.counts.by_discipline.entry(label).or_default() += count;
        }
        next.unknown_columns.retain(|column| !seen.contains(column));
        next.shards.push(shard);
        next.write(&folder)?;
        *manifest = next;
        Ok(())
    }

    /// Puts all four files on the disk and gives them their names; also says which nullable columns have values. It is
    /// for the caller to name the shard in the manifest.
    pub(crate) fn place(self) -> Result<(Shard, BTreeSet<String>), TraceError> {
        let mut seen = BTreeSet::new();
        let mut files = BTreeMap::new();
        let mut moves = Vec::new();
        for writer in self.tables {
            let (table, temporary) = (writer.table, writer.temporary.clone());
            let (file, columns) = writer.finish(self.index)?;
            seen.extend(columns);
            moves.push((temporary, self.folder.join(&file.file)));
            files.insert(table.name().to_owned(), file);
        }
        for (temporary, name) in moves {
            durable::rename(&temporary, &name)?;
        }
        for table in Table::ALL {
            durable::sync_folder(&self.folder.join(table.name()))?;
        }
        let shard = Shard {
            index: self.index,
            first_sample: self.first_sample,
            samples: self.samples,
            tables: files,
        };
        Ok((shard, seen))
    }

    /// Removes what was written, after an error or a cancelled capture.
    pub(crate) fn discard(self) {
        for writer in self.tables {
            // A file that stays is removed by the next resume, so a failure here costs nothing.
            drop(fs::remove_file(&writer.temporary));
        }
    }
}

/// The name of a shard's file while it is written; the leading dot hides it from readers of the folder.
pub(crate) fn temporary_name(index: u32) -> String {
    format!(".part-{index:05}.parquet.tmp")
}

struct TableWriter {
    table: Table,
    temporary: PathBuf,
    parquet: ArrowWriter<HashingFile>,
    rows: u64,
    /// Nullable columns with at least one value.
    seen: BTreeSet<String>,
}

impl TableWriter {
    fn create(
        folder: &Path,
        table: Table,
        index: u32,
        manifest: &Manifest,
    ) -> Result<Self, TraceError> {
        let temporary = folder.join(table.name()).join(temporary_name(index));
        let file = HashingFile::create(&temporary)
            .map_err(|error| TraceError::io("create a shard", &temporary, error))?;
        let schema = table.schema(&manifest.label_columns);
        let parquet = ArrowWriter::try_new(file, schema, Some(properties(table, manifest)))
            .map_err(|error| TraceError::parquet("create a shard", &temporary, error))?;
        Ok(Self {
            table,
            temporary,
            parquet,
            rows: 0,
            seen: BTreeSet::new(),
        })
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<(), TraceError> {
        let schema = batch.schema();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if field.is_nullable() && column.null_count() < column.len() {
                self.seen.insert(qualified(self.table, field.name()));
            }
        }
        self.rows += batch.num_rows() as u64;
        self.parquet
            .write(batch)
            .map_err(|error| TraceError::parquet("write a shard", &self.temporary, error))
    }

    /// Appends all rows of a file that the manifest describes.
    fn copy(
        &mut self,
        path: &Path,
        described: &ShardFile,
        manifest: &Manifest,
    ) -> Result<(), TraceError> {
        // What is damaged must not get a checksum of its own.
        durable::check_sum(path, &described.sha256, |_| Ok(()))?;
        let schema = self.table.schema(&manifest.label_columns);
        let mut scan = TableFile::open(path, self.table, manifest)?.scan()?;
        let before = self.rows;
        while let Some(batch) = scan.next_batch()? {
            let batch = RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec())
                .map_err(|error| TraceError::parquet("merge shards", path, error.into()))?;
            self.append(&batch)?;
        }
        let found = self.rows - before;
        if found != described.rows {
            return Err(TraceError::damaged(
                path,
                format!(
                    "the file has {found} rows, the manifest says {}",
                    described.rows
                ),
            ));
        }
        Ok(())
    }

    fn finish(mut self, index: u32) -> Result<(ShardFile, BTreeSet<String>), TraceError> {
        // Not `into_inner`: it makes text of the error, and a full disk could not be told from others.
        self.parquet
            .finish()
            .map_err(|error| TraceError::parquet("finish a shard", &self.temporary, error))?;
        let (bytes, sha256) = self
            .parquet
            .inner_mut()
            .sync()
            .map_err(|error| TraceError::io("sync a shard", &self.temporary, error))?;
        let file = ShardFile {
            file: self.table.shard_file(index),
            rows: self.rows,
            bytes,
            sha256,
        };
        Ok((file, self.seen))
    }
}

fn properties(table: Table, manifest: &Manifest) -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("3 is a level of zstd");
    let sorting = table.sorted_by().iter().map(|column| SortingColumn {
        column_idx: *column,
        descending: false,
        nulls_first: false,
    });
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting.collect()))
        .set_max_row_group_row_count(Some(rows_per_group(table, manifest)));
    if matches!(table, Table::Samples | Table::Tokens) {
        builder = builder.set_max_row_group_bytes(Some(LIST_BYTES_PER_GROUP * 2));
    }
    for (path, kind) in columns_with_encoding(table) {
        builder = match kind {
            // Four streams of similar bytes compress better than a dictionary of rounded floats:
            // 12.4 against 13.2 bytes a decision for 8 weights, 18.5 plain (200,000 softmax rows, zstd).
            Layout::Floats => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::BYTE_STREAM_SPLIT)
                .set_column_statistics_enabled(path, EnabledStatistics::Chunk),
            Layout::Unique => builder.set_column_dictionary_enabled(path, false),
        };
    }
    builder.build()
}

/// How a column is laid out where a dictionary does not pay.
#[derive(Clone, Copy)]
enum Layout {
    Floats,
    Unique,
}

fn columns_with_encoding(table: Table) -> Vec<(ColumnPath, Layout)> {
    let list = |name: &str| {
        let parts = [name, "list", schema::ELEMENT].map(str::to_owned);
        ColumnPath::new(parts.to_vec())
    };
    let floats = |path| (path, Layout::Floats);
    let unique = |name: &str| (ColumnPath::from(name), Layout::Unique);
    match table {
        Table::Samples => vec![unique(schema::ID), unique(schema::TEXT)],
        Table::Tokens => vec![floats(ColumnPath::from(schema::SURPRISAL))],
        Table::Routing => vec![
            floats(list(schema::WEIGHTS)),
            floats(ColumnPath::from(schema::TOPK_MASS)),
            floats(ColumnPath::from(schema::ENTROPY)),
            floats(ColumnPath::from(schema::MARGIN)),
            floats(ColumnPath::from(schema::LOGSUMEXP)),
            floats(list(schema::LOGITS)),
        ],
        Table::Profiles => vec![
            floats(list(schema::WEIGHT_SUM)),
            floats(list(schema::PROB_SUM)),
            floats(list(schema::LOGIT_SUM)),
            floats(list(schema::LAST_PROB)),
        ],
    }
}

fn rows_per_group(table: Table, manifest: &Manifest) -> usize {
    let experts = usize::from(manifest.model.num_experts);
    let logits = if manifest.keeps_logits { experts } else { 0 };
    let bytes_per_row = match table {
        Table::Samples | Table::Tokens => return ROWS_PER_GROUP,
        Table::Routing => 4 * (2 * usize::from(manifest.model.top_k) + logits),
        Table::Profiles => 4 * 5 * experts,
    };
    (LIST_BYTES_PER_GROUP / bytes_per_row).clamp(256, ROWS_PER_GROUP)
}
