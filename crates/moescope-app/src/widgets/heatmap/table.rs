//! The part of a measurement that a heat map shows: two axes, the others fixed.

use std::sync::Arc;

use moescope_core::{AxisKind, Interval, Measurement, NullComparison};
use moescope_figures::{ColorScale, FigureOptions, Significance, ValueScale, short_number};

use super::counted::Counted;
use crate::{
    answers::Measured,
    widgets::text::{probability, with_interval},
};

/// Which part of which measurement, and how it becomes colours.
#[derive(Clone, Debug)]
pub(crate) struct TableSource {
    /// What the metric gave.
    pub(crate) measured: Measured,
    /// Which of its measurements.
    pub(crate) index: usize,
    /// The axis of the rows.
    pub(crate) rows: AxisKind,
    /// The axis of the columns.
    pub(crate) columns: AxisKind,
    /// The label that is taken of other axes; their first one where none is named.
    pub(crate) fixed: Vec<(AxisKind, String)>,
    /// How values become colours.
    pub(crate) scale: ColorScale,
    /// Lowest and highest value of the scale, where it is shared with another table.
    pub(crate) limits: Option<[f64; 2]>,
    /// Whether cells that a test sets apart are marked.
    pub(crate) has_marks: bool,
}

impl PartialEq for TableSource {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.measured, &other.measured)
            && (self.index, self.rows, self.columns) == (other.index, other.rows, other.columns)
            && self.fixed == other.fixed
            && (self.scale, self.has_marks) == (other.scale, other.has_marks)
            && self.limits == other.limits
    }
}

/// What a heat map shows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) row_title: String,
    pub(crate) column_title: String,
    pub(crate) rows: Vec<String>,
    pub(crate) columns: Vec<String>,
    /// Row by row; NaN is not defined.
    pub(crate) values: Vec<f64>,
    intervals: Vec<Option<Interval>>,
    nulls: Vec<Option<NullComparison>>,
    /// Which cells a test sets apart; empty for none.
    pub(crate) marks: Vec<bool>,
    /// What a mark means.
    pub(crate) mark_words: Option<String>,
    pub(crate) unit: String,
    pub(crate) reference: Option<f64>,
    pub(crate) scale: ValueScale,
    counted: Counted,
    level: Option<f64>,
}

impl TableSource {
    /// The measurement that is shown.
    fn measurement(&self) -> Option<&Measurement> {
        self.measured.get(self.index)
    }

    /// Numbers of rows and columns.
    pub(crate) fn shape(&self) -> [usize; 2] {
        let len = |kind| {
            self.measurement()
                .and_then(|m| m.axis(kind))
                .map_or(0, |(_, axis)| axis.len())
        };
        [len(self.rows), len(self.columns)]
    }

    /// Takes the part out of the measurement.
    ///
    /// # Errors
    /// When the measurement has no such axis or label.
    pub(crate) fn table(&self) -> Result<Table, String> {
        let measurement = self
            .measurement()
            .ok_or("the metric gave no such table; choose another metric")?;
        let places = self.places(measurement)?;
        let pick = Pick::new(measurement, &places, [self.rows, self.columns])?;
        let values: Vec<f64> = pick.of(&measurement.values);
        let significance = Significance::of(measurement).filter(|_| self.has_marks);
        let nulls = measurement
            .nulls
            .as_ref()
            .map_or_else(Vec::new, |nulls| pick.of(nulls));
        let marks = significance.map_or_else(Vec::new, |significance| {
            nulls.iter().map(|null| significance.holds(*null)).collect()
        });
        let is_centred = values.iter().any(|value| *value < 0.0);
        let reference = measurement.reference.filter(|_| !is_centred);
        let options = FigureOptions {
            scale: self.scale,
            limits: self.limits,
            ..FigureOptions::default()
        };
        Ok(Table {
            row_title: axis_title(self.rows).to_owned(),
            column_title: axis_title(self.columns).to_owned(),
            rows: pick.labels(measurement, 0),
            columns: pick.labels(measurement, 1),
            intervals: measurement
                .intervals
                .as_ref()
                .map_or_else(Vec::new, |intervals| pick.of(intervals)),
            nulls,
            marks,
            mark_words: significance.map(Significance::words),
            unit: measurement.unit.clone(),
            scale: ValueScale::new(&values, &options, reference.unwrap_or(0.0), is_centred),
            reference,
            counted: Counted::new(self, measurement, &places),
            level: measurement.protocol.level,
            values,
        })
    }

