//! Rows of a table, one sample at a time.

use arrow_array::{RecordBatch, types::UInt32Type};

use crate::{
    columns::numbers,
    error::TraceError,
    schema::SAMPLE,
    table_file::{Scan, TableFile},
};

/// Splits a table into runs of rows of one sample; memory is bounded by the longest run.
pub(crate) struct BySample<'a> {
    file: &'a TableFile,
    scan: Scan,
    /// Rows that were read and not given out; never empty.
    rest: Option<RecordBatch>,
}

impl<'a> BySample<'a> {
    pub(crate) fn new(file: &'a TableFile) -> Result<Self, TraceError> {
        let mut rows = Self {
            file,
            scan: file.scan()?,
            rest: None,
        };
        rows.refill()?;
        Ok(rows)
    }

    /// The sample of the next run.
    pub(crate) fn peek(&self) -> Result<Option<u32>, TraceError> {
        match &self.rest {
            None => Ok(None),
            Some(batch) => Ok(Some(self.samples(batch)?[0])),
        }
    }

    /// The next run: its sample and its rows, in as many batches as they were read.
    pub(crate) fn next_run(&mut self) -> Result<Option<(u32, Vec<RecordBatch>)>, TraceError> {
        let Some(sample) = self.peek()? else {
            return Ok(None);
        };
        let mut run = Vec::new();
        while let Some(batch) = self.rest.take() {
            let samples = self.samples(&batch)?;
            let same = samples.iter().take_while(|found| **found == sample).count();
            if same > 0 {
                run.push(batch.slice(0, same));
            }
            if same < batch.num_rows() {
                self.rest = Some(batch.slice(same, batch.num_rows() - same));
                break;
            }
            self.refill()?;
        }
        Ok(Some((sample, run)))
    }

    fn refill(&mut self) -> Result<(), TraceError> {
        self.rest = loop {
            match self.scan.next_batch()? {
                Some(batch) if batch.num_rows() == 0 => {}
                other => break other,
            }
        };
        Ok(())
    }

    fn samples<'b>(&self, batch: &'b RecordBatch) -> Result<&'b [u32], TraceError> {
        numbers::<UInt32Type>(batch, SAMPLE)
            .map(|column| &column.values()[..])
            .map_err(|error| TraceError::parquet("read a shard", self.file.path(), error))
    }
}
