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
};

impl App {
    pub(super) fn take_keys(&mut self, ctx: &Context) {
        // Undo in a field of text is the field's own.
        let is_typing = ctx.text_edit_focused();
        // Space belongs to whatever has the focus: it presses a button. The text of a generation hands it on.
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
                && (matches!(action.command, Command::Undo | Command::Redo)
                    || is_plain(Key::Period))
                || has_focus && is_plain(Key::Space);
            if let Some(shortcut) = action.shortcut
                && !is_fields_own
                && ctx.input_mut(|input| input.consume_shortcut(&shortcut))
            {
                self.commands.send(action.command);
            }
        }
        // Where plus is shift and equals, nobody presses shift.
        let equals = KeyboardShortcut::new(Modifiers::COMMAND, Key::Equals);
        if ctx.input_mut(|input| input.consume_shortcut(&equals)) {
            self.commands.send(Command::Zoom(ZoomStep::Larger));
        }
    }

    pub(super) fn take_drops(&mut self, ctx: &Context) {
        let dropped = ctx.input(|input| {
            let files = input.raw.dropped_files.iter();
            files
                .map(|file| file.path().to_owned())
                .collect::<Vec<PathBuf>>()
        });
        let is_text = |path: &Path| path.is_file();
        if dropped.len() > 1 && dropped.iter().all(|path| is_text(path)) {
            self.commands.send(Command::ChooseTexts(dropped));
        } else {
            for path in dropped {
                self.commands.send(Command::Open(path));
            }
        }
    }
}
