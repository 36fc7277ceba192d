//! Single matrices of one layer of a checkpoint, without a model.

use burn::tensor::{DType, Device};
use moescope_core::LayerId;

use super::{
    layout::{FeedForwardLayout, Layout, SparseLayout},
    load::Loader,
};
use crate::{checkpoint::Checkpoint, error::EngineError, matrix::Matrix};

/// Reads the router and the routed experts of one layer as they are stored; nothing is kept.
///
/// Matrices come as f32, row by row as `[out, in]`, whatever the checkpoint's own layout and type.
pub struct LayerReader<'a> {
    loader: &'a Loader<'a>,
    layout: &'a SparseLayout,
}

impl std::fmt::Debug for LayerReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerReader").finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Shows the router and the experts of one layer to `work`.
    ///
    /// # Errors
    /// When tensors are missing, unknown or misshapen, or the layer has no router.
    pub fn read_layer<T>(
        &self,
        layer: LayerId,
        work: impl FnOnce(&LayerReader<'_>) -> T,
    ) -> Result<T, EngineError> {
        let host = Device::flex();
        let (layout, catalogue) = Layout::of(self)?;
        catalogue.check()?;
        let loader = Loader::as_stored(self, catalogue, &host);
        let feed_forward = layout
            .layers
            .get(layer.index())
            .map(|layer| &layer.feed_forward);
        let Some(FeedForwardLayout::Sparse(sparse)) = feed_forward else {
            return Err(EngineError::Config(format!(
                "layer {layer} of the model has no router"
            )));
        };
        Ok(work(&LayerReader {
            loader: &loader,
            layout: sparse,
        }))
    }
}

impl LayerReader<'_> {
    /// The router's weights, `[num_experts × hidden]`.
    ///
    /// # Errors
    /// When they are stored in a type that is not supported.
    pub fn router(&self) -> Result<Vec<f32>, EngineError> {
        numbers(&self.loader.linear(&self.layout.router)?.weight)
    }

    /// One matrix of an expert: 0 is gate and 1 is up, both `[intermediate × hidden]`, 2 is down, `[hidden × intermediate]`.
    ///
    /// # Errors
    /// When it is stored in a type that is not supported, or there is no such expert or matrix.
    pub fn expert(&self, expert: usize, matrix: usize) -> Result<Vec<f32>, EngineError> {
        let experts = self.loader.config().router.num_experts;
        if expert >= experts {
            return Err(EngineError::Config(format!(
                "there is no expert {expert}; a layer has {experts}"
            )));
        }
        let matrices = self.loader.expert(&self.layout.experts, expert)?;
        let matrix = matrices.get(matrix).ok_or_else(|| {
            EngineError::Config(format!("an expert has matrices 0 to 2, not {matrix}"))
        })?;
        numbers(matrix)
    }
}

fn numbers(matrix: &Matrix) -> Result<Vec<f32>, EngineError> {
    matrix
        .to_tensor()
        .into_data()
        .convert_dtype(DType::F32)
        .try_into_vec::<f32>()
        .map_err(|error| EngineError::Execution(format!("cannot read weights back: {error:?}")))
}
