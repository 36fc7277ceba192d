//! The kinds of figures, one file each.

mod fingerprint_map;
mod group_expert_heatmap;
mod group_matrix;
mod layer_expert_heatmap;
mod layer_series;
mod margin_series;

pub use fingerprint_map::FingerprintMap;
pub use group_expert_heatmap::GroupExpertHeatmap;
pub use group_matrix::GroupMatrix;
pub use layer_expert_heatmap::LayerExpertHeatmap;
pub use layer_series::LayerSeries;
pub use margin_series::MarginSeries;
