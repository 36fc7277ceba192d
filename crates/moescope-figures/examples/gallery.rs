//! Draws realistic figures into a folder, to be looked at: `cargo run --example gallery -- FOLDER`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::{env, fs, path::PathBuf};

use moescope_core::Measurement;
use moescope_figures::{ColorScale, FigureOptions, Format, draw};

#[expect(clippy::too_many_lines, reason = "a list of figures")]
fn main() {
    let folder = PathBuf::from(env::args().nth(1).expect("give a folder to draw into"));
    fs::create_dir_all(&folder).expect("the folder can be made");
    let options = |change: &dyn Fn(&mut FigureOptions)| {
        let mut options = FigureOptions {
            png_dpi: 200,
            ..FigureOptions::default()
        };
        change(&mut options);
        options
    };
    let physics = |o: &mut FigureOptions| o.group = Some("physics".into());
    let mut gaps = common::shares(6, 15, 8);
    for i in [5 * 15 * 8 + 3, 5 * 15 * 8 + 20, 5 * 15 * 8 + 21] {
        gaps.values[i] = f64::NAN;
        if let Some(intervals) = &mut gaps.intervals {
            intervals[i] = None;
        }
    }
    let mut zeros = common::shares(64, 1, 16);
    for i in (0..zeros.values.len()).step_by(7) {
        zeros.values[i] = 0.0;
    }
    let mut null_of_one = common::series(26, 1);
    null_of_one.reference = Some(0.125);
    let mut broken = common::series(26, 2);
    broken.values[11] = f64::NAN;
    broken.values[15] = f64::NAN;
    let figures: Vec<(&str, &str, Measurement, FigureOptions)> = vec![
        (
            "a-6x8",
            "layer_expert_heatmap",
            common::shares(6, 15, 8),
            options(&physics),
        ),
        (
            "b-64x16-log",
            "layer_expert_heatmap",
            zeros,
            options(&|o| o.scale = ColorScale::Log),
        ),
        (
            "c-64x512",
            "layer_expert_heatmap",
            common::shares(64, 1, 512),
            options(&|_| {}),
        ),
        (
            "d-2x4",
            "layer_expert_heatmap",
            common::shares(2, 1, 4),
            options(&|_| {}),
        ),
        (
            "e-difference",
            "layer_expert_heatmap",
            common::shares(26, 15, 64),
            options(&|o| {
                physics(o);
                o.group_b = Some("law".into());
            }),
        ),
        (
            "f-15x8",
            "group_expert_heatmap",
            gaps,
            options(&|o| o.layer = Some(5)),
        ),
        (
            "g-15x64",
            "group_expert_heatmap",
            common::shares(1, 15, 64),
            options(&|_| {}),
        ),
        (
            "h-map",
            "fingerprint_map",
            common::map(240, 15),
            options(&|_| {}),
        ),
        (
            "i-map-labels",
            "fingerprint_map",
            common::map(240, 15),
            options(&|o| {
                o.centroids = true;
                o.width_mm = 85.0;
            }),
        ),
        (
            "j-series3",
            "layer_series",
            common::series(26, 3),
            options(&|_| {}),
        ),
        (
            "k-series15",
            "layer_series",
            common::series(16, 15),
            options(&|_| {}),
        ),
        (
            "l-series1",
            "layer_series",
            null_of_one,
            options(&|o| o.width_mm = 85.0),
        ),
        (
            "m-series-gaps",
            "layer_series",
            broken,
            options(&|o| o.width_mm = 85.0),
        ),
        (
            "n-one-layer",
            "layer_series",
            common::series(1, 5),
            options(&|o| o.width_mm = 85.0),
        ),
        (
            "o-matrix",
            "group_matrix",
            common::pairs(6, 15),
            options(&|_| {}),
        ),
        (
            "p-matrix4",
            "group_matrix",
            common::pairs(1, 4),
            options(&|o| o.width_mm = 85.0),
        ),
    ];
    for (name, kind, measurement, options) in figures {
        for format in Format::ALL {
            let bytes =
                draw(kind, &measurement, &options, format).expect("the fixture fits its figure");
            let path = folder.join(format!("{name}.{}", format.extension()));
            fs::write(path, bytes).expect("the folder can be written");
        }
    }
}
