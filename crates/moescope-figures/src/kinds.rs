//! The kinds of figures, one file each.

mod co_activation_matrix;
mod fingerprint_map;
mod group_effects;
mod group_expert_heatmap;
mod group_matrix;
mod lag_profile;
mod layer_expert_heatmap;
mod layer_flow;
mod layer_series;
mod lollipop;
mod margin_series;
mod position_profile;
mod reliability_curve;
mod saturation_curves;
mod small_multiples;
mod vocabulary_table;

pub use co_activation_matrix::CoActivationMatrix;
pub use fingerprint_map::FingerprintMap;
pub(crate) use group_effects::GroupEffects;
pub use group_expert_heatmap::GroupExpertHeatmap;
pub use group_matrix::GroupMatrix;
pub use lag_profile::LagProfile;
pub use layer_expert_heatmap::LayerExpertHeatmap;
pub use layer_flow::LayerFlow;
pub use layer_series::LayerSeries;
pub use lollipop::Lollipop;
pub use margin_series::MarginSeries;
pub use position_profile::PositionProfile;
pub use reliability_curve::ReliabilityCurve;
pub use saturation_curves::SaturationCurves;
pub use small_multiples::SmallMultiples;
pub use vocabulary_table::VocabularyTable;
