//! The same token at other places of the line that is shown.

use egui::Ui;
use moescope_pipeline::session::{Branch, BranchId, LiveColumns};

use crate::{
    command::Command,
    lives::LiveCommand,
    view::ViewContext,
    widgets::text::{percent, soft},
};

/// So many other places are listed.
const MOST_PLACES: usize = 24;
/// Tokens before and after each of them.
const AROUND: usize = 5;

/// What was found of a token, which takes a walk over the whole line.
#[derive(Debug, Default)]
pub(super) struct InLine {
    /// The session, the branch, its number of tokens, the token and the layer's place.
    key: Option<(u32, BranchId, [usize; 3])>,
    places: Vec<usize>,
    /// Places with the same heaviest expert at the layer.
    at_layer: usize,
    /// Decisions with the same heaviest expert.
    overall: usize,
}

impl InLine {
    fn update(&mut self, session: u32, branch: &Branch, token: usize, layer: usize) {
        let columns = &branch.columns;
        let key = Some((session, branch.info.id, [columns.len(), token, layer]));
        if self.key == key {
            return;
        }
        let places = columns.same_token(token);
        let agreeing =
            |place: &&usize| first(columns, **place, layer) == first(columns, token, layer);
        let same = |place: &usize| same_first_choices(columns, token, *place);
        *self = Self {
            key,
            at_layer: places.iter().filter(agreeing).count(),
            overall: places.iter().map(same).sum(),
            places,
        };
    }
}

/// Lists the places, with how much of their routing is the same.
pub(super) fn ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    branch: &Branch,
    token: usize,
    found: &mut InLine,
) {
    let columns = &branch.columns;
    let layer = ctx.state.choices.live.layer_place(columns.layers());
    found.update(ctx.state.lives.sessions, branch, token, layer);
    let InLine {
        places,
        at_layer,
        overall,
        ..
    } = &*found;
    if places.is_empty() {
        ui.label(soft("It occurs once in this line", ctx.theme));
        return;
    }
    let layers = columns.layers().len();
    ui.label(format!(
        "Other places in this line: {}; the heaviest expert at layer {} is the same at {at_layer} of them, over all layers in {} of decisions",
        places.len(),
        columns.layers()[layer],
        percent(*overall as u64, (places.len() * layers) as u64),
    ));
    for place in places.iter().take(MOST_PLACES) {
        let from = place.saturating_sub(AROUND);
        let to = (place + AROUND + 1).min(columns.len());
        let text: String = columns.tokens()[from..to]
            .iter()
            .map(|token| token.text.as_ref())
            .collect();
        let (same, all) = shared(columns, token, *place);
        let told = format!(
            "Token {place}: …{}… — {same} of {all} experts the same",
            text.escape_debug()
        );
        if ui.link(told).clicked() {
            let command = LiveCommand::ChooseToken(Some(*place));
            ctx.send(Command::Live(Box::new(command)));
        }
    }
    if places.len() > MOST_PLACES {
        let more = places.len() - MOST_PLACES;
        ui.label(soft(format!("and {more} more"), ctx.theme));
    }
}

/// A token's heaviest expert at a layer, by its place.
fn first(columns: &LiveColumns, token: usize, layer: usize) -> u16 {
    columns.experts(token, layer)[0]
}

/// Layers at which two tokens have the same heaviest expert.
fn same_first_choices(columns: &LiveColumns, a: usize, b: usize) -> usize {
    let layers = 0..columns.layers().len();
    layers
        .filter(|layer| first(columns, a, *layer) == first(columns, b, *layer))
        .count()
}

/// Experts that two tokens have in common, of all that each has.
fn shared(columns: &LiveColumns, a: usize, b: usize) -> (usize, usize) {
    let layers = 0..columns.layers().len();
    let same = layers
        .map(|layer| {
            let of_b = columns.experts(b, layer);
            let of_a = columns.experts(a, layer).iter();
            of_a.filter(|expert| of_b.contains(expert)).count()
        })
        .sum();
    (same, columns.layers().len() * columns.top_k())
}
