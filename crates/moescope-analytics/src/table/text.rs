//! An aligned table for people.

use std::fmt::Write as _;

use moescope_core::{AxisKind, Measurement};

/// More values than this are shown as a matrix, with the last axis across and without intervals.
const LONG_LIST: usize = 60;
/// Columns of a matrix beyond which the list is easier to read.
const WIDEST_MATRIX: usize = 20;

/// One measurement as aligned text: title, values, and how they came about.
///
/// Few values are listed with interval and p; many are shown as a matrix in which `*` marks a corrected p below 0.05.
#[must_use]
pub fn table(measurement: &Measurement) -> String {
    let mut text = format!("{} [{}]\n", measurement.title, measurement.unit);
    let columns = measurement.axes.last().map_or(1, moescope_core::Axis::len);
    let is_matrix = measurement.values.len() > LONG_LIST
        && measurement.axes.len() > 1
        && columns <= WIDEST_MATRIX;
    let rows = if is_matrix {
        matrix(measurement)
    } else {
        list(measurement)
    };
    text.push_str(&aligned(&rows));
    if let Some(reference) = measurement.reference {
        _ = writeln!(text, "indifferent router: {}", number(Some(reference)));
    }
    if is_matrix && measurement.nulls.is_some() {
        text.push_str("* corrected p (q) below 0.05\n");
    }
    if is_matrix && measurement.intervals.is_some() {
        text.push_str("intervals and p values: --format csv, parquet or json\n");
    }
    _ = writeln!(text, "{}", measurement.protocol.line());
    for note in &measurement.protocol.notes {
        _ = writeln!(text, "note: {note}");
    }
    text
}

fn list(measurement: &Measurement) -> Vec<Vec<String>> {
    let mut head: Vec<String> = measurement
        .axes
        .iter()
        .map(|axis| axis_title(axis.kind, &measurement.protocol.by))
        .collect();
    head.push("value".to_owned());
    if measurement.intervals.is_some() {
        let level = measurement.protocol.level.unwrap_or(0.95);
        head.push(format!("{:.0} % interval", 100.0 * level));
    }
    if measurement.nulls.is_some() {
        head.extend(["null mean", "p", "q"].map(str::to_owned));
    }
    let mut rows = vec![head];
    for (flat, value) in measurement.values.iter().enumerate() {
        let mut row = labels(measurement, flat);
        row.push(cell(measurement, *value));
        if let Some(intervals) = &measurement.intervals {
            row.push(intervals[flat].map_or_else(String::new, |interval| {
                format!(
                    "{} to {}",
                    number(Some(interval.low)),
                    number(Some(interval.high))
                )
            }));
        }
        if let Some(nulls) = &measurement.nulls {
            let null = nulls[flat];
            row.push(number(null.map(|n| n.null_mean)));
            row.push(number(null.map(|n| n.p)));
            row.push(number(null.and_then(|n| n.p_corrected)));
        }
        rows.push(row);
    }
    rows
}

fn matrix(measurement: &Measurement) -> Vec<Vec<String>> {
    let Some((last, first)) = measurement.axes.split_last() else {
        return list(measurement);
    };
    let title = |kind| axis_title(kind, &measurement.protocol.by);
    let mut head: Vec<String> = first.iter().map(|axis| title(axis.kind)).collect();
    head.extend(last.labels.iter().map(|label| match last.kind {
        AxisKind::Expert | AxisKind::ExpertB => format!("e{label}"),
        _ => label.clone(),
    }));
    let mut rows = vec![head];
    for (row, values) in measurement.values.chunks(last.len().max(1)).enumerate() {
        let start = row * last.len();
        let mut cells = labels(measurement, start);
        cells.truncate(first.len());
        cells.extend(values.iter().enumerate().map(|(column, value)| {
            let q = measurement
                .nulls
                .as_ref()
                .and_then(|nulls| nulls[start + column]?.p_corrected);
            let mark = if q.is_some_and(|q| q < 0.05) { "*" } else { "" };
            format!("{}{mark}", cell(measurement, *value))
        }));
        rows.push(cells);
    }
    rows
}

/// The label on every axis of a flat index.
fn labels(measurement: &Measurement, flat: usize) -> Vec<String> {
    let mut rest = flat;
    let mut labels: Vec<String> = measurement
        .axes
        .iter()
        .rev()
        .map(|axis| {
            let label = axis.labels[rest % axis.len()].clone();
            rest /= axis.len();
            label
        })
        .collect();
    labels.reverse();
    labels
}

