//! The file of expected values.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::error::EngineError;

/// Largest file of expected values that is read.
const LARGEST: u64 = 4 << 30;

/// A file of expected values in memory.
pub(super) struct Expected {
    bytes: Vec<u8>,
}

impl Expected {
    pub(super) fn open(path: &Path) -> Result<Self, EngineError> {
        let io = |source| EngineError::io("read the expected values", path, source);
        let size = std::fs::metadata(path).map_err(io)?.len();
        if size > LARGEST {
            return Err(EngineError::Expected(format!(
                "{size} bytes of expected values are too many: {}",
                path.display()
            )));
        }
        let bytes = std::fs::read(path).map_err(io)?;
        SafeTensors::deserialize(&bytes).map_err(|error| {
            EngineError::Expected(format!(
                "the expected values are not safetensors: {error}: {}",
                path.display()
            ))
        })?;
        Ok(Self { bytes })
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("checked when it was opened")
    }

    /// The lengths T of all `input_ids.T`, longest first.
    pub(super) fn lengths(&self) -> Vec<String> {
        let mut lengths: Vec<(usize, String)> = self
            .tensors()
            .names()
            .into_iter()
            .filter_map(|name| name.strip_prefix("input_ids."))
            .filter_map(|length| length.parse().ok().map(|n: usize| (n, length.to_owned())))
            .collect();
        lengths.sort_by(|a, b| b.cmp(a));
        lengths.into_iter().map(|(_, length)| length).collect()
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, EngineError> {
        let tensors = self.tensors();
        let Ok(view) = tensors.tensor(name) else {
            return Ok(None);
        };
        if view.dtype() != Dtype::F32 {
            return Err(EngineError::Expected(format!(
                "{name} must be F32, found {:?}",
                view.dtype()
            )));
        }
        Ok(Some(
            view.data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
        ))
    }

    pub(super) fn ids_opt(&self, name: &str) -> Result<Option<Vec<u32>>, EngineError> {
        let tensors = self.tensors();
        let Ok(view) = tensors.tensor(name) else {
            return Ok(None);
        };
        let error = |found: String| {
            EngineError::Expected(format!("{name} must hold ids as I64 or I32, found {found}"))
        };
        let wide: Vec<i64> = match view.dtype() {
            Dtype::I64 => view
                .data()
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes(b.try_into().expect("chunks of eight")))
                .collect(),
            Dtype::I32 => view
                .data()
                .chunks_exact(4)
                .map(|b| i64::from(i32::from_le_bytes(b.try_into().expect("chunks of four"))))
                .collect(),
            other => return Err(error(format!("{other:?}"))),
        };
        wide.into_iter()
            .map(|id| u32::try_from(id).map_err(|_| error(id.to_string())))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(super) fn ids(&self, name: &str) -> Result<Vec<u32>, EngineError> {
        self.ids_opt(name)?
            .ok_or_else(|| EngineError::Expected(format!("the expected values have no {name}")))
    }
}
