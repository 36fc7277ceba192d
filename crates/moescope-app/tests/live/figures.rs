//! Figures of lines, drawn again by their specification, and the command that compares two lines.

use std::path::{Path, PathBuf};

use moescope_analytics::{MeasureRequest, TraceData, TraceSet, find};
use moescope_app::{
    Command, CompareChoice, LinePart, LiveChoice, LiveCommand, PictureChoice, ThemeChoice,
};
use moescope_core::{Measurement, NoProgress, PhaseSelection, Scope};
use moescope_pipeline::{
    ComparedMetric,
    session::{BranchId, LiveScope, PictureSource, picture, picture_difference},
};

use super::{assert_same, choice, generated};
use crate::common::{Window, drawn_again};

const METRIC: &str = "assignment_share";

/// What `--by all --phase …` asks for.
fn of_phase(phase: PhaseSelection) -> MeasureRequest {
    MeasureRequest {
        by: "all".into(),
        scope: Scope {
            phase,
            ..Scope::default()
        },
        ..MeasureRequest::default()
    }
}

fn measured(trace: &Path, phase: PhaseSelection) -> Measurement {
    let data = TraceData::open(trace).unwrap();
    let metric = find(METRIC).unwrap();
    let found = metric.measure(&data, &of_phase(phase), &NoProgress);
    found.unwrap().remove(0)
}

/// A figure that a view exports, with what makes it again.
fn export(window: &mut Window, view: &'static str, folder: &Path) -> PathBuf {
    let stem = folder.join(view);
    window.send(Command::ExportView(view, stem.clone()));
    for ending in ["svg", "pdf", "csv", "json", "toml"] {
        let path = stem.with_extension(ending);
        assert!(path.is_file(), "{} is missing", path.display());
    }
    stem
}

#[test]
fn figures_of_lines_are_drawn_again_to_the_last_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = generated(ThemeChoice::Dark);
    window.send(Command::ChooseLive(Box::new(LiveChoice {
        picture: PictureChoice::MinusPrompt,
        interventions: vec!["mask:1:2".into()],
        ..choice()
    })));
    window.send(Command::Live(Box::new(LiveCommand::MeasureEffect)));
    window.send(Command::Live(Box::new(LiveCommand::Regenerate)));
    window.send(Command::ChooseCompare(Box::new(CompareChoice {
        lines: [BranchId(0), BranchId(1)].map(Some),
        part: LinePart::Prompt,
        ..CompareChoice::default()
    })));
    for (view, words) in [
        ("live", "the reply minus the prompt"),
        ("token", "token"),
        ("compare", "line 1 minus line 2"),
        ("intervene", "Assignments that change under mask:1:2"),
    ] {
        let stem = export(&mut window, view, folder.path());
        let svg = std::fs::read_to_string(stem.with_extension("svg")).unwrap();
        assert!(svg.contains(words), "{svg}");
        for ending in ["svg", "pdf"] {
            let drawn = std::fs::read(stem.with_extension(ending)).unwrap();
            assert!(drawn == drawn_again(&stem, ending), "{view}, {ending}");
        }
    }
}

#[test]
fn the_command_of_two_lines_compares_what_they_were_kept_as() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = generated(ThemeChoice::Light);
    window.send(Command::ChooseLive(Box::new(LiveChoice {
        prompt: "The court held that the contract was void".into(),
        ..choice()
    })));
    window.send(Command::Live(Box::new(LiveCommand::Start)));
    let lines = [BranchId(0), BranchId(1)];
    let traces = lines.map(|line| folder.path().join(format!("line-{line}")));
    let compare = |part| {
        Command::ChooseCompare(Box::new(CompareChoice {
            lines: lines.map(Some),
            part,
            ..CompareChoice::default()
        }))
    };
    window.send(compare(LinePart::Text));
    assert_eq!(window.copied_if_any("compare"), None);
    assert!(window.says("keep both lines as they are now, each by Keep as a trace in Live"));
    for (line, trace) in lines.into_iter().zip(&traces) {
        window.send(Command::Live(Box::new(LiveCommand::ChooseBranch(line))));
        window.send(Command::Live(Box::new(LiveCommand::Save(trace.clone()))));
    }
    for (part, phase, name, scope) in [
        (
            LinePart::Text,
            PhaseSelection::All,
            " --phase all",
            LiveScope::Text,
        ),
        (
            LinePart::Prompt,
            PhaseSelection::Prefill,
            "",
            LiveScope::Prompt,
        ),
        (
            LinePart::Reply,
            PhaseSelection::Decode,
            " --phase decode",
            LiveScope::Reply,
        ),
    ] {
        window.send(compare(part));
        assert_eq!(
            window.copied("compare"),
            format!(
                "moescope compare {} {} assignment_share --by all{name}",
                traces[0].display(),
                traces[1].display()
            )
        );
        let transcript = window.app().state().lives.transcript.as_ref().unwrap();
        let columns = lines.map(|line| &transcript.branch(line).unwrap().columns);
        // Each side, and what differs.
        for (columns, trace) in columns.into_iter().zip(&traces) {
            let side = picture(columns, &scope, None).unwrap();
            assert_same(&side.values, &measured(trace, phase).values);
        }
        let opened = lines.into_iter().zip(&traces);
        let opened = opened.map(|(line, trace)| {
            let name = format!("line-{line}");
            (name, TraceData::open(trace).unwrap())
        });
        let set = TraceSet::new(opened.collect(), 1).unwrap();
        let metric = ComparedMetric::find(METRIC).unwrap();
        let found = metric.compare(&set, &of_phase(phase), &NoProgress).unwrap();
        let sources = columns.map(|columns| PictureSource::new(columns, scope.clone()));
        let shown = picture_difference(sources.each_ref()).unwrap();
        assert_same(&shown.values, &found[0].values);
    }
    // A prompt stays as it was kept when its line goes on.
    window.send(Command::Live(Box::new(LiveCommand::Step)));
    window.send(compare(LinePart::Prompt));
    assert!(window.copied("compare").starts_with("moescope compare "));
    window.send(compare(LinePart::Reply));
    assert_eq!(window.copied_if_any("compare"), None);
}
