//! What a path is that was dropped, picked or named: found out on another thread, for a folder in a network can be slow.

use std::{
    collections::VecDeque,
    mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use egui::Context;
use moescope_core::Progress as _;

use super::absolute;
use crate::{
    captures::has_trace,
    command::Command,
    job::{Job, JobProgress},
    notices::Notice,
};

/// So many looks go on at a time, for a thread that hangs in a network cannot be ended.
const MOST_LOOKS: usize = 4;
/// A look that has not ended for so long is told, and later ones go on without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Paths that are being looked at, in the order in which they came.
#[derive(Default)]
pub(super) struct Paths {
    looks: VecDeque<Look>,
}

/// A look at what came together.
struct Look {
    /// The first of its paths.
    first: String,
    /// What is to be done as soon as there is room.
    work: Option<Work>,
    job: Job<Vec<Command>>,
    /// When it came, or was begun.
    since: Option<Instant>,
    /// What was said when it did not end.
    told: Option<Notice>,
}

type Work = Box<dyn FnOnce(&JobProgress) -> Vec<Command> + Send>;

/// What a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Trace,
    Model,
    Texts,
    Nothing,
}

impl Paths {
    /// Opens a path, by what it is.
    pub(super) fn open(&mut self, path: PathBuf) {
        let first = path.display().to_string();
        self.look(first, move |progress| {
            let path = absolute(path);
            let found = look_at(&path, progress);
            vec![opening(path, found)]
        });
    }

    /// Opens every trace and model that was dropped, and takes all files together as texts.
    pub(super) fn take_dropped(&mut self, paths: Vec<PathBuf>) {
        let first = paths.first().map(|path| path.display().to_string());
        self.look(first.unwrap_or_default(), move |progress| {
            opening_all(paths, progress)
        });
    }

    /// What the paths that have been looked at ask for. None overtakes one that came before it, unless that one does not
    /// answer, which is told.
    pub(super) fn advance(&mut self, now: Instant, ctx: &Context) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut is_held_back = false;
        for mut look in mem::take(&mut self.looks) {
            look.job.poll();
            if look.has_ended() && !is_held_back {
                look.end(&mut commands);
                continue;
            }
            if !look.has_ended() {
                look.tell(now, ctx, &mut commands);
            }
            is_held_back |= look.told.is_none();
            self.looks.push_back(look);
        }
        self.begin(now, ctx, &mut commands);
        commands
    }

    /// Whether a path is being looked at.
    pub(super) fn is_busy(&self) -> bool {
        !self.looks.is_empty()
    }

    fn look(
        &mut self,
        first: String,
        work: impl FnOnce(&JobProgress) -> Vec<Command> + Send + 'static,
    ) {
        self.looks.push_back(Look {
            first,
            work: Some(Box::new(work)),
            job: Job::Idle,
            since: None,
            told: None,
        });
    }

    /// Begins as many looks as there is room for.
    fn begin(&mut self, now: Instant, ctx: &Context, commands: &mut Vec<Command>) {
        let running = self.looks.iter().filter(|look| look.job.is_running());
        let mut room = MOST_LOOKS.saturating_sub(running.count());
        for look in &mut self.looks {
            if room > 0
                && let Some(work) = look.work.take()
            {
                room -= 1;
                look.since = Some(now);
                commands.extend(look.told.take().map(Command::Dismiss));
                look.job
                    .start("looking at what was opened", ctx, move |progress| {
                        Ok(work(progress))
                    });
            }
            look.since.get_or_insert(now);
        }
        if self.looks.iter().any(|look| look.told.is_none()) {
            ctx.request_repaint_after(PATIENCE);
        }
    }
}

impl Look {
    fn has_ended(&self) -> bool {
        matches!(self.job, Job::Ready(_) | Job::Failed { .. })
    }

