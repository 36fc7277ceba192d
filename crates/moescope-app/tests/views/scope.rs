//! The panel of the scope: documents filtered by other columns, labels taken together, positions that are typed.

use egui::{accesskit::Role, vec2};
use egui_kittest::kittest::Queryable as _;
use moescope_analytics::{MeasureRequest, TraceData, find};
use moescope_app::{Command, CompareChoice, DisciplinesChoice, ThemeChoice};
use moescope_core::{AxisKind, NoProgress, PositionSelection};
use moescope_figures::short_number;

use super::{quick, window};
use crate::common::{SIZE, Window, config, traces};

/// Chooses an entry of a list, which is opened where it is not open.
fn choose(window: &mut Window, list: &str, role: Role, entry: &str) {
    let found = window.harness.query_by_role_and_label(role, entry);
    if found.is_none() {
        let list = window.harness.get_by_role_and_label(Role::ComboBox, list);
        list.click_accesskit();
        window.settle();
    }
    let entry = window.harness.get_by_role_and_label(role, entry);
    entry.click_accesskit();
    window.settle();
}

/// The filters that are chosen, as a command line has them.
fn filters(window: &Window) -> Vec<String> {
    let filters = &window.app().state().choices.request.scope.only;
    filters.iter().map(ToString::to_string).collect()
}

#[test]
fn documents_are_filtered_by_another_column() {
    let mut window = window(ThemeChoice::Dark);
    choose(&mut window, "Only where", Role::Button, "genre");
    assert!(filters(&window).is_empty(), "no label is ticked yet");
    choose(&mut window, "Only genre", Role::CheckBox, "abstract");
    assert_eq!(filters(&window), ["genre=abstract"]);
    assert_eq!(window.app().state().request().scope.only.len(), 1);
    choose(&mut window, "Only genre", Role::Button, "any");
    assert!(filters(&window).is_empty());
}

#[test]
fn a_trace_without_the_column_is_measured_without_the_filter_and_says_so() {
    let mut window = window(ThemeChoice::Light);
    let mut request = quick();
    request.scope.only = vec!["book=first".parse().unwrap()];
    window.send(Command::ChooseRequest(Box::new(request)));
    assert!(window.says("This trace has no labels by book"));
    assert!(window.app().state().request().scope.only.is_empty());
    // What else is changed leaves it chosen, and so does a filter that the trace can take.
    choose(&mut window, "Equal weight of", Role::Button, "documents");
    assert_eq!(filters(&window), ["book=first"]);
    choose(&mut window, "Only where", Role::Button, "genre");
    choose(&mut window, "Only genre", Role::CheckBox, "textbook");
    assert_eq!(filters(&window), ["genre=textbook", "book=first"]);
    window.press("Usual scope");
    assert!(filters(&window).is_empty());
}

/// Labels of which the traces have some: they have law, math and protein, in abstracts and textbooks.
fn partly_known() -> MeasureRequest {
    let mut request = quick();
    request.merge = vec!["science=math,physics".parse().unwrap()];
    request.scope.labels = ["law", "science", "chemistry"].map(str::to_owned).to_vec();
    request.scope.only = vec!["genre=abstract,review".parse().unwrap()];
    request
}

#[test]
fn a_trace_without_the_labels_is_measured_by_those_that_it_has_and_says_so() {
    let mut window = window(ThemeChoice::Dark);
    let request = partly_known();
    window.send(Command::OpenView("disciplines"));
    window.send(Command::ChooseRequest(Box::new(request.clone())));
    assert!(window.says("This trace cannot be measured by discipline physics, chemistry"));
    assert!(window.says("This trace has no genre review; the filter on it stays chosen"));
    let measured = window.app().state().request().into_owned();
    assert_eq!(measured.merge[0].to_string(), "science=math");
    assert_eq!(measured.scope.labels, ["law", "science"]);
    assert_eq!(measured.scope.only[0].to_string(), "genre=abstract");
    assert!(!window.says("no document has"), "the view is measured");
    // What else is changed leaves them chosen.
    choose(&mut window, "Equal weight of", Role::Button, "documents");
    let chosen = window.app().state().choices.request.clone();
    assert_eq!(chosen.merge, request.merge);
    assert_eq!(chosen.scope.labels, request.scope.labels);
    assert_eq!(chosen.scope.only, request.scope.only);
    choose(&mut window, "Labels", Role::CheckBox, "protein");
    let chosen = window.app().state().choices.request.clone();
    let labels = ["law", "protein", "science", "chemistry"];
    let mut found = chosen.scope.labels;
    found.sort_by_key(|label| labels.iter().position(|known| known == label));
    assert_eq!(found, labels);
}

