//! The steps of a script.

use std::{path::PathBuf, time::Duration};

use egui::{Key, Modifiers};
use moescope_core::LayerId;

use crate::{choices::Cell, theme::ThemeChoice};

/// What one line of a script asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `view NAME`: brings a view to the front.
    View(String),
    /// `open PATH`: opens a trace, a model or texts.
    Open(PathBuf),
    /// `click "NAME"`: clicks the widget of this name.
    Click(String),
    /// `hover "NAME"`: puts the pointer over it.
    Hover(String),
    /// `type "TEXT"`: types into what has the focus.
    Type(String),
    /// `key Ctrl+K`: presses keys.
    Key(Modifiers, Key),
    /// `cell LAYER:EXPERT`: chooses an expert.
    Cell(Cell),
    /// `theme dark` or `theme light`.
    Theme(ThemeChoice),
    /// `wait idle [SECONDS]`: until nothing runs.
    WaitIdle(Duration),
    /// `wait "TEXT" [SECONDS]`: until a widget says so.
    WaitFor(String, Duration),
    /// `wait 500ms`.
    Wait(Duration),
    /// `expect "TEXT"`: fails if no widget says so.
    Expect(String),
    /// `screenshot NAME`: writes `NAME.png`.
    Screenshot(String),
    /// `export VIEW PATH`: writes the view's figure as SVG and PDF, with specification and numbers.
    Export(String, PathBuf),
    /// `close`: closes the window.
    Close,
}

/// How long a step waits that says nothing about it.
const USUAL_WAIT: Duration = Duration::from_secs(180);

const STEPS: &str = "view NAME, open PATH, click \"NAME\", hover \"NAME\", type \"TEXT\", key KEYS, cell LAYER:EXPERT, theme dark|light, wait idle [SECONDS], wait \"TEXT\" [SECONDS], wait 500ms, expect \"TEXT\", screenshot NAME, export VIEW PATH, close";

impl Step {
    /// Reads a line.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let words = words(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(match words.as_slice() {
            ["view", name] => Self::View((*name).to_owned()),
            ["open", path] => Self::Open(PathBuf::from(path)),
            ["click", name] => Self::Click((*name).to_owned()),
            ["hover", name] => Self::Hover((*name).to_owned()),
            ["type", text] => Self::Type((*text).to_owned()),
            ["key", keys] => parse_keys(keys)?,
            ["cell", place] => Self::Cell(parse_cell(place)?),
            ["theme", "dark"] => Self::Theme(ThemeChoice::Dark),
            ["theme", "light"] => Self::Theme(ThemeChoice::Light),
            ["wait", "idle"] => Self::WaitIdle(USUAL_WAIT),
            ["wait", "idle", secs] => Self::WaitIdle(parse_secs(secs)?),
            ["wait", time] if time.strip_suffix("ms").is_some_and(is_number) => {
                let millis = time.trim_end_matches("ms").parse().unwrap_or_default();
                Self::Wait(Duration::from_millis(millis))
            }
            ["wait", text] => Self::WaitFor((*text).to_owned(), USUAL_WAIT),
            ["wait", text, secs] => Self::WaitFor((*text).to_owned(), parse_secs(secs)?),
            ["expect", text] => Self::Expect((*text).to_owned()),
            ["screenshot", name] => Self::Screenshot((*name).to_owned()),
            ["export", view, path] => Self::Export((*view).to_owned(), PathBuf::from(path)),
            ["close"] => Self::Close,
            _ => return Err(format!("'{line}' is no step; the steps are {STEPS}")),
        })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Words between spaces; what stands in double quotes is one word.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted
                .split_once('"')
                .ok_or_else(|| format!("a quote is not closed: {line}"))?
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest.split_at(end)
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

fn parse_secs(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| format!("'{text}' is not a number of seconds"))
}

fn parse_cell(text: &str) -> Result<Cell, String> {
    let parse = || {
        let (layer, expert) = text.split_once(':')?;
        Some(Cell {
            layer: LayerId(layer.parse().ok()?),
            expert: expert.parse().ok()?,
        })
    };
    parse().ok_or_else(|| format!("an expert is named LAYER:EXPERT like 3:5, found '{text}'"))
}

fn parse_keys(text: &str) -> Result<Step, String> {
    let mut modifiers = Modifiers::NONE;
    let (before, last) = text.rsplit_once('+').unwrap_or(("", text));
    for word in before.split('+').filter(|word| !word.is_empty()) {
        modifiers |= match word {
            "Ctrl" => Modifiers::CTRL | Modifiers::COMMAND,
            "Shift" => Modifiers::SHIFT,
            "Alt" => Modifiers::ALT,
            other => {
                return Err(format!(
                    "'{other}' is no modifier; use Ctrl, Shift or Alt, as in Ctrl+K"
                ));
            }
        };
    }
    let key = Key::from_name(last).ok_or_else(|| format!("there is no key '{last}'"))?;
    Ok(Step::Key(modifiers, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_steps() {
        let check = |line: &str, step: Step| assert_eq!(Step::parse(line), Ok(step), "{line}");
        check("view expert", Step::View("expert".into()));
        check(
            "click \"Copy as command\"",
            Step::Click("Copy as command".into()),
        );
        check(
            "key Ctrl+K",
            Step::Key(Modifiers::CTRL | Modifiers::COMMAND, Key::K),
        );
        check("wait idle 9", Step::WaitIdle(Duration::from_secs(9)));
        check("wait 250ms", Step::Wait(Duration::from_millis(250)));
        check(
            "wait \"tokens/s\"",
            Step::WaitFor("tokens/s".into(), USUAL_WAIT),
        );
        check(
            "cell 3:5",
            Step::Cell(Cell {
                layer: LayerId(3),
                expert: 5,
            }),
        );
        check("close", Step::Close);
    }

    #[test]
    fn what_is_no_step_is_told_what_there_is() {
        let error = |line: &str| Step::parse(line).unwrap_err();
        assert!(error("dance").contains("the steps are view NAME"));
        assert!(error("click \"open").contains("not closed"));
        assert!(error("key Hyper+K").contains("'Hyper'"));
        assert!(error("cell 3").contains("LAYER:EXPERT"));
        assert!(error("wait idle soon").contains("'soon'"));
    }
}
