//! The same token in the trace that is open: how often, in which texts, and whether it goes to the same experts there.

use egui::{Grid, Label, Ui};
use moescope_analytics::{
    ExpertsOrder, FirstChoiceAgreement, MeasureRequest, TokenContext, TokenLabel, TokenProfile,
};
use moescope_core::{LayerId, LayerSelection, Scope, Weighting};
use moescope_pipeline::session::{Branch, LiveColumns};
use moescope_trace::TokenizerIdentity;

use crate::{
    answers::{Question, TokenQuestion},
    choices::Cell,
    command::Command,
    command_line::{TokenInTrace, token_in_trace},
    traces::{OpenTrace, TraceId},
    view::ViewContext,
    widgets::{
        job_panel::job_panel,
        text::{excerpt, heading, percent, share, soft},
    },
};

/// So many labels are listed.
const MOST_LABELS: usize = 16;

/// Shows where the token occurs; the document that was clicked.
pub(super) fn ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    branch: &Branch,
    token: usize,
) -> Option<(TraceId, String)> {
    ui.add_space(8.0);
    heading(ui, "The same token in the open trace");
    let Some(trace) = ctx.trace() else {
        ui.label(soft("No trace is open", ctx.theme));
        if ui.button("Open trace…").clicked() {
            ctx.send(Command::PickTrace);
        }
        return None;
    };
    if let Some(why) = not_matched(ctx, trace) {
        ui.add(Label::new(soft(why, ctx.theme)).wrap());
        return None;
    }
    if is_following(ctx) {
        // Every token that comes would be another question.
        let told = "The model writes: choose a token, or pause, to look for it in the trace";
        ui.label(soft(told, ctx.theme));
        return None;
    }
    let question = TokenQuestion {
        trace: trace.id,
        id: branch.columns.tokens()[token].id,
        request: request(ctx),
    };
    let job = ctx.token(&question);
    let clicked = job_panel(
        ui,
        ctx,
        job,
        || Question::Token(question),
        |ui, profile| found(ui, ctx, trace, &branch.columns, token, profile),
    );
    clicked.flatten().map(|document| (trace.id, document))
}

/// The `moescope token …` line of what the trace has of a token; `None` where it is not looked for.
pub(super) fn command_line(ctx: &ViewContext<'_>, branch: &Branch, token: usize) -> Option<String> {
    let trace = ctx.trace()?;
    if is_following(ctx) || not_matched(ctx, trace).is_some() {
        return None;
    }
    let (columns, data) = (&branch.columns, &trace.data);
    let layers = columns.layers();
    let layer = layers[ctx.state.choices.live.layer_place(layers)];
    let has_layer = |layer: &LayerId| data.layers().contains(layer);
    // The view compares no other choices.
    let is_compared = usize::from(data.model().num_experts) == columns.num_experts()
        && data.experts_order() == ExpertsOrder::ByWeight;
    let heaviest = layers
        .iter()
        .enumerate()
        .filter(|(_, layer)| is_compared && has_layer(layer))
        .map(|(place, layer)| Cell {
            layer: *layer,
            expert: columns.experts(token, place)[0],
        })
        .collect();
    Some(token_in_trace(&TokenInTrace {
        trace: &trace.path,
        id: columns.tokens()[token].id,
        request: &request(ctx),
        layer: Some(layer).filter(has_layer),
        heaviest,
    }))
}

/// Whether the token that is shown changes with every one that is drawn.
fn is_following(ctx: &ViewContext<'_>) -> bool {
    let lives = &ctx.state.lives;
    lives.is_running() && lives.token.is_none()
}

/// Why ids of the trace are not those of the generation.
fn not_matched(ctx: &ViewContext<'_>, trace: &OpenTrace) -> Option<String> {
    let own = ctx.state.lives.model.value().map(|model| &model.tokenizer);
    let others = trace.about.tokenizer.as_ref();
    let named = |tokenizer: &TokenizerIdentity| {
        let sha256 = tokenizer.sha256.as_deref().unwrap_or("unknown");
        let beginning = sha256.get(..8).unwrap_or(sha256);
        format!("{}, SHA-256 {beginning}…", tokenizer.kind)
    };
    let help = "open a trace of this model, or capture one";
    let (Some(own), Some(others)) = (own, others) else {
        return Some(format!(
            "It is not known which tokenizer made both, so tokens cannot be matched; {help}"
        ));
    };
    match own.has_ids_of(others) {
        Some(true) => None,
        Some(false) => Some(format!(
            "The trace has another tokenizer ({}) than the model ({}): an id may be another token there, so none is matched; {help}",
            named(others),
            named(own)
        )),
        None => Some(format!(
            "The trace does not say which tokenizer made its tokens, so they cannot be matched; {help}"
        )),
    }
}

/// The scope that all views share, at all layers; nothing is drawn but what is shown.
fn request(ctx: &ViewContext<'_>) -> MeasureRequest {
    let shared = ctx.request();
    MeasureRequest {
        by: shared.by.clone(),
        merge: shared.merge.clone(),
        scope: Scope {
            layers: LayerSelection::All,
            weighting: Weighting::Token,
            ..shared.scope.clone()
        },
        seed: shared.seed,
        ..MeasureRequest::default()
    }
}

