//! Two lines side by side, with their difference.

use egui::vec2;
use moescope_app::{Command, CompareChoice, LinePart, LiveChoice, LiveCommand, ThemeChoice};
use moescope_figures::short_number;
use moescope_pipeline::session::{BranchId, LiveScope, PictureSource, picture_difference};

use super::{choice, generated};
use crate::common::{Window, traces};

#[test]
fn two_prompts_are_compared_on_one_scale_and_a_line_beside_a_trace_is_refused() {
    let mut window = generated(ThemeChoice::Dark);
    window.send(Command::ChooseLive(Box::new(LiveChoice {
        prompt: "The court held that the contract was void".into(),
        ..choice()
    })));
    window.send(Command::Live(Box::new(LiveCommand::Start)));
    let lines = [BranchId(0), BranchId(1)];
    let both = CompareChoice {
        lines: lines.map(Some),
        part: LinePart::Prompt,
        ..CompareChoice::default()
    };
    window.send(Command::ChooseCompare(Box::new(both.clone())));
    window.send(Command::OpenView("compare"));
    assert!(window.says("Line 1: The enzyme lowers the activation") && window.says("Line 2: The"));
    assert!(window.says("Layers by experts of line 1"));
    assert!(window.says("Layers by experts of line 2"));

    let transcript = window.app().state().lives.transcript.as_ref().unwrap();
    let columns = lines.map(|line| &transcript.branch(line).unwrap().columns);
    let sources = columns.map(|columns| PictureSource::new(columns, LiveScope::Prompt));
    let difference = picture_difference(sources.each_ref()).unwrap();
    let expected = format!(
        "layer 2, expert 1, {}",
        short_number(difference.value(&[2, 1]))
    );
    let (cells, _) = window.find("Difference of the lines");
    let at = cells.min + cells.size() * vec2(1.5 / 8.0, 2.5 / 6.0);
    window.harness.hover_at(at);
    window.settle();
    let (_, told) = window.find("Difference of the lines");
    assert!(told.contains(&expected), "{told} lacks {expected}");

    // What is compared is made on another thread; the last comparison stays until the next is there.
    let tokens = |window: &Window| {
        let compared = window.app().state().lives.compared().unwrap();
        compared.difference.as_ref().unwrap()[0].protocol.n_tokens
    };
    let before = tokens(&window);
    let text = CompareChoice {
        part: LinePart::Text,
        ..both.clone()
    };
    let command = Command::ChooseCompare(Box::new(text));
    window.app().commands().send(command);
    window.harness.step();
    assert!(tokens(&window) == before || window.app().state().lives.is_idle());
    window.settle();
    assert!(tokens(&window) > before);

    // A click in a side shows its line.
    let (cells, _) = window.find("Layers by experts of line 1");
    window.click_at(cells.center());
    assert_eq!(window.app().state().lives.shown, Some(lines[0]));

    let folder = tempfile::tempdir().unwrap();
    let stem = folder.path().join("lines");
    window.send(Command::ExportView("compare", stem.clone()));
    let svg = std::fs::read_to_string(stem.with_extension("svg")).unwrap();
    assert!(svg.contains("line 1 minus line 2"), "{svg}");

    window.send(Command::ChooseCompare(Box::new(CompareChoice {
        lines: [Some(lines[0]), None],
        second: Some(traces().plain.clone()),
        ..both
    })));
    assert!(window.says("A line and a trace cannot be compared"));
    assert!(window.says("keep the line as a trace"));
}
