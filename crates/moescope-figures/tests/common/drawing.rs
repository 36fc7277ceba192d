//! Figures as their texts.

use moescope_core::Measurement;
use moescope_figures::{FigureError, FigureOptions, Format, draw};
use resvg::usvg::roxmltree::Document;

use super::structures;

pub(crate) fn svg(
    kind: &str,
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<String, FigureError> {
    draw(kind, measurement, options, Format::Svg).map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Draws a figure, checks that it is well formed, and returns its texts.
pub(crate) fn texts(kind: &str, measurement: &Measurement, options: &FigureOptions) -> Vec<String> {
    let svg = svg(kind, measurement, options).unwrap();
    assert!(
        !svg.contains("NaN") && !svg.contains("inf"),
        "{kind} wrote a number that is none"
    );
    let document = Document::parse(&svg).unwrap();
    document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text().map(str::to_owned))
        .collect()
}

pub(crate) fn has(texts: &[String], wanted: &str) -> bool {
    texts.iter().any(|text| text.contains(wanted))
}

/// A measurement that each kind can draw.
pub(crate) fn fitting(kind: &str) -> Measurement {
    match kind {
        "fingerprint_map" => super::map(30, 3),
        "group_matrix" => super::pairs(1, 4),
        "layer_series" => super::series(5, 3),
        "margin_series" => super::margins(),
        "group_effects" => structures::effects(3),
        "layer_expert_heatmap" => super::shares(4, 1, 8),
        "group_expert_heatmap" => super::shares(1, 4, 8),
        "co_activation_matrix" => structures::co_activation(1, 6),
        "lag_profile" => structures::without_excess(structures::lags(1, 3, 6)),
        "layer_flow" => structures::transitions(2, 5),
        "lollipop" => super::shares(3, 3, 8),
        "position_profile" => structures::positions(1, 5, 8),
        "reliability_curve" => structures::reliability(),
        "saturation_curves" => structures::saturation(4, 5),
        "small_multiples" => super::shares(3, 4, 8),
        "vocabulary_table" => structures::tokens(1, 3, 8),
        other => panic!("no measurement for {other}"),
    }
}
