//! The Capture view: the cost that comes by itself, options that are read as they are typed, the line that is copied.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use egui::Key;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use moescope_app::{CaptureChoice, ColumnsChoice, Command, ThemeChoice};
use moescope_core::NoProgress;
use moescope_engine::DeviceChoice;
use moescope_pipeline::{CaptureConfig, CapturePlan};
use moescope_trace::RoutingTrace;

use crate::common::{SIZE, Window, config, loaded};

fn window() -> Window {
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[]));
    window.send(Command::OpenView("capture"));
    window
}

fn choose(window: &mut Window, choice: &CaptureChoice) {
    window.send(Command::ChooseCapture(Box::new(choice.clone())));
}

fn typed(folder: &Path) -> CaptureChoice {
    CaptureChoice {
        text: "The court found for the plaintiff.".to_owned(),
        text_label: "law".to_owned(),
        out: folder.join("trace"),
        ..CaptureChoice::default()
    }
}

fn is_enabled(window: &Window, label: &str) -> bool {
    let button = window.harness.get_by_label(label);
    !button.accesskit_node().is_disabled()
}

#[test]
fn a_capture_says_its_cost_runs_and_opens() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[]));
    assert!(window.says("No trace is open"));
    window.send(Command::OpenView("capture"));
    choose(&mut window, &typed(folder.path()));
    assert!(window.says("What it will cost"));
    window.send(Command::StartCapture);
    assert!(
        window
            .app()
            .state()
            .traces
            .at(&folder.path().join("trace"))
            .is_some(),
        "the trace is open"
    );
}

#[test]
fn the_place_of_a_capture_is_chosen_and_typed() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = window();
    assert!(window.says("Choose…"));
    let out = |window: &Window| window.app().state().choices.capture.out.clone();
    window.send(Command::ChooseOut(folder.path().to_owned()));
    assert_eq!(out(&window), folder.path());
    assert!(!window.says("The folder is there already"));
    // Where other things are, the trace gets a folder of its own.
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    window.send(Command::ChooseOut(folder.path().to_owned()));
    assert_eq!(out(&window), folder.path().join("demo-1"));
    let in_use = CaptureChoice {
        out: folder.path().to_owned(),
        ..CaptureChoice::default()
    };
    choose(&mut window, &in_use);
    assert!(window.says("The folder is there already"));
}

#[test]
fn the_cost_stands_there_before_a_capture_can_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = window();
    assert!(!is_enabled(&window, "Start capture"));
    choose(&mut window, &typed(folder.path()));
    assert!(window.says("What it will cost"));
    assert!(window.says("Memory") && window.says("are free"));
    assert!(is_enabled(&window, "Start capture"));
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "what is only planned leaves nothing");

    // Another choice has another cost, and one that cannot be captured has none.
    let longer = CaptureChoice {
        generate: 3,
        ..typed(folder.path())
    };
    choose(&mut window, &longer);
    assert!(window.says("at most 3"));
    let wrong = CaptureChoice {
        layers: "77".into(),
        ..longer
    };
    choose(&mut window, &wrong);
    assert!(window.says("77") && !window.says("What it will cost"));
    assert!(!is_enabled(&window, "Start capture"));
}

#[test]
fn what_cannot_be_read_is_told_where_it_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = window();
    let wrong = CaptureChoice {
        layers: "5-".into(),
        device: "toaster".into(),
        is_chat: true,
        chat_date: "yesterday".into(),
        ..typed(folder.path())
    };
    choose(&mut window, &wrong);
    assert!(window.says("'yesterday' is no date"));
    window.press("What is recorded (changed)");
    assert!(window.says("Error: ") && window.says("5-"));
    window.press("Precision and device (changed)");
    assert!(window.says("'toaster' is not a device"));
    assert!(!is_enabled(&window, "Estimate"));
}

#[test]
fn only_a_trace_is_continued_without_its_cost() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = window();
    // It has no such layer, so no cost is found out.
    let without_cost = CaptureChoice {
        resumes: true,
        layers: "77".into(),
        ..typed(folder.path())
    };
    choose(&mut window, &without_cost);
    assert!(!is_enabled(&window, "Start capture"));
    let stopped = folder.path().join("stopped");
    fs::create_dir(&stopped).unwrap();
    fs::write(stopped.join("manifest.json"), "{}").unwrap();
    let in_trace = CaptureChoice {
        out: stopped,
        ..without_cost
    };
    choose(&mut window, &in_trace);
    assert!(is_enabled(&window, "Continue"));
}

