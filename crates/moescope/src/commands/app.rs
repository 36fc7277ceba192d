//! `app`: the desktop app.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use moescope_app::{AppConfig, Script, ScriptConfig, ThemeChoice, WindowConfig};

use crate::exit::Outcome;

/// Open the desktop app
///
/// Without a trace it shows the embedded model's own. `moescope` alone does the same.
#[derive(Args, Debug, Default)]
#[command(after_help = "\
Examples:
  moescope app
  moescope app my-trace another-trace
  moescope app my-model my-trace
  moescope app --script tour.txt --screenshots shots --size 1280x800 --theme light

A script has a step a line: view NAME, open PATH, click \"NAME\", hover \"NAME\", type \"TEXT\", key Ctrl+K,
cell LAYER:EXPERT, theme dark|light, wait idle [SECONDS], wait \"TEXT\" [SECONDS], wait 500ms, expect \"TEXT\",
screenshot NAME, export VIEW PATH, close. Names are those that a screen reader says.")]
pub(crate) struct AppArgs {
    /// Folders of traces, which are opened, and at most one model, which is chosen for captures
    #[arg(value_name = "MODEL|TRACE")]
    open: Vec<String>,
    /// Follow a script
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Where the script's screenshots are put
    #[arg(long, value_name = "FOLDER", requires = "script")]
    screenshots: Option<PathBuf>,
    /// Size of the window in points
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    size: Option<Size>,
    /// Colours; those of the last run by default
    #[arg(long, value_name = "THEME")]
    theme: Option<ThemeArg>,
}

/// Width and height.
#[derive(Clone, Copy, Debug)]
struct Size([f32; 2]);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ThemeArg {
    Dark,
    Light,
}

pub(crate) fn run(args: &AppArgs) -> anyhow::Result<Outcome> {
    let (traces, model) = split(&args.open)?;
    let script = args
        .script
        .as_ref()
        .map(|path| {
            anyhow::Ok(ScriptConfig {
                script: Script::read(path).with_context(|| path.display().to_string())?,
                screenshots: args.screenshots.clone(),
            })
        })
        .transpose()?;
    let config = AppConfig {
        traces,
        model,
        theme: args.theme.map(|theme| match theme {
            ThemeArg::Dark => ThemeChoice::Dark,
            ThemeArg::Light => ThemeChoice::Light,
        }),
        // A scripted run neither depends on the last run nor changes the next.
        settings: if script.is_some() {
            moescope_app::SettingsPlace::None
        } else {
            moescope_app::SettingsPlace::Usual
        },
        script,
        ..AppConfig::default()
    };
    let window = WindowConfig {
        size: args.size.map(|Size(size)| size),
    };
    moescope_app::run(config, window)?;
    Ok(Outcome::Success)
}

/// What is a folder with a manifest is a trace; anything else is the model.
fn split(open: &[String]) -> anyhow::Result<(Vec<PathBuf>, Option<String>)> {
    let (traces, models): (Vec<&String>, Vec<&String>) = open
        .iter()
        .partition(|name| PathBuf::from(name).join("manifest.json").is_file());
    if let [_, second, ..] = models.as_slice() {
        anyhow::bail!(
            "one model can be chosen at a time, and '{second}' is neither a trace (a folder with manifest.json) nor the first model"
        );
    }
    let traces = traces.into_iter().map(PathBuf::from).collect();
    Ok((traces, models.first().map(|model| (*model).clone())))
}

fn parse_size(text: &str) -> Result<Size, String> {
    let parse = || {
        let (width, height) = text.split_once(['x', '×'])?;
        let size: [f32; 2] = [width.parse().ok()?, height.parse().ok()?];
        size.iter()
            .all(|side| (200.0..=16_384.0).contains(side))
            .then_some(Size(size))
    };
    parse().ok_or_else(|| format!("a size is like 1280x800, found '{text}'"))
}
