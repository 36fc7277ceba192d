//! Tables of single traces and labels put together into one.

use moescope_core::{Axis, AxisKind, Interval, Measurement, NullComparison, Protocol};

/// What was measured of one trace and one label; `None` where there was too little.
pub(super) struct Cell {
    /// The trace's and the label's name, for notes.
    pub(super) name: String,
    /// What was measured.
    pub(super) found: Option<Measurement>,
}

/// Puts `[traces × labels]` cells together: layers first, then traces and labels, then what else the cells have.
///
/// Cells with other axes than the rest (ranges that only some of them use) stay tables of their own.
pub(super) fn stack(cells: &[Cell], traces: &Axis, labels: Option<&Axis>) -> Vec<Measurement> {
    let mut found = cells.iter().filter_map(|cell| cell.found.as_ref());
    let Some(template) = found.next() else {
        return Vec::new();
    };
    if found.any(|other| other.axes != template.axes) {
        return apart(cells, traces, labels);
    }
    let has_layers = template
        .axes
        .first()
        .is_some_and(|axis| axis.kind == AxisKind::Layer);
    let layers = if has_layers {
        template.axes[0].len()
    } else {
        1
    };
    let rest = template.values.len() / layers.max(1);
    let tests = cells.iter().filter(|cell| cell.found.is_some()).count();
    let mut stacked = Measurement {
        axes: template.axes[..usize::from(has_layers)].to_vec(),
        values: Vec::new(),
        intervals: template.intervals.as_ref().map(|_| Vec::new()),
        nulls: template.nulls.as_ref().map(|_| Vec::new()),
        ..template.clone()
    };
    stacked.axes.push(traces.clone());
    stacked.axes.extend(labels.cloned());
    stacked
        .axes
        .extend_from_slice(&template.axes[usize::from(has_layers)..]);
    if cells
        .iter()
        .any(|cell| has(cell, |m| m.intervals.is_some()))
    {
        stacked.intervals = Some(Vec::new());
    }
    for layer in 0..layers {
        for cell in cells {
            for place in layer * rest..(layer + 1) * rest {
                let value = cell.found.as_ref().map(|found| found.values[place]);
                stacked.values.push(value.unwrap_or(f64::NAN));
                if let Some(intervals) = &mut stacked.intervals {
                    intervals.push(interval(cell, place));
                }
                if let Some(nulls) = &mut stacked.nulls {
                    nulls.push(null(cell, place).map(|null| corrected(null, tests)));
                }
            }
        }
    }
    complete_protocol(&mut stacked, cells, labels.map_or(1, Axis::len), tests);
    vec![stacked]
}

fn has(cell: &Cell, is: impl Fn(&Measurement) -> bool) -> bool {
    cell.found.as_ref().is_some_and(is)
}

fn interval(cell: &Cell, place: usize) -> Option<Interval> {
    cell.found.as_ref()?.intervals.as_ref()?[place]
}

fn null(cell: &Cell, place: usize) -> Option<NullComparison> {
    cell.found.as_ref()?.nulls.as_ref()?[place]
}

/// Max-T within each cell, Bonferroni over the cells.
fn corrected(null: NullComparison, tests: usize) -> NullComparison {
    #[expect(clippy::cast_precision_loss, reason = "a number of labels and traces")]
    let tests = tests as f64;
    NullComparison {
        p_corrected: null.p_corrected.map(|q| (q * tests).min(1.0)),
        ..null
    }
}

/// The protocols of the cells that were measured.
fn protocols(cells: &[Cell]) -> impl Iterator<Item = (&str, &Protocol)> {
    let measured = cells
        .iter()
        .filter_map(|cell| Some((cell, cell.found.as_ref()?)));
    measured.map(|(cell, found)| (cell.name.as_str(), &found.protocol))
}

