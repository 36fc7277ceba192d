//! The system's dialogs for files and folders, on threads of their own so that the window goes on.
//!
//! On Linux a dialog needs a desktop portal or zenity. The library that asks for them does not tell a dialog that could
//! not be shown from one that was closed; only the time does.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use rfd::FileDialog;

use crate::{
    command::{Command, Commands},
    notices::Notice,
};

/// Nobody sees a dialog and closes it in less time.
const LEAST_TIME: Duration = Duration::from_millis(300);

/// Lets the user pick a trace.
pub(crate) fn trace(commands: &Commands) {
    pick(commands, || {
        let picked = FileDialog::new().set_title("Open trace").pick_folder();
        picked.map(Command::Open)
    });
}

/// Lets the user pick a model.
pub(crate) fn model(commands: &Commands) {
    pick(commands, || {
        let picked = FileDialog::new().set_title("Open model").pick_folder();
        picked.map(|path| Command::ChooseModel(path.to_string_lossy().into_owned()))
    });
}

/// Lets the user pick files with texts.
pub(crate) fn texts(commands: &Commands) {
    pick(commands, || {
        let picked = FileDialog::new()
            .set_title("Choose texts")
            .add_filter(
                "Texts",
                &["jsonl", "ndjson", "json", "csv", "tsv", "txt", "zst"],
            )
            .pick_files();
        // None of the files is also an answer of a dialog that was closed.
        picked
            .filter(|files| !files.is_empty())
            .map(Command::ChooseTexts)
    });
}

/// Lets the user pick a folder to write into; `send` makes a command of it.
pub(crate) fn folder(
    commands: &Commands,
    title: &'static str,
    send: impl FnOnce(PathBuf) -> Command + Send + 'static,
) {
    pick(commands, move || {
        let picked = FileDialog::new().set_title(title).pick_folder();
        picked.map(send)
    });
}

/// Lets the user pick where something is written; `send` makes a command of it.
pub(crate) fn save(
    commands: &Commands,
    name: String,
    send: impl FnOnce(PathBuf) -> Command + Send + 'static,
) {
    pick(commands, move || {
        let picked = FileDialog::new()
            .set_title("Export")
            .set_file_name(name)
            .save_file();
        picked.map(send)
    });
}

fn pick(commands: &Commands, dialog: impl FnOnce() -> Option<Command> + Send + 'static) {
    let told = commands.clone();
    let thread = thread::Builder::new()
        .name("dialog".to_owned())
        .spawn(move || {
            let begun = Instant::now();
            match dialog() {
                Some(command) => told.send(command),
                None if begun.elapsed() < LEAST_TIME => fail(
                    &told,
                    "the system shows no dialog (on Linux it needs xdg-desktop-portal or zenity)",
                ),
                // A dialog that is closed without a choice asks for nothing.
                None => {}
            }
        });
    if let Err(error) = thread {
        fail(
            commands,
            &format!("the system gives no thread for the dialog: {error}"),
        );
    }
}

fn fail(commands: &Commands, what: &str) {
    commands.send(Command::Notify(Notice::failed(format!(
        "{what}; type the path into its field, or drop the file or folder on the window"
    ))));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a dialog asks for that answers after a while.
    fn asked(answer: Option<Command>, after: Duration) -> Option<Command> {
        let (commands, received) = Commands::new(egui::Context::default());
        pick(&commands, move || {
            thread::sleep(after);
            answer
        });
        received.recv_timeout(2 * LEAST_TIME + after).ok()
    }

    #[test]
    fn a_dialog_that_could_not_be_shown_is_told_and_a_closed_one_is_not() {
        let folder = Some(Command::ChooseOut("/traces".into()));
        assert!(matches!(
            asked(folder, Duration::ZERO),
            Some(Command::ChooseOut(_))
        ));
        let Some(Command::Notify(notice)) = asked(None, Duration::ZERO) else {
            panic!("nothing was told");
        };
        assert!(
            notice.text.contains("xdg-desktop-portal"),
            "{}",
            notice.text
        );
        assert!(notice.text.contains("type the path"), "{}", notice.text);
        assert!(asked(None, 2 * LEAST_TIME).is_none());
    }
}
