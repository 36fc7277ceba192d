//! The palette of commands, on Ctrl+K.

use egui::{
    Align, Align2, Area, Context, Frame, Key, Layout, Modifiers, Order, ScrollArea, TextEdit, Ui,
    vec2,
};

use crate::{
    actions::{self, Action},
    view::ViewContext,
    widgets::text::soft,
};

const WIDTH: f32 = 520.0;
const HEIGHT: f32 = 340.0;

/// The palette, open or not, with what was typed.
#[derive(Debug, Default)]
pub(crate) struct Palette {
    is_open: bool,
    typed: String,
    marked: usize,
}

impl Palette {
    pub(crate) fn toggle(&mut self) {
        *self = Self {
            is_open: !self.is_open,
            ..Self::default()
        };
    }

    pub(crate) fn ui(&mut self, ctx: &Context, context: &ViewContext<'_>) {
        if !self.is_open {
            return;
        }
        let found: Vec<Action> = found(actions::all(context.state), &self.typed);
        let has_chosen = self.take_keys(ctx, found.len());
        let mut clicked = None;
        let area = Area::new(egui::Id::unique("palette"))
            .order(Order::Foreground)
            .anchor(Align2::CENTER_TOP, vec2(0.0, 70.0))
            .show(ctx, |ui| {
                Frame::popup(ui.style()).show(ui, |ui| {
                    ui.set_width(WIDTH);
                    clicked = self.contents(ui, context, &found);
                });
            });
        let chosen = clicked.or((has_chosen && !found.is_empty()).then_some(self.marked));
        if let Some(action) = chosen.and_then(|place| found.get(place)) {
            context.send(action.command.clone());
            self.is_open = false;
        } else if area.response.clicked_elsewhere() {
            self.is_open = false;
        }
    }

    /// Moves the mark and closes; true when Enter was pressed.
    fn take_keys(&mut self, ctx: &Context, count: usize) -> bool {
        let pressed = |key: Key| ctx.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if pressed(Key::Escape) {
            self.is_open = false;
        }
        if pressed(Key::ArrowDown) {
            self.marked += 1;
        }
        if pressed(Key::ArrowUp) {
            self.marked = self.marked.saturating_sub(1);
        }
        self.marked = self.marked.min(count.saturating_sub(1));
        pressed(Key::Enter)
    }

    fn contents(
        &mut self,
        ui: &mut Ui,
        context: &ViewContext<'_>,
        found: &[Action],
    ) -> Option<usize> {
        let field = ui.add(
            TextEdit::singleline(&mut self.typed)
                .hint_text("Type a command or a trace…")
                .desired_width(f32::INFINITY),
        );
        field.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Find a command")
        });
        if field.changed() {
            self.marked = 0;
        }
        field.request_focus();
        ui.add_space(4.0);
        if found.is_empty() {
            ui.label(soft(
                "Nothing is called so; try another word",
                context.theme,
            ));
        }
        let mut clicked = None;
        ScrollArea::vertical().max_height(HEIGHT).show(ui, |ui| {
            for (place, action) in found.iter().enumerate() {
                let is_marked = place == self.marked;
                let row = ui.with_layout(Layout::top_down_justified(Align::LEFT), |ui| {
                    ui.add(button(ui, action, is_marked))
                });
                if is_marked {
                    row.inner.scroll_to_me(None);
                }
                if row.inner.clicked() {
                    clicked = Some(place);
                }
            }
        });
        clicked
    }
}

fn button(ui: &Ui, action: &Action, is_marked: bool) -> egui::Button<'static> {
    let keys = action
        .shortcut
        .map(|shortcut| ui.ctx().format_shortcut(&shortcut))
        .unwrap_or_default();
    egui::Button::selectable(is_marked, action.title.clone()).right_text(keys)
}

/// The actions that have all typed words, those whose title begins with them first.
fn found(actions: Vec<Action>, typed: &str) -> Vec<Action> {
    let typed = typed.trim().to_lowercase();
    let words: Vec<&str> = typed.split_whitespace().collect();
    let mut found: Vec<Action> = actions
        .into_iter()
        .filter(|action| {
            let text = format!("{} {}", action.title, action.hint).to_lowercase();
            words.iter().all(|word| text.contains(word))
        })
        .collect();
    found.sort_by_key(|action| !action.title.to_lowercase().starts_with(&typed));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    #[test]
    fn words_find_actions_by_title_and_hint() {
        let titles = |typed: &str| -> Vec<String> {
            found(actions::all(&State::default()), typed)
                .into_iter()
                .map(|action| action.title)
                .collect()
        };
        assert_eq!(titles("undo")[0], "Undo");
        assert!(titles("theme light").contains(&"Use the light theme".to_owned()));
        assert!(titles("no such thing").is_empty());
    }
}