/// How intervals and q were made, sizes, and notes with the names of the cells that they are about.
fn complete_protocol(stacked: &mut Measurement, cells: &[Cell], labels: usize, tests: usize) {
    let protocol = &mut stacked.protocol;
    if tests > 1 && !protocol.null_method.is_empty() {
        let more = format!(", times {tests} for as many traces and labels (Bonferroni)");
        protocol.null_method.push_str(&more);
    }
    let with_intervals = protocols(cells).find(|(_, own)| own.level.is_some());
    if let Some((_, own)) = with_intervals {
        protocol.level = own.level;
        protocol.interval_method.clone_from(&own.interval_method);
    }
    // The labels of one trace are other documents, those of the next are the same ones again.
    let sizes =
        |size: fn(&Protocol) -> u64| protocols(&cells[..labels]).map(|(_, own)| size(own)).sum();
    protocol.n_tokens = sizes(|own| own.n_tokens);
    protocol.n_documents = sizes(|own| own.n_documents);
    protocol.n_groups = sizes(|own| own.n_groups);
    // Those of one trace only.
    protocol.label_sizes.clear();
    protocol.notes = Vec::new();
    let mut has_power = false;
    for (name, own) in protocols(cells) {
        for note in &own.notes {
            // One design note is enough: those of other cells differ in the digits.
            let is_again = note.starts_with("power:") && std::mem::replace(&mut has_power, true);
            let is_of_all = protocols(cells).all(|(_, other)| other.notes.contains(note));
            let told = if is_of_all {
                note.clone()
            } else {
                format!("{name}: {note}")
            };
            if !is_again && !protocol.notes.contains(&told) {
                protocol.notes.push(told);
            }
        }
    }
}

/// Every cell as a table of its own, with its trace and label as axes of one value.
fn apart(cells: &[Cell], traces: &Axis, labels: Option<&Axis>) -> Vec<Measurement> {
    let per_trace = labels.map_or(1, Axis::len);
    let tables = cells.iter().enumerate().filter_map(|(place, cell)| {
        let mut found = cell.found.clone()?;
        let one = |axis: &Axis, at: usize| Axis::new(axis.kind, vec![axis.labels[at].clone()]);
        let mut axes = vec![one(traces, place / per_trace)];
        axes.extend(labels.map(|labels| one(labels, place % per_trace)));
        axes.append(&mut found.axes);
        found.axes = axes;
        Some(found)
    });
    tables.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(name: &str, first: f64, note: &str) -> Cell {
        let axes = vec![
            Axis::new(AxisKind::Layer, vec!["3".into(), "5".into()]),
            Axis::new(AxisKind::Expert, vec!["0".into(), "1".into()]),
        ];
        let null = NullComparison {
            null_mean: 0.0,
            p: 0.1,
            p_corrected: Some(0.4),
        };
        Cell {
            name: name.to_owned(),
            found: Some(Measurement {
                metric: "load".into(),
                title: "Load".into(),
                unit: "share".into(),
                axes,
                values: (0..4).map(|i| first + f64::from(i)).collect(),
                intervals: None,
                nulls: Some(vec![Some(null); 4]),
                reference: None,
                protocol: Protocol {
                    null_method: "swapped".into(),
                    notes: vec!["all".into(), note.into()],
                    ..Protocol::default()
                },
            }),
        }
    }

    #[test]
    fn layers_come_first_and_cells_within_them() {
        let traces = Axis::new(AxisKind::Trace, vec!["a".into(), "b".into()]);
        let cells = [cell("a", 10.0, "one"), cell("b", 20.0, "two")];
        let found = stack(&cells, &traces, None).remove(0);
        found.check().unwrap();
        let kinds: Vec<AxisKind> = found.axes.iter().map(|axis| axis.kind).collect();
        assert_eq!(kinds, [AxisKind::Layer, AxisKind::Trace, AxisKind::Expert]);
        // Layer 3 of both, then layer 5 of both.
        assert_eq!(
            found.values,
            [10.0, 11.0, 20.0, 21.0, 12.0, 13.0, 22.0, 23.0]
        );
        // Two tables: q is doubled, p stays.
        let null = found.nulls.unwrap()[0].unwrap();
        assert!((null.p_corrected.unwrap() - 0.8).abs() < 1e-12 && null.p < 0.11);
        assert_eq!(found.protocol.notes, ["all", "a: one", "b: two"]);
    }

    #[test]
    fn a_cell_with_too_little_is_undefined_and_other_axes_stay_apart() {
        let traces = Axis::new(AxisKind::Trace, vec!["a".into(), "b".into()]);
        let missing = Cell {
            name: "b".into(),
            found: None,
        };
        let cells = [cell("a", 10.0, "one"), missing];
        let found = stack(&cells, &traces, None).remove(0);
        assert!(found.values[2].is_nan() && (found.values[4] - 12.0).abs() < 1e-12);
        let mut other = cell("b", 20.0, "two");
        let own = other.found.as_mut().unwrap();
        own.axes[1] = Axis::new(AxisKind::Expert, vec!["0".into(), "7".into()]);
        let cells = [cell("a", 10.0, "one"), other];
        let found = stack(&cells, &traces, None);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].axes[0].labels, ["b"]);
    }
}
