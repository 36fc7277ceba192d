//! The tables of an ablation for people; every other table is in `--json` and `--out`.

use moescope_core::{
    AxisKind::{self, Group, Layer, Variant},
    Measurement, NullComparison,
};
use moescope_pipeline::{Ablation, LoadedModel};

use crate::{
    cells::{cell, significant, unit_mark},
    output,
    text_statistics::texts_and_intervals,
};

/// Values of a row: the target, the mean of its controls, the difference.
const COLUMNS: usize = 3;

/// Prints the tables, and how their numbers came about.
pub(super) fn show(found: &Ablation, loaded: &LoadedModel) -> anyhow::Result<()> {
    let Some(effect) = found.table("ablation_effect", &[Variant]) else {
        return Ok(());
    };
    let protocol = &effect.protocol;
    let share = |share: f64| format!("{} %", significant(100.0 * share));
    let loads: Vec<String> = found.controls.iter().map(|c| share(c.load_share)).collect();
    let mut pairs = vec![
        ("model", loaded.files.folder.name.clone()),
        (
            "intervention",
            format!(
                "{}, which gets {} of the assignments of layer {}",
                found.target.intervention,
                share(found.target.load_share),
                found.layer
            ),
        ),
        (
            "controls",
            format!(
                "{} of the same layer, with {}",
                found.controls.len(),
                loads.join(", ")
            ),
        ),
    ];
    pairs.extend(texts_and_intervals(protocol, found.samples, found.tokens));
    pairs.push(("p, q", protocol.null_method.clone()));
    output::pairs(&pairs)?;
    show_summary(found)?;
    show_rows(found, "ablation_effect", Group)?;
    show_rows(found, "ablation_kl", Group)?;
    show_selectivity(found)?;
    show_rows(found, "ablation_downstream", Layer)?;
    show_notes(found)
}

fn show_summary(found: &Ablation) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for metric in ["ablation_effect", "ablation_kl"] {
        let Some(table) = found.table(metric, &[Variant]) else {
            continue;
        };
        rows.push(row(
            table,
            0,
            format!("{}{}", table.title, unit_mark(table)),
        ));
    }
    output::line("")?;
    print("all texts", &rows)
}

/// One row per label of an axis.
fn show_rows(found: &Ablation, metric: &str, along: AxisKind) -> anyhow::Result<()> {
    let Some(table) = found.table(metric, &[along, Variant]) else {
        return Ok(());
    };
    let by = match along {
        Group => table.protocol.by.as_str(),
        _ => "layer",
    };
    output::line("")?;
    output::line(&format!("{}{}, by {by}", table.title, unit_mark(table)))?;
    let labels = table.axes[0].labels.iter().enumerate();
    let rows: Vec<Vec<String>> = labels
        .map(|(place, label)| row(table, place, label.clone()))
        .collect();
    print(by, &rows)
}

/// The same with its own test.
fn show_selectivity(found: &Ablation) -> anyhow::Result<()> {
    show_rows(found, "ablation_selectivity", Group)?;
    if let Some(table) = found.table("ablation_selectivity", &[Group, Variant])
        && !table.protocol.null_method.is_empty()
    {
        output::line(&format!("p, q here: {}", table.protocol.null_method))?;
    }
    Ok(())
}

/// The target, its controls, the difference, and the target's p and q.
fn row(table: &Measurement, place: usize, label: String) -> Vec<String> {
    let first = place * COLUMNS;
    let null = table.nulls.as_ref().and_then(|all| all[first]);
    let mut row = vec![label];
    row.extend((first..first + COLUMNS).map(|flat| cell(table, flat)));
    row.push(null.map_or_else(dash, |null| probability(null.p)));
    row.push(
        null.and_then(|null: NullComparison| null.p_corrected)
            .map_or_else(dash, probability),
    );
    row
}

fn dash() -> String {
    "—".to_owned()
}

fn probability(p: f64) -> String {
    format!("{p:.3}")
}

fn print(first: &str, rows: &[Vec<String>]) -> anyhow::Result<()> {
    let headings = [first, "target", "controls", "difference", ">p", ">q"];
    Ok(output::table(&headings, rows)?)
}

/// Every note of the tables that were shown, once.
fn show_notes(found: &Ablation) -> anyhow::Result<()> {
    let mut told: Vec<&str> = Vec::new();
    let shown = found
        .measurements
        .iter()
        .filter(|table| table.metric.starts_with("ablation_"));
    for table in shown {
        for note in &table.protocol.notes {
            let is_power = note.starts_with("power:");
            // The power note is about one table; that of the first is told.
            let has_power = told.iter().any(|told| told.starts_with("power:"));
            if !(told.contains(&note.as_str()) || is_power && has_power) {
                told.push(note);
            }
        }
    }
    output::line("")?;
    for note in told {
        output::line(&format!("note: {note}"))?;
    }
    Ok(())
}
