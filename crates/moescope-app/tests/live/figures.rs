//! Figures of lines, drawn again by their specification, and commands that give the numbers of the heat map again.

use std::path::{Path, PathBuf};

use moescope_analytics::{MeasureRequest, TraceData, TraceSet, find};
use moescope_app::{
    AppConfig, Command, CompareChoice, LinePart, LiveChoice, LiveCommand, PictureChoice,
    ThemeChoice,
};
use moescope_core::{Measurement, NoProgress, PhaseSelection, Scope};
use moescope_engine::DeviceChoice;
use moescope_pipeline::{
    ComparedMetric, GenerateConfig, generate,
    session::{BranchId, LiveScope, PictureSource, picture, picture_difference},
};

use crate::common::{SIZE, Window, config, drawn_again, loaded};
use crate::{choice, generated};

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

/// Sums of the same counts in another order of division may differ in the last bit.
fn assert_same(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    let is_near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
    assert!(a.iter().zip(b).all(is_near), "{a:?} is not {b:?}");
    assert!(a.iter().any(|value| value.abs() > 0.01));
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
fn the_command_of_a_generation_keeps_a_trace_that_has_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let config = AppConfig {
        device: DeviceChoice::Cpu,
        ..config(ThemeChoice::Light, &[])
    };
    let mut window = Window::open(SIZE, config);
    window.send(Command::ChooseLive(Box::new(choice())));
    window.send(Command::OpenView("live"));
    window.click("Start");
    window.send(Command::ChooseKeptIn(folder.path().to_owned()));
    let trace = folder.path().join("live-0");
    let line = window.copied("live");
    let told = format!(" --trace {}", trace.display());
    let begins = "moescope generate demo --device cpu --prompt 'The enzyme";
    assert!(line.starts_with(begins) && line.ends_with(&told), "{line}");
    // What the command does, with the settings that it names.
    let lives = &window.app().state().lives;
    let shown = lives.picture.as_ref().unwrap()[0].clone();
    let branch = lives.branch().unwrap();
    let drawn = branch.columns.len() - branch.columns.num_prompt_tokens();
    for named in [
        format!("--max-tokens {drawn}"),
        format!("--temperature {}", branch.info.sampling.temperature),
        format!("--seed {}", branch.info.sampling.seed),
    ] {
        assert!(line.contains(&named), "{line} lacks {named}");
    }
    let config = GenerateConfig {
        prompt: branch.info.prompt.clone(),
        max_new_tokens: drawn,
        sampling: branch.info.sampling.clone(),
        trace: Some(trace.clone()),
        ..GenerateConfig::default()
    };
    generate(&loaded(), &config, &mut |_| true, &NoProgress).unwrap();
    let again = measured(&trace, PhaseSelection::Decode);
    assert_same(&shown.values, &again.values);
    // The next command names another folder.
    assert!(window.copied("token").contains("live-0-2"));
}

#[test]
fn the_command_of_a_kept_line_measures_its_trace() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("kept");
    let mut window = generated(ThemeChoice::Dark);
    let save = LiveCommand::Save(trace.clone());
    window.send(Command::Live(Box::new(save)));
    assert_eq!(
        window.copied("live"),
        format!(
            "moescope measure {} assignment_share --by all --phase decode",
            trace.display()
        )
    );
    let shown = window.app().state().lives.picture.as_ref().unwrap()[0].clone();
    assert_same(
        &shown.values,
        &measured(&trace, PhaseSelection::Decode).values,
    );
    let told = window.copied("token");
    let show = format!("moescope show {} --sample ", trace.display());
    assert!(
        told.starts_with(&show) && told.ends_with(" --json"),
        "{told}"
    );
    let sample = told[show.len()..].trim_end_matches(" --json");
    let data = TraceData::open(&trace).unwrap();
    assert_eq!(data.documents().len(), 1);
    let kept = moescope_trace::RoutingTrace::open(&trace).unwrap();
    assert_eq!(kept.document(sample).unwrap().sample.meta.id, sample);
    // Of another picture of it a generation keeps a trace, and so it does once the line has gone on.
    let minus = LiveChoice {
        picture: PictureChoice::MinusPrompt,
        ..choice()
    };
    window.send(Command::ChooseLive(Box::new(minus)));
    assert!(window.copied("live").starts_with("moescope generate demo "));
    window.send(Command::ChooseLive(Box::new(choice())));
    window.send(Command::Live(Box::new(LiveCommand::Step)));
    assert!(window.copied("live").starts_with("moescope generate demo "));
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
