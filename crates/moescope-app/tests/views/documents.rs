//! Documents on the fingerprint map: read, chosen by a lasso, chosen by their label.

use std::collections::HashSet;

use egui::{Key, Modifiers, Pos2, Rect, accesskit::Role, pos2, vec2};
use egui_kittest::kittest::Queryable as _;
use moescope_analytics::{TraceData, find};
use moescope_app::{Command, DisciplinesChoice, DisciplinesTab, ThemeChoice};
use moescope_core::{AxisKind, NoProgress};

use super::{quick, window};
use crate::common::{Window, traces};

/// A window that shows the map.
fn map(theme: ThemeChoice) -> Window {
    let mut window = window(theme);
    let choice = DisciplinesChoice {
        tab: DisciplinesTab::Map,
        ..DisciplinesChoice::default()
    };
    window.send(Command::ChooseDisciplines(Box::new(choice)));
    window
}

#[test]
fn a_document_is_read_from_the_map() {
    let mut window = map(ThemeChoice::Dark);
    let (map, _) = window.find("Map of 36 documents");
    // The pointer goes over the map until it is near a document.
    let mut found = None;
    'search: for row in 1..40_u8 {
        for column in 1..40_u8 {
            let share = vec2(f32::from(column), f32::from(row)) / 40.0;
            let at = map.min + map.size() * share;
            window.harness.hover_at(at);
            window.harness.run_steps(2);
            if window.says("Click to read it") {
                found = Some(at);
                break 'search;
            }
        }
    }
    window.click_at(found.expect("a document under the pointer"));
    assert!(window.says("Close the document"));
    assert!(window.says("as was said before"));
}

/// The corners of a part of a rectangle, given by its first and last share of the width, and the first again.
fn corners(rect: Rect, from: f32, to: f32) -> Vec<Pos2> {
    let rect = rect.shrink(2.0);
    let x = |share: f32| rect.left() + share * rect.width();
    vec![
        pos2(x(from), rect.top()),
        pos2(x(to), rect.top()),
        pos2(x(to), rect.bottom()),
        pos2(x(from), rect.bottom()),
        pos2(x(from), rect.top()),
    ]
}

#[test]
fn a_lasso_chooses_documents_that_are_listed_copied_read_and_given_back() {
    let mut window = map(ThemeChoice::Light);
    let (map, _) = window.find("Map of 36 documents");
    window.drag(&corners(map, 0.0, 1.0), Modifiers::SHIFT);
    assert!(window.says("Documents chosen: 36"));
    assert_eq!(window.app().state().choices.documents.len(), 36);
    window.click("Copy ids");
    assert!(window.says("Copied 36 lines: law-0, …"));
    window.click("Clear");
    assert!(!window.says("Documents chosen"));
    window
        .harness
        .key_press_modifiers(Modifiers::COMMAND, Key::Z);
    window.settle();
    assert!(window.says("Documents chosen: 36"));
    window.click("law-1");
    assert!(window.says("Close the document") && window.says("as was said before"));
    window.click("Close the document");

    // With Select on, a drag needs no Shift.
    window.click("Select");
    let (map, _) = window.find("Map of 36 documents");
    window.drag(&corners(map, 0.0, 0.5), Modifiers::NONE);
    let chosen: HashSet<String> = window
        .app()
        .state()
        .choices
        .documents
        .iter()
        .cloned()
        .collect();
    for (document, x, middle) in first_component() {
        assert_eq!(
            chosen.contains(&document),
            x < middle,
            "{document} at {x}, {middle} halfway"
        );
    }
    let law = chosen.iter().filter(|id| id.starts_with("law")).count();
    assert!(window.says(&format!("Documents chosen: {}", chosen.len())));
    assert!(law == 0 || window.says(&law.to_string()));

    // With Select off, a drag moves the map.
    window.click("Select");
    let (map, _) = window.find("Map of 36 documents");
    let middle = map.center();
    window.drag(
        &[middle, middle + vec2(9.0, 0.0), middle + vec2(9.0, 9.0)],
        Modifiers::NONE,
    );
    let after = window.app().state().choices.documents.iter().cloned();
    assert_eq!(after.collect::<HashSet<String>>(), chosen);
}

/// Every document with its first coordinate on the map, and the middle between the outermost two.
fn first_component() -> Vec<(String, f64, f64)> {
    let data = TraceData::open(&traces().plain).unwrap();
    let metric = find("fingerprint_map").unwrap();
    let found = metric.measure(&data, &quick(), &NoProgress).unwrap();
    let map = found.iter().find(|m| m.title.ends_with("(PCA)")).unwrap();
    let (_, documents) = map.axis(AxisKind::Document).unwrap();
    let x: Vec<f64> = (0..documents.len()).map(|i| map.value(&[i, 0])).collect();
    let (low, high) = (
        x.iter().copied().fold(f64::INFINITY, f64::min),
        x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    );
    let middle = f64::midpoint(low, high);
    let placed = documents.labels.iter().zip(x);
    placed.map(|(id, x)| (id.clone(), x, middle)).collect()
}

#[test]
fn documents_are_chosen_by_label_without_a_pointer() {
    let mut window = map(ThemeChoice::Dark);
    window.press("Select");
    for (role, label) in [(Role::ComboBox, "Choose all of"), (Role::Button, "law")] {
        let node = window.harness.get_by_role_and_label(role, label);
        node.click_accesskit();
        window.settle();
    }
    let chosen = &window.app().state().choices.documents;
    assert_eq!(chosen.len(), 12);
    assert!(chosen.iter().all(|id| id.starts_with("law-")));
    assert!(window.says("Documents chosen: 12"));
}
