//! The system's dialogs for files and folders, on threads of their own so that the window goes on.

use std::{path::PathBuf, thread};

use rfd::FileDialog;

use crate::{
    command::{Command, Commands},
    notices::Notice,
};

/// Lets the user pick a trace.
pub(crate) fn trace(commands: &Commands) {
    pick(commands, "pick a trace", || {
        let picked = FileDialog::new().set_title("Open trace").pick_folder();
        picked.map(Command::Open)
    });
}

/// Lets the user pick a model.
pub(crate) fn model(commands: &Commands) {
    pick(commands, "pick a model", || {
        let picked = FileDialog::new().set_title("Open model").pick_folder();
        picked.map(|path| Command::ChooseModel(path.to_string_lossy().into_owned()))
    });
}

/// Lets the user pick files with texts.
pub(crate) fn texts(commands: &Commands) {
    pick(commands, "pick texts", || {
        let picked = FileDialog::new()
            .set_title("Choose texts")
            .add_filter(
                "Texts",
                &["jsonl", "ndjson", "json", "csv", "tsv", "txt", "zst"],
            )
            .pick_files();
        picked.map(Command::ChooseTexts)
    });
}

/// Lets the user pick where something is written; `send` makes a command of it.
pub(crate) fn save(
    commands: &Commands,
    name: String,
    send: impl FnOnce(PathBuf) -> Command + Send + 'static,
) {
    pick(commands, "pick a file", move || {
        let picked = FileDialog::new()
            .set_title("Export")
            .set_file_name(name)
            .save_file();
        picked.map(send)
    });
}

fn pick(
    commands: &Commands,
    name: &str,
    dialog: impl FnOnce() -> Option<Command> + Send + 'static,
) {
    let told = commands.clone();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // A dialog that is closed without a choice asks for nothing.
        if let Some(command) = dialog() {
            told.send(command);
        }
    });
    if let Err(error) = thread {
        commands.send(Command::Notify(Notice::failed(format!(
            "the system gives no thread for the dialog: {error}; paths can be typed as well"
        ))));
    }
}
