//! A checkpoint's weights for the metrics that read them.

use moescope_analytics::{AnalyticsError, ExpertProjection, LayerWeights, WeightSource};
use moescope_core::{LayerId, ModelSpec};
use moescope_engine::{Checkpoint, EngineError, LayerReader};

use crate::{error::PipelineError, model::ModelFolder};

/// The weights of a checkpoint as they are stored; no model is loaded and nothing is computed.
#[derive(Debug)]
pub struct StoredWeights {
    // The embedded model may lie in a temporary folder, which lives as long as this does.
    folder: ModelFolder,
    checkpoint: Checkpoint,
}

impl StoredWeights {
    /// Opens the checkpoint of a model that made a trace.
    ///
    /// # Errors
    /// When its files are missing or broken, or it is another model than that of the trace.
    pub fn open(folder: ModelFolder, made: &ModelSpec) -> Result<Self, PipelineError> {
        let checkpoint = Checkpoint::open(&folder.path)?;
        let found = checkpoint.model_spec();
        let sizes = |spec: &ModelSpec| (spec.moe_layers.clone(), spec.num_experts, spec.top_k);
        if sizes(&found) != sizes(made) {
            let describe = |spec: &ModelSpec| {
                format!(
                    "{} with {} MoE layers, {} experts, top-{}",
                    spec.family,
                    spec.moe_layers.len(),
                    spec.num_experts,
                    spec.top_k
                )
            };
            return Err(PipelineError::Settings(format!(
                "the trace was made by another model: {}; '{}' is {}",
                describe(made),
                folder.name,
                describe(&found)
            )));
        }
        Ok(Self { folder, checkpoint })
    }
}

impl WeightSource for StoredWeights {
    fn model(&self) -> String {
        self.folder.name.clone()
    }

    fn with_layer(
        &self,
        layer: LayerId,
        work: &mut dyn FnMut(&dyn LayerWeights) -> Result<(), AnalyticsError>,
    ) -> Result<(), AnalyticsError> {
        self.checkpoint
            .read_layer(layer, |reader| work(&StoredLayer(reader)))
            .map_err(|error| unreadable(&error))?
    }
}

/// One layer of a checkpoint.
struct StoredLayer<'a>(&'a LayerReader<'a>);

impl LayerWeights for StoredLayer<'_> {
    fn router(&self) -> Result<Vec<f32>, AnalyticsError> {
        self.0.router().map_err(|error| unreadable(&error))
    }

    fn expert(
        &self,
        expert: u16,
        projection: ExpertProjection,
    ) -> Result<Vec<f32>, AnalyticsError> {
        let matrix = match projection {
            ExpertProjection::Gate => 0,
            ExpertProjection::Up => 1,
            ExpertProjection::Down => 2,
        };
        self.0
            .expert(usize::from(expert), matrix)
            .map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &EngineError) -> AnalyticsError {
    AnalyticsError::Weights(error.to_string())
}
