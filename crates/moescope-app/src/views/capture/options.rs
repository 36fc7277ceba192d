//! The options of a capture, folded away until they are wanted.

use egui::{Button, CollapsingHeader, DragValue, Key, TextEdit, Ui, emath::Numeric};
use moescope_engine::{ComputeType, Intervention, WeightType};
use moescope_trace::OverlongPolicy;

use super::{LABEL, problem, row};
use crate::{
    choices::{CaptureChoice, ColumnsChoice},
    view::ViewContext,
    widgets::{
        combo_box::combo_box,
        intervention_list::intervention_list,
        text::{field_label, heading, soft},
    },
};

/// What an intervention looks like.
const SPECS: &str = "mask:LAYERS:EXPERTS, boost=X:LAYERS:EXPERTS, force:LAYERS:EXPERTS, swap:LAYERS:A=B or zero:LAYERS:EXPERTS; \
                     LAYERS like 0,5-8 or all";
/// The word for a number that the capture chooses by itself.
const USUAL: &str = "usual";

/// Paints all options but those of the files; `spec` is an intervention as far as it is typed.
pub(super) fn ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    choice: &mut CaptureChoice,
    spec: &mut String,
) {
    heading(ui, "Options");
    row(ui, "Generate", |ui| {
        ui.add(
            DragValue::new(&mut choice.generate)
                .range(0..=100_000)
                .suffix(" tokens after each text"),
        )
    });
    if choice.generate > 0 {
        sampling(ui, choice);
    }
    ui.checkbox(
        &mut choice.is_chat,
        "Each text is the user's message in a chat",
    );
    if choice.is_chat {
        chat(ui, ctx, choice);
    }
    let usual = CaptureChoice::default();
    let is_usual = (choice.max_tokens, choice.overlong, choice.batch_tokens)
        == (usual.max_tokens, usual.overlong, usual.batch_tokens)
        && choice.wraps_science_units == usual.wraps_science_units;
    group(ui, "Length and batches", is_usual, |ui| lengths(ui, choice));
    let is_usual = choice.keeps_logits == usual.keeps_logits
        && choice.is_full_precision == usual.is_full_precision
        && choice.records_surprisal == usual.records_surprisal
        && choice.layers.trim().is_empty()
        && choice.shard_decisions == usual.shard_decisions;
    group(ui, "What is recorded", is_usual, |ui| {
        recording(ui, ctx, choice);
    });
    let is_usual = choice.interventions.is_empty() && choice.untrained_routers.is_none();
    group(ui, "Changes to routing", is_usual, |ui| {
        interventions(ui, ctx, choice, spec);
        untrained_routers(ui, choice);
    });
    let is_usual = (choice.weights, choice.compute) == (usual.weights, usual.compute)
        && choice.device.trim().is_empty();
    group(ui, "Precision and device", is_usual, |ui| {
        precision(ui, ctx, choice);
    });
    ui.add_space(10.0);
}

/// Paints where the files have texts and labels.
pub(super) fn columns_ui(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut ColumnsChoice) {
    let is_usual = *choice == ColumnsChoice::default();
    group(ui, "Columns and bad records", is_usual, |ui| {
        for (label, usual, chosen) in [
            ("Text column", "text", &mut choice.text),
            (
                "Discipline column",
                "discipline, if there is one",
                &mut choice.discipline,
            ),
            ("Id column", "id, or the file and the line", &mut choice.id),
            ("Group column", "group, if there is one", &mut choice.group),
            ("Genre column", "genre, if there is one", &mut choice.genre),
        ] {
            let shown = if chosen.is_empty() {
                usual.to_owned()
            } else {
                chosen.clone()
            };
            combo(ui, label, &shown, |ui| {
                ui.selectable_value(chosen, String::new(), usual);
                for name in ctx.state.captures.columns.names() {
                    ui.selectable_value(chosen, name.clone(), name.as_str());
                }
            });
        }
        row(ui, "Group before", |ui| {
            ui.add(
                TextEdit::singleline(&mut choice.group_before)
                    .hint_text("#")
                    .desired_width(40.0),
            )
            .on_hover_text(
                "Where a record has no group: its id up to this sign is the group, as in book#p5",
            )
        });
        row(ui, "Keep columns", |ui| {
            ui.add(
                TextEdit::singleline(&mut choice.keep)
                    .hint_text("year, journal")
                    .desired_width(220.0),
            )
            .on_hover_text("Further columns to keep as labels, with commas between them")
        });
        ui.checkbox(
            &mut choice.skips_bad_rows,
            "Leave out records that cannot be used",
        )
        .on_hover_text("Else all of them are listed, and nothing is captured");
    });
}

