//! How the app starts, and where it keeps things.

use std::path::PathBuf;

use moescope_engine::DeviceChoice;

use crate::{
    lives::Keeping,
    script::ScriptConfig,
    settings::{Settings, usual_path},
    theme::ThemeChoice,
};

/// How the app starts.
#[derive(Clone, Debug, Default)]
pub struct AppConfig {
    /// Traces to open; the demo's where there are none.
    pub traces: Vec<PathBuf>,
    /// The model to choose for captures.
    pub model: Option<String>,
    /// Where models run.
    pub device: DeviceChoice,
    /// The theme; that of the last run where it is not given.
    pub theme: Option<ThemeChoice>,
    /// Where settings are kept, and replies that nobody saved.
    pub settings: SettingsPlace,
    /// A scripted run.
    pub script: Option<ScriptConfig>,
    /// Whether no trace is opened unasked, not even the demo's.
    pub starts_empty: bool,
}

/// Where settings are kept, and replies that nobody saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SettingsPlace {
    /// In the user's configuration folder; replies beside other traces, and while they grow in the state folder.
    #[default]
    Usual,
    /// In a file; replies in the folders `replies` and, while they grow, `unfinished` beside it.
    File(PathBuf),
    /// Nowhere.
    None,
}

impl AppConfig {
    pub(super) fn settings_path(&self) -> Option<PathBuf> {
        match &self.settings {
            SettingsPlace::Usual => usual_path(),
            SettingsPlace::File(path) => Some(path.clone()),
            SettingsPlace::None => None,
        }
    }

    /// Where replies are kept that nobody saved; a script leaves nothing behind.
    pub(super) fn keeping(&self) -> Option<Keeping> {
        match &self.settings {
            _ if self.script.is_some() => None,
            SettingsPlace::Usual => Some(Keeping::usual()),
            SettingsPlace::File(path) => Some(Keeping::beside(path)),
            SettingsPlace::None => None,
        }
    }

    /// The window's size at the last run; broken settings are told of when the window is there.
    pub(crate) fn remembered_size(&self) -> Option<[f32; 2]> {
        Settings::load(&self.settings_path()?).ok()?.window
    }
}
