//! What is kept from one run to the next.

mod file;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    choices::Choices, error::AppError, recent::Recent, shell::layout::SavedLayout,
    theme::ThemeChoice,
};
pub(crate) use file::SettingsFile;

/// What is kept from one run to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// The theme.
    pub(crate) theme: ThemeChoice,
    /// The size of everything; `None` is the display's own.
    pub(crate) zoom: Option<f32>,
    /// What was opened lately.
    pub(crate) recent: Recent,
    /// What was chosen.
    pub(crate) choices: Choices,
    /// Where the views stand.
    pub(crate) layout: Option<SavedLayout>,
    /// Size of the window, in points.
    pub(crate) window: Option<[f32; 2]>,
}

/// Where settings are kept: `$XDG_CONFIG_HOME/moescope/app.json`, `~/.config/moescope/app.json`, or their kin on Windows.
pub(crate) fn usual_path() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .or_else(|| absolute("APPDATA"))?;
    Some(base.join("moescope").join("app.json"))
}

impl Settings {
    /// Reads the settings; those of a first run where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read or is no settings file; it is left as it is.
    pub(crate) fn load(path: &Path) -> Result<Self, AppError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(AppError::io("read the settings", path, error)),
        };
        serde_json::from_str(&text)
            .map_err(|error| AppError::io("read the settings", path, error.into()))
    }

    /// Writes the settings beside their place and moves them there, so that they are never half written.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn save(&self, path: &Path) -> Result<(), AppError> {
        let failed = |error| AppError::io("keep the settings", path, error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        let draft = path.with_extension(format!("json.{}", std::process::id()));
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, path))
            .map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_were_and_broken_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("moescope").join("app.json");
        assert_eq!(Settings::load(&path).unwrap(), Settings::default());
        let mut settings = Settings {
            theme: ThemeChoice::Light,
            zoom: Some(1.25),
            layout: Some(SavedLayout::default()),
            ..Settings::default()
        };
        settings.recent.note_trace(Path::new("/traces/a"));
        settings.recent.note_texts(vec!["/texts/a.jsonl".into()]);
        settings.choices.request.seed = 7;
        settings.save(&path).unwrap();
        assert_eq!(Settings::load(&path).unwrap(), settings);
        // Before texts were kept, and before anything else is added.
        let older = r#"{"recent": {"traces": ["/traces/a"], "models": ["demo"]}}"#;
        fs::write(&path, older).unwrap();
        let read = Settings::load(&path).unwrap().recent;
        assert_eq!((read.traces.len(), read.models.len()), (1, 1));
        assert!(read.texts.is_empty());
        fs::write(&path, "{").unwrap();
        let error = Settings::load(&path).unwrap_err().to_string();
        assert!(error.contains("app.json"), "{error}");
    }
}