fn sampling(ui: &mut Ui, choice: &mut CaptureChoice) {
    row(ui, "Temperature", |ui| {
        ui.add(
            DragValue::new(&mut choice.temperature)
                .range(0.0..=5.0)
                .speed(0.05),
        )
        .on_hover_text("0 always takes the most likely token")
    });
    row(ui, "Top k", |ui| {
        ui.add(number(&mut choice.top_k, "all", "").range(0..=100_000))
            .on_hover_text("Draw only from so many of the most likely tokens")
    });
    row(ui, "Top p", |ui| {
        ui.add(
            DragValue::new(&mut choice.top_p)
                .range(0.01..=1.0)
                .speed(0.01),
        )
        .on_hover_text("Draw only from the most likely tokens that together have this probability")
    });
    row(ui, "Seed", |ui| ui.add(DragValue::new(&mut choice.seed)));
}

fn chat(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CaptureChoice) {
    row(ui, "System message", |ui| {
        ui.add(
            TextEdit::multiline(&mut choice.system)
                .hint_text("Instructions before each text")
                .desired_rows(2)
                .desired_width(420.0),
        )
    });
    row(ui, "Date", |ui| {
        ui.add(
            TextEdit::singleline(&mut choice.chat_date)
                .hint_text("today")
                .desired_width(100.0),
        )
        .on_hover_text("For templates that ask for one, like 2024-07-26")
    });
    told(ui, ctx, choice.chat_clock());
}

fn lengths(ui: &mut Ui, choice: &mut CaptureChoice) {
    row(ui, "Longest text", |ui| {
        let context = "the model's context";
        ui.add(number(&mut choice.max_tokens, context, " tokens").range(0..=10_000_000))
    });
    let policy = |policy| match policy {
        OverlongPolicy::Error => "list them and stop",
        OverlongPolicy::Truncate => "drop their end",
        OverlongPolicy::Chunk => "take them in pieces of one group",
        OverlongPolicy::Skip => "leave them out",
    };
    combo(ui, "Longer ones", policy(choice.overlong), |ui| {
        for offered in [
            OverlongPolicy::Error,
            OverlongPolicy::Truncate,
            OverlongPolicy::Chunk,
            OverlongPolicy::Skip,
        ] {
            ui.selectable_value(&mut choice.overlong, offered, policy(offered));
        }
    });
    row(ui, "Batch", |ui| {
        ui.add(number(&mut choice.batch_tokens, USUAL, " tokens").range(0..=1_000_000))
            .on_hover_text("Tokens that go through the model together; results do not depend on it")
    });
    ui.checkbox(
        &mut choice.wraps_science_units,
        "Wrap SMILES and proteins in SciDFM's marks",
    )
    .on_hover_text("Texts of the disciplines smiles and protein, for models with a smiles.model");
}

fn recording(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CaptureChoice) {
    ui.horizontal_wrapped(|ui| {
        ui.checkbox(&mut choice.keeps_logits, "Keep router logits")
            .on_hover_text("They are most of a trace's bytes");
        ui.checkbox(&mut choice.is_full_precision, "Keep all bits of numbers")
            .on_hover_text("Else 11 significant ones");
        ui.checkbox(
            &mut choice.records_surprisal,
            "Record surprisal and predictions",
        )
        .on_hover_text("Leaving them out saves the head's computation");
    });
    row(ui, "Layers to record", |ui| {
        ui.add(
            TextEdit::singleline(&mut choice.layers)
                .hint_text("all, or like 0,5-8")
                .desired_width(140.0),
        )
    });
    told(ui, ctx, choice.layers());
    row(ui, "File length", |ui| {
        let drag = number(&mut choice.shard_decisions, USUAL, " decisions")
            .range(0..=1_000_000_000)
            .speed(10_000.0);
        ui.add(drag)
            .on_hover_text("A file of the trace ends after the batch that gives it this many")
    });
}

