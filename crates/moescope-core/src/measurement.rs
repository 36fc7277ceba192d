//! Waist 2: small labelled numbers with their uncertainty.

use serde::{Deserialize, Serialize};

use crate::{CoreError, json_number};

/// What a metric found: values over labelled axes, with intervals and nulls where they mean something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The metric's name in the catalogue, e.g. `domain_specialization`.
    pub metric: String,
    /// A title for people.
    pub title: String,
    /// The unit with its denominator, e.g. `share of assignments`, `bits`, `nats`.
    pub unit: String,
    /// Row-major axes; the last one varies fastest. Empty axes mean a single number.
    pub axes: Vec<Axis>,
    /// `Π len(axes)` values; NaN is "not defined here", in JSON `null`.
    #[serde(deserialize_with = "json_number::numbers")]
    pub values: Vec<f64>,
    /// An interval for each value; `None` inside where there are too few groups.
    pub intervals: Option<Vec<Option<Interval>>>,
    /// The comparison of each value with its null model.
    pub nulls: Option<Vec<Option<NullComparison>>>,
    /// The value that an indifferent router would give (e.g. 1/E), if there is one.
    pub reference: Option<f64>,
    /// How the numbers came about.
    pub protocol: Protocol,
}

/// One labelled dimension of a measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// What the labels are.
    pub kind: AxisKind,
    /// One label per index.
    pub labels: Vec<String>,
    /// For documents: the group label (discipline) of each, for colouring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

impl Axis {
    /// An axis without classes.
    #[must_use]
    pub fn new(kind: AxisKind, labels: Vec<String>) -> Self {
        Self {
            kind,
            labels,
            classes: None,
        }
    }

    /// Number of indices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the axis has no index.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// What an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AxisKind {
    /// Layers, labelled in the model's numbering.
    Layer,
    /// Experts.
    Expert,
    /// The second expert of a pair.
    ExpertB,
    /// Values of the label column (disciplines by default).
    Group,
    /// The second label of a pair.
    GroupB,
    /// Documents, by id.
    Document,
    /// Coordinates of a map.
    Component,
    /// Variants of one quantity, such as a method beside its baselines.
    Variant,
    /// Ranges of the margin of a decision.
    Margin,
    /// Ranges of the number of layers at which something changed.
    ChangedLayers,
    /// The second layer of a pair, e.g. the one after.
    LayerB,
    /// Distances between tokens.
    Lag,
    /// Ranges of positions within a document.
    Position,
    /// Entries of the vocabulary.
    Token,
    /// Ranks among the chosen experts, or places in a ranking.
    Rank,
    /// Traces that are compared.
    Trace,
}

impl AxisKind {
    /// The kinds whose labels stand in the column `bin` of long tables; a measurement has at most one of them.
    const BINS: [Self; 5] = [
        Self::Margin,
        Self::ChangedLayers,
        Self::Lag,
        Self::Position,
        Self::Rank,
    ];
}

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    #[serde(deserialize_with = "json_number::number")]
    pub low: f64,
    /// Upper end.
    #[serde(deserialize_with = "json_number::number")]
    pub high: f64,
}

/// A value beside what its null model gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NullComparison {
    /// Mean of the quantity under the null.
    #[serde(deserialize_with = "json_number::number")]
    pub null_mean: f64,
    /// (1 + b) / (1 + B) over B permutations.
    #[serde(deserialize_with = "json_number::number")]
    pub p: f64,
    /// p corrected for the family of values in this measurement (max-T), where it was done.
    pub p_corrected: Option<f64>,
}

/// How a measurement came about: enough to repeat it and to doubt it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// The scope in words.
    pub scope: String,
    /// Phase counted: prefill, decode or all.
    pub phase: String,
    /// The label column.
    pub by: String,
    /// Level of the intervals, e.g. 0.95.
    pub level: Option<f64>,
    /// How intervals were made, or why there are none.
    pub interval_method: String,
    /// What was permuted, and how many times; empty where there is no null.
    pub null_method: String,
    /// The one bias correction in force, or `none`.
    pub bias_correction: String,
    /// The column whose values are resampled together.
    pub resample_by: String,
    /// Resamples or permutations drawn.
    pub resamples: u32,
    /// Seed of all randomness.
    pub seed: u64,
    /// Tokens counted (per layer).
    pub n_tokens: u64,
    /// Documents counted.
    pub n_documents: u64,
    /// Groups counted.
    pub n_groups: u64,
    /// How much of each label was counted; empty where that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_sizes: Vec<LabelSize>,
    /// Warnings and limits a reader must know, e.g. what is not identifiable, and the power note.
    pub notes: Vec<String>,
}

/// How much of one label was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSize {
    /// The label.
    pub label: String,
    /// Its tokens (per layer).
    pub n_tokens: u64,
    /// Its documents.
    pub n_documents: u64,
    /// The groups that hold its documents.
    pub n_groups: u64,
}

