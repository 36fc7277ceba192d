//! The same token at other places of the line that is shown.

use egui::{Context, Ui};
use moescope_analytics::ChoicesAlike;
use moescope_pipeline::session::{Branch, BranchId, ChosenExperts};

use crate::{
    command::Command,
    job::Job,
    lives::LiveCommand,
    view::ViewContext,
    widgets::text::{percent, soft},
};

/// So many other places are listed.
const MOST_PLACES: usize = 24;
/// Tokens before and after each of them.
const AROUND: usize = 5;

/// What was found of a token: a walk over the whole line, on another thread.
#[derive(Debug, Default)]
pub(super) struct InLine {
    /// What is looked for, or was last.
    asked: Option<Asked>,
    found: Job<Found>,
}

/// A token of a line, and the layer's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    session: u32,
    branch: BranchId,
    token: usize,
    layer: usize,
    /// How long the line was.
    tokens: usize,
}

/// Other places of a token, and what the routers choose alike there.
#[derive(Debug)]
struct Found {
    places: usize,
    /// At one layer, all places together.
    at_layer: ChoicesAlike,
    /// At every layer, all places together.
    overall: ChoicesAlike,
    /// The first places, with what is alike at every layer.
    listed: Vec<(usize, ChoicesAlike)>,
}

impl InLine {
    /// Whether a line is being walked through.
    pub(super) fn is_busy(&self) -> bool {
        self.found.is_working()
    }

    /// Looks for the token, if another was looked for last or the line has it once more.
    fn update(&mut self, ctx: &Context, branch: &Branch, asked: Asked) {
        self.found.poll();
        let tokens = branch.columns.tokens();
        let at_last_length = |known: Asked| Asked {
            tokens: known.tokens,
            ..asked
        };
        let known = self.asked.filter(|known| *known == at_last_length(*known));
        match known {
            None => self.found = Job::Idle,
            // What was found stays until the next is there.
            Some(_) if self.found.is_running() => return,
            Some(known) => {
                let id = tokens[asked.token].id;
                let since = tokens.get(known.tokens..);
                if since.is_some_and(|since| since.iter().all(|token| token.id != id)) {
                    self.asked = Some(asked);
                    return;
                }
            }
        }
        self.asked = Some(asked);
        let places = branch.columns.same_token(asked.token);
        let chosen = branch.columns.chosen().clone();
        self.found
            .start("the same token in the line", ctx, move |_| {
                Ok(Found::new(&chosen, asked, &places))
            });
    }
}

impl Found {
    fn new(chosen: &ChosenExperts, asked: Asked, places: &[usize]) -> Self {
        let Asked { token, layer, .. } = asked;
        let top_k = chosen.top_k();
        let at_layer = |place: &usize| {
            ChoicesAlike::between(chosen.at(token, layer), chosen.at(*place, layer), top_k)
        };
        let overall =
            |place: &usize| ChoicesAlike::between(chosen.of(token), chosen.of(*place), top_k);
        let first = places.iter().take(MOST_PLACES);
        Self {
            places: places.len(),
            at_layer: places.iter().map(at_layer).sum(),
            overall: places.iter().map(overall).sum(),
            listed: first.map(|place| (*place, overall(place))).collect(),
        }
    }
}

/// Lists the places, with how much of their routing is the same.
pub(super) fn ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    branch: &Branch,
    token: usize,
    in_line: &mut InLine,
) {
    let lives = &ctx.state.lives;
    if lives.is_running() && lives.token.is_none() {
        // Every token that comes would be another walk.
        let told = "The model writes: choose a token, or pause, to look for it in the line";
        ui.label(soft(told, ctx.theme));
        return;
    }
    let layer = ctx.state.choices.live.layer_place(branch.columns.layers());
    let asked = Asked {
        session: lives.sessions,
        branch: branch.info.id,
        token,
        layer,
        tokens: branch.columns.len(),
    };
    in_line.update(ui.ctx(), branch, asked);
    if let Some(error) = in_line.found.error() {
        ui.colored_label(ctx.theme.error, format!("Error: {error}"));
    }
    match in_line.found.value() {
        Some(found) => found_ui(ui, ctx, branch, layer, found),
        None if in_line.found.is_running() => {
            ui.spinner();
        }
        None => {}
    }
}

fn found_ui(ui: &mut Ui, ctx: &ViewContext<'_>, branch: &Branch, layer: usize, found: &Found) {
    if found.places == 0 {
        ui.label(soft("It occurs once in this line", ctx.theme));
        return;
    }
    let columns = &branch.columns;
    ui.label(format!(
        "Other places in this line: {}; the heaviest expert at layer {} is the same at {} of them, over all layers in {} of decisions",
        found.places,
        columns.layers()[layer],
        found.at_layer.first_choices,
        percent(found.overall.first_choices, found.overall.decisions),
    ));
    for (place, alike) in &found.listed {
        let from = place.saturating_sub(AROUND);
        let to = (place + AROUND + 1).min(columns.len());
        let around = columns.tokens().get(from..to).unwrap_or_default();
        let text: String = around.iter().map(|token| token.text.as_ref()).collect();
        let told = format!(
            "Token {place}: …{}… — {} of {} experts the same",
            text.escape_debug(),
            alike.experts,
            alike.assignments
        );
        if ui.link(told).clicked() {
            let command = LiveCommand::ChooseToken(Some(*place));
            ctx.send(Command::Live(Box::new(command)));
        }
    }
    if found.places > found.listed.len() {
        let more = found.places - found.listed.len();
        ui.label(soft(format!("and {more} more"), ctx.theme));
    }
}
