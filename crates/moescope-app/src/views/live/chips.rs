//! Tokens as chips, each coloured by a quantity that is also written under it; only what can be seen is laid out anew.

use std::{collections::HashMap, ops::Range};

use egui::{
    CornerRadius, EventFilter, FontId, Key, Modifiers, Pos2, Rect, Response, Role, ScrollArea,
    Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, pos2, vec2,
};
use moescope_core::Phase;
use moescope_figures::short_number;
use moescope_pipeline::session::{Branch, BranchId};

use super::{
    colors::Colors,
    painted_rows::{Chip, PaintedRows},
};
use crate::{
    command::Command,
    lives::{LAYER_KEYS, LiveChoice, LiveCommand},
    theme::paint,
    view::ViewContext,
};

/// Height of a row of chips.
pub(super) const ROW: f32 = 36.0;
/// Size of a token's text.
pub(super) const TEXT: f32 = 13.0;
/// Size of the number under it.
pub(super) const NUMBER: f32 = 9.5;
/// Between chips, and between rows.
pub(super) const GAP: f32 = 3.0;
const PADDING: f32 = 5.0;

/// Where the chips of one line stand.
#[derive(Debug, Default)]
pub(in crate::views) struct Chips {
    /// The session, the line and the width that the rows were made for.
    made_for: Option<(u32, BranchId, f32)>,
    /// The first token of each row.
    rows: Vec<usize>,
    /// Width of each token's chip; as many as were laid out.
    widths: Vec<f32>,
    /// Where the last row ends.
    end: f32,
    /// Widths of texts that were measured.
    known: HashMap<Box<str>, f32>,
    painted: PaintedRows,
    /// The token that was in sight when it was last chosen.
    followed: Option<usize>,
}

