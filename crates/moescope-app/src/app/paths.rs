//! What a path is that was dropped, picked or named: found out on another thread, for a folder in a network can be slow.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use egui::Context;

use super::absolute;
use crate::{captures::has_trace, command::Command, job::Job, notices::Notice};

/// Paths that are being looked at, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Paths {
    looks: VecDeque<Job<Vec<Command>>>,
}

impl Paths {
    /// Opens a path, by what it is.
    pub(super) fn open(&mut self, path: PathBuf, ctx: &Context) {
        self.look(ctx, move || vec![opening(path)]);
    }

    /// Opens every trace and model that was dropped, and takes all files together as texts.
    pub(super) fn take_dropped(&mut self, paths: Vec<PathBuf>, ctx: &Context) {
        self.look(ctx, move || opening_all(paths));
    }

    /// What the paths that have been looked at ask for. None overtakes one that came before it.
    pub(super) fn advance(&mut self) -> Vec<Command> {
        let mut found = Vec::new();
        while let Some(look) = self.looks.front_mut() {
            look.poll();
            match look {
                Job::Ready(commands) => found.append(commands),
                Job::Failed { error, .. } => {
                    found.push(Command::Notify(Notice::failed(error.clone())));
                }
                Job::Idle | Job::Running(_) => break,
            }
            self.looks.pop_front();
        }
        found
    }

    /// Whether a path is being looked at.
    pub(super) fn is_busy(&self) -> bool {
        !self.looks.is_empty()
    }

    fn look(&mut self, ctx: &Context, work: impl FnOnce() -> Vec<Command> + Send + 'static) {
        let mut job = Job::Idle;
        job.start("looking at what was opened", ctx, move |_| Ok(work()));
        self.looks.push_back(job);
    }
}

/// What opens a path.
fn opening(path: PathBuf) -> Command {
    let path = absolute(path);
    if has_trace(&path) {
        Command::OpenTrace(path)
    } else if path.join("config.json").is_file() {
        Command::ChooseModel(path.to_string_lossy().into_owned())
    } else if path.is_file() {
        Command::ChooseTexts(vec![path])
    } else {
        Command::Notify(Notice::failed(format!(
            "this is neither a trace (a folder with manifest.json), nor a model (a folder with config.json), nor a file of texts: {}",
            path.display()
        )))
    }
}

/// What opens paths that were dropped together.
fn opening_all(paths: Vec<PathBuf>) -> Vec<Command> {
    let (texts, folders): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| path.is_file());
    let models: Vec<&PathBuf> = folders.iter().filter(|path| is_model(path)).collect();
    let mut commands = Vec::new();
    if let [.., _, taken] = models[..] {
        let told = format!(
            "{} models were dropped, and a capture has one: {}; the others are in the menu File",
            models.len(),
            taken.display()
        );
        commands.push(Command::Notify(Notice::found(told, None)));
    }
    commands.extend(folders.into_iter().map(opening));
    if !texts.is_empty() {
        commands.push(Command::ChooseTexts(texts));
    }
    commands
}

/// Whether a folder is opened as a model; one that is a trace, too, is opened as that.
fn is_model(path: &Path) -> bool {
    !has_trace(path) && path.join("config.json").is_file()
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    #[test]
    fn paths_are_opened_by_what_they_are_in_the_order_in_which_they_came() {
        let folder = tempfile::tempdir().unwrap();
        let [trace, model] = ["trace", "model"].map(|name| folder.path().join(name));
        let text = folder.path().join("law.jsonl");
        fs::create_dir(&trace).unwrap();
        fs::create_dir(&model).unwrap();
        for file in [trace.join("manifest.json"), model.join("config.json")] {
            fs::write(file, "{}").unwrap();
        }
        fs::write(&text, "{}").unwrap();
        let ctx = Context::default();
        let mut paths = Paths::default();
        paths.open(model.clone(), &ctx);
        paths.take_dropped(vec![text.clone(), trace.clone()], &ctx);
        paths.open(folder.path().join("nothing"), &ctx);
        let mut found = Vec::new();
        while paths.is_busy() {
            found.extend(paths.advance());
            thread::yield_now();
        }
        let [first, second, third, fourth] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(matches!(first, Command::ChooseModel(path) if *path == model.to_string_lossy()));
        assert!(matches!(second, Command::OpenTrace(path) if *path == trace));
        assert!(matches!(third, Command::ChooseTexts(files) if *files == [text.clone()]));
        assert!(matches!(fourth, Command::Notify(notice) if notice.text.contains("neither")));
    }
}