    /// Gives what was found, and takes back what was said meanwhile.
    fn end(self, commands: &mut Vec<Command>) {
        commands.extend(self.told.map(Command::Dismiss));
        match self.job {
            Job::Ready(found) => commands.extend(found),
            Job::Failed { error, .. } => commands.push(Command::Notify(Notice::failed(error))),
            Job::Idle | Job::Running(_) => {}
        }
    }

    /// Says once that it takes long, and which path it is that does not answer.
    fn tell(&mut self, now: Instant, ctx: &Context, commands: &mut Vec<Command>) {
        let (None, Some(since)) = (&self.told, self.since) else {
            return;
        };
        let left = PATIENCE.saturating_sub(now.saturating_duration_since(since));
        if !left.is_zero() {
            ctx.request_repaint_after(left);
            return;
        }
        let told = match self.job.progress() {
            Some(progress) => {
                let looked_at = Some(progress.message()).filter(|path| !path.is_empty());
                let path = looked_at.as_ref().unwrap_or(&self.first);
                format!("This has not answered yet, and is opened as soon as it does: {path}")
            }
            None => format!(
                "This waits for one of {MOST_LOOKS} paths before it that have not answered yet: {}",
                self.first
            ),
        };
        let notice = Notice::found(told, None);
        self.told = Some(notice.clone());
        commands.push(Command::Notify(notice));
    }
}

/// Finds out what a path is, and says so before it may hang.
fn look_at(path: &Path, progress: &JobProgress) -> Found {
    // Nothing cancels a look.
    _ = progress.report(0, 0, &path.display().to_string());
    if has_trace(path) {
        Found::Trace
    } else if path.join("config.json").is_file() {
        Found::Model
    } else if path.is_file() {
        Found::Texts
    } else {
        Found::Nothing
    }
}

/// What opens a path.
fn opening(path: PathBuf, found: Found) -> Command {
    match found {
        Found::Trace => Command::OpenTrace(path),
        Found::Model => Command::ChooseModel(path.to_string_lossy().into_owned()),
        Found::Texts => Command::ChooseTexts(vec![path]),
        Found::Nothing => Command::Notify(Notice::failed(format!(
            "this is neither a trace (a folder with manifest.json), nor a model (a folder with config.json), nor a file of texts: {}",
            path.display()
        ))),
    }
}