    /// The index taken along every axis; rows and columns are filled in later.
    fn places(&self, measurement: &Measurement) -> Result<Vec<usize>, String> {
        measurement
            .axes
            .iter()
            .map(|axis| {
                let wanted = self.fixed.iter().find(|(kind, _)| *kind == axis.kind);
                match wanted {
                    None => Ok(0),
                    Some((_, label)) => {
                        axis.labels.iter().position(|l| l == label).ok_or_else(|| {
                            format!(
                                "the measurement has no {} '{label}'; it has {}",
                                axis_title(axis.kind).to_lowercase(),
                                axis.labels.join(", ")
                            )
                        })
                    }
                }
            })
            .collect()
    }
}

/// Which flat indices of a measurement a table takes, row by row.
struct Pick {
    flats: Vec<usize>,
    sides: [usize; 2],
}

impl Pick {
    fn new(
        measurement: &Measurement,
        places: &[usize],
        kinds: [AxisKind; 2],
    ) -> Result<Self, String> {
        let place_of = |kind: AxisKind| {
            measurement
                .axis(kind)
                .map(|(place, _)| place)
                .ok_or_else(|| {
                    format!(
                        "{} has no axis of {}; choose another metric",
                        measurement.metric,
                        axis_title(kind).to_lowercase()
                    )
                })
        };
        let sides = [place_of(kinds[0])?, place_of(kinds[1])?];
        let [rows, columns] = sides.map(|axis| measurement.axes[axis].len());
        let mut index = places.to_vec();
        let mut flats = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            index[sides[0]] = row;
            for column in 0..columns {
                index[sides[1]] = column;
                flats.push(measurement.flat_index(&index));
            }
        }
        Ok(Self { flats, sides })
    }

    fn of<T: Copy>(&self, all: &[T]) -> Vec<T> {
        self.flats.iter().map(|flat| all[*flat]).collect()
    }

    fn labels(&self, measurement: &Measurement, side: usize) -> Vec<String> {
        measurement.axes[self.sides[side]].labels.clone()
    }
}

impl Table {
    /// Numbers of rows and columns.
    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }

    /// The place of a cell among the values, row first.
    pub(crate) fn flat(&self, [row, column]: [usize; 2]) -> Option<usize> {
        (row < self.rows.len() && column < self.columns.len())
            .then(|| row * self.columns.len() + column)
    }

    /// A value in a few digits.
    pub(crate) fn short(value: f64) -> String {
        short_number(value)
    }

    /// Everything about a cell, line by line: where, how much, how sure, of what.
    pub(crate) fn describe(&self, cell: [usize; 2]) -> Vec<String> {
        let Some(flat) = self.flat(cell) else {
            return Vec::new();
        };
        let interval = self.intervals.get(flat).copied().flatten();
        let counted = self
            .counted
            .of([&self.rows[cell[0]], &self.columns[cell[1]]]);
        let mut lines = vec![
            format!(
                "{} {}, {} {}",
                self.row_title.to_lowercase(),
                self.rows[cell[0]],
                self.column_title.to_lowercase(),
                self.columns[cell[1]]
            ),
            format!(
                "{} {}",
                with_interval(self.values[flat], interval),
                self.unit
            ),
        ];
        match (interval, self.level) {
            (Some(_), Some(level)) => {
                lines.push(format!(
                    "{}% interval; measured in {counted}",
                    short_number(100.0 * level)
                ));
            }
            _ => lines.push(format!("no interval; {counted}")),
        }
        if let Some(null) = self.nulls.get(flat).copied().flatten() {
            let corrected = null
                .p_corrected
                .map(|q| format!(", q {}", probability(q)))
                .unwrap_or_default();
            lines.push(format!(
                "null {}, p {}{corrected}",
                short_number(null.null_mean),
                probability(null.p)
            ));
        }
        lines
    }
}

/// The lowest and highest value of some tables together, so that they can share a scale.
pub(crate) fn shared_limits(sources: &[&TableSource]) -> Option<[f64; 2]> {
    let mut limits: Option<[f64; 2]> = None;
    for source in sources {
        let measurement = source.measurement()?;
        let places = source.places(measurement).ok()?;
        let pick = Pick::new(measurement, &places, [source.rows, source.columns]).ok()?;
        let is_log = source.scale == ColorScale::Log;
        for value in pick.of(&measurement.values) {
            // What is not positive has no place on a logarithmic scale.
            if value.is_finite() && !(is_log && value <= 0.0) {
                let [low, high] = limits.unwrap_or([value, value]);
                limits = Some([low.min(value), high.max(value)]);
            }
        }
    }
    let is_log = sources.iter().any(|source| source.scale == ColorScale::Log);
    // Shares start at zero, as on the figures' own scale.
    limits
        .map(|[low, high]| {
            let low = if !is_log && low >= 0.0 && low <= 0.5 * high {
                0.0
            } else {
                low
            };
            [low, high]
        })
        .filter(|[low, high]| low < high)
}

