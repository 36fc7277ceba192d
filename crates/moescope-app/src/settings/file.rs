//! The file of settings while the app runs.

use std::{
    io,
    path::PathBuf,
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use egui::Context;

use super::Settings;
use crate::{error::AppError, job::Job};

/// Between two looks at settings that are being written.
const BETWEEN_POLLS: Duration = Duration::from_millis(2);
/// How long a window that closes waits for its settings: a disk in a network may never answer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The file of settings, if there is one: what it holds, and what is being written into it.
#[derive(Debug, Default)]
pub(crate) struct SettingsFile {
    path: Option<PathBuf>,
    /// What is on the disk, so that the same is not written again.
    saved: Settings,
    writing: Job<Settings>,
}

impl SettingsFile {
    /// A file that holds these settings.
    pub(crate) fn new(path: Option<PathBuf>, saved: Settings) -> Self {
        Self {
            path,
            saved,
            writing: Job::Idle,
        }
    }

    /// What was written last.
    pub(crate) fn saved(&self) -> &Settings {
        &self.saved
    }

    /// Whether settings are being written.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing.is_running()
    }

    /// Writes settings on another thread, for a disk can be slow. Where some are still being written, these wait for the next
    /// call.
    pub(crate) fn save_soon(&mut self, settings: Settings, ctx: &Context) {
        let Some(path) = self.path.clone() else {
            return;
        };
        if settings == self.saved || self.writing.is_running() {
            return;
        }
        self.writing.start("keeping the settings", ctx, move |_| {
            settings.save(&path).map_err(|error| error.to_string())?;
            Ok(settings)
        });
    }

    /// Takes note of what was written; why it could not be, once.
    pub(crate) fn advance(&mut self) -> Option<String> {
        if !self.writing.poll() {
            return None;
        }
        match std::mem::take(&mut self.writing) {
            Job::Ready(settings) => {
                self.saved = settings;
                None
            }
            Job::Failed { error, .. } => Some(error),
            Job::Idle | Job::Running(_) => None,
        }
    }

    /// Writes settings before it returns, after those that are being written.
    ///
    /// # Errors
    /// When the file cannot be written, or not within 5 seconds.
    pub(crate) fn save(&mut self, settings: Settings) -> Result<(), AppError> {
        self.save_within(settings, LONGEST_WAIT)
    }

    fn save_within(&mut self, settings: Settings, longest: Duration) -> Result<(), AppError> {
        let Some(path) = self.path.clone() else {
            return Ok(());
        };
        let late = |what: &str| {
            let told = format!(
                "{what} could not be written within {} s",
                longest.as_secs_f64()
            );
            AppError::io(
                "keep the settings",
                path.clone(),
                io::Error::new(io::ErrorKind::TimedOut, told),
            )
        };
        let begun = Instant::now();
        while self.writing.is_running() {
            // Why the older ones could not be written does not matter: these take their place.
            drop(self.advance());
            if begun.elapsed() >= longest {
                return Err(late("older ones"));
            }
            thread::sleep(BETWEEN_POLLS);
        }
        if settings == self.saved {
            return Ok(());
        }
        let (sender, written) = channel();
        let file = path.clone();
        thread::spawn(move || {
            let saved = settings.save(&file).map(|()| settings);
            // Whoever has stopped waiting has said so.
            drop(sender.send(saved));
        });
        let left = longest.saturating_sub(begun.elapsed());
        self.saved = written.recv_timeout(left).map_err(|_| late("they"))??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_seed(seed: u64) -> Settings {
        let mut settings = Settings::default();
        settings.choices.request.seed = seed;
        settings
    }

    /// Waits until nothing is being written; what was told of it.
    fn wait(file: &mut SettingsFile) -> Option<String> {
        while file.is_writing() {
            if let Some(told) = file.advance() {
                return Some(told);
            }
            thread::yield_now();
        }
        None
    }

    #[test]
    fn settings_are_written_on_another_thread_and_the_last_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.json");
        let ctx = Context::default();
        let mut file = SettingsFile::new(Some(path.clone()), Settings::default());
        file.save_soon(with_seed(7), &ctx);
        assert_eq!(wait(&mut file), None);
        assert_eq!(file.saved(), &with_seed(7));
        assert_eq!(Settings::load(&path).unwrap(), with_seed(7));
        // Whatever is on its way, those of the end are what the next run reads.
        file.save_soon(with_seed(8), &ctx);
        file.save(with_seed(9)).unwrap();
        assert_eq!(Settings::load(&path).unwrap(), with_seed(9));
        assert_eq!(file.saved(), &with_seed(9));
        // What is on the disk is not written again.
        file.save_soon(with_seed(9), &ctx);
        assert!(!file.is_writing());
    }

    #[test]
    fn older_settings_that_are_never_written_are_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.json");
        let ctx = Context::default();
        let mut file = SettingsFile::new(Some(path.clone()), Settings::default());
        let (answer, disk) = channel::<()>();
        file.writing.start("keeping the settings", &ctx, move |_| {
            // A disk that answers when the test says so.
            disk.recv().unwrap_err();
            Ok(with_seed(7))
        });
        let wait = Duration::from_millis(20);
        let told = file.save_within(with_seed(8), wait).unwrap_err();
        let told = told.to_string();
        assert!(told.contains("older ones could not be written"), "{told}");
        assert!(!path.exists());
        drop(answer);
        file.save(with_seed(8)).unwrap();
        assert_eq!(Settings::load(&path).unwrap(), with_seed(8));
        assert_eq!(file.saved(), &with_seed(8));
    }

    #[test]
    fn what_cannot_be_written_is_told_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::write(&taken, "no folder").unwrap();
        let ctx = Context::default();
        let path = taken.join("app.json");
        let mut file = SettingsFile::new(Some(path), Settings::default());
        file.save_soon(with_seed(7), &ctx);
        let told = wait(&mut file).unwrap();
        assert!(told.contains("keep the settings"), "{told}");
        assert!(file.save(with_seed(7)).is_err());
        std::fs::remove_file(&taken).unwrap();
        file.save(with_seed(7)).unwrap();
        assert_eq!(file.saved(), &with_seed(7));
        // Where settings are kept nowhere, nothing is written.
        let mut none = SettingsFile::default();
        none.save_soon(with_seed(7), &ctx);
        assert!(!none.is_writing() && none.save(with_seed(7)).is_ok());
    }
}