/// What opens paths that were dropped together.
fn opening_all(paths: Vec<PathBuf>, progress: &JobProgress) -> Vec<Command> {
    let looked = paths.into_iter().map(|path| {
        let found = look_at(&path, progress);
        (path, found)
    });
    let (texts, folders): (Vec<_>, Vec<_>) = looked.partition(|(_, found)| *found == Found::Texts);
    let models = folders.iter().filter(|(_, found)| *found == Found::Model);
    let models: Vec<&PathBuf> = models.map(|(path, _)| path).collect();
    let mut commands = Vec::new();
    if let [.., _, taken] = models[..] {
        let told = format!(
            "{} models were dropped, and a capture has one: {}; the others are in the menu File",
            models.len(),
            taken.display()
        );
        commands.push(Command::Notify(Notice::found(told, None)));
    }
    let folders = folders.into_iter();
    commands.extend(folders.map(|(path, found)| opening(absolute(path), found)));
    if !texts.is_empty() {
        let files = texts.into_iter().map(|(path, _)| path);
        commands.push(Command::ChooseTexts(files.collect()));
    }
    commands
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::mpsc::{Sender, channel},
        thread,
    };

    use super::*;

    /// A look that ends with a trace as soon as the sender is dropped.
    fn hanging(paths: &mut Paths, path: &str) -> Sender<()> {
        let (sender, gate) = channel();
        let trace = PathBuf::from(path);
        paths.look(path.to_owned(), move |_| {
            _ = gate.recv();
            vec![Command::OpenTrace(trace)]
        });
        sender
    }

    /// Waits until looks have ended, in their places.
    fn wait_for(paths: &mut Paths, places: &[usize]) {
        for place in places {
            while !paths.looks[*place].has_ended() {
                paths.looks[*place].job.poll();
                thread::yield_now();
            }
        }
    }

    /// What all looks ask for until none is left, at one time.
    fn all_of(paths: &mut Paths, now: Instant) -> Vec<Command> {
        let ctx = Context::default();
        let mut found = Vec::new();
        while paths.is_busy() {
            found.extend(paths.advance(now, &ctx));
            thread::yield_now();
        }
        found
    }

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
        let mut paths = Paths::default();
        paths.open(model.clone());
        paths.take_dropped(vec![text.clone(), trace.clone()]);
        paths.open(folder.path().join("nothing"));
        let found = all_of(&mut paths, Instant::now());
        let [first, second, third, fourth] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(matches!(first, Command::ChooseModel(path) if *path == model.to_string_lossy()));
        assert!(matches!(second, Command::OpenTrace(path) if *path == trace));
        assert!(matches!(third, Command::ChooseTexts(files) if *files == [text.clone()]));
        assert!(matches!(fourth, Command::Notify(notice) if notice.text.contains("neither")));
    }

    #[test]
    fn a_path_that_does_not_answer_is_told_and_later_ones_go_on() {
        let ctx = Context::default();
        let start = Instant::now();
        let mut paths = Paths::default();
        let slow = hanging(&mut paths, "/net/slow");
        drop(hanging(&mut paths, "/disk/quick"));
        assert!(paths.advance(start, &ctx).is_empty());
        wait_for(&mut paths, &[1]);
        // For a while the order counts.
        assert!(paths.advance(start + PATIENCE / 2, &ctx).is_empty());
        let found = paths.advance(start + PATIENCE, &ctx);
        let [Command::Notify(told), Command::OpenTrace(quick)] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(told.text.ends_with("/net/slow"), "{}", told.text);
        assert_eq!(quick, Path::new("/disk/quick"));
        assert!(paths.advance(start + 2 * PATIENCE, &ctx).is_empty());
        drop(slow);
        let found = all_of(&mut paths, start + 2 * PATIENCE);
        let [Command::Dismiss(taken_back), Command::OpenTrace(slow)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(taken_back, told);
        assert_eq!(slow, Path::new("/net/slow"));
    }

    #[test]
    fn no_more_threads_hang_than_a_few() {
        let ctx = Context::default();
        let start = Instant::now();
        let mut paths = Paths::default();
        let names = ["/net/0", "/net/1", "/net/2", "/net/3", "/disk/4"];
        let mut gates = names.map(|name| Some(hanging(&mut paths, name)));
        // The last would answer at once, if it were asked.
        gates[4] = None;
        assert!(paths.advance(start, &ctx).is_empty());
        let running = |paths: &Paths| paths.looks.iter().filter(|l| l.job.is_running()).count();
        assert_eq!(running(&paths), MOST_LOOKS);
        let told = paths.advance(start + PATIENCE, &ctx);
        let told: Vec<&str> = told
            .iter()
            .map(|command| match command {
                Command::Notify(notice) => notice.text.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told.len(), 5);
        assert!(told[3].contains("not answered yet, and is opened"));
        assert!(told[4].contains("waits for one of 4") && told[4].ends_with("/disk/4"));
        // One of them answers, and there is room.
        gates[1] = None;
        wait_for(&mut paths, &[1]);
        let found = paths.advance(start + PATIENCE, &ctx);
        let [
            Command::Dismiss(_),
            Command::OpenTrace(first),
            Command::Dismiss(_),
        ] = &found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!(first, Path::new("/net/1"));
        wait_for(&mut paths, &[3]);
        let found = paths.advance(start + PATIENCE, &ctx);
        assert!(matches!(&found[..], [Command::OpenTrace(path)] if path == Path::new("/disk/4")));
        drop(gates);
        assert_eq!(all_of(&mut paths, start + PATIENCE).len(), 6);
    }
}
