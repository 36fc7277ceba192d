//! The prompt, how tokens are drawn, and the buttons of a generation.

use std::path::{Path, PathBuf};

use egui::{CollapsingHeader, DragValue, Key, Panel, TextEdit, Ui};
use moescope_core::LayerId;
use moescope_pipeline::{
    FinishReason,
    session::{BranchState, Given},
};

use super::{chips::shown, lines};
use crate::{
    command::Command,
    lives::{ChipColor, LiveChoice, LiveCommand, free_path, kept_folder},
    shell::pick,
    traces::folder_name,
    view::ViewContext,
    views::disciplines::shared::named_combo,
    widgets::text::soft,
};

/// The model that comes with the program.
const EMBEDDED: &str = "demo";

/// Paints everything above the reply.
pub(super) fn ui(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    model(ui, ctx);
    let label = ui.label("Prompt");
    let edit = TextEdit::multiline(&mut choice.prompt)
        .desired_rows(3)
        .desired_width(f32::INFINITY)
        .hint_text("A text to continue, or a question");
    ui.add(edit).labelled_by(label.id);
    CollapsingHeader::new("Sampling and chat")
        .id_salt("live sampling")
        .show(ui, |ui| sampling(ui, ctx, choice));
    buttons(ui, ctx, choice);
    place(ui, ctx, choice);
    state_line(ui, ctx);
    lines::ui(ui, ctx);
}

/// The model that the next line is written with, and which one wrote the lines that there are.
fn model(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let chosen = ctx.state.choices.capture.model.as_str();
    ui.horizontal_wrapped(|ui| {
        named_combo(ui, "Model", &folder_name(Path::new(chosen)), 180.0, |ui| {
            for name in models(ctx, chosen) {
                if ui.selectable_label(name == chosen, name).clicked() {
                    ctx.send(Command::ChooseModel(name.to_owned()));
                }
            }
            ui.separator();
            let pick = ui.selectable_label(false, "Open model…");
            if pick
                .on_hover_text("A folder with config.json; the name of one in the local Hugging Face cache is typed in Capture")
                .clicked()
            {
                ctx.send(Command::PickModel);
            }
        });
        let lives = &ctx.state.lives;
        let of_lines = lives.line_model().map(|model| model.name.as_str());
        let Some(other) = of_lines.filter(|name| *name != chosen) else {
            return;
        };
        let told = if lives.model.is_running() {
            format!("The lines below are of {other}, until the model is loaded")
        } else {
            format!("The lines below are of {other}; Start takes the model that is chosen")
        };
        ui.label(soft(told, ctx.theme));
    });
}

/// The embedded model, the chosen one, and those that were used lately.
fn models<'a>(ctx: &ViewContext<'a>, chosen: &'a str) -> Vec<&'a str> {
    let mut models = vec![EMBEDDED];
    let recent = ctx.state.recent.models.iter().map(String::as_str);
    for name in std::iter::once(chosen).chain(recent) {
        if !models.contains(&name) {
            models.push(name);
        }
    }
    models
}

