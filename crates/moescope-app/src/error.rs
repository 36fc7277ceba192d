//! What can go wrong before there is a window, or in a scripted run.

use std::{io, path::PathBuf};

use thiserror::Error;

/// The errors of the app; everything that goes wrong inside the window is shown there.
#[derive(Debug, Error)]
pub enum AppError {
    /// No window could be opened.
    #[error(
        "cannot open a window: {reason}. The app needs a display (DISPLAY or WAYLAND_DISPLAY) and Vulkan or OpenGL; without a display, `xvfb-run -a moescope app` gives a virtual one, without a GPU, Mesa's software Vulkan (package mesa-vulkan-drivers) draws, and every number of the app is also one of the command line: moescope --help"
    )]
    NoWindow {
        /// What the window system or the graphics library said.
        reason: String,
    },
    /// A theme file is broken.
    #[error("cannot read the theme '{name}': {reason}")]
    Theme {
        /// The theme.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A capture could not be stopped in good order when the window was closed.
    #[error("the capture that ran when the window was closed: {0}")]
    Capture(String),
    /// A script cannot be followed.
    #[error("line {line} of the script: {reason}")]
    Script {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it, and what would help.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action}: {source}: {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
}

impl AppError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action,
            source,
            path: path.into(),
        }
    }
}