impl Chips {
    /// Paints a line; a click, or the arrow keys, choose a token.
    pub(in crate::views) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        branch: &Branch,
        choice: &LiveChoice,
        name: &str,
    ) {
        let colors = Colors::new(ctx, &branch.columns, choice);
        let width = ui.available_width() - 12.0;
        self.lay_out(ui, ctx.state.lives.sessions, branch, width);
        let chosen = ctx
            .state
            .lives
            .token
            .filter(|_| ctx.state.lives.shown == Some(branch.info.id));
        let is_followed = chosen.is_none();
        let area = ScrollArea::vertical()
            .id_salt((name, branch.info.id))
            .auto_shrink([false, false])
            .stick_to_bottom(is_followed);
        area.show_viewport(ui, |ui, seen| {
            #[expect(clippy::cast_precision_loss, reason = "rows on a screen")]
            let height = self.rows.len() as f32 * ROW;
            let (rect, response) =
                ui.allocate_exact_size(vec2(width.max(40.0), height.max(ROW)), Sense::click());
            response.widget_info(|| {
                let label = told(name, branch, &colors, chosen);
                WidgetInfo::labeled(Role::Group, true, label)
            });
            if response.clicked() {
                response.request_focus();
            }
            self.take_keys(ui, ctx, &response, branch);
            if let Some(token) = chosen.filter(|token| self.followed != Some(*token)) {
                ui.scroll_to_rect(self.rect_of(rect, token), None);
            }
            self.followed = chosen;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "rows on a screen"
            )]
            let (first, last) = (
                (seen.min.y / ROW).max(0.0) as usize,
                (seen.max.y / ROW).max(0.0) as usize + 1,
            );
            let in_sight = first..last.min(self.rows.len());
            self.painted
                .keep(ui.painter(), colors.coloring(), ctx.theme, &in_sight);
            let painting = Painting {
                ctx,
                branch,
                colors: &colors,
                chosen,
                pointer: ui.input(|input| input.pointer.latest_pos()),
                is_told: ui.ctx().has_accesskit_node(response.id),
            };
            for row in in_sight {
                if self.row(ui, rect, row, &painting) {
                    response.request_focus();
                }
            }
        });
    }

    /// Puts tokens that are new into rows; all of them where the width is another.
    fn lay_out(&mut self, ui: &Ui, session: u32, branch: &Branch, width: f32) {
        let key = (session, branch.info.id, width);
        if self.made_for != Some(key) || self.widths.len() > branch.columns.len() {
            (self.rows, self.widths, self.end) = (Vec::new(), Vec::new(), 0.0);
            self.painted.clear();
            self.made_for = Some(key);
        }
        let tokens = branch.columns.tokens();
        for (place, token) in tokens.iter().enumerate().skip(self.widths.len()) {
            let wide = self.width_of(ui, &token.text);
            let is_new_row = self.rows.is_empty()
                || self.end + wide > width
                || tokens[place - 1].text.contains('\n');
            if is_new_row {
                self.rows.push(place);
                self.end = 0.0;
            }
            self.end += wide + GAP;
            self.widths.push(wide);
        }
    }

    fn width_of(&mut self, ui: &Ui, text: &str) -> f32 {
        if let Some(width) = self.known.get(text) {
            return *width;
        }
        let galley = ui.painter().layout_no_wrap(
            shown(text),
            FontId::proportional(TEXT),
            ui.visuals().text_color(),
        );
        let width = (galley.size().x + 2.0 * PADDING).max(22.0);
        self.known.insert(text.into(), width);
        width
    }

    /// Where a token's chip is.
    fn rect_of(&self, area: Rect, token: usize) -> Rect {
        let row = self
            .rows
            .partition_point(|first| *first <= token)
            .saturating_sub(1);
        let first = self.rows.get(row).copied().unwrap_or(0);
        let before = self.widths.get(first..token).unwrap_or_default();
        let left: f32 = before.iter().map(|width| width + GAP).sum();
        let width = self.widths.get(token).copied().unwrap_or(0.0);
        #[expect(clippy::cast_precision_loss, reason = "rows on a screen")]
        let top = area.top() + row as f32 * ROW;
        Rect::from_min_size(pos2(area.left() + left, top), vec2(width, ROW - GAP))
    }

    /// Paints a row; says whether one of its tokens was clicked.
    fn row(&mut self, ui: &Ui, area: Rect, row: usize, painting: &Painting<'_>) -> bool {
        let end = self.rows.get(row + 1).copied().unwrap_or(self.widths.len());
        let tokens = self.rows[row]..end;
        let mut rect = self.rect_of(area, tokens.start);
        let widths = &self.widths;
        let chips = || painting.chips(tokens.clone(), widths);
        self.painted
            .paint(ui.painter(), row, tokens.clone(), rect.min, chips);
        let mut is_clicked = false;
        for token in tokens {
            rect.set_width(self.widths[token]);
            is_clicked |= painting.touch(ui, rect, token);
            rect = rect.translate(Vec2::new(self.widths[token] + GAP, 0.0));
        }
        is_clicked
    }

    /// Arrows move over tokens; Home and End go to the first and the last.
    fn take_keys(&self, ui: &Ui, ctx: &ViewContext<'_>, response: &Response, branch: &Branch) {
        let last = branch.columns.len().saturating_sub(1);
        if !response.has_focus() || branch.columns.is_empty() {
            return;
        }
        let filter = EventFilter {
            horizontal_arrows: true,
            vertical_arrows: true,
            ..EventFilter::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let from = ctx.state.lives.token().unwrap_or(last);
        let row = self
            .rows
            .partition_point(|first| *first <= from)
            .saturating_sub(1);
        let offset = from - self.rows.get(row).copied().unwrap_or(0).min(from);
        let in_row = |row: usize| {
            let first = self.rows.get(row).copied().unwrap_or(0);
            let end = self.rows.get(row + 1).copied().unwrap_or(last + 1);
            (first + offset).min(end.saturating_sub(1))
        };
        let steps = [
            (Key::ArrowLeft, from.saturating_sub(1)),
            (Key::ArrowRight, (from + 1).min(last)),
            (Key::ArrowUp, in_row(row.saturating_sub(1))),
            (
                Key::ArrowDown,
                in_row((row + 1).min(self.rows.len().saturating_sub(1))),
            ),
            (Key::Home, 0),
            (Key::End, last),
        ];
        for (key, down) in LAYER_KEYS {
            if ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
                let moved = ctx.state.choices.live.moved(branch.columns.layers(), down);
                ctx.send(Command::ChooseLive(Box::new(moved)));
            }
        }
        // Space would be a click on the text.
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Space)) {
            ctx.send(Command::Live(Box::new(LiveCommand::Toggle)));
        }
        for (key, to) in steps {
            if ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
                ctx.send(Command::Live(Box::new(LiveCommand::ChooseToken(Some(to)))));
            }
        }
    }
}