#[test]
fn traces_are_compared_by_the_labels_that_both_have() {
    let traces = traces();
    let opened = config(ThemeChoice::Light, &[&traces.plain, &traces.masked]);
    let mut window = Window::open(SIZE, opened);
    window.send(Command::ChooseRequest(Box::new(partly_known())));
    let choice = CompareChoice {
        first: Some(traces.plain.clone()),
        second: Some(traces.masked.clone()),
        group: Some("science".to_owned()),
        ..CompareChoice::default()
    };
    window.send(Command::ChooseCompare(Box::new(choice)));
    let line = window.copied("compare");
    for words in [
        "--merge science=math ",
        "--labels law,science ",
        "--only genre=abstract ",
    ] {
        assert!(line.contains(words), "'{words}' is not in {line}");
    }
    assert!(!window.says("no document has"));
}

/// Types into a field, behind what is there.
fn write(window: &mut Window, field: &str, text: &str) {
    let field_of = |window: &Window, text: Option<&str>| {
        let harness = &window.harness;
        let field = harness.get_by_role_and_label(Role::TextInput, field);
        match text {
            Some(text) => field.type_text(text),
            None => field.focus(),
        }
    };
    for text in [None, Some(text)] {
        field_of(window, text);
        window.settle();
    }
}

#[test]
fn positions_are_typed_and_the_heat_map_counts_their_tokens_alone() {
    let mut window = window(ThemeChoice::Dark);
    // What the heat map tells of expert 5 of layer 3: six layers of eight experts.
    let told = |window: &mut Window| {
        let (cells, _) = window.find("Layers by experts");
        let at = cells.min + cells.size() * vec2(5.5 / 8.0, 3.5 / 6.0);
        window.harness.hover_at(at);
        window.settle();
        window.find("Layers by experts").1
    };
    let data = TraceData::open(&traces().plain).unwrap();
    let expected = |positions: &PositionSelection| {
        let mut request = quick();
        request.scope.positions = positions.clone();
        let metric = find("assignment_share").unwrap();
        let found = metric.measure(&data, &request, &NoProgress).unwrap();
        let place = |kind| match kind {
            AxisKind::Layer => 3,
            AxisKind::Expert => 5,
            _ => 0,
        };
        let index: Vec<usize> = found[0].axes.iter().map(|axis| place(axis.kind)).collect();
        let value = short_number(found[0].value(&index));
        format!("layer 3, expert 5, {value} ")
    };
    let positions = |window: &Window| {
        let request = &window.app().state().choices.request;
        request.scope.positions.clone()
    };
    let of_all = expected(&PositionSelection::All);
    let found = told(&mut window);
    assert!(found.contains(&of_all), "{found} lacks {of_all}");

    write(&mut window, "Positions", "4-9");
    let typed = positions(&window);
    assert_eq!(typed, PositionSelection::Ranges(vec![(4, 9)]));
    let of_some = expected(&typed);
    assert_ne!(of_some, of_all);
    let found = told(&mut window);
    assert!(found.contains(&of_some), "{found} lacks {of_some}");
    assert!(window.copied("disciplines").contains(" --positions 4-9"));

    // What cannot be read is said and not taken.
    write(&mut window, "Positions", "-");
    assert!(window.says("Write positions such as 0,5-8 or 16-"));
    assert_eq!(positions(&window), typed);
    window.send(Command::Undo);
    assert!(positions(&window).is_all());
    window.send(Command::Redo);
    assert_eq!(positions(&window), typed);
    window.press("Usual scope");
    assert!(positions(&window).is_all());
}

#[test]
fn labels_are_taken_together_and_apart_again() {
    let mut window = window(ThemeChoice::Dark);
    choose(&mut window, "Take together", Role::CheckBox, "law");
    choose(&mut window, "Take together", Role::CheckBox, "math");
    write(&mut window, "Group name", "words");
    window.press("Add the group");
    let groups = |window: &Window| {
        let groups = &window.app().state().choices.request.merge;
        groups.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(groups(&window), ["words=math,law"]);
    // Views list the group in place of its labels.
    let choice = DisciplinesChoice {
        group: Some("words".to_owned()),
        ..DisciplinesChoice::default()
    };
    window.send(Command::OpenView("disciplines"));
    window.send(Command::ChooseDisciplines(Box::new(choice)));
    assert!(window.says("Share of assignments per expert: words"));
    window.press("Take the group words apart");
    assert!(groups(&window).is_empty());
    assert!(!window.says("Share of assignments per expert: words"));
}