#[test]
fn an_intervention_that_is_typed_is_not_left_out_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = window();
    choose(&mut window, &typed(folder.path()));
    window.press("Changes to routing");
    let interventions = |window: &Window| {
        let capture = &window.app().state().choices.capture;
        capture.interventions.clone()
    };
    let write = |window: &mut Window, words: &str| {
        window.harness.get_by_label("Intervention").focus();
        window.harness.run_steps(2);
        window.harness.get_by_label("Intervention").type_text(words);
        window.settle();
    };
    write(&mut window, "mask:2:1");
    assert!(interventions(&window).is_empty());
    assert!(window.says("mask:2:1 is typed but not added"));
    // What is left for another field is added, as what is entered is.
    window.harness.key_press(Key::Tab);
    window.settle();
    assert_eq!(interventions(&window), ["mask:2:1"]);
    assert!(!window.says("typed but not added"));
    write(&mut window, "mask:");
    window.harness.key_press(Key::Tab);
    window.settle();
    assert_eq!(interventions(&window), ["mask:2:1"]);
    assert!(window.says("mask: is typed but not added"));
}

#[test]
fn the_columns_of_the_files_are_offered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("papers.csv");
    fs::write(&file, "abstract,field\nThe court held,law\n").unwrap();
    let mut window = window();
    let choice = CaptureChoice {
        files: vec![file],
        out: folder.path().join("trace"),
        columns: ColumnsChoice {
            text: "abstract".into(),
            discipline: "field".into(),
            ..ColumnsChoice::default()
        },
        ..CaptureChoice::default()
    };
    choose(&mut window, &choice);
    let names = window.app().state().captures.columns.names().to_vec();
    assert_eq!(names, ["abstract", "field"]);
    assert!(window.says("What it will cost"));
    window.press("Columns and bad records (changed)");
    assert!(window.says("Text column"));
}

#[test]
fn undo_does_not_bring_back_the_folder_of_a_capture_that_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("law.jsonl");
    fs::write(&file, "{\"text\": \"The court found.\"}\n").unwrap();
    let mut window = window();
    let choice = typed(folder.path());
    choose(&mut window, &choice);
    window.send(Command::ChooseTexts(vec![file]));
    window.send(Command::StartCapture);
    assert!(choice.out.join("manifest.json").is_file());
    let next = window.app().state().choices.capture.out.clone();
    assert_ne!(next, choice.out);
    window.send(Command::Undo);
    let undone = &window.app().state().choices.capture;
    assert!(undone.files.is_empty(), "the texts are taken back");
    assert_eq!(undone.out, next);
}

#[test]
fn the_copied_line_of_a_typed_text_gives_the_same_trace() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = window();
    let choice = typed(folder.path());
    choose(&mut window, &choice);
    window.app().commands().send(Command::CopyCapture);
    let begun = Instant::now();
    // It is copied when the text is written, which another thread does.
    let line = loop {
        window.harness.step();
        if let Some(line) = window.copied_text() {
            break line;
        }
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "nothing is copied"
        );
    };
    let kept = folder.path().join("trace.texts.jsonl");
    assert!(line.contains(&kept.display().to_string()), "{line}");
    assert_eq!(line, choice.command_line(DeviceChoice::Auto).unwrap());
    // That the line reads as this configuration is a test of the command line's.
    window.settle();
    let loaded = loaded();
    let other = CaptureConfig {
        out: folder.path().join("other"),
        ..choice.config().unwrap()
    };
    let plan = CapturePlan::new(other, &loaded.files, loaded.device.kind, &NoProgress).unwrap();
    plan.run(&loaded, &NoProgress).unwrap();
    window.send(Command::StartCapture);

    let [own, other] = ["trace", "other"].map(|name| {
        let path = folder.path().join(name);
        RoutingTrace::open(&path).unwrap()
    });
    assert_eq!(own.manifest().inputs, other.manifest().inputs);
    assert_eq!(own.manifest().settings, other.manifest().settings);
    assert_eq!(
        own.document("text").unwrap(),
        other.document("text").unwrap()
    );
}