/// What a screen reader says of a line: the token that the keys have come to, or how many there are.
fn told(name: &str, branch: &Branch, colors: &Colors<'_>, chosen: Option<usize>) -> String {
    let tokens = branch.columns.tokens();
    let all = tokens.len();
    let known = chosen.and_then(|place| Some((place, tokens.get(place)?)));
    let Some((place, token)) = known else {
        return format!("{name}: {all} tokens");
    };
    let text = shown(&token.text);
    let (_, value) = colors.of(place);
    let origin = match token.phase {
        Phase::Prefill => "given",
        Phase::Decode => "generated",
    };
    format!(
        "{name}: “{text}”, token {place} of {all}, {origin}, {} {value}",
        colors.words()
    )
}

/// A line as it is painted in one frame.
struct Painting<'a> {
    ctx: &'a ViewContext<'a>,
    branch: &'a Branch,
    colors: &'a Colors<'a>,
    chosen: Option<usize>,
    /// Where the pointer is.
    pointer: Option<Pos2>,
    /// Whether names are told to a screen reader.
    is_told: bool,
}

impl Painting<'_> {
    /// How a row's tokens look.
    fn chips(&self, tokens: Range<usize>, widths: &[f32]) -> Vec<Chip> {
        let theme = self.ctx.theme;
        let chip = |place: usize| {
            let token = &self.branch.columns.tokens()[place];
            let (color, number) = self.colors.of(place);
            Chip {
                width: widths[place],
                fill: color.map_or(theme.field, paint),
                ink: color.map_or(theme.text, |color| paint(color.ink())),
                text: shown(&token.text),
                number,
                line: (token.phase == Phase::Prefill).then_some(theme.soft_text),
            }
        };
        tokens.map(chip).collect()
    }

    /// Marks a token's chip, which chooses it when it is clicked; says whether it was.
    fn touch(&self, ui: &Ui, rect: Rect, place: usize) -> bool {
        let (theme, branch) = (self.ctx.theme, self.branch);
        let painter = ui.painter();
        let outline = |color| {
            let stroke = Stroke::new(2.0, color);
            painter.rect_stroke(rect, CornerRadius::ZERO, stroke, StrokeKind::Inside);
        };
        if self.chosen == Some(place) {
            outline(theme.accent);
        }
        // Only what is under the pointer can be clicked, unless somebody listens who points with names.
        if !self.is_told && self.pointer.is_none_or(|pointer| !rect.contains(pointer)) {
            return false;
        }
        let token = &branch.columns.tokens()[place];
        let text = shown(&token.text);
        let (_, value) = self.colors.of(place);
        let id = ui.scope_id().with(("chip", branch.info.id, place));
        let response = ui.interact(rect, id, Sense::click());
        if response.hovered() && self.chosen != Some(place) {
            outline(theme.strong_line);
        }
        let words = || self.colors.words();
        response.widget_info(|| {
            let label = format!("Token {place} “{text}”: {} {value}", words());
            WidgetInfo::labeled(Role::Button, true, label)
        });
        let is_clicked = response.clicked();
        if is_clicked {
            for command in [
                LiveCommand::ChooseBranch(branch.info.id),
                LiveCommand::ChooseToken(Some(place)),
            ] {
                self.ctx.send(Command::Live(Box::new(command)));
            }
            self.ctx.bring_forward("token");
        }
        if response.hovered() {
            response.on_hover_ui_at_pointer(|ui| {
                ui.label(format!("Token {place} “{text}”"));
                ui.label(format!("{} {value}", words()));
                if let Some(surprisal) = token.surprisal {
                    ui.label(format!(
                        "Surprisal {} nats",
                        short_number(f64::from(surprisal))
                    ));
                }
            });
        }
        is_clicked
    }
}

/// Control characters as they are written in code; spaces that keep their width.
pub(super) fn shown(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' => shown.push('\u{a0}'),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_has_a_sign() {
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(" x"), "\u{a0}x");
        assert_eq!(shown(""), "(empty)");
    }
}