/// One value of a measurement in long form: the row of `--format csv|parquet|json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(
    missing_docs,
    reason = "the columns are named and defined in docs/METRICS.md, one to one"
)]
pub struct LongRow {
    pub metric: String,
    pub layer: Option<String>,
    pub phase: String,
    pub by: String,
    pub group_a: Option<String>,
    pub group_b: Option<String>,
    pub expert: Option<String>,
    pub expert_b: Option<String>,
    pub layer_b: Option<String>,
    pub document: Option<String>,
    pub token: Option<String>,
    pub trace: Option<String>,
    pub variant: Option<String>,
    /// A range of margins, positions or numbers of layers; a lag; a rank.
    pub bin: Option<String>,
    pub value: Option<f64>,
    pub unit: String,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub level: Option<f64>,
    pub interval_method: String,
    pub null_mean: Option<f64>,
    pub p: Option<f64>,
    /// The corrected p (max-T over the measurement).
    pub q: Option<f64>,
    pub n_tokens: u64,
    pub n_documents: u64,
    pub n_groups: u64,
    pub protocol: String,
}

impl Protocol {
    /// The whole protocol in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut parts = vec![
            format!("scope: {}", self.scope),
            format!("by: {}", self.by),
            format!("intervals: {}", self.interval_method),
        ];
        if !self.null_method.is_empty() {
            parts.push(format!("null: {}", self.null_method));
        }
        parts.push(format!("bias correction: {}", self.bias_correction));
        parts.push(format!("resampling unit: {}", self.resample_by));
        parts.push(format!("seed: {}", self.seed));
        parts.push(format!(
            "{} tokens, {} documents, {} groups",
            self.n_tokens, self.n_documents, self.n_groups
        ));
        parts.join("; ")
    }
}

impl Measurement {
    /// Checks that values, intervals and nulls have the size that the axes promise.
    ///
    /// # Errors
    /// Names the part that does not fit.
    pub fn check(&self) -> Result<(), CoreError> {
        let error = |reason: String| {
            Err(CoreError::Measurement {
                metric: self.metric.clone(),
                reason,
            })
        };
        let mut lengths = self.axes.iter().map(Axis::len);
        let Some(size) = lengths.try_fold(1_usize, usize::checked_mul) else {
            return error("axes promise more values than can be counted".to_owned());
        };
        if self.values.len() != size {
            return error(format!(
                "axes promise {size} values, found {}",
                self.values.len()
            ));
        }
        if let Some(intervals) = &self.intervals
            && intervals.len() != size
        {
            return error(format!(
                "axes promise {size} intervals, found {}",
                intervals.len()
            ));
        }
        if let Some(nulls) = &self.nulls
            && nulls.len() != size
        {
            return error(format!("axes promise {size} nulls, found {}", nulls.len()));
        }
        if let Some(axis) = self
            .axes
            .iter()
            .find(|a| a.classes.as_ref().is_some_and(|c| c.len() != a.len()))
        {
            return error(format!(
                "axis {:?} has classes of another length",
                axis.kind
            ));
        }
        Ok(())
    }

    /// The axis of a kind and its place, if there is one.
    #[must_use]
    pub fn axis(&self, kind: AxisKind) -> Option<(usize, &Axis)> {
        self.axes
            .iter()
            .enumerate()
            .find(|(_, axis)| axis.kind == kind)
    }

    /// The flat index of a multi-index.
    ///
    /// # Panics
    /// When the index does not fit the axes.
    #[must_use]
    pub fn flat_index(&self, index: &[usize]) -> usize {
        assert_eq!(index.len(), self.axes.len(), "one index per axis");
        self.axes.iter().zip(index).fold(0, |flat, (axis, i)| {
            assert!(*i < axis.len(), "index within its axis");
            flat * axis.len() + i
        })
    }

    /// The value at a multi-index.
    #[must_use]
    pub fn value(&self, index: &[usize]) -> f64 {
        self.values[self.flat_index(index)]
    }

