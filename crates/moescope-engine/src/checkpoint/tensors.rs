//! Safetensors files: headers checked against the files, tensors found by name, bytes taken straight from the mapping.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors};
use sha2::{Digest as _, Sha256};

use super::{hex, mmap::Mapping, read_text};
use crate::error::EngineError;

/// Largest shard index that is read.
const LARGEST_INDEX: u64 = 64 << 20;
/// Largest header: the safetensors format's own bound.
const LARGEST_HEADER: u64 = 100_000_000;

/// What is known of one weight file without reading its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightFile {
    /// The file's name within the folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the header (names, types, shapes, places), in hex.
    pub header_sha256: String,
}

/// All tensors of a checkpoint by name.
pub struct TensorFiles {
    files: Vec<WeightFile>,
    maps: Vec<OpenFile>,
    tensors: BTreeMap<String, StoredTensor>,
}

/// A weight file in memory.
struct OpenFile {
    path: PathBuf,
    bytes: bytes::Bytes,
    /// Absent where the bytes did not come from a file.
    mapping: Option<Mapping>,
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    file: usize,
    start: usize,
    end: usize,
}

impl TensorFiles {
    /// Opens `model.safetensors`, or every shard that `model.safetensors.index.json` names.
    pub(super) fn open(folder: &Path) -> Result<Self, EngineError> {
        let single = folder.join("model.safetensors");
        let index = folder.join("model.safetensors.index.json");
        let names: Vec<String> = if index.is_file() {
            shard_names(&index)?
        } else if single.is_file() {
            vec!["model.safetensors".to_owned()]
        } else {
            return Err(EngineError::Weights {
                reason:
                    "neither model.safetensors nor model.safetensors.index.json is in the folder; \
                         weights in other formats must be converted first"
                        .to_owned(),
                path: folder.to_owned(),
            });
        };
        let mut files = Self {
            files: Vec::new(),
            maps: Vec::new(),
            tensors: BTreeMap::new(),
        };
        for name in names {
            files.add(folder, &name)?;
        }
        Ok(files)
    }

    fn add(&mut self, folder: &Path, name: &str) -> Result<(), EngineError> {
        let path = folder.join(name);
        if !path.is_file() {
            return Err(EngineError::Weights {
                reason: "the index names this shard, but it is not in the folder".to_owned(),
                path,
            });
        }
        let mapping = Mapping::open(&path)?;
        self.add_bytes(path, name, mapping.bytes(), Some(mapping))
    }

    /// Reads the header of one safetensors file that is in memory.
    ///
    /// # Errors
    /// When the header is broken or promises other tensors than the file has.
    pub fn from_bytes(name: &str, bytes: bytes::Bytes) -> Result<Self, EngineError> {
        let mut files = Self {
            files: Vec::new(),
            maps: Vec::new(),
            tensors: BTreeMap::new(),
        };
        files.add_bytes(PathBuf::from(name), name, bytes, None)?;
        Ok(files)
    }

    fn add_bytes(
        &mut self,
        path: PathBuf,
        name: &str,
        map: bytes::Bytes,
        mapping: Option<Mapping>,
    ) -> Result<(), EngineError> {
        let error = |reason: String| EngineError::Weights {
            reason,
            path: path.clone(),
        };
        let size = map.len() as u64;
        let header_len = map
            .get(..8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
            .ok_or_else(|| {
                error(format!(
                    "{size} bytes are too few for a safetensors header; is the file truncated?"
                ))
            })?;
        if header_len > LARGEST_HEADER || header_len > size - 8 {
            return Err(error(format!(
                "the header claims {header_len} bytes, the file has {size}; is the file truncated?"
            )));
        }
        let header = &map[..8 + usize::try_from(header_len).expect("bounded above")];
        let parsed = SafeTensors::deserialize(&map)
            .map_err(|e| error(format!("bad safetensors header: {e}")))?;
        for (tensor, view) in parsed.iter() {
            let start = view.data().as_ptr() as usize - map.as_ptr() as usize;
            let stored = StoredTensor {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                file: self.files.len(),
                start,
                end: start + view.data().len(),
            };
            if self.tensors.insert(tensor.to_owned(), stored).is_some() {
                return Err(error(format!("tensor {tensor} is in two files")));
            }
        }
        let header_sha256 = hex(&Sha256::digest(header));
        self.files.push(WeightFile {
            name: name.to_owned(),
            size,
            header_sha256,
        });
        self.maps.push(OpenFile {
            path,
            bytes: map,
            mapping,
        });
        Ok(())
    }

    /// The weight files.
    #[must_use]
    pub fn files(&self) -> &[WeightFile] {
        &self.files
    }

    /// Every tensor's name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// The file of a tensor and its bytes.
    pub(super) fn bytes(&self, stored: &StoredTensor) -> (&Path, bytes::Bytes) {
        let file = &self.maps[stored.file];
        (&file.path, file.bytes.slice(stored.start..stored.end))
    }

    /// Gives a tensor's memory back to the system; its bytes stay readable.
    pub(crate) fn release(&self, stored: &StoredTensor) {
        if let Some(mapping) = &self.maps[stored.file].mapping {
            mapping.release(stored.start..stored.end);
        }
    }
}

/// The shards that an index names; names that leave the folder are refused.
fn shard_names(index: &Path) -> Result<Vec<String>, EngineError> {
    let error = |reason: String| EngineError::Weights {
        reason,
        path: index.to_owned(),
    };
    let text = read_text(index, LARGEST_INDEX)?;
    parse_shard_names(&text).map_err(error)
}

/// The shards that the text of a `model.safetensors.index.json` names.
///
/// # Errors
/// When it is not such a text, or a name leaves the folder; the error is the reason in words.
pub fn parse_shard_names(text: &str) -> Result<Vec<String>, String> {
    let json: serde_json::Value =
        serde_json::from_str(text).map_err(|e| format!("the index is not valid JSON: {e}"))?;
    let map = json
        .get("weight_map")
        .and_then(serde_json::Value::as_object)
        .ok_or_else(|| "the index has no weight_map".to_owned())?;
    let mut names = BTreeSet::new();
    for value in map.values() {
        let name = value
            .as_str()
            .ok_or_else(|| "the weight_map holds something else than names".to_owned())?;
        let is_plain =
            !name.is_empty() && !name.contains(['/', '\\', ':']) && name != ".." && name != ".";
        if !is_plain {
            return Err(format!("shard name '{name}' is not a plain file name"));
        }
        names.insert(name.to_owned());
    }
    if names.is_empty() {
        return Err("the index names no shard".to_owned());
    }
    Ok(names.into_iter().collect())
}
