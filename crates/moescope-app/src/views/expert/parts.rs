//! The parts of what is known of an expert.

use egui::{Grid, RichText, Stroke, Ui, pos2, vec2};
use moescope_analytics::{ExpertProfile, TopToken};
use moescope_core::Interval;
use moescope_figures::{palette, short_number};

use crate::{
    choices::Cell,
    command::Command,
    view::ViewContext,
    widgets::text::{counted, excerpt, heading, probability, soft, with_interval},
};

pub(super) fn summary(ui: &mut Ui, ctx: &ViewContext<'_>, profile: &ExpertProfile) {
    heading(
        ui,
        &format!(
            "Layer {}, expert {} of {}",
            profile.layer, profile.expert, profile.num_experts
        ),
    );
    let even = f64::from(profile.top_k) / f64::from(profile.num_experts);
    ui.label(format!(
        "Chosen by {}% of tokens; even routing would be {}%",
        short_number(100.0 * profile.share),
        short_number(100.0 * even)
    ));
    let [tokens, documents, groups] = profile.sizes;
    ui.add(
        egui::Label::new(soft(
            format!(
                "{}; {}, {}, {}",
                profile.scope,
                counted(tokens, tokens, "token"),
                counted(documents, documents, "document"),
                counted(groups, groups, "group")
            ),
            ctx.theme,
        ))
        .wrap(),
    );
}

pub(super) fn labels(ui: &mut Ui, ctx: &ViewContext<'_>, profile: &ExpertProfile) {
    if profile.by == "all" {
        part(ui, "Share of all documents");
    } else {
        part(ui, &format!("Share of each {}", profile.by));
    }
    let most = profile
        .labels
        .iter()
        .map(|label| {
            label
                .interval
                .map_or(label.share, |i| i.high.max(label.share))
        })
        .fold(profile.share, f64::max);
    // Where there is little room, lift and test are under the pointer.
    let is_wide = ui.available_width() > 520.0;
    Grid::new(("labels", is_wide))
        .num_columns(if is_wide { 5 } else { 3 })
        .striped(true)
        .spacing([10.0, 3.0])
        .show(ui, |ui| {
            let words = ["label", "", "share of tokens", "lift", "q"];
            for word in words.iter().take(if is_wide { 5 } else { 3 }) {
                ui.label(soft(*word, ctx.theme));
            }
            ui.end_row();
            for label in &profile.labels {
                let lift = with_interval(label.lift, label.lift_interval);
                let q = label.q.map_or_else(String::new, probability);
                let more = format!("lift {lift}, q {q}");
                ui.label(&label.label).on_hover_text(&more);
                bar(ui, ctx, [label.share, profile.share, most], label.interval);
                ui.label(with_interval(label.share, label.interval))
                    .on_hover_text(&more);
                if is_wide {
                    ui.label(lift);
                    ui.label(q);
                }
                ui.end_row();
            }
        });
    ui.label(soft(
        match profile.level {
            Some(level) => format!(
                "{}% intervals; the line is the share of all tokens",
                short_number(100.0 * level)
            ),
            None => profile.interval_method.clone(),
        },
        ctx.theme,
    ));
}

/// A share with its interval beside the share of all tokens.
fn bar(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    [share, all, most]: [f64; 3],
    interval: Option<Interval>,
) {
    let (rect, _) = ui.allocate_exact_size(vec2(96.0, 14.0), egui::Sense::hover());
    let place = |value: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "a place on the screen")]
        let part = (value / most.max(f64::MIN_POSITIVE)) as f32;
        rect.left() + part.clamp(0.0, 1.0) * rect.width()
    };
    let color = ctx.theme.on_ground(palette::category(0).color);
    let painter = ui.painter();
    let filled = rect.with_max_x(place(share)).shrink2(vec2(0.0, 4.0));
    painter.rect_filled(filled, 0, color.gamma_multiply(0.55));
    if let Some(Interval { low, high }) = interval {
        let line = Stroke::new(2.0, color);
        painter.hline(place(low)..=place(high), rect.center().y, line);
    }
    let x = place(all);
    let line = Stroke::new(1.0, ctx.theme.text);
    painter.line_segment([pos2(x, rect.top()), pos2(x, rect.bottom())], line);
}

pub(super) fn tokens(ui: &mut Ui, ctx: &ViewContext<'_>, profile: &ExpertProfile) {
    for list in &profile.tokens {
        let title = match list.class.as_str() {
            "input" => "Tokens that choose it",
            "predicted" => "What the model expects after them",
            "next" => "What follows them",
            other => other,
        };
        part(ui, &format!("{title} ({} different)", list.distinct));
        ui.horizontal_top(|ui| {
            token_list(ui, ctx, "most often", &list.class, &list.by_count);
            ui.add_space(16.0);
            token_list(ui, ctx, "most over its share", &list.class, &list.by_lift);
        });
    }
}

