//! What can be done from the menu, the palette and the keyboard: one list for all three.

use std::path::{Path, PathBuf};

use egui::{Event, InputState, Key, KeyboardShortcut, Modifiers};

use crate::{
    command::{Command, ZoomStep},
    lives::LiveCommand,
    recent::Recent,
    state::State,
    traces::folder_name,
    views::VIEWS,
};

/// Something that can be done.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    /// What it says.
    pub(crate) title: String,
    /// More words that find it.
    pub(crate) hint: String,
    /// The keys that do it.
    pub(crate) shortcut: Option<KeyboardShortcut>,
    /// What it does.
    pub(crate) command: Command,
}

impl Action {
    /// Whether it takes something away, which keys that are held must not do again and again.
    pub(crate) fn closes(&self) -> bool {
        match &self.command {
            Command::CloseTrace(_) | Command::CloseView(_) | Command::CloseThisView => true,
            Command::Live(command) => matches!(**command, LiveCommand::Close(_)),
            _ => false,
        }
    }
}

/// Whether keys were pressed in this frame and not merely held.
pub(crate) fn is_pressed_anew(input: &InputState, keys: KeyboardShortcut) -> bool {
    input.events.iter().any(|event| match event {
        Event::Key {
            key,
            pressed: true,
            repeat: false,
            modifiers,
            ..
        } => *key == keys.logical_key && modifiers.matches_logically(keys.modifiers),
        _ => false,
    })
}

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

/// Keys that bring the views to the front, in the order of the views.
const VIEW_KEYS: [Key; 9] = [
    Key::Num1,
    Key::Num2,
    Key::Num3,
    Key::Num4,
    Key::Num5,
    Key::Num6,
    Key::Num7,
    Key::Num8,
    Key::Num9,
];

fn action(title: &str, hint: &str, keys: Option<(Modifiers, Key)>, command: Command) -> Action {
    Action {
        title: title.to_owned(),
        hint: hint.to_owned(),
        shortcut: keys.map(|(modifiers, key)| KeyboardShortcut::new(modifiers, key)),
        command,
    }
}

/// What concerns files.
pub(crate) fn file_actions(state: &State) -> Vec<Action> {
    let mut actions = vec![
        action(
            "Open trace…",
            "a folder with a manifest",
            Some((CTRL, Key::O)),
            Command::PickTrace,
        ),
        action(
            "Open model…",
            "choose the model of a capture",
            Some((CTRL_SHIFT, Key::O)),
            Command::PickModel,
        ),
        action(
            "Choose texts…",
            "files to capture",
            None,
            Command::PickTexts,
        ),
        action(
            "Open the demo trace",
            "the embedded model on 15 disciplines",
            None,
            Command::OpenDemo,
        ),
    ];
    if let Some(trace) = state.traces.active() {
        actions.push(action(
            "Close this trace",
            "its folder stays",
            Some((CTRL_SHIFT, Key::W)),
            Command::CloseTrace(trace.id),
        ));
    }
    actions.push(action(
        "Quit",
        "close the window",
        Some((CTRL, Key::Q)),
        Command::Quit,
    ));
    actions
}

/// What concerns a generation.
pub(crate) fn live_actions(state: &State) -> Vec<Action> {
    let live = |command| Command::Live(Box::new(command));
    let mut actions = vec![
        action(
            "Start, pause or continue",
            "generate with the model",
            Some((Modifiers::NONE, Key::Space)),
            live(LiveCommand::Toggle),
        ),
        action(
            "Generate one token",
            "step",
            Some((Modifiers::NONE, Key::Period)),
            live(LiveCommand::Step),
        ),
        action(
            "Start a new line from the prompt",
            "generate",
            Some((CTRL, Key::Enter)),
            live(LiveCommand::Start),
        ),
        action("Stop the reply", "generate", None, live(LiveCommand::Stop)),
        action(
            "Regenerate with the same seed",
            "under the interventions that are chosen",
            Some((CTRL, Key::R)),
            live(LiveCommand::Regenerate),
        ),
        action(
            "Measure the effect of the interventions",
            "teacher-forced effect",
            None,
            live(LiveCommand::MeasureEffect),
        ),
    ];
    if let Some(branch) = state.lives.branch() {
        let branch = branch.info.id;
        actions.push(action(
            &format!("Close line {}", branch.0 + 1),
            "the line that is shown, and free its memory",
            Some((Modifiers::ALT, Key::W)),
            live(LiveCommand::Close(branch)),
        ));
    }
    actions
}

