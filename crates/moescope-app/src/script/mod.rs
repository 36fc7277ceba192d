//! Scripted runs: what a user would do, line by line, in a real window.
//!
//! A script is a text file of steps. Clicks go to widgets by their accessible name and through the window's own input,
//! so a script does nothing that a hand could not.

mod labels;
mod run;
mod step;

use std::path::{Path, PathBuf};

use crate::error::AppError;

pub(crate) use run::ScriptRun;
pub use step::Step;

/// A scripted run.
#[derive(Clone, Debug)]
pub struct ScriptConfig {
    /// What is done.
    pub script: Script,
    /// Where screenshots are put; without a folder, the script may take none.
    pub screenshots: Option<PathBuf>,
}

/// Steps with their lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    steps: Vec<(usize, Step)>,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is no step.
    pub fn read(path: &Path) -> Result<Self, AppError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| AppError::io("read the script", path, source))?;
        Self::parse(&text)
    }

    /// Reads the text of a script: a step a line; lines that begin with `#` and empty ones are left out.
    ///
    /// # Errors
    /// When a line is no step; the error names the line and the steps there are.
    pub fn parse(text: &str) -> Result<Self, AppError> {
        let lines = (1..).zip(text.lines());
        let lines = lines.filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let steps = lines.map(|(line, text)| {
            let step =
                Step::parse(text.trim()).map_err(|reason| AppError::Script { line, reason })?;
            Ok((line, step))
        });
        Ok(Self {
            steps: steps.collect::<Result<_, AppError>>()?,
        })
    }

    /// The steps with the lines that they stand on.
    #[must_use]
    pub fn steps(&self) -> &[(usize, Step)] {
        &self.steps
    }
}