/// What an axis is called over its labels.
pub(crate) fn axis_title(kind: AxisKind) -> &'static str {
    match kind {
        AxisKind::Layer => "Layer",
        AxisKind::Expert => "Expert",
        AxisKind::ExpertB => "Second expert",
        AxisKind::Group => "Label",
        AxisKind::GroupB => "Second label",
        AxisKind::Document => "Document",
        AxisKind::Component => "Component",
        AxisKind::Variant => "Variant",
        AxisKind::Margin => "Margin",
        AxisKind::ChangedLayers => "Changed layers",
        AxisKind::LayerB => "Second layer",
        AxisKind::Lag => "Lag",
        AxisKind::Position => "Position",
        AxisKind::Token => "Token",
        AxisKind::Rank => "Rank",
        AxisKind::Trace => "Trace",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use moescope_core::{Axis, LabelSize, Protocol};

    use super::*;

    fn size(label: &str, n_tokens: u64) -> LabelSize {
        LabelSize {
            label: label.into(),
            n_tokens,
            n_documents: 7,
            n_groups: 1,
        }
    }

    pub(in super::super) fn source() -> TableSource {
        let labels = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let interval = Some(Interval {
            low: 0.1,
            high: 0.3,
        });
        let null = |q| {
            Some(NullComparison {
                null_mean: 0.25,
                p: 0.01,
                p_corrected: Some(q),
            })
        };
        let measurement = Measurement {
            metric: "assignment_share".into(),
            title: "Assignment share".into(),
            unit: "share of assignments".into(),
            axes: vec![
                Axis::new(AxisKind::Group, labels(&["math", "law"])),
                Axis::new(AxisKind::Layer, labels(&["0", "3"])),
                Axis::new(AxisKind::Expert, labels(&["0", "1"])),
            ],
            // math: 0.1 0.9 / 0.2 0.8; law: 0.5 0.5 / 0.25 not defined.
            values: vec![0.1, 0.9, 0.2, 0.8, 0.5, 0.5, 0.25, f64::NAN],
            intervals: Some(vec![interval; 8]),
            nulls: Some(
                [0.01, 0.2, 0.04, 0.9, 0.5, 0.5, 0.5, 0.5]
                    .map(null)
                    .to_vec(),
            ),
            reference: Some(0.5),
            protocol: Protocol {
                level: Some(0.95),
                n_tokens: 1200,
                n_documents: 12,
                n_groups: 6,
                label_sizes: vec![size("math", 700), size("law", 500)],
                ..Protocol::default()
            },
        };
        TableSource {
            measured: Arc::new(vec![measurement]),
            index: 0,
            rows: AxisKind::Layer,
            columns: AxisKind::Expert,
            fixed: vec![(AxisKind::Group, "math".into())],
            scale: ColorScale::Auto,
            limits: None,
            has_marks: true,
        }
    }

    #[test]
    fn a_cell_is_exactly_the_measurements_value() {
        let table = source().table().unwrap();
        assert_eq!(table.shape(), [2, 2]);
        assert_eq!(table.values, [0.1, 0.9, 0.2, 0.8]);
        assert_eq!(table.marks, [true, false, true, false]);
        assert_eq!(
            table.describe([1, 0]),
            [
                "layer 3, expert 0",
                "0.2 (0.1 to 0.3) share of assignments",
                "95% interval; measured in 700 tokens, 7 documents, 1 group of math",
                "null 0.25, p 0.010, q 0.040",
            ]
        );
        assert!(table.describe([2, 0]).is_empty());
    }

    #[test]
    fn a_label_that_is_not_there_is_named_with_those_that_are() {
        let mut source = source();
        source.fixed = vec![(AxisKind::Group, "art".into())];
        let error = source.table().unwrap_err();
        assert!(
            error.contains("'art'") && error.contains("math, law"),
            "{error}"
        );
        source.rows = AxisKind::Lag;
        source.fixed.clear();
        assert!(source.table().unwrap_err().contains("no axis of lag"));
    }

    #[test]
    fn tables_share_the_widest_scale() {
        let math = source();
        let mut law = source();
        law.fixed = vec![(AxisKind::Group, "law".into())];
        // math: 0.1 to 0.9, law: 0.25 to 0.5; shares start at zero.
        assert_eq!(shared_limits(&[&math, &law]), Some([0.0, 0.9]));
        assert_ne!(math, law);
    }
}
