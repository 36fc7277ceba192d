//! Live generations, their tokens and interventions, driven by name as a user does.

mod commands;
mod comparing;
mod conversation;
mod expert_menu;
mod figures;
mod generation;
mod intervening;
mod keeping;
mod lines;
mod same_token;

use moescope_app::{Command, LiveChoice, ThemeChoice};
use moescope_pipeline::session::BranchId;

use crate::common::{SIZE, Window, config, traces};

/// Tokens that a generation draws.
pub(crate) const TOKENS: usize = 12;

pub(crate) fn choice() -> LiveChoice {
    LiveChoice {
        prompt: "The enzyme lowers the activation energy of".into(),
        max_tokens: TOKENS,
        ..LiveChoice::default()
    }
}

/// A window in which a generation was started by its button.
pub(crate) fn generated(theme: ThemeChoice) -> Window {
    let mut window = Window::open(SIZE, config(theme, &[&traces().plain]));
    window.send(Command::ChooseLive(Box::new(choice())));
    window.send(Command::OpenView("live"));
    window.click("Start");
    window
}

/// Sums of the same counts in another order of division may differ in the last bit.
#[track_caller]
pub(crate) fn assert_same(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    let is_near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
    assert!(a.iter().zip(b).all(is_near), "{a:?} is not {b:?}");
    assert!(a.iter().any(|value| value.abs() > 0.01));
}

/// Chosen experts of a line by token and layer.
pub(crate) fn experts(window: &Window, branch: u32) -> Vec<Vec<u16>> {
    let lives = &window.app().state().lives;
    let branch = lives
        .transcript
        .as_ref()
        .unwrap()
        .branch(BranchId(branch))
        .unwrap();
    let columns = &branch.columns;
    (0..columns.len())
        .flat_map(|token| (0..columns.layers().len()).map(move |layer| (token, layer)))
        .map(|(token, layer)| columns.experts(token, layer).to_vec())
        .collect()
}
