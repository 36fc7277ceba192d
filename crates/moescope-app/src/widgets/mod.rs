//! Parts of views.

pub(crate) mod combo_box;
pub(crate) mod document;
pub(crate) mod empty;
pub(crate) mod expert_menu;
pub(crate) mod heatmap;
pub(crate) mod intervention_list;
pub(crate) mod job_panel;
pub(crate) mod legend;
pub(crate) mod text;
