//! Draws measurements as figures for paper: SVG, PDF or PNG, byte for byte the same on every machine.
//!
//! This crate takes [`Measurement`](moescope_core::Measurement)s and returns bytes.
//! It computes no statistics, reads no files, and knows no font but its own.
//!
//! ```
//! use moescope_core::{Axis, AxisKind, Measurement, Protocol};
//! use moescope_figures::{FigureOptions, Format, draw};
//!
//! let measurement = Measurement {
//!     metric: "assignment_share".into(),
//!     title: "Assignment share".into(),
//!     unit: "share of assignments".into(),
//!     axes: vec![
//!         Axis::new(AxisKind::Layer, vec!["0".into(), "1".into()]),
//!         Axis::new(AxisKind::Expert, vec!["0".into(), "1".into()]),
//!     ],
//!     values: vec![0.25, 0.75, 0.5, 0.5],
//!     intervals: None,
//!     nulls: None,
//!     reference: Some(0.5),
//!     protocol: Protocol::default(),
//! };
//! let svg = draw("layer_expert_heatmap", &measurement, &FigureOptions::default(), Format::Svg)?;
//! assert!(String::from_utf8(svg).unwrap().contains("share of assignments"));
//! # Ok::<(), moescope_figures::FigureError>(())
//! ```

mod kind;
mod kinds;

mod error;
mod options;
pub mod palette;
mod render;

mod axis;
mod canvas;
mod cells;
mod heatmap;
mod legend;
mod map;
mod marker;
mod matrix;
mod order;
mod page;
mod panels;
mod scale;
mod series;
mod significance;
mod slice;
mod text;
mod ticks;

pub use error::FigureError;
pub use kind::{FigureAbout, FigureKind, catalogue, find};
pub use kinds::{
    CoActivationMatrix, FingerprintMap, GroupExpertHeatmap, GroupMatrix, LagProfile,
    LayerExpertHeatmap, LayerFlow, LayerSeries, Lollipop, MarginSeries, PositionProfile,
    ReliabilityCurve, SaturationCurves, SmallMultiples, VocabularyTable,
};
pub use options::{CellOrder, ColorScale, FigureOptions, Format, Panels};
pub use render::{draw, render};
pub use scale::ValueScale;
pub use significance::Significance;
pub use ticks::{Tick, short as short_number};