/// What concerns what was done.
pub(crate) fn edit_actions() -> Vec<Action> {
    vec![
        action(
            "Undo",
            "what was chosen, closed or moved last",
            Some((CTRL, Key::Z)),
            Command::Undo,
        ),
        action(
            "Redo",
            "what was undone",
            Some((CTRL_SHIFT, Key::Z)),
            Command::Redo,
        ),
        action(
            "Copy as command",
            "the moescope line with the numbers of the view that was used last",
            Some((CTRL_SHIFT, Key::C)),
            Command::CopyAsCommand,
        ),
    ]
}

/// What concerns the window.
pub(crate) fn window_actions(state: &State) -> Vec<Action> {
    let other = state.theme.other();
    vec![
        action(
            &format!("Use the {other} theme"),
            "colours",
            Some((CTRL_SHIFT, Key::T)),
            Command::ChooseTheme(other),
        ),
        action(
            "Larger",
            "zoom in",
            Some((CTRL, Key::Plus)),
            Command::Zoom(ZoomStep::Larger),
        ),
        action(
            "Smaller",
            "zoom out",
            Some((CTRL, Key::Minus)),
            Command::Zoom(ZoomStep::Smaller),
        ),
        action(
            "Normal size",
            "zoom",
            Some((CTRL, Key::Num0)),
            Command::Zoom(ZoomStep::Normal),
        ),
        action(
            "Close this view",
            "the one that was used last; the menu Views brings it back",
            Some((CTRL, Key::W)),
            Command::CloseThisView,
        ),
        action(
            "Arrange views as at first",
            "reset the layout",
            None,
            Command::ResetLayout,
        ),
        action(
            "Find a command…",
            "the palette",
            Some((CTRL, Key::K)),
            Command::TogglePalette,
        ),
        action(
            "Keys and mouse",
            "help, shortcuts",
            Some((Modifiers::NONE, Key::F1)),
            Command::ToggleSheet,
        ),
    ]
}

/// Each view, brought to the front.
pub(crate) fn view_actions() -> Vec<Action> {
    VIEWS
        .iter()
        .zip(VIEW_KEYS)
        .map(|(make, key)| {
            let about = make().about();
            action(
                about.title,
                about.summary,
                Some((Modifiers::ALT, key)),
                Command::OpenView(about.name),
            )
        })
        .collect()
}

/// What was opened lately: a heading for each kind, and its actions.
pub(crate) fn recent_actions(state: &State) -> [(&'static str, Vec<Action>); 3] {
    let Recent {
        traces,
        models,
        texts,
    } = &state.recent;
    let open = |path: &PathBuf| {
        let title = format!("Open {}", folder_name(path));
        let hint = path.display().to_string();
        action(&title, &hint, None, Command::OpenTrace(path.clone()))
    };
    let choose = |model: &String| {
        let title = format!("Use the model {}", folder_name(Path::new(model)));
        action(&title, model, None, Command::ChooseModel(model.clone()))
    };
    [
        ("Traces opened lately", traces.iter().map(open).collect()),
        ("Models used lately", models.iter().map(choose).collect()),
        (
            "Texts chosen lately",
            texts
                .iter()
                .map(|files| capture_action(files.as_slice()))
                .collect(),
        ),
    ]
}

/// The capture of files that were chosen together.
fn capture_action(files: &[PathBuf]) -> Action {
    let first = files
        .first()
        .map_or_else(String::new, |path| folder_name(path));
    let title = match files.len() {
        0 | 1 => format!("Capture {first}"),
        count => format!("Capture {first} and {} more", count - 1),
    };
    let paths: Vec<String> = files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let command = Command::ChooseTexts(files.to_vec());
    action(&title, &paths.join(", "), None, command)
}

/// Figures of views.
pub(crate) fn export_actions() -> Vec<Action> {
    VIEWS
        .iter()
        .map(|make| {
            let about = make().about();
            action(
                &format!("Export a figure of {}…", about.title),
                "SVG, PDF, PNG",
                None,
                Command::OpenExport(about.name),
            )
        })
        .collect()
}

/// Everything, in the order of the palette.
pub(crate) fn all(state: &State) -> Vec<Action> {
    let mut all = view_actions();
    all.extend(file_actions(state));
    all.extend(edit_actions());
    all.extend(live_actions(state));
    all.extend(window_actions(state));
    all.extend(export_actions());
    all.extend(
        recent_actions(state)
            .into_iter()
            .flat_map(|(_, recent)| recent),
    );
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_keys_do_two_things_and_every_view_has_keys() {
        let all = all(&State::default());
        let mut keys: Vec<KeyboardShortcut> = all.iter().filter_map(|a| a.shortcut).collect();
        let count = keys.len();
        keys.sort_by_key(|k| format!("{k:?}"));
        keys.dedup();
        assert_eq!(keys.len(), count);
        assert_eq!(view_actions().len(), VIEWS.len());
    }
}
