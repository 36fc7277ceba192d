//! How much memory an answer holds, about.

use std::sync::Arc;

use moescope_analytics::{ExpertProfile, TokenProfile};
use moescope_core::{Axis, Measurement};
use serde::Serialize;

use crate::answers::ReadDocument;

/// Something whose memory can be estimated.
pub(crate) trait AnswerBytes {
    /// Bytes that go with it, about.
    fn answer_bytes(&self) -> usize;
}

impl<T: AnswerBytes> AnswerBytes for Arc<T> {
    fn answer_bytes(&self) -> usize {
        self.as_ref().answer_bytes()
    }
}

impl AnswerBytes for Vec<Measurement> {
    fn answer_bytes(&self) -> usize {
        self.iter().map(AnswerBytes::answer_bytes).sum()
    }
}

/// Values, intervals, comparisons with nulls, and the labels of the axes: all of it that grows.
impl AnswerBytes for Measurement {
    fn answer_bytes(&self) -> usize {
        let intervals = self.intervals.as_deref().map_or(0, size_of_val);
        let nulls = self.nulls.as_deref().map_or(0, size_of_val);
        let axes: usize = self.axes.iter().map(AnswerBytes::answer_bytes).sum();
        size_of_val(self) + size_of_val(self.values.as_slice()) + intervals + nulls + axes
    }
}

impl AnswerBytes for Axis {
    fn answer_bytes(&self) -> usize {
        let labels = self.labels.iter().chain(self.classes.iter().flatten());
        let held = labels.map(|label| size_of_val(label) + label.len());
        size_of_val(self) + held.sum::<usize>()
    }
}

impl AnswerBytes for ExpertProfile {
    fn answer_bytes(&self) -> usize {
        size_of_val(self) + written(self) + self.label_shares.answer_bytes()
    }
}

impl AnswerBytes for TokenProfile {
    fn answer_bytes(&self) -> usize {
        size_of_val(self) + written(self)
    }
}

impl AnswerBytes for ReadDocument {
    fn answer_bytes(&self) -> usize {
        size_of_val(self) + self.about.len() + self.text.len()
    }
}

/// Lists of short texts and numbers take about as much memory as they do in JSON.
fn written(lists: &impl Serialize) -> usize {
    serde_json::to_vec(lists).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests {
    use moescope_core::{AxisKind, Interval, NullComparison, Protocol};

    use super::*;

    #[test]
    fn intervals_and_nulls_count_as_the_values_do() {
        let labels = |count: usize| (0..count).map(|n| format!("{n:04}")).collect();
        let mut measurement = Measurement {
            metric: String::new(),
            title: String::new(),
            unit: String::new(),
            axes: vec![
                Axis::new(AxisKind::Layer, labels(10)),
                Axis::new(AxisKind::Expert, labels(100)),
            ],
            values: vec![0.0; 1000],
            intervals: None,
            nulls: None,
            reference: None,
            protocol: Protocol::default(),
        };
        let values = measurement.answer_bytes();
        // 1,000 values of 8 bytes, 110 labels of 4 bytes and a string each, and the frame around them.
        let labels = 110 * (4 + size_of::<String>());
        let frame = size_of::<Measurement>() + 2 * size_of::<Axis>();
        assert_eq!(values, 8000 + labels + frame);
        measurement.intervals = Some(vec![None; 1000]);
        measurement.nulls = Some(vec![None; 1000]);
        let more = size_of::<Option<Interval>>() + size_of::<Option<NullComparison>>();
        assert_eq!(measurement.answer_bytes(), values + 1000 * more);
    }
}
