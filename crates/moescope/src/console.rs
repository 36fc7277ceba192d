//! Standard error: progress, notes, warnings, errors.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use moescope_core::{Cancelled, Progress};

use crate::{cli::GlobalArgs, interrupt};

/// Without a terminal a line of progress appears this often.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// What is shown beside the results, and how.
pub(crate) struct Console {
    is_quiet: bool,
    is_verbose: bool,
    has_colors: bool,
    /// A bar where standard error is a terminal.
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Console {
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let bar = (is_terminal && !global.quiet)
            .then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10)));
        Self {
            is_quiet: global.quiet,
            is_verbose: global.verbose,
            has_colors: is_terminal && !global.no_color && !no_color,
            bar,
            last_line: Mutex::new(Instant::now()),
        }
    }

    /// Tells what is being done, and why.
    pub(crate) fn note(&self, text: &str) {
        if !self.is_quiet {
            self.line(text);
        }
    }

    /// Tells what only `--verbose` asks for.
    pub(crate) fn detail(&self, text: &str) {
        if self.is_verbose {
            self.line(text);
        }
    }

    /// Tells what may be wrong.
    pub(crate) fn warning(&self, text: &str) {
        self.line(&format!("{} {text}", self.painted("warning:", "33;1")));
    }

    /// Tells what is wrong.
    pub(crate) fn error(&self, text: &str) {
        self.line(&format!("{} {text}", self.painted("error:", "31;1")));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn painted(&self, text: &str, code: &str) -> String {
        if self.has_colors {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&self, text: &str) {
        let write = || {
            // Nobody is left to be told that standard error is gone.
            drop(writeln!(std::io::stderr(), "{text}"));
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn show_bar(&self, bar: &ProgressBar, done: u64, total: u64, message: &str) {
        let template = match (total, self.has_colors) {
            (0, _) => "{spinner} {msg}",
            (_, true) => "{bar:30.cyan/blue} {percent:>3} % {msg}",
            (_, false) => "{bar:30} {percent:>3} % {msg}",
        };
        if bar.length() != Some(total) {
            bar.set_style(
                ProgressStyle::with_template(template).expect("one of the templates above"),
            );
            bar.set_length(total);
        }
        bar.set_position(done);
        bar.set_message(message.to_owned());
    }

    fn show_line(&self, done: u64, total: u64, message: &str) {
        let Ok(mut last) = self.last_line.lock() else {
            return;
        };
        if last.elapsed() < BETWEEN_LINES {
            return;
        }
        *last = Instant::now();
        let percent = (100 * done).checked_div(total);
        match percent {
            Some(percent) => self.line(&format!("{percent} %: {message}")),
            None => self.line(message),
        }
    }
}

impl Progress for Console {
    fn report(&self, done: u64, total: u64, message: &str) -> Result<(), Cancelled> {
        if interrupt::is_requested() {
            return Err(Cancelled);
        }
        match &self.bar {
            Some(bar) => self.show_bar(bar, done, total, message),
            None if !self.is_quiet => self.show_line(done, total, message),
            None => {}
        }
        Ok(())
    }
}