    /// All values in long form, one row each.
    #[must_use]
    pub fn long_rows(&self) -> Vec<LongRow> {
        let protocol = self.protocol.line();
        (0..self.values.len())
            .map(|flat| {
                let mut rest = flat;
                let mut labels: Vec<(AxisKind, &str)> = Vec::new();
                for axis in self.axes.iter().rev() {
                    labels.push((axis.kind, &axis.labels[rest % axis.len()]));
                    rest /= axis.len();
                }
                let label = |kind: AxisKind| {
                    labels
                        .iter()
                        .find(|(k, _)| *k == kind)
                        .map(|(_, l)| (*l).to_owned())
                };
                let interval = self.intervals.as_ref().and_then(|all| all[flat]);
                let null = self.nulls.as_ref().and_then(|all| all[flat]);
                LongRow {
                    metric: self.metric.clone(),
                    layer: label(AxisKind::Layer),
                    phase: self.protocol.phase.clone(),
                    by: self.protocol.by.clone(),
                    group_a: label(AxisKind::Group),
                    group_b: label(AxisKind::GroupB),
                    expert: label(AxisKind::Expert),
                    expert_b: label(AxisKind::ExpertB),
                    layer_b: label(AxisKind::LayerB),
                    document: label(AxisKind::Document),
                    token: label(AxisKind::Token),
                    trace: label(AxisKind::Trace),
                    variant: label(AxisKind::Variant).or_else(|| label(AxisKind::Component)),
                    bin: AxisKind::BINS.into_iter().find_map(label),
                    value: Some(self.values[flat]).filter(|v| v.is_finite()),
                    unit: self.unit.clone(),
                    low: interval.map(|i| i.low),
                    high: interval.map(|i| i.high),
                    level: interval.and(self.protocol.level),
                    interval_method: self.protocol.interval_method.clone(),
                    null_mean: null.map(|n| n.null_mean),
                    p: null.map(|n| n.p),
                    q: null.and_then(|n| n.p_corrected),
                    n_tokens: self.protocol.n_tokens,
                    n_documents: self.protocol.n_documents,
                    n_groups: self.protocol.n_groups,
                    protocol: protocol.clone(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_by_two() -> Measurement {
        Measurement {
            metric: "assignment_share".into(),
            title: "Assignment share".into(),
            unit: "share of assignments".into(),
            axes: vec![
                Axis::new(AxisKind::Layer, vec!["0".into(), "3".into()]),
                Axis::new(AxisKind::Expert, vec!["0".into(), "1".into()]),
            ],
            values: vec![0.25, 0.75, 0.5, f64::NAN],
            intervals: None,
            nulls: None,
            reference: Some(0.5),
            protocol: Protocol::default(),
        }
    }

    #[test]
    fn long_rows_name_every_axis_and_leave_undefined_values_empty() {
        let rows = two_by_two().long_rows();
        assert_eq!(rows.len(), 4);
        assert_eq!(
            (rows[2].layer.as_deref(), rows[2].expert.as_deref()),
            (Some("3"), Some("0"))
        );
        assert_eq!(rows[2].value, Some(0.5));
        assert_eq!(rows[3].value, None);
        assert!((two_by_two().value(&[0, 1]) - 0.75).abs() < f64::EPSILON);
    }

    #[test]
    fn a_protocol_without_sizes_of_labels_is_written_and_read_as_before() {
        let mut protocol = Protocol::default();
        let json = serde_json::to_string(&protocol).unwrap();
        assert!(!json.contains("label_sizes"), "{json}");
        assert_eq!(serde_json::from_str::<Protocol>(&json).unwrap(), protocol);
        protocol.label_sizes.push(LabelSize {
            label: "law".into(),
            n_tokens: 30,
            n_documents: 2,
            n_groups: 1,
        });
        let json = serde_json::to_string(&protocol).unwrap();
        assert_eq!(serde_json::from_str::<Protocol>(&json).unwrap(), protocol);
    }

    #[test]
    fn undefined_numbers_survive_json() {
        let undefined = Interval {
            low: f64::NAN,
            high: 0.75,
        };
        let null = NullComparison {
            null_mean: f64::NAN,
            p: 0.5,
            p_corrected: None,
        };
        let measurement = Measurement {
            intervals: Some(vec![None, Some(undefined), None, None]),
            nulls: Some(vec![Some(null), None, None, None]),
            ..two_by_two()
        };
        let json = serde_json::to_string(&measurement).unwrap();
        assert!(json.contains("[0.25,0.75,0.5,null]"), "{json}");
        let read: Measurement = serde_json::from_str(&json).unwrap();
        assert!(read.values[3].is_nan());
        assert_eq!(read.values[..3], measurement.values[..3]);
        let interval = read.intervals.as_ref().unwrap()[1].unwrap();
        assert!(interval.low.is_nan() && (interval.high - 0.75).abs() < f64::EPSILON);
        let null = read.nulls.as_ref().unwrap()[0].unwrap();
        assert!(null.null_mean.is_nan() && (null.p - 0.5).abs() < f64::EPSILON);
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        let without = json.replace("\"values\":[0.25,0.75,0.5,null],", "");
        assert!(serde_json::from_str::<Measurement>(&without).is_err());
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        let long = Axis::new(AxisKind::Layer, vec![String::new(); 1 << 16]);
        let endless = Measurement {
            axes: vec![long; 5],
            ..two_by_two()
        };
        let error = endless.check().unwrap_err().to_string();
        assert!(error.contains("more values than can be counted"), "{error}");
        let mut measurement = two_by_two();
        measurement.values.pop();
        assert!(
            measurement
                .check()
                .unwrap_err()
                .to_string()
                .contains("promise 4 values, found 3")
        );
    }
}
