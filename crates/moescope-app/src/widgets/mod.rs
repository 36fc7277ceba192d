//! Parts of views.

pub(crate) mod empty;
pub(crate) mod heatmap;
pub(crate) mod job_panel;
pub(crate) mod text;
