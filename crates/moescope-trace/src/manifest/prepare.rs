//! A caller's manifest, made ready for a new trace.

use std::path::Path;

use super::{Counts, Manifest, Scores, check::check_label_columns, json_schema};
use crate::{
    error::TraceError,
    rounding::{FULL_BITS, ROUNDED_BITS},
    schema::{self, SCHEMA_VERSION},
    writer::WriterConfig,
};

/// Fills the fields that the writer answers for, and refuses a manifest that no reader would accept.
pub(crate) fn prepare(
    path: &Path,
    mut manifest: Manifest,
    config: &WriterConfig,
) -> Result<Manifest, TraceError> {
    check_label_columns(&manifest.label_columns)?;
    let meaning = Scores::of(&manifest.model.gating);
    let scores = &mut manifest.scores;
    scores.entropy_of = scores.entropy_of.take().or(meaning.entropy_of);
    scores.margin_of = scores.margin_of.take().or(meaning.margin_of);
    manifest.schema_version = SCHEMA_VERSION;
    manifest.keeps_text = config.keep_text;
    manifest.keeps_logits = config.keep_logits;
    manifest.float_significant_bits = if config.full_precision {
        FULL_BITS
    } else {
        ROUNDED_BITS
    };
    manifest.counts = Counts::default();
    manifest.unknown_columns = schema::nullable_columns(&manifest.label_columns);
    manifest.shards = Vec::new();
    manifest.performance = None;
    manifest.complete = false;
    let invalid = |reason| TraceError::Manifest {
        reason,
        path: path.to_owned(),
    };
    if let Some(reason) = manifest.inconsistency() {
        return Err(invalid(reason));
    }
    let json = serde_json::to_value(&manifest).map_err(|error| invalid(error.to_string()))?;
    match json_schema::violations(&json, 1).pop() {
        Some(reason) => Err(invalid(reason)),
        None => Ok(manifest),
    }
}
