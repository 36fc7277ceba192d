//! What keys and dropped files ask for.

use std::{
    cmp::Reverse,
    path::{Path, PathBuf},
};

use egui::{Context, Key, KeyboardShortcut, Modifiers};

use super::App;
use crate::{
    actions,
    command::{Command, ZoomStep},
    lives::LAYER_KEYS,
    notices::Notice,
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
            if let Some(shortcut) = action.shortcut
                && !is_fields_own
                && ctx.input_mut(|input| input.consume_shortcut(&shortcut))
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

    /// Opens every trace that was dropped, and takes all files together as texts.
    pub(super) fn take_drops(&mut self, ctx: &Context) {
        let dropped: Vec<PathBuf> = ctx.input(|input| {
            let files = input.raw.dropped_files.iter();
            files.map(|file| file.path().to_owned()).collect()
        });
        let (texts, folders): (Vec<PathBuf>, Vec<PathBuf>) =
            dropped.into_iter().partition(|path| path.is_file());
        let models: Vec<&PathBuf> = folders.iter().filter(|path| is_model(path)).collect();
        if let [.., _, taken] = models[..] {
            let told = format!(
                "{} models were dropped, and a capture has one: {}; the others are in the menu File",
                models.len(),
                taken.display()
            );
            self.commands
                .send(Command::Notify(Notice::found(told, None)));
        }
        for folder in folders {
            self.commands.send(Command::Open(folder));
        }
        if !texts.is_empty() {
            self.commands.send(Command::ChooseTexts(texts));
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

/// Whether a folder is opened as a model; one that is a trace, too, is opened as that.
fn is_model(path: &Path) -> bool {
    !path.join("manifest.json").is_file() && path.join("config.json").is_file()
}
