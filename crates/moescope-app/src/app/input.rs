//! What keys and dropped files ask for.

use std::{cmp::Reverse, path::PathBuf};

use egui::{Context, Key, KeyboardShortcut, Modifiers};

use super::App;
use crate::{
    actions::{self, is_pressed_anew},
    command::{Command, ZoomStep},
    lives::LAYER_KEYS,
};

impl App {
    pub(super) fn take_keys(&mut self, ctx: &Context) {
        // Undo in a field of text is the field's own.
        let is_typing = ctx.text_edit_focused();
        // Space belongs to whatever has the focus: it presses a button. The text of a generation and heat maps hand it on.
        let has_focus = ctx.memory(|memory| memory.focused().is_some());
        let mut all = actions::all(&self.state);
        // A shortcut is also pressed where Shift is held besides, so those with more keys come first.
        all.sort_by_key(|action| {
            let held = action.shortcut.map(|keys| keys.modifiers);
            let [alt, ctrl, shift] = held.map_or([false; 3], |held| {
                [held.alt, held.command || held.ctrl, held.shift]
            });
            Reverse(u8::from(alt) + u8::from(ctrl) + u8::from(shift))
        });
        for action in all {
            let is_plain = |key: Key| {
                action
                    .shortcut
                    .is_some_and(|keys| keys.modifiers.is_none() && keys.logical_key == key)
            };
            let is_fields_own = is_typing
                && (is_of_fields(&action.command) || is_plain(Key::Period))
                || has_focus && is_plain(Key::Space);
            // Keys that are held are taken as well, or those with fewer modifiers would see them.
            let is_meant = |shortcut: KeyboardShortcut| {
                ctx.input_mut(|input| {
                    let is_anew = is_pressed_anew(input, shortcut);
                    input.consume_shortcut(&shortcut) && (is_anew || !action.closes())
                })
            };
            if let Some(shortcut) = action.shortcut
                && !is_fields_own
                && is_meant(shortcut)
            {
                self.commands.send(action.command);
            }
        }
        if !has_focus {
            self.take_layer_keys(ctx);
        }
        // Where plus is shift and equals, nobody presses shift.
        let equals = KeyboardShortcut::new(Modifiers::COMMAND, Key::Equals);
        if ctx.input_mut(|input| input.consume_shortcut(&equals)) {
            self.commands.send(Command::Zoom(ZoomStep::Larger));
        }
    }

    /// Goes through the layers of the tokens' colours, where these can be seen.
    fn take_layer_keys(&self, ctx: &Context) {
        let is_seen = |view: &&str| self.layout.is_in_front(view);
        let Some(branch) = self.state.lives.branch() else {
            return;
        };
        if !["live", "intervene"].iter().any(is_seen) {
            return;
        }
        let mut choice = self.state.choices.live.clone();
        for (key, down) in LAYER_KEYS {
            let count = ctx.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key));
            for _ in 0..count {
                choice = choice.moved(branch.columns.layers(), down);
            }
        }
        if choice != self.state.choices.live {
            self.commands.send(Command::ChooseLive(Box::new(choice)));
        }
    }

    /// Opens every trace that was dropped, and takes all files together as texts, once it is known what they are.
    pub(super) fn take_drops(&mut self, ctx: &Context) {
        let dropped: Vec<PathBuf> = ctx.input(|input| {
            let files = input.raw.dropped_files.iter();
            files.map(|file| file.path().to_owned()).collect()
        });
        if !dropped.is_empty() {
            self.paths.take_dropped(dropped);
        }
    }
}

/// Whether a field of text takes the keys of this command for itself: Ctrl+W takes away a word.
fn is_of_fields(command: &Command) -> bool {
    matches!(
        command,
        Command::Undo | Command::Redo | Command::CloseThisView
    )
}