fn token_list(ui: &mut Ui, ctx: &ViewContext<'_>, title: &str, class: &str, tokens: &[TopToken]) {
    ui.vertical(|ui| {
        ui.label(soft(title, ctx.theme));
        Grid::new((title, class))
            .num_columns(3)
            .striped(true)
            .spacing([10.0, 2.0])
            .show(ui, |ui| {
                for token in tokens {
                    ui.label(RichText::new(visible(&token.text)).monospace());
                    ui.label(format!("{} of {}", token.count, token.occurrences));
                    ui.label(format!("× {}", short_number(token.lift)));
                    ui.end_row();
                }
            });
    });
}

pub(super) fn companions(ui: &mut Ui, ctx: &ViewContext<'_>, profile: &ExpertProfile) {
    if profile.companions.is_empty() {
        return;
    }
    part(ui, "Chosen together with");
    Grid::new("companions")
        .num_columns(4)
        .striped(true)
        .spacing([10.0, 3.0])
        .show(ui, |ui| {
            for word in ["expert", "share of its tokens", "over chance", "q"] {
                ui.label(soft(word, ctx.theme));
            }
            ui.end_row();
            for companion in &profile.companions {
                let cell = Cell {
                    layer: profile.layer,
                    expert: companion.expert,
                };
                if ui.link(format!("expert {}", companion.expert)).clicked() {
                    ctx.send(Command::ChooseCell(Some(cell)));
                }
                ui.label(with_interval(companion.co_activation, companion.interval));
                ui.label(with_interval(
                    companion.lift_given_k,
                    companion.lift_interval,
                ));
                ui.label(companion.q.map_or_else(String::new, probability));
                ui.end_row();
            }
        });
}

pub(super) fn positions(ui: &mut Ui, ctx: &ViewContext<'_>, profile: &ExpertProfile) {
    if profile.positions.is_empty() {
        return;
    }
    part(ui, "By position in the document");
    Grid::new("positions")
        .num_columns(4)
        .striped(true)
        .spacing([10.0, 3.0])
        .show(ui, |ui| {
            for word in [
                "positions",
                "share of assignments",
                "over random order",
                "q",
            ] {
                ui.label(soft(word, ctx.theme));
            }
            ui.end_row();
            for position in &profile.positions {
                ui.label(&position.positions);
                ui.label(with_interval(position.share, position.interval));
                ui.label(with_interval(position.excess, position.excess_interval));
                ui.label(position.q.map_or_else(String::new, probability));
                ui.end_row();
            }
        });
}

pub(super) fn vocabulary(ui: &mut Ui, ctx: &ViewContext<'_>, profile: &ExpertProfile) {
    if profile.vocabulary.is_empty() {
        return;
    }
    part(ui, "Vocabulary specialization of the layer");
    Grid::new("vocabulary")
        .num_columns(3)
        .striped(true)
        .spacing([10.0, 3.0])
        .show(ui, |ui| {
            for word in ["by", "value", "ids shuffled"] {
                ui.label(soft(word, ctx.theme));
            }
            ui.end_row();
            for value in &profile.vocabulary {
                let name = value.variant.replace('_', " ");
                ui.label(if value.label == "all" {
                    name
                } else {
                    format!("{}, {name}", value.label)
                });
                ui.label(with_interval(
                    value.value.unwrap_or(f64::NAN),
                    value.interval,
                ));
                ui.label(value.null_mean.map_or_else(String::new, short_number));
                ui.end_row();
            }
        });
}

pub(super) fn contexts(ui: &mut Ui, ctx: &ViewContext<'_>, profile: &ExpertProfile) {
    if profile.contexts.is_empty() {
        return;
    }
    part(ui, "In its texts, drawn at random");
    for context in &profile.contexts {
        let rank = context
            .rank
            .map(|rank| format!(", choice {rank}"))
            .unwrap_or_default();
        ui.label(soft(
            format!("{}, token {}{rank}", context.sample, context.position),
            ctx.theme,
        ));
        let parts = [&context.before, &context.token, &context.after];
        excerpt(ui, ctx.theme, parts.map(String::as_str));
        ui.add_space(4.0);
    }
}

pub(super) fn notes(ui: &mut Ui, ctx: &ViewContext<'_>, profile: &ExpertProfile) {
    if !profile.missing.is_empty() {
        part(ui, "What the trace does not hold");
        for missing in &profile.missing {
            ui.add(egui::Label::new(soft(missing, ctx.theme)).wrap());
        }
    }
    if !profile.notes.is_empty() {
        part(ui, "What to know");
        for note in &profile.notes {
            ui.add(egui::Label::new(soft(note, ctx.theme)).wrap());
        }
    }
}

fn part(ui: &mut Ui, title: &str) {
    ui.add_space(10.0);
    heading(ui, title);
}

/// A piece of text whose spaces and line ends can be seen.
fn visible(text: &str) -> String {
    text.replace(' ', "·")
        .replace('\n', "\\n")
        .replace('\t', "\\t")
}
