//! Measurements in a file, of which a figure is drawn.

use std::fs;

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison, Protocol};
use moescope_pipeline::{measurements_to_json, read_measurements};
use moescope_testkit::fuzz::{Shape, Target};

pub(super) const JSON: Target = Target {
    name: "measurements",
    shape: Shape::Json,
    words: &[
        "moescope_measurements",
        "measurements",
        "layer",
        "expert_b",
        "classes",
        "null",
        "1e400",
    ],
    corpus: || vec![good_file()],
    open: |folder| {
        let path = folder.join("measurements.json");
        Box::new(move |input| {
            fs::write(&path, input).expect("the folder can be written to");
            match read_measurements(&path) {
                Ok(measurements) => !measurements.is_empty(),
                Err(error) => {
                    // What a user would see.
                    let _ = error.to_string();
                    false
                }
            }
        })
    },
};

fn good_file() -> Vec<u8> {
    let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let interval = Interval {
        low: 0.125,
        high: 0.5,
    };
    let null = NullComparison {
        null_mean: 0.25,
        p: 0.01,
        p_corrected: Some(0.03),
    };
    let of_layers = Measurement {
        metric: "assignment_share".to_owned(),
        title: "Assignment share".to_owned(),
        unit: "share of assignments".to_owned(),
        axes: vec![
            Axis::new(AxisKind::Layer, labels(&["0", "3"])),
            Axis::new(AxisKind::Expert, labels(&["0", "1"])),
        ],
        values: vec![0.25, 0.75, 1.0, f64::NAN],
        intervals: Some(vec![Some(interval), None, None, None]),
        nulls: Some(vec![None, Some(null), None, None]),
        reference: Some(0.5),
        protocol: Protocol::default(),
    };
    let mut documents = Axis::new(AxisKind::Document, labels(&["a"]));
    documents.classes = Some(labels(&["law"]));
    let of_documents = Measurement {
        axes: vec![documents],
        values: vec![0.5],
        intervals: None,
        nulls: None,
        ..of_layers.clone()
    };
    measurements_to_json(&[of_layers, of_documents])
        .expect("both fit together")
        .into_bytes()
}
