//! The same token in the trace that is open.

use std::path::Path;

use moescope_analytics::{MeasureRequest, TokenConfig, TokenProfile, TraceData, token_profile};
use moescope_app::{Command, LiveChoice, LiveCommand, ThemeChoice};
use moescope_core::{LayerId, NoProgress};

use super::{choice, generated};
use crate::common::{Window, traces};

/// A token of the prompt that the open trace's texts have as well, and what is known of it there.
fn token_in_trace(window: &Window) -> (usize, TokenProfile) {
    let data = TraceData::open(&traces().plain).unwrap();
    let columns = &window.app().state().lives.branch().unwrap().columns;
    let profile = |token: usize| {
        let config = TokenConfig {
            id: columns.tokens()[token].id,
            contexts: 12,
            window: 8,
        };
        token_profile(&data, &MeasureRequest::default(), &config, &NoProgress).unwrap()
    };
    let mut all = (0..columns.num_prompt_tokens()).map(|token| (token, profile(token)));
    let found = all.find(|(_, profile)| profile.occurrences > 0);
    found.expect("the texts have a word of the prompt")
}

/// Shows a token of the generation.
fn look_at(window: &mut Window, token: usize) {
    let command = LiveCommand::ChooseToken(Some(token));
    window.send(Command::Live(Box::new(command)));
    window.send(Command::OpenView("token"));
}

#[test]
fn the_same_token_is_found_in_the_open_trace_and_its_document_is_read() {
    let mut window = generated(ThemeChoice::Light);
    let (token, profile) = token_in_trace(&window);
    look_at(&mut window, token);
    let told = format!(
        "Occurrences: {} (documents: {})",
        profile.occurrences, profile.documents
    );
    assert!(window.says(&told), "{told}");
    for label in &profile.labels {
        assert!(window.says(&label.label) && window.says(&label.occurrences.to_string()));
    }
    let columns = window.app().state().lives.branch().unwrap().columns.clone();
    // The last layer where none is chosen, then one that is.
    for (place, chosen) in [(5, None), (1, Some(LayerId(1)))] {
        let choice = LiveChoice {
            layer: chosen,
            ..choice()
        };
        window.send(Command::ChooseLive(Box::new(choice)));
        let (layer, expert) = (columns.layers()[place], columns.experts(token, place)[0]);
        let found = profile.agreement([(layer, expert)]);
        let told = format!(
            "At layer {layer} its heaviest expert is {expert}, as here, {} of {} times",
            found.agreeing, found.compared
        );
        assert!(window.says(&told), "{told}");
    }
    let heaviest = (0..6).map(|place| (columns.layers()[place], columns.experts(token, place)[0]));
    let overall = profile.agreement(heaviest);
    assert_eq!(overall.compared, 6 * profile.occurrences);
    let told = format!("the same heaviest expert {} of", overall.agreeing);
    assert!(window.says(&told), "{told}");

    let context = &profile.contexts[0];
    let excerpt = context.excerpt.as_ref().unwrap();
    let text = format!("{}{}{}", excerpt.before, excerpt.token, excerpt.after);
    assert!(window.says(&text), "{text}");
    window.press(&format!("{}, token {}", context.sample, context.position));
    assert!(window.says("as was said before"), "its document is shown");
    window.press("Close the document");
    assert!(!window.says("Close the document"));
}

#[test]
fn the_command_names_the_token_of_the_trace_with_the_experts_that_it_has_here() {
    let mut window = generated(ThemeChoice::Light);
    let (token, profile) = token_in_trace(&window);
    look_at(&mut window, token);
    let choice = LiveChoice {
        layer: Some(LayerId(1)),
        ..choice()
    };
    window.send(Command::ChooseLive(Box::new(choice)));
    let columns = window.app().state().lives.branch().unwrap().columns.clone();
    let heaviest = (0..6).map(|place| {
        let expert = columns.experts(token, place)[0];
        format!("{}:{expert}", columns.layers()[place])
    });
    let expected = format!(
        "moescope token {} --id {} --layer 1 --heaviest {} --contexts 12 --window 8",
        traces().plain.display(),
        profile.id,
        heaviest.collect::<Vec<_>>().join(",")
    );
    let line = window.copied("token");
    let (path, occurrences) = line.split_once(" && ").unwrap();
    assert!(path.starts_with("moescope generate demo "), "{path}");
    assert_eq!(occurrences, expected);
    // Without a trace the path alone is told.
    let trace = window.app().state().traces.active().unwrap().id;
    window.send(Command::CloseTrace(trace));
    assert!(!window.copied("token").contains("&&"));
}

#[test]
fn the_same_token_in_the_line_is_compared_with_it_on_another_thread() {
    let mut window = generated(ThemeChoice::Dark);
    let repeated = LiveChoice {
        prompt: "the enzyme of the enzyme of the enzyme of the enzyme".into(),
        ..choice()
    };
    window.send(Command::ChooseLive(Box::new(repeated)));
    window.send(Command::OpenView("live"));
    window.click("Start");
    let columns = window.app().state().lives.branch().unwrap().columns.clone();
    let mut given = 0..columns.num_prompt_tokens();
    let token = given
        .find(|token| columns.same_token(*token).len() > 1)
        .expect("a word of the prompt comes again");
    look_at(&mut window, token);
    let places = columns.same_token(token);
    let layer = columns.layers().len() - 1;
    let first = |token: usize, layer: usize| columns.experts(token, layer)[0];
    let alike = places
        .iter()
        .filter(|place| first(**place, layer) == first(token, layer));
    let told = format!(
        "Other places in this line: {}; the heaviest expert at layer {} is the same at {} of them",
        places.len(),
        columns.layers()[layer],
        alike.count()
    );
    assert!(window.says(&told), "{told}");
    let in_common = |layer: usize| {
        let there = columns.experts(places[0], layer);
        let here = columns.experts(token, layer).iter();
        here.filter(|expert| there.contains(expert)).count()
    };
    let same: usize = (0..=layer).map(in_common).sum();
    let all = (layer + 1) * columns.top_k();
    assert!(window.says(&format!("{same} of {all} experts the same")));
    // A token that comes once has no other place.
    let mut drawn = 0..columns.len();
    if let Some(alone) = drawn.find(|token| columns.same_token(*token).is_empty()) {
        look_at(&mut window, alone);
        assert!(window.says("It occurs once in this line"));
    }
}

#[test]
fn tokens_of_another_tokenizer_are_not_matched_by_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = generated(ThemeChoice::Dark);
    let (token, _) = token_in_trace(&window);
    look_at(&mut window, token);
    assert!(window.says("Occurrences: "));
    let mut opened_with = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let path = folder.path().join(name);
        copy(&traces().plain, &path);
        let manifest = path.join("manifest.json");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let mut value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        std::fs::write(&manifest, value.to_string()).unwrap();
        window.send(Command::OpenTrace(path));
        let active = window.app().state().traces.active().unwrap();
        assert_eq!(active.name, name);
        ["Occurrences: ", "another tokenizer", "not known"].map(|words| window.says(words))
    };
    let other = |manifest: &mut serde_json::Value| {
        manifest["tokenizer"]["sha256"] = "0".repeat(64).into();
    };
    assert_eq!(opened_with("other", &other), [false, true, false]);
    let unknown = |manifest: &mut serde_json::Value| {
        manifest.as_object_mut().unwrap().remove("tokenizer");
    };
    assert_eq!(opened_with("unknown", &unknown), [false, false, true]);
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
}
