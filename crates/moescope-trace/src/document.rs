//! One document of a trace, found by its id.

use moescope_core::{DecisionBatch, TokenRow};

use crate::{
    columns::{routing::RoutingRows, samples, strings, tokens},
    error::TraceError,
    manifest::Shard,
    routing_trace::RoutingTrace,
    samples_reader,
    schema::{ID, Table},
    table_file::TableFile,
};

/// How many ids an error about an unknown one lists.
const IDS_LISTED: usize = 10;

/// One document with all that the trace knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its labels and its length.
    pub sample: SampleRow,
    /// Its tokens, by position.
    pub tokens: Vec<TokenRow>,
    /// Its decisions, by position, then layer; a column that is NULL throughout is `None`.
    pub decisions: DecisionBatch,
}

pub use samples::SampleRow;

impl RoutingTrace {
    /// Finds a document by its id and reads its row of `samples`.
    ///
    /// # Errors
    /// [`TraceError::UnknownSample`] with some ids that exist when the id does not; else when a file cannot be read.
    pub fn find_sample(&self, id: &str) -> Result<SampleRow, TraceError> {
        self.locate(id).map(|(_, row)| row)
    }

    /// Reads the row of `samples` of every document, in the order of the trace.
    ///
    /// # Errors
    /// When a file is not what the manifest says.
    pub fn samples(&self) -> Result<Vec<SampleRow>, TraceError> {
        let mut rows = Vec::new();
        for shard in &self.manifest().shards {
            let file = self.verified(shard, Table::Samples)?;
            rows.extend(samples_reader::read_all(&file, self.manifest())?);
        }
        Ok(rows)
    }

    /// Reads the row of `samples` of every document without its text, which is most of the table's bytes.
    ///
    /// # Errors
    /// When a file is not what the manifest says.
    pub fn samples_without_text(&self) -> Result<Vec<SampleRow>, TraceError> {
        let mut rows = Vec::new();
        for shard in &self.manifest().shards {
            let file = self.verified(shard, Table::Samples)?;
            rows.extend(samples_reader::read_without_text(&file, self.manifest())?);
        }
        Ok(rows)
    }

    /// Reads one document with its tokens and decisions; only the row groups that hold it are decoded.
    ///
    /// The checksums of the files it lies in are compared first, so damage is reported as such.
    ///
    /// # Errors
    /// As [`Self::find_sample`], and when a file is not what the manifest says.
    pub fn document(&self, id: &str) -> Result<Document, TraceError> {
        let (shard, sample) = self.locate(id)?;
        let number = sample.sample;
        let mut token_rows = Vec::new();
        self.for_rows_of(shard, Table::Tokens, number, |batch| {
            token_rows.extend(tokens::from_batch(batch)?);
            Ok(())
        })?;
        let mut rows = RoutingRows::default();
        self.for_rows_of(shard, Table::Routing, number, |batch| rows.append(batch))?;
        let model = &self.manifest().model;
        let decisions = rows
            .into_decisions(usize::from(model.num_experts), usize::from(model.top_k))
            .map_err(|reason| {
                TraceError::damaged(
                    &self.path().join(Table::Routing.shard_file(shard.index)),
                    reason,
                )
            })?;
        Ok(Document {
            sample,
            tokens: token_rows,
            decisions,
        })
    }

    fn locate(&self, id: &str) -> Result<(&Shard, SampleRow), TraceError> {
        let mut known = Vec::new();
        let mut similar = Vec::new();
        let wanted = id.to_lowercase();
        for shard in &self.manifest().shards {
            let file = self.verified(shard, Table::Samples)?;
            let failed = |error| TraceError::parquet("read the samples", file.path(), error);
            let mut scan = file.scan_columns(&[ID])?;
            let mut row: u32 = 0;
            while let Some(batch) = scan.next_batch()? {
                for found in strings(&batch, ID).map_err(failed)?.iter().flatten() {
                    if found == id {
                        let number = shard.first_sample.saturating_add(row);
                        let sample = self.sample_row(shard, number, id)?;
                        return Ok((shard, sample));
                    }
                    row = row.saturating_add(1);
                    if known.len() < IDS_LISTED {
                        known.push(found.to_owned());
                    }
                    if similar.len() < IDS_LISTED && found.to_lowercase().contains(&wanted) {
                        similar.push(found.to_owned());
                    }
                }
            }
        }
        Err(TraceError::UnknownSample {
            id: id.chars().take(80).collect(),
            samples: self.manifest().counts.samples,
            known: if similar.is_empty() { known } else { similar },
        })
    }

    fn sample_row(&self, shard: &Shard, number: u32, id: &str) -> Result<SampleRow, TraceError> {
        let mut rows = Vec::new();
        let labels = &self.manifest().label_columns;
        self.for_rows_of(shard, Table::Samples, number, |batch| {
            rows.extend(samples::from_batch(batch, labels)?);
            Ok(())
        })?;
        match rows.pop() {
            Some(row) if rows.is_empty() && row.meta.id == id => Ok(row),
            _ => Err(TraceError::damaged(
                &self.path().join(Table::Samples.shard_file(shard.index)),
                format!("sample {number} is not the row that its place says"),
            )),
        }
    }

    fn for_rows_of(
        &self,
        shard: &Shard,
        table: Table,
        sample: u32,
        mut visit: impl FnMut(&arrow_array::RecordBatch) -> Result<(), parquet::errors::ParquetError>,
    ) -> Result<(), TraceError> {
        let file = self.verified(shard, table)?;
        let mut scan = file.scan_sample(sample)?;
        while let Some(batch) = scan.next_batch()? {
            visit(&batch)
                .map_err(|error| TraceError::parquet("read a shard", file.path(), error))?;
        }
        Ok(())
    }

    /// Opens a file whose checksum is that of the manifest.
    ///
    /// Hashing costs a fraction of decoding, and decoders are at their worst on files with flipped bits.
    fn verified(&self, shard: &Shard, table: Table) -> Result<TableFile, TraceError> {
        self.check_sum(shard, table, |_| Ok(()))?;
        let path = self.path().join(table.shard_file(shard.index));
        TableFile::open(&path, table, self.manifest())
    }
}