fn interventions(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    choice: &mut CaptureChoice,
    typed: &mut String,
) {
    row(ui, "Intervention", |ui| {
        let field = ui
            .add(
                TextEdit::singleline(typed)
                    .hint_text("mask:3:5")
                    .desired_width(220.0),
            )
            .on_hover_text(SPECS);
        let is_readable = typed.trim().parse::<Intervention>().is_ok();
        // Who goes on to Start means what was typed.
        let is_left = field.lost_focus() && !ui.input(|input| input.key_pressed(Key::Escape));
        let is_clicked = ui
            .add_enabled(is_readable, Button::new("Add intervention"))
            .clicked();
        if is_readable && (is_clicked || is_left) {
            choice.interventions.push(typed.trim().to_owned());
            typed.clear();
        }
        field
    });
    if !typed.trim().is_empty() {
        told(ui, ctx, typed.trim().parse::<Intervention>());
    }
    ui.horizontal_wrapped(|ui| {
        intervention_list(ui, &mut choice.interventions);
        let others = &ctx.state.choices.live.interventions;
        if !others.is_empty()
            && *others != choice.interventions
            && ui.button("Take those of Intervene").clicked()
        {
            choice.interventions.clone_from(others);
        }
    });
}

fn untrained_routers(ui: &mut Ui, choice: &mut CaptureChoice) {
    ui.horizontal(|ui| {
        let mut is_untrained = choice.untrained_routers.is_some();
        let switch = ui
            .checkbox(&mut is_untrained, "Untrained routers")
            .on_hover_text(
                "Routers with random weights, all else as trained: the baseline for what routers learned",
            );
        if switch.changed() {
            choice.untrained_routers = is_untrained.then_some(0);
        }
        if let Some(seed) = &mut choice.untrained_routers {
            let label = ui.label("drawn with the seed");
            ui.add(DragValue::new(seed)).labelled_by(label.id);
        }
    });
}

fn precision(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut CaptureChoice) {
    let weights = |weights| match weights {
        WeightType::Stored => "as stored",
        WeightType::Q8 => "q8, 8.5 bits each",
        WeightType::Q4 => "q4, 4.5 bits each",
    };
    combo(ui, "Weights", weights(choice.weights), |ui| {
        for offered in WeightType::ALL {
            ui.selectable_value(&mut choice.weights, offered, weights(offered));
        }
    });
    let compute = |compute| match compute {
        ComputeType::F32 => "f32, for fidelity",
        ComputeType::Bf16 => "bf16, for speed on the CPU",
    };
    combo(ui, "Arithmetic", compute(choice.compute), |ui| {
        for offered in [ComputeType::F32, ComputeType::Bf16] {
            ui.selectable_value(&mut choice.compute, offered, compute(offered));
        }
    });
    let usual = ctx.state.device_choice;
    row(ui, "Device", |ui| {
        ui.add(
            TextEdit::singleline(&mut choice.device)
                .hint_text(usual.to_string())
                .desired_width(80.0),
        )
        .on_hover_text("auto (a hardware GPU, else the CPU), cpu, gpu or gpu:N")
    });
    told(ui, ctx, choice.device_choice(usual));
    if choice.weights != WeightType::default() || choice.compute != ComputeType::default() {
        let words = "moescope compare-weights measures what that does to routing";
        ui.label(soft(words, ctx.theme));
    }
}

/// A part that is folded until it is wanted; its title says whether something in it was changed.
fn group(ui: &mut Ui, title: &str, is_usual: bool, add: impl FnOnce(&mut Ui)) {
    let shown = if is_usual {
        title.to_owned()
    } else {
        format!("{title} (changed)")
    };
    CollapsingHeader::new(shown).id_salt(title).show(ui, add);
}

fn combo(ui: &mut Ui, label: &str, shown: &str, add: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        field_label(ui, label, LABEL);
        combo_box(ui, label, shown, 220.0, add);
    });
}

/// A number with its unit, or a word where it is 0.
pub(super) fn number<'a, N: Numeric>(
    value: &'a mut N,
    word: &'static str,
    unit: &'static str,
) -> DragValue<'a> {
    let unit = if value.to_f64() < 1.0 { "" } else { unit };
    DragValue::new(value)
        .suffix(unit)
        .custom_formatter(move |number, _| {
            if number < 1.0 {
                word.to_owned()
            } else {
                format!("{number:.0}")
            }
        })
}

/// Says what is wrong with what was typed.
fn told<T>(ui: &mut Ui, ctx: &ViewContext<'_>, read: Result<T, impl std::fmt::Display>) {
    if let Err(error) = read {
        problem(ui, ctx, &error.to_string());
    }
}