/// Shows what was found; the document that was clicked.
fn found(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    trace: &OpenTrace,
    columns: &LiveColumns,
    token: usize,
    profile: &TokenProfile,
) -> Option<String> {
    if profile.occurrences == 0 {
        let told = format!("It does not occur among {} tokens", profile.tokens);
        ui.label(told).on_hover_text(&profile.scope);
        let help = "Widen the scope to look among special or generated tokens as well";
        ui.add(Label::new(soft(help, ctx.theme)).wrap());
        return None;
    }
    ui.label(format!(
        "Occurrences: {} (documents: {}), {} of {} tokens",
        profile.occurrences,
        profile.documents,
        percent(profile.occurrences, profile.tokens),
        profile.tokens
    ))
    .on_hover_text(&profile.scope);
    agreements(ui, ctx, trace, columns, token, profile);
    labels(ui, ctx, &profile.labels);
    let layer = columns.layers()[ctx.state.choices.live.layer_place(columns.layers())];
    let place = profile.layers.iter().position(|known| *known == layer);
    let mut clicked = None;
    ui.label(soft("Occurrences, drawn at random", ctx.theme));
    for context in &profile.contexts {
        let experts = place.and_then(|place| context.experts.get(place));
        let experts = experts.map(|experts| (layer, experts.as_slice()));
        if occurrence(ui, ctx, context, experts) {
            clicked = Some(context.sample.clone());
        }
    }
    let told = profile.missing.iter().chain(&profile.notes);
    for told in told {
        ui.add(Label::new(soft(told, ctx.theme)).wrap());
    }
    clicked
}

/// How often its heaviest expert there is the one it has here, beside how often any token has that one.
fn agreements(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    trace: &OpenTrace,
    columns: &LiveColumns,
    token: usize,
    profile: &TokenProfile,
) {
    if profile.num_experts != columns.num_experts() {
        let told = "The trace is of a model with other experts, so that choices are not compared";
        ui.add(Label::new(soft(told, ctx.theme)).wrap());
        return;
    }
    let model = ctx.state.lives.model.value();
    let other = model.and_then(|model| trace.other_checkpoint(model));
    if let Some(other) = other {
        let told =
            format!("The trace is of {other}, whose experts need not be those of this model");
        ui.add(Label::new(soft(told, ctx.theme)).wrap());
    }
    let place = ctx.state.choices.live.layer_place(columns.layers());
    let heaviest = |place: usize| (columns.layers()[place], columns.experts(token, place)[0]);
    let (layer, expert) = heaviest(place);
    let at_layer = profile.agreement([heaviest(place)]);
    let overall = profile.agreement((0..columns.layers().len()).map(heaviest));
    if overall.compared == 0 {
        return;
    }
    if at_layer.compared > 0 {
        let told = agreement(at_layer);
        ui.label(format!("At layer {layer} its heaviest expert is {expert}, as here, {told}"))
            .on_hover_text("Beside the share of all tokens: what most tokens go to, this one goes to often as well");
    } else {
        ui.label(soft(format!("The trace has no layer {layer}"), ctx.theme));
    }
    ui.label(format!(
        "Over all layers it has the same heaviest expert {}",
        agreement(overall)
    ));
}

/// An agreement in words.
fn agreement(found: FirstChoiceAgreement) -> String {
    format!(
        "{} of {} times ({}; tokens at large {})",
        found.agreeing,
        found.compared,
        percent(found.agreeing, found.compared),
        share(found.expected_share())
    )
}

/// The labels that it occurs under.
fn labels(ui: &mut Ui, ctx: &ViewContext<'_>, labels: &[TokenLabel]) {
    Grid::new("token labels")
        .num_columns(3)
        .striped(true)
        .spacing([10.0, 2.0])
        .show(ui, |ui| {
            for word in ["label", "times", "share of its tokens"] {
                ui.label(soft(word, ctx.theme));
            }
            ui.end_row();
            for label in labels.iter().take(MOST_LABELS) {
                ui.label(&label.label);
                ui.label(label.occurrences.to_string());
                ui.label(percent(label.occurrences, label.tokens));
                ui.end_row();
            }
        });
    if labels.len() > MOST_LABELS {
        let more = labels.len() - MOST_LABELS;
        ui.label(soft(format!("and {more} labels more"), ctx.theme));
    }
}

/// One occurrence in its text, with its experts at the chosen layer; whether it was clicked.
fn occurrence(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    context: &TokenContext,
    experts: Option<(LayerId, &[u16])>,
) -> bool {
    let place = format!("{}, token {}", context.sample, context.position);
    let is_clicked = ui
        .horizontal_wrapped(|ui| {
            let link = ui.link(place).on_hover_text("Read the document");
            let at_layer = experts.filter(|(_, experts)| !experts.is_empty());
            let at_layer = at_layer.map_or_else(String::new, |(layer, experts)| {
                let experts: Vec<String> = experts.iter().map(ToString::to_string).collect();
                format!(", layer {layer}: experts {}", experts.join(", "))
            });
            ui.label(soft(format!("{}{at_layer}", context.label), ctx.theme));
            link.clicked()
        })
        .inner;
    if let Some(text) = &context.excerpt {
        let parts = [&text.before, &text.token, &text.after];
        excerpt(ui, ctx.theme, parts.map(String::as_str));
    }
    is_clicked
}
