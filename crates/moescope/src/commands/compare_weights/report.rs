//! The tables of a comparison for people; every other table is in `--json` and `--out`.

use moescope_core::{
    AxisKind::{self, ChangedLayers, Group, Layer, Margin, Variant},
    Measurement,
};
use moescope_engine::ComputeDevice;
use moescope_pipeline::WeightComparison;

use crate::{
    cells::{cell, significant, unit_mark, whole},
    output,
    text_statistics::texts_and_intervals,
};

/// Quantities over all layers, in the order of the first table.
const SUMMARY: [&str; 10] = [
    "changed_selections",
    "changed_assignments",
    "changed_first_choices",
    "rerouted_tokens",
    "weight_error_mean",
    "weight_error_rms",
    "weight_distance",
    "next_token_kl",
    "changed_predictions",
    "surprisal_change",
];

/// Prints the tables, and how their numbers came about.
pub(super) fn show(
    found: &WeightComparison,
    model: &str,
    device: &ComputeDevice,
) -> anyhow::Result<()> {
    let Some(summary) = found.table(SUMMARY[0], &[Variant]) else {
        return Ok(());
    };
    let protocol = &summary.protocol;
    let mut pairs = vec![
        ("model", model.to_owned()),
        (
            "reference",
            format!(
                "weights as stored, {} arithmetic, on the {} ({})",
                found.reference.compute,
                device.kind.to_uppercase(),
                device.name
            ),
        ),
    ];
    pairs.extend(texts_and_intervals(protocol, found.samples, found.tokens));
    output::pairs(&pairs)?;
    show_summary(found)?;
    show_rows(found, "changed_selections", Layer)?;
    show_margins(found)?;
    show_rows(found, "changed_selections", Group)?;
    show_rows(found, "next_token_kl", Group)?;
    show_changed_layers(found)?;
    show_notes(found)
}

fn show_summary(found: &WeightComparison) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = SUMMARY
        .iter()
        .filter_map(|metric| found.table(metric, &[Variant]))
        .map(|table| {
            let mut row = vec![format!("{}{}", table.title, unit_mark(table))];
            row.extend((0..table.values.len()).map(|flat| cell(table, flat)));
            row
        })
        .collect();
    print(found, &["all layers"], &rows)
}

/// One row per label of an axis, one column per variant.
fn show_rows(found: &WeightComparison, metric: &str, along: AxisKind) -> anyhow::Result<()> {
    let Some(table) = found.table(metric, &[along, Variant]) else {
        return Ok(());
    };
    let by = match along {
        Group => table.protocol.by.as_str(),
        _ => "layer",
    };
    title(&format!("{}{}, by {by}", table.title, unit_mark(table)))?;
    let rows = rows(table, |_| Vec::new());
    print(found, &[by], &rows)
}

/// As the others, with the number of decisions in each range.
fn show_margins(found: &WeightComparison) -> anyhow::Result<()> {
    let (Some(table), Some(counts)) = (
        found.table("changed_selections", &[Margin, Variant]),
        found.table("decisions", &[Margin]),
    ) else {
        return Ok(());
    };
    title(&format!("{} of the reference", table.title))?;
    let total: f64 = counts.values.iter().sum();
    let rows = rows(table, |row| {
        let decisions = counts.values[row];
        vec![
            whole(decisions),
            format!("{} %", significant(100.0 * decisions / total)),
        ]
    });
    print(found, &["margin", ">decisions", ">of all"], &rows)
}

/// Share of tokens and divergence by the number of layers whose selection changed.
fn show_changed_layers(found: &WeightComparison) -> anyhow::Result<()> {
    let axes = [ChangedLayers, Variant];
    let (Some(kl), Some(tokens)) = (
        found.table("next_token_kl", &axes),
        found.table("tokens", &axes),
    ) else {
        return Ok(());
    };
    title(&format!("{}{}; share of tokens", kl.title, unit_mark(kl)))?;
    let variants = found.variants.len();
    let total =
        |variant: usize| -> f64 { tokens.values.iter().skip(variant).step_by(variants).sum() };
    let rows: Vec<Vec<String>> = kl.axes[0]
        .labels
        .iter()
        .enumerate()
        .map(|(bin, label)| {
            let mut row = vec![label.clone()];
            row.extend((0..variants).map(|variant| {
                let flat = bin * variants + variant;
                let share = 100.0 * tokens.values[flat] / total(variant);
                if tokens.values[flat] > 0.0 {
                    format!("{}; {} %", cell(kl, flat), significant(share))
                } else {
                    "—".to_owned()
                }
            }));
            row
        })
        .collect();
    print(found, &["layers changed"], &rows)
}

/// Every note of the tables that were shown, once.
fn show_notes(found: &WeightComparison) -> anyhow::Result<()> {
    let mut told: Vec<&str> = Vec::new();
    for table in &found.measurements {
        for note in &table.protocol.notes {
            // The power note is about one table and stands with it in --json.
            if !told.contains(&note.as_str()) && !note.starts_with("power:") {
                told.push(note);
            }
        }
    }
    output::line("")?;
    for note in told {
        output::line(&format!("note: {note}"))?;
    }
    output::line(
        "note: both models read the given text, and every layer gets what its own model's layers before it made: \
         differences compound with depth",
    )?;
    Ok(())
}

fn title(text: &str) -> anyhow::Result<()> {
    output::line("")?;
    Ok(output::line(text)?)
}

/// Rows of a table over `[something, variants]`, with further cells after the label.
fn rows(table: &Measurement, more: impl Fn(usize) -> Vec<String>) -> Vec<Vec<String>> {
    let variants = table.axes[1].len();
    let cells =
        |row: usize| (0..variants).map(move |variant| cell(table, row * variants + variant));
    table.axes[0]
        .labels
        .iter()
        .enumerate()
        .map(|(row, label)| {
            let mut line = vec![label.clone()];
            line.extend(more(row));
            line.extend(cells(row));
            line
        })
        .collect()
}

/// Prints a table whose last columns are the variants.
fn print(found: &WeightComparison, first: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    let names = found.variants.iter().map(|variant| variant.name.as_str());
    let headings: Vec<&str> = first.iter().copied().chain(names).collect();
    if first == ["all layers"] {
        output::line("")?;
    }
    Ok(output::table(&headings, rows)?)
}
