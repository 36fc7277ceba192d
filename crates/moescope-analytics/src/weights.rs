//! A model's weights, for the few metrics that look at them instead of at a trace.

use moescope_core::LayerId;

use crate::AnalyticsError;

/// The model whose weights are measured; this crate reads no checkpoint itself.
pub trait WeightSource: Send + Sync {
    /// What to call the model in protocols; never a path.
    fn model(&self) -> String;

    /// Opens one layer with a router and shows it to `work`; what was opened for it is closed afterwards.
    ///
    /// # Errors
    /// When the model has no such layer, its weights cannot be read, or `work` fails.
    fn with_layer(
        &self,
        layer: LayerId,
        work: &mut dyn FnMut(&dyn LayerWeights) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError>;
}

/// The weights of one layer.
pub trait LayerWeights {
    /// The router's rows, one per expert and as long as the residual stream is wide, `[num_experts × hidden]`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn router(&self) -> Result<Vec<f32>, AnalyticsError>;

    /// One matrix of an expert, flat; every expert's entries come in the same order.
    ///
    /// # Errors
    /// When it cannot be read.
    fn expert(&self, expert: u16, projection: ExpertProjection)
    -> Result<Vec<f32>, AnalyticsError>;
}

/// The matrices of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpertProjection {
    /// What is passed through the activation.
    Gate,
    /// What is multiplied with it.
    Up,
    /// Back to the residual stream.
    Down,
}

impl ExpertProjection {
    /// All matrices.
    pub const ALL: [Self; 3] = [Self::Gate, Self::Up, Self::Down];

    /// The name in checkpoints of most families, and in variants.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }
}
