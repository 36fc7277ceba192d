//! What can be done with an expert that is pointed at, in any heat map of layers and experts.

use egui::{
    DragValue, PopupCloseBehavior, Response, Ui,
    containers::menu::{MenuConfig, SubMenuButton},
};

use super::text::soft;
use crate::{
    choices::Cell,
    command::Command,
    lives::{CellAction, LiveChoice, NumbersChoice},
    notices::Notice,
    view::ViewContext,
};

/// The view that applies and measures interventions.
const INTERVENE: &str = "intervene";

/// The entries of the menu of an expert, one of so many of its layer; gives back the first of them.
pub(crate) fn expert_menu(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    cell: Cell,
    num_experts: usize,
) -> Option<Response> {
    let live = &ctx.state.choices.live;
    let name = format!("Layer {}, expert {}", cell.layer, cell.expert);
    ui.label(soft(name, ctx.theme));
    ui.separator();
    let mut first = None;
    for (action, words) in [
        (CellAction::Mask, "Mask".to_owned()),
        (CellAction::Zero, "Zero".to_owned()),
        (CellAction::Force, "Force".to_owned()),
        (CellAction::Boost, format!("Boost by {}", live.boost)),
    ] {
        let is_chosen = live.has(action, cell.layer, cell.expert);
        let entry = ui.button(if is_chosen {
            format!("{words}: take back")
        } else {
            words
        });
        if entry.clicked() {
            toggle(ctx, live.clone(), action, cell);
            ui.close();
        }
        first = first.or(Some(entry));
    }
    swap(ui, ctx, cell, num_experts);
    ui.separator();
    let matters = ui.button("Does it matter?");
    if matters
        .on_hover_text(
            "What becomes of held-out texts without it, beside random experts of like load",
        )
        .clicked()
    {
        ctx.send(Command::ChooseLive(Box::new(LiveChoice {
            numbers: NumbersChoice::Ablation,
            ..live.clone()
        })));
        ctx.send(Command::ChooseCell(Some(cell)));
        ctx.send(Command::OpenView(INTERVENE));
        ui.close();
    }
    if ui.button("Look at this expert").clicked() {
        ctx.send(Command::ChooseCell(Some(cell)));
        ctx.send(Command::OpenView("expert"));
        ui.close();
    }
    first
}

/// The expert that takes its place, and the entry that swaps them.
fn swap(ui: &mut Ui, ctx: &ViewContext<'_>, cell: Cell, num_experts: usize) {
    // A click into the number is not the choice of an entry.
    let config = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    let entry = SubMenuButton::new("Swap with…").config(config);
    entry.ui(ui, |ui| {
        let mut choice = ctx.state.choices.live.clone();
        let last = u16::try_from(num_experts.saturating_sub(1)).unwrap_or(u16::MAX);
        ui.horizontal(|ui| {
            let label = ui.label("Expert");
            let number = DragValue::new(&mut choice.swap_with).range(0..=last);
            ui.add(number).labelled_by(label.id);
        });
        if choice.swap_with != ctx.state.choices.live.swap_with {
            ctx.send(Command::ChooseLive(Box::new(choice.clone())));
        }
        let is_other = choice.swap_with != cell.expert;
        let swap = ui.add_enabled(is_other, egui::Button::new("Swap these two"));
        if swap
            .on_disabled_hover_text("Choose another expert than this one")
            .clicked()
        {
            toggle(ctx, choice, CellAction::Swap, cell);
            ui.close();
        }
    });
}

/// Chooses an intervention as a click in Intervene does, and says so where that view is not the one that was clicked in.
fn toggle(ctx: &ViewContext<'_>, mut choice: LiveChoice, action: CellAction, cell: Cell) {
    let spec = choice.spec(action, cell.layer, cell.expert);
    choice.toggle_as(action, cell.layer, cell.expert);
    let is_chosen = choice.has(action, cell.layer, cell.expert);
    ctx.send(Command::ChooseLive(Box::new(choice)));
    ctx.send(Command::ChooseCell(Some(cell)));
    if ctx.view != Some(INTERVENE) {
        let told = if is_chosen {
            format!("{spec} is chosen; Intervene applies and measures it")
        } else {
            format!("{spec} is taken back")
        };
        ctx.send(Command::Notify(Notice::done(told)));
        ctx.bring_forward(INTERVENE);
    }
}
