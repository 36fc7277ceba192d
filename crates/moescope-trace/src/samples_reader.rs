//! The `samples` table, read as a whole or for its keys alone.

use std::path::Path;

use crate::{
    columns::{
        samples::{SampleRow, from_batch},
        strings,
    },
    error::TraceError,
    manifest::Manifest,
    schema::{ID, LICENCE, TEXT, Table},
    table_file::{Scan, TableFile},
};

/// Calls `visit` with the id and the licence of each row.
pub(crate) fn for_each_key(
    path: &Path,
    manifest: &Manifest,
    mut visit: impl FnMut(&str, Option<&str>),
) -> Result<(), TraceError> {
    let file = TableFile::open(path, Table::Samples, manifest)?;
    let failed = |error| TraceError::parquet("read the samples", path, error);
    let mut licences = file.scan_columns(&[LICENCE])?;
    let mut ids = file.scan_columns(&[ID])?;
    while let Some(id_batch) = ids.next_batch()? {
        let licence_batch = licences.next_batch()?;
        let id = strings(&id_batch, ID).map_err(failed)?;
        let licence = match &licence_batch {
            Some(batch) if batch.num_rows() == id_batch.num_rows() => {
                strings(batch, LICENCE).map_err(failed)?
            }
            _ => return Err(TraceError::damaged(path, "columns differ in length")),
        };
        for (id, licence) in id.iter().zip(licence) {
            visit(id.unwrap_or_default(), licence);
        }
    }
    Ok(())
}

/// All rows of one file.
pub(crate) fn read_all(
    file: &TableFile,
    manifest: &Manifest,
) -> Result<Vec<SampleRow>, TraceError> {
    rows_of(file, file.scan()?, manifest)
}

/// All rows of one file, as if the trace did not keep their texts.
pub(crate) fn read_without_text(
    file: &TableFile,
    manifest: &Manifest,
) -> Result<Vec<SampleRow>, TraceError> {
    let schema = Table::Samples.schema(&manifest.label_columns);
    let columns: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .filter(|name| *name != TEXT)
        .collect();
    rows_of(file, file.scan_columns(&columns)?, manifest)
}

fn rows_of(
    file: &TableFile,
    mut scan: Scan,
    manifest: &Manifest,
) -> Result<Vec<SampleRow>, TraceError> {
    let mut rows = Vec::new();
    while let Some(batch) = scan.next_batch()? {
        rows.extend(
            from_batch(&batch, &manifest.label_columns)
                .map_err(|error| TraceError::parquet("read the samples", file.path(), error))?,
        );
    }
    Ok(rows)
}
