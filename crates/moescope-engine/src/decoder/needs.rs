//! The tensors of a checkpoint that its model uses.

use super::layout::Layout;
use crate::{checkpoint::Checkpoint, error::EngineError};

/// A tensor that the model needs and the checkpoint has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededTensor {
    /// Its name.
    pub name: String,
    /// Its storage type, as safetensors names it.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether its values are put into another order, so that they cannot stay in the mapped file.
    pub is_rearranged: bool,
}

impl Checkpoint {
    /// The tensors that the model will load, from configuration and headers alone; those that are missing are left
    /// out, and those that no decoder needs (layers for multi-token prediction, image encoders) as well.
    ///
    /// # Errors
    /// When the checkpoint lacks most of what its configuration promises.
    pub fn needed_tensors(&self) -> Result<Vec<NeededTensor>, EngineError> {
        let (_, catalogue) = Layout::of(self)?;
        let found = catalogue.needs().iter().filter_map(|need| {
            let stored = self.files().get(&need.name)?;
            Some(NeededTensor {
                name: need.name.clone(),
                dtype: format!("{:?}", stored.dtype),
                shape: stored.shape.clone(),
                is_rearranged: need.is_rearranged,
            })
        });
        Ok(found.collect())
    }
}
