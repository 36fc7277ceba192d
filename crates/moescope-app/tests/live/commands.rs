//! Commands that give the numbers of the heat map again.

use std::path::Path;

use moescope_analytics::{MeasureRequest, TraceData, TraceSet, find};
use moescope_app::{AppConfig, Command, LiveChoice, LiveCommand, PictureChoice, ThemeChoice};
use moescope_core::{Measurement, NoProgress};
use moescope_engine::DeviceChoice;
use moescope_pipeline::{ComparedMetric, GenerateConfig, generate, session::Given};

use super::{assert_same, choice, conversation::chat_model, generated};
use crate::common::{SIZE, Window, config, loaded, traces};

const METRIC: &str = "assignment_share";

/// The words of a line as a shell takes them; what is in quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

/// What a line of `moescope measure` or `moescope compare` measures, by the calls that these verbs make.
fn measured(line: &str) -> Measurement {
    let words = words(line);
    let mut words = words.iter().map(String::as_str);
    assert_eq!(words.next(), Some("moescope"), "{line}");
    let verb = words.next().unwrap();
    let mut request = MeasureRequest::default();
    let mut named = Vec::new();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap();
        match word {
            "--include-special" => request.scope.include_special = true,
            "--by" => value().clone_into(&mut request.by),
            "--phase" => request.scope.phase = value().parse().unwrap(),
            "--positions" => request.scope.positions = value().parse().unwrap(),
            "--reference-phase" => request.reference.phase = Some(value().parse().unwrap()),
            "--reference-only" => request.reference.only.push(value().parse().unwrap()),
            option if option.starts_with("--") => panic!("{option} of {line} is not known"),
            name => named.push(name),
        }
    }
    let open = |folder: &str| TraceData::open(Path::new(folder)).unwrap();
    let found = match (verb, named.as_slice()) {
        ("measure", [trace, METRIC]) => {
            let metric = find(METRIC).unwrap();
            metric.measure(&open(trace), &request, &NoProgress)
        }
        ("compare", [first, second, METRIC]) => {
            let sides = [("first", first), ("second", second)];
            let sides = sides.map(|(name, folder)| (name.to_owned(), open(folder)));
            let set = TraceSet::new(sides.into(), 1).unwrap();
            let metric = ComparedMetric::find(METRIC).unwrap();
            let found = metric.compare(&set, &request, &NoProgress);
            return found.unwrap().remove(0);
        }
        _ => panic!("{line} measures nothing"),
    };
    found.unwrap().remove(0)
}

/// Does what a line of `moescope generate` says.
fn do_generate(line: &str) {
    let words = words(line);
    assert_eq!(words[..3], ["moescope", "generate", "demo"], "{line}");
    let mut config = GenerateConfig::default();
    for option in words[3..].chunks(2) {
        let [name, value] = option else {
            panic!("{option:?} of {line} has no value");
        };
        match name.as_str() {
            "--device" => assert_eq!(value, "cpu"),
            "--prompt" => config.prompt.clone_from(value),
            "--max-tokens" => config.max_new_tokens = value.parse().unwrap(),
            "--temperature" => config.sampling.temperature = value.parse().unwrap(),
            "--seed" => config.sampling.seed = value.parse().unwrap(),
            "--trace" => config.trace = Some(value.into()),
            name => panic!("{name} of {line} is not known"),
        }
    }
    generate(&loaded(), &config, &mut |_| true, &NoProgress).unwrap();
}

/// What is chosen beside the picture; lines are kept in a folder.
fn base(kept_in: &Path) -> LiveChoice {
    LiveChoice {
        last: 5,
        label: Some("math".into()),
        kept_in: kept_in.to_owned(),
        ..choice()
    }
}

fn choose(window: &mut Window, base: &LiveChoice, picture: PictureChoice) {
    let choice = LiveChoice {
        picture,
        ..base.clone()
    };
    window.send(Command::ChooseLive(Box::new(choice)));
}

