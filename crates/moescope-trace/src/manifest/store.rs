//! Reading and writing `manifest.json`.

use std::{fs, io, path::Path};

use serde_json::Value;

use super::Manifest;
use crate::{durable, error::TraceError, schema::SCHEMA_VERSION};

/// The manifest's name in the trace's folder.
pub(crate) const MANIFEST_FILE: &str = "manifest.json";
/// Its name while it is being written.
pub(crate) const MANIFEST_TMP: &str = ".manifest.json.tmp";

impl Manifest {
    /// Reads and checks the manifest of the trace in a folder.
    ///
    /// # Errors
    /// When there is none, when it is newer than this crate, or when it contradicts itself.
    pub fn read(folder: &Path) -> Result<Self, TraceError> {
        let value = Self::read_value(folder)?;
        Self::from_value(value, folder)
    }

    /// Reads the manifest as JSON and checks nothing but its schema version.
    pub(crate) fn read_value(folder: &Path) -> Result<Value, TraceError> {
        let path = folder.join(MANIFEST_FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(TraceError::NotATrace {
                    path: folder.to_owned(),
                });
            }
            Err(error) => return Err(TraceError::io("read the manifest", &path, error)),
        };
        let value: Value = serde_json::from_slice(&text).map_err(|e| TraceError::Manifest {
            reason: format!("it is not JSON: {e}"),
            path: path.clone(),
        })?;
        // The version comes first: a newer manifest may differ in everything else.
        match value.get("schema_version").and_then(Value::as_u64) {
            Some(version) if version > u64::from(SCHEMA_VERSION) => Err(TraceError::NewerSchema {
                found: version,
                supported: SCHEMA_VERSION,
                path,
            }),
            Some(version) if version > 0 => Ok(value),
            _ => Err(TraceError::Manifest {
                reason: format!(
                    "schema_version is not a number from 1 to {SCHEMA_VERSION}, so this may be another program's manifest"
                ),
                path,
            }),
        }
    }

    pub(crate) fn from_value(value: Value, folder: &Path) -> Result<Self, TraceError> {
        let invalid = |reason| TraceError::Manifest {
            reason,
            path: folder.join(MANIFEST_FILE),
        };
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
        match manifest.inconsistency() {
            Some(reason) => Err(invalid(reason)),
            None => Ok(manifest),
        }
    }

    /// Replaces the manifest in a folder, so that readers see the old one or the new one.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), TraceError> {
        let mut text = serde_json::to_string_pretty(self).map_err(|e| TraceError::Manifest {
            reason: e.to_string(),
            path: folder.join(MANIFEST_FILE),
        })?;
        text.push('\n');
        durable::replace_file(folder, MANIFEST_FILE, MANIFEST_TMP, text.as_bytes())
    }
}