fn sampling(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    ui.horizontal_wrapped(|ui| {
        let numbers: [(&str, DragValue<'_>); 5] = [
            (
                "Temperature",
                DragValue::new(&mut choice.temperature)
                    .range(0.0..=5.0)
                    .speed(0.02),
            ),
            (
                "Top k",
                DragValue::new(&mut choice.top_k).range(0..=100_000),
            ),
            (
                "Top p",
                DragValue::new(&mut choice.top_p)
                    .range(0.01..=1.0)
                    .speed(0.01),
            ),
            ("Seed", DragValue::new(&mut choice.seed)),
            (
                "Most tokens",
                DragValue::new(&mut choice.max_tokens).range(1..=1_000_000),
            ),
        ];
        for (name, number) in numbers {
            let label = ui.label(soft(name, ctx.theme));
            ui.add(number).labelled_by(label.id);
        }
    });
    ui.checkbox(&mut choice.is_chat, "As a question in a chat");
    if choice.is_chat {
        let label = ui.label(soft("System message", ctx.theme));
        let edit = TextEdit::singleline(&mut choice.system).desired_width(f32::INFINITY);
        ui.add(edit).labelled_by(label.id);
    }
}

fn buttons(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    let lives = &ctx.state.lives;
    let branch = lives.branch();
    let send = |command| ctx.send(Command::Live(Box::new(command)));
    ui.horizontal_wrapped(|ui| {
        if ui
            .button("Start")
            .on_hover_text("Read the prompt and draw tokens, as a new line")
            .clicked()
        {
            send(LiveCommand::Start);
        }
        let (name, told) = if lives.is_running() {
            ("Pause", "Stop after this token (Space)")
        } else {
            ("Continue", "Draw more tokens (Space)")
        };
        let toggle = ui.add_enabled(branch.is_some(), egui::Button::new(name));
        if toggle.on_hover_text(told).clicked() {
            send(LiveCommand::Toggle);
        }
        if ui.button("One token").on_hover_text("Draw a single token (.)").clicked() {
            send(LiveCommand::Step);
        }
        let stop = ui.add_enabled(branch.is_some(), egui::Button::new("Stop"));
        if stop.on_hover_text("End the reply").clicked() {
            send(LiveCommand::Stop);
        }
        let Some(branch) = branch else {
            return;
        };
        let (what, told) = if branch.info.messages.len() <= 1 {
            ("prompt", "A new line with this prompt, sampled and routed as this one; what both begin with is kept")
        } else {
            ("message", "A new line in which this text takes the place of the conversation's last message")
        };
        let is_edited = branch.info.prompt != choice.prompt;
        let edit = ui.add_enabled(is_edited, egui::Button::new(format!("Use the edited {what}")));
        if edit
            .on_hover_text(told)
            .on_disabled_hover_text(format!("Edit the {what} of this line above first"))
            .clicked()
        {
            send(LiveCommand::Edit);
        }
        if is_edited {
            let load = ui.button(format!("Load its {what}"));
            if load
                .on_hover_text(format!("Put the {what} of the line that is shown into the field above, to edit it"))
                .clicked()
            {
                choice.prompt.clone_from(&branch.info.prompt);
            }
        }
        let is_resampled = branch.info.sampling != choice.sampling();
        let sample = ui.add_enabled(is_resampled, egui::Button::new("Use this sampling"));
        if sample
            .on_hover_text("Draw the tokens to come with the sampling above")
            .clicked()
        {
            send(LiveCommand::Sample);
        }
        let save = ui.button("Keep as a trace");
        if save.on_hover_text("Write this line with all its routing").clicked() {
            let folder = kept_folder(choice, &ctx.state.choices.capture);
            send(LiveCommand::Save(free_path(&folder, branch.info.id)));
        }
    });
}

/// Other words in place of the chosen token and what follows it.
pub(super) fn other_words(ui: &mut Ui, ctx: &ViewContext<'_>, words: &mut String) {
    let lives = &ctx.state.lives;
    let (Some(branch), Some(token)) = (lives.branch(), lives.token) else {
        return;
    };
    let Some(replaced) = branch.columns.tokens().get(token) else {
        return;
    };
    ui.horizontal(|ui| {
        let text = shown(&replaced.text);
        let label = ui.label(soft(format!("From token {token} “{text}” on"), ctx.theme));
        let edit = TextEdit::singleline(words)
            .hint_text("Put other words from here…")
            .desired_width(f32::INFINITY);
        let field = ui
            .add_enabled(token > 0, edit)
            .labelled_by(label.id)
            .on_hover_text("Enter makes a new line: what stands before this token, then these words, as they stand. Begin with a space where a word begins")
            .on_disabled_hover_text("The first token stays; edit the prompt, or choose a later one");
        let is_entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if is_entered && !words.is_empty() {
            let command = LiveCommand::Give {
                keep: token,
                given: Given::Text(std::mem::take(words)),
            };
            ctx.send(Command::Live(Box::new(command)));
        }
    });
}

/// The next message of a conversation, below what was said so far.
pub(super) fn next_message(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    let Some(branch) = ctx.state.lives.branch() else {
        return;
    };
    if branch.info.messages.is_empty() {
        return;
    }
    let columns = &branch.columns;
    let missing = if branch.state == BranchState::Running {
        Some("Pause or stop the reply first")
    } else if columns.len() == columns.num_prompt_tokens() {
        Some("Let the model reply first")
    } else if choice.next_message.trim().is_empty() {
        Some("Type a message first")
    } else {
        None
    };
    Panel::bottom("live next message").show(ui, |ui| {
        let label = ui.label("Next message");
        let edit = TextEdit::multiline(&mut choice.next_message)
            .desired_rows(2)
            .desired_width(f32::INFINITY)
            .hint_text("An answer to the reply as it stands");
        ui.add(edit).labelled_by(label.id);
        let send = ui
            .add_enabled(missing.is_none(), egui::Button::new("Send"))
            .on_hover_text("A new line with all that was said, this message, and a reply to it")
            .on_disabled_hover_text(missing.unwrap_or_default());
        if send.clicked() {
            ctx.send(Command::ChooseLive(Box::new(choice.clone())));
            ctx.send(Command::Live(Box::new(LiveCommand::Reply)));
        }
    });
}

/// Where lines are kept as traces.
fn place(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    if ctx.state.lives.branch().is_none() {
        return;
    }
    ui.horizontal(|ui| {
        let label = ui.label(soft("Keep in", ctx.theme));
        let mut text = choice.kept_in.display().to_string();
        let usual = LiveChoice::default();
        let usual = kept_folder(&usual, &ctx.state.choices.capture);
        let field = TextEdit::singleline(&mut text)
            .hint_text(usual.display().to_string())
            .desired_width(260.0);
        let field = ui.add(field).labelled_by(label.id);
        if field.changed() {
            choice.kept_in = PathBuf::from(text.trim());
        }
        if ui
            .button("Choose…")
            .on_hover_text("The folder in which lines get folders of their own")
            .clicked()
        {
            pick::folder(ctx.commands, "Folder for kept lines", Command::ChooseKeptIn);
        }
    });
}

/// What the line that is shown is doing.
fn state_line(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let Some(branch) = ctx.state.lives.branch() else {
        return;
    };
    let columns = &branch.columns;
    let drawn = columns.len() - columns.num_prompt_tokens();
    let doing = match branch.state {
        BranchState::Paused => "paused",
        BranchState::Running => "running",
        BranchState::Finished(FinishReason::EndToken) => "the model ended its reply",
        BranchState::Finished(FinishReason::StopText) => "a stop text came",
        BranchState::Finished(FinishReason::Length) => "the model's context is full",
        BranchState::Finished(FinishReason::Cancelled) => "stopped",
    };
    let pace = branch
        .tokens_per_sec()
        .map_or_else(String::new, |pace| format!(", {pace:.0} tokens/s"));
    let under = branch
        .info
        .interventions
        .last()
        .map(|(_, specs)| specs.join(", "))
        .filter(|specs| !specs.is_empty())
        .map_or_else(String::new, |specs| format!(" · {specs}"));
    let words = format!(
        "{} prompt tokens, {drawn} generated{pace} · {doing}{under}",
        columns.num_prompt_tokens()
    );
    ui.label(soft(words, ctx.theme));
}

/// What colours the tokens.
pub(super) fn color_row(ui: &mut Ui, ctx: &ViewContext<'_>, choice: &mut LiveChoice) {
    ui.horizontal_wrapped(|ui| {
        named_combo(ui, "Colour of tokens", choice.color.title(), 160.0, |ui| {
            for color in ChipColor::ALL {
                ui.selectable_value(&mut choice.color, color, color.title());
            }
        });
        let Some(branch) = ctx.state.lives.branch() else {
            return;
        };
        if choice.color == ChipColor::Agreement {
            super::looks::label_combo(ui, ctx, choice);
            return;
        }
        if !choice.color.has_layer() {
            return;
        }
        layer_combo(ui, "Layer of the colour", branch.columns.layers(), choice);
    });
}

/// The layer that is looked at.
pub(in crate::views) fn layer_combo(
    ui: &mut Ui,
    name: &str,
    layers: &[LayerId],
    choice: &mut LiveChoice,
) {
    let Some(shown) = layers.get(choice.layer_place(layers)) else {
        return;
    };
    named_combo(ui, name, &format!("Layer {shown}"), 90.0, |ui| {
        for layer in layers {
            let title = format!("Layer {layer}");
            if ui.selectable_label(layer == shown, title).clicked() {
                choice.layer = Some(*layer);
            }
        }
    });
}