/// Of each picture of the line that is shown: the command that is copied, and the numbers that are seen.
fn pictures(
    window: &mut Window,
    base: &LiveChoice,
    of: &[PictureChoice],
) -> Vec<(String, Vec<f64>)> {
    let shown = |picture: &PictureChoice| {
        choose(window, base, *picture);
        let line = window.copied("live");
        let picture = window.app().state().lives.picture.as_ref();
        (line, picture.unwrap()[0].values.clone())
    };
    of.iter().map(shown).collect()
}

fn tell(window: &mut Window, command: LiveCommand) {
    window.send(Command::Live(Box::new(command)));
}

/// Looks at a token that the usual scope does not count, if the line has one.
fn look_at_first_special(window: &mut Window) -> usize {
    let columns = &window.app().state().lives.branch().unwrap().columns;
    let mut tokens = columns.tokens().iter();
    let place = tokens.position(|token| !token.is_content).unwrap_or(0);
    tell(window, LiveCommand::ChooseToken(Some(place)));
    place
}

#[test]
fn the_command_of_every_picture_keeps_a_trace_and_measures_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = AppConfig {
        device: DeviceChoice::Cpu,
        ..config(ThemeChoice::Light, &[&traces().plain])
    };
    let base = base(folder.path());
    let mut window = Window::open(SIZE, config);
    choose(&mut window, &base, PictureChoice::Reply);
    // What would be drawn has no numbers yet.
    let line = window.copied("live");
    assert!(line.starts_with("moescope generate ") && !line.contains("&&"));
    window.click("Start");
    look_at_first_special(&mut window);
    let found = pictures(&mut window, &base, &PictureChoice::ALL);

    let trace = folder.path().join("live-0");
    let told = format!(" --trace {}", trace.display());
    let begins = "moescope generate demo --device cpu --prompt 'The enzyme";
    let (generating, _) = found[0].0.split_once(" && ").unwrap();
    assert!(generating.starts_with(begins) && generating.ends_with(&told));
    do_generate(generating);
    for (line, shown) in &found {
        let (first, second) = line.split_once(" && ").unwrap();
        assert_eq!(first, generating);
        assert_same(shown, &measured(second).values);
    }
    // The next command names another folder.
    choose(&mut window, &base, PictureChoice::Token);
    let line = window.copied("live");
    let (generating, _) = line.split_once(" && ").unwrap();
    assert!(generating.ends_with(&format!("{told}-2")), "{generating}");
}

#[test]
fn the_command_of_every_picture_of_a_kept_line_measures_its_trace() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("kept");
    let base = base(folder.path());
    let mut window = generated(ThemeChoice::Dark);
    tell(&mut window, LiveCommand::Save(trace.clone()));
    let token = look_at_first_special(&mut window);
    let found = pictures(&mut window, &base, &PictureChoice::ALL);
    for (line, shown) in &found {
        assert_same(shown, &measured(line).values);
    }
    let [of_token, last, reply, minus_prompt, minus_label] = found.as_slice() else {
        panic!("a line for every picture");
    };
    let place = trace.display();
    let measure = format!("moescope measure {place} assignment_share --by all");
    let whatever = format!("--positions {token} --include-special");
    assert_eq!(of_token.0, format!("{measure} --phase all {whatever}"));
    let of_last = format!("{measure} --phase all --positions ");
    assert!(last.0.starts_with(&of_last), "{}", last.0);
    assert!(!last.0.contains("--include-special"), "{}", last.0);
    assert_eq!(reply.0, format!("{measure} --phase decode"));
    let minus = " assignment_share --by all --phase decode --reference-phase prefill";
    let compare = format!("moescope compare {place}");
    assert_eq!(minus_prompt.0, format!("{compare} {place}{minus}"));
    let labels = traces().plain.display();
    let only = "--reference-only discipline=math";
    assert_eq!(minus_label.0, format!("{compare} {labels}{minus} {only}"));

    let told = window.copied("token");
    let show = format!("moescope show {place} --sample ");
    let sample = told.strip_prefix(&show).expect("the path of every token");
    let (sample, _) = sample.split_once(" --json").unwrap();
    let kept = moescope_trace::RoutingTrace::open(&trace).unwrap();
    assert_eq!(kept.document(sample).unwrap().sample.meta.id, sample);
    // What it was kept as lacks what is drawn from now on.
    tell(&mut window, LiveCommand::Step);
    let line = window.copied("live");
    assert!(line.starts_with("moescope generate demo "), "{line}");
}

