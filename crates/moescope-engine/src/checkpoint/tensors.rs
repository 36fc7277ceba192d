//! Safetensors files: headers checked against the files, tensors found by name, bytes taken straight from the mapping.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use burn::tensor::{AllocationProperty, Bytes, DType, Device, Shape, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor, Layout};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest as _, Sha256};

use super::{hex, mmap, read_text};
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
    maps: Vec<(PathBuf, bytes::Bytes)>,
    tensors: BTreeMap<String, StoredTensor>,
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
        let error = |reason: String| EngineError::Weights {
            reason,
            path: path.clone(),
        };
        if !path.is_file() {
            return Err(error(
                "the index names this shard, but it is not in the folder".to_owned(),
            ));
        }
        let map = mmap::map(&path)?;
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
        self.maps.push((path, map));
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

    /// Every tensor: its name, its storage type as safetensors names it, its shape.
    pub fn stored(&self) -> impl Iterator<Item = (&str, String, &[usize])> {
        self.tensors.iter().map(|(name, tensor)| {
            let kind = format!("{:?}", tensor.dtype);
            (name.as_str(), kind, tensor.shape.as_slice())
        })
    }

    /// Number of values in all tensors.
    #[must_use]
    pub fn num_parameters(&self) -> u64 {
        self.tensors
            .values()
            .map(|tensor| tensor.shape.iter().map(|d| *d as u64).product::<u64>())
            .sum()
    }

    /// The storage type of the tensors whose name ends in `suffix`, as safetensors names it, where they agree.
    #[must_use]
    pub fn storage_type(&self, suffix: &str) -> Option<String> {
        let types: BTreeSet<String> = self
            .tensors
            .iter()
            .filter(|(name, _)| name.ends_with(suffix))
            .map(|(_, tensor)| format!("{:?}", tensor.dtype))
            .collect();
        (!types.is_empty()).then(|| types.into_iter().collect::<Vec<_>>().join("+"))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// Loads a tensor, or the part of it that `part` selects along its first dimension, as `[rows, cols]`.
    ///
    /// On the CPU bf16 and f32 stay where they are: in the mapped file. Elsewhere, and for other types, values become
    /// f32. Norms and other vectors are loaded with one row.
    pub(crate) fn load(
        &self,
        stored: &StoredTensor,
        part: std::ops::Range<usize>,
        dims: [usize; 2],
        device: &Device,
        is_cpu: bool,
    ) -> Result<Tensor<2>, EngineError> {
        let (path, map) = &self.maps[stored.file];
        let width = stored.dtype.bitsize() / 8;
        let (start, end) = (
            stored.start + part.start * width,
            stored.start + part.end * width,
        );
        if end > stored.end || part.len() != dims[0] * dims[1] {
            return Err(EngineError::Weights {
                reason: format!(
                    "values {part:?} are outside a tensor of shape {:?}",
                    stored.shape
                ),
                path: path.clone(),
            });
        }
        let bytes = map.slice(start..end);
        let dtype = match stored.dtype {
            Dtype::BF16 => Some(DType::BF16),
            Dtype::F32 => Some(DType::F32),
            _ => None,
        };
        if let (true, Some(dtype)) = (is_cpu, dtype)
            && (bytes.as_ptr() as usize).is_multiple_of(width)
        {
            let shared = Bytes::from_shared(bytes, AllocationProperty::File);
            let layout = Layout::contiguous(Shape::from(dims));
            return Ok(Tensor::from_primitive::<Flex>(FlexTensor::new(
                shared, layout, dtype,
            )));
        }
        let values = widen(stored.dtype, &bytes).ok_or_else(|| EngineError::Weights {
            reason: format!(
                "weights of type {:?} are not supported; supported are F32, BF16, F16",
                stored.dtype
            ),
            path: path.clone(),
        })?;
        Ok(Tensor::from_data(TensorData::new(values, dims), device))
    }
}

/// Little-endian values as f32.
fn widen(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    match dtype {
        Dtype::F32 => Some(
            bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
        ),
        Dtype::BF16 => Some(
            pairs()
                .map(|pair| half::bf16::from_le_bytes(pair).to_f32())
                .collect(),
        ),
        Dtype::F16 => Some(
            pairs()
                .map(|pair| half::f16::from_le_bytes(pair).to_f32())
                .collect(),
        ),
        _ => None,
    }
}

/// The shards that an index names; names that leave the folder are refused.
fn shard_names(index: &Path) -> Result<Vec<String>, EngineError> {
    let error = |reason: String| EngineError::Weights {
        reason,
        path: index.to_owned(),
    };
    let text = read_text(index, LARGEST_INDEX)?;
    let json: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| error(format!("the index is not valid JSON: {e}")))?;
    let map = json
        .get("weight_map")
        .and_then(serde_json::Value::as_object)
        .ok_or_else(|| error("the index has no weight_map".to_owned()))?;
    let mut names = BTreeSet::new();
    for value in map.values() {
        let name = value
            .as_str()
            .ok_or_else(|| error("the weight_map holds something else than names".to_owned()))?;
        let is_plain =
            !name.is_empty() && !name.contains(['/', '\\', ':']) && name != ".." && name != ".";
        if !is_plain {
            return Err(error(format!(
                "shard name '{name}' is not a plain file name"
            )));
        }
        names.insert(name.to_owned());
    }
    if names.is_empty() {
        return Err(error("the index names no shard".to_owned()));
    }
    Ok(names.into_iter().collect())
}