fn axis_title(kind: AxisKind, by: &str) -> String {
    match kind {
        AxisKind::Layer => "layer".to_owned(),
        AxisKind::Expert => "expert".to_owned(),
        AxisKind::ExpertB => "expert b".to_owned(),
        AxisKind::Group => by.to_owned(),
        AxisKind::GroupB => format!("{by} b"),
        AxisKind::Document => "document".to_owned(),
        AxisKind::Component => "component".to_owned(),
        AxisKind::Variant => "variant".to_owned(),
        AxisKind::Margin => "margin".to_owned(),
        AxisKind::ChangedLayers => "changed layers".to_owned(),
        AxisKind::LayerB => "layer b".to_owned(),
        AxisKind::Lag => "lag".to_owned(),
        AxisKind::Position => "position".to_owned(),
        AxisKind::Token => "token".to_owned(),
        AxisKind::Rank => "rank".to_owned(),
        AxisKind::Trace => "trace".to_owned(),
    }
}

/// A value as its unit is written: ids are whole.
fn cell(measurement: &Measurement, value: f64) -> String {
    if measurement.unit == "expert id" && value.is_finite() {
        format!("{value:.0}")
    } else {
        number(Some(value))
    }
}

/// Four significant digits, so that columns stay narrow.
fn number(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(x) if x.is_nan() => "—".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(x) if x.abs() < 1e-4 || x.abs() >= 1e6 => format!("{x:.2e}"),
        Some(x) if x.abs() >= 100.0 => format!("{x:.1}"),
        Some(x) if x.abs() >= 10.0 => format!("{x:.2}"),
        Some(x) => format!("{x:.4}"),
    }
}

/// Columns of equal width, labels to the left and numbers to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_text: Vec<bool> = (0..columns)
        .map(|column| {
            let mut cells = rows.iter().skip(1).filter_map(|row| row.get(column));
            cells.any(|cell| cell.starts_with(char::is_alphabetic))
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if is_text[column] {
                _ = write!(line, "{cell:<width$}  ");
            } else {
                _ = write!(line, "{cell:>width$}  ");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, Interval, NullComparison, Protocol};

    use super::*;

    fn measurement(experts: usize) -> Measurement {
        let size = 2 * experts;
        Measurement {
            metric: "assignment_share".into(),
            title: "Share of assignments per expert".into(),
            unit: "share of assignments".into(),
            axes: vec![
                Axis::new(AxisKind::Group, vec!["law".into(), "mathematics".into()]),
                Axis::new(
                    AxisKind::Expert,
                    (0..experts).map(|e| e.to_string()).collect(),
                ),
            ],
            values: vec![0.25; size],
            intervals: Some(vec![
                Some(Interval {
                    low: 0.2,
                    high: 0.3
                });
                size
            ]),
            nulls: Some(vec![
                Some(NullComparison {
                    null_mean: 0.24,
                    p: 0.001,
                    p_corrected: Some(0.01),
                });
                size
            ]),
            reference: Some(0.25),
            protocol: Protocol {
                by: "discipline".into(),
                level: Some(0.95),
                notes: vec!["power: …".into()],
                ..Protocol::default()
            },
        }
    }

    #[test]
    fn few_values_are_listed_with_their_intervals() {
        let text = table(&measurement(1));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "Share of assignments per expert [share of assignments]"
        );
        assert_eq!(
            lines[1],
            "discipline   expert   value     95 % interval  null mean       p       q"
        );
        assert_eq!(
            lines[2],
            "law               0  0.2500  0.2000 to 0.3000     0.2400  0.0010  0.0100"
        );
        assert_eq!(
            lines[3],
            "mathematics       0  0.2500  0.2000 to 0.3000     0.2400  0.0010  0.0100"
        );
        assert!(text.ends_with("note: power: …\n"));
    }

    #[test]
    fn many_values_become_a_matrix_with_marks() {
        let mut wide = measurement(4);
        wide.axes.insert(
            0,
            Axis::new(AxisKind::Layer, (0..10).map(|l| l.to_string()).collect()),
        );
        wide.values = vec![0.25; 80];
        wide.intervals = Some(vec![None; 80]);
        wide.nulls = Some(vec![wide.nulls.as_ref().unwrap()[0]; 80]);
        let text = table(&wide);
        assert!(text.contains("layer  discipline        e0"), "{text}");
        assert!(text.contains("0.2500*"), "{text}");
    }

    #[test]
    fn ids_are_whole_and_missing_ones_a_dash() {
        let mut ids = measurement(1);
        ids.unit = "expert id".into();
        ids.values = vec![31.0, f64::NAN];
        let text = table(&ids);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[2].starts_with("law               0     31  "),
            "{text}"
        );
        assert!(
            lines[3].starts_with("mathematics       0      —  "),
            "{text}"
        );
    }
}