#[test]
fn a_line_that_was_changed_on_the_way_has_commands_once_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("kept");
    let base = base(folder.path());
    let mut window = generated(ThemeChoice::Light);
    // Two drawn tokens and other words become the prompt, and what follows is routed otherwise from some token on.
    let columns = &window.app().state().lives.branch().unwrap().columns;
    let give = LiveCommand::Give {
        keep: columns.num_prompt_tokens() + 2,
        given: Given::Text(" of the cell".into()),
    };
    tell(&mut window, give);
    tell(&mut window, LiveCommand::Toggle);
    let masked = LiveChoice {
        interventions: vec!["mask:1:2".into()],
        ..base.clone()
    };
    choose(&mut window, &masked, PictureChoice::Reply);
    tell(&mut window, LiveCommand::Intervene);
    for _ in 0..2 {
        tell(&mut window, LiveCommand::Step);
    }
    assert_eq!(window.copied_if_any("live"), None);
    assert!(window.says("this line was changed on the way"));
    tell(&mut window, LiveCommand::Save(trace.clone()));
    for (line, shown) in pictures(&mut window, &base, &PictureChoice::ALL) {
        assert_same(&shown, &measured(&line).values);
    }
    // The document is named by more than the prompt.
    let kept = moescope_trace::RoutingTrace::open(&trace).unwrap();
    let sample = kept.samples().unwrap()[0].meta.id.clone();
    let show = format!("moescope show {} --sample {sample} --json", trace.display());
    let told = window.copied("token");
    assert!(told.starts_with(&show), "{told} does not begin with {show}");
}

#[test]
fn a_conversation_has_commands_once_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[]));
    window.send(Command::ChooseModel(chat_model(folder.path())));
    let base = LiveChoice {
        prompt: "the enzyme lowers energy of".into(),
        next_message: "a proof of law".into(),
        is_chat: true,
        ..base(folder.path())
    };
    // With random weights the last reply may be the template's tokens alone.
    let has_content = (0..20).any(|seed| {
        let base = LiveChoice {
            seed,
            ..base.clone()
        };
        choose(&mut window, &base, PictureChoice::Reply);
        tell(&mut window, LiveCommand::Start);
        tell(&mut window, LiveCommand::Reply);
        let branch = window.app().state().lives.branch().unwrap();
        assert_eq!(branch.info.messages.len(), 3);
        branch.columns.content_tokens()[1] > 0
    });
    assert!(has_content);
    assert_eq!(window.copied_if_any("live"), None);
    assert!(window.says("a conversation of several messages can be kept as a trace"));
    tell(&mut window, LiveCommand::Save(folder.path().join("kept")));
    // A template's token stands at its beginning.
    assert_eq!(look_at_first_special(&mut window), 0);
    let without_labels = [
        PictureChoice::Token,
        PictureChoice::Last,
        PictureChoice::Reply,
        PictureChoice::MinusPrompt,
    ];
    for (line, shown) in pictures(&mut window, &base, &without_labels) {
        assert_same(&shown, &measured(&line).values);
    }
    choose(&mut window, &base, PictureChoice::MinusLabel);
    assert_eq!(window.copied_if_any("live"), None);
    assert!(window.says("open a trace of this model whose texts have labels"));
}
