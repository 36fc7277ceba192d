//! Every view in both themes, and what a user does in each, by name.

mod capturing;
mod documents;
mod scope;
mod undo;

use std::{collections::HashSet, fs, path::Path};

use egui::{Key, Modifiers, accesskit::Role, pos2, vec2};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use moescope_analytics::{MeasureRequest, TraceData, TraceSet, difference_of_traces, find};
use moescope_app::{
    Cell, Command, CompareChoice, DisciplinesChoice, DisciplinesTab, Theme, ThemeChoice, VIEWS,
};
use moescope_core::{AxisKind, LayerId, NoProgress};
use moescope_figures::{ColorScale, short_number};

use crate::common::{SIZE, Window, can_paint, config, drawn_again, traces};

/// Quick enough for a test, and careful enough for intervals.
fn quick() -> MeasureRequest {
    MeasureRequest {
        resamples: 40,
        permutations: 40,
        ..MeasureRequest::default()
    }
}

fn window(theme: ThemeChoice) -> Window {
    let traces = traces();
    let mut window = Window::open(SIZE, config(theme, &[&traces.plain]));
    window.send(Command::ChooseRequest(Box::new(quick())));
    window
}

#[test]
fn every_view_is_painted_in_both_themes() {
    if !can_paint() {
        return;
    }
    let traces = traces();
    for theme in ThemeChoice::ALL {
        let ground = Theme::load(theme).unwrap().panel;
        let mut window = Window::open(SIZE, config(theme, &[&traces.plain, &traces.masked]));
        window.send(Command::ChooseRequest(Box::new(quick())));
        window.send(Command::ChooseCell(Some(Cell {
            layer: LayerId(2),
            expert: 1,
        })));
        let mut pages: Vec<(String, Command)> = VIEWS
            .iter()
            .map(|make| make().about().name)
            .map(|name| (name.to_owned(), Command::OpenView(name)))
            .collect();
        for tab in DisciplinesTab::ALL {
            let choice = DisciplinesChoice {
                tab,
                ..DisciplinesChoice::default()
            };
            pages.push((
                format!("disciplines, {}", tab.title()),
                Command::ChooseDisciplines(Box::new(choice)),
            ));
        }
        for (name, command) in pages {
            if name.starts_with("disciplines,") {
                window.send(Command::OpenView("disciplines"));
            }
            window.send(command);
            window.harness.run_steps(2);
            let image = window.harness.render().unwrap();
            let colors: HashSet<[u8; 4]> = image.pixels().map(|pixel| pixel.0).collect();
            assert!(colors.len() > 50, "{name} in {theme} is all but empty");
            let grounds = image
                .pixels()
                .filter(|pixel| pixel.0[..3] == [ground.r(), ground.g(), ground.b()])
                .count();
            assert!(grounds > 10_000, "{name} in {theme} has another ground");
            assert!(
                !window.says("This could not be measured"),
                "{name} shows an error"
            );
            window.harness.check_accessibility();
        }
    }
}

#[test]
fn a_clicked_cell_tells_of_its_expert_and_says_what_is_measured() {
    let traces = traces();
    let mut window = window(ThemeChoice::Dark);
    window.send(Command::OpenView("token"));
    assert!(!window.says("No expert is chosen"), "Expert lies behind");
    let (cells, _) = window.find("Layers by experts");
    // Six layers of eight experts: the middle of layer 3, expert 5.
    let at = cells.min + cells.size() * vec2(5.5 / 8.0, 3.5 / 6.0);
    window.click_at(at);
    assert_eq!(
        window.app().state().choices.cell,
        Some(Cell {
            layer: LayerId(3),
            expert: 5
        })
    );
    assert!(window.says("Layer 3, expert 5 of 8"));

    let data = TraceData::open(&traces.plain).unwrap();
    let measured = find("assignment_share")
        .unwrap()
        .measure(&data, &quick(), &NoProgress)
        .unwrap();
    let (_, layers) = measured[0].axis(AxisKind::Layer).unwrap();
    let (_, groups) = measured[0].axis(AxisKind::Group).unwrap();
    let layer = layers.labels.iter().position(|l| l == "3").unwrap();
    let mut index = vec![0; 3];
    for (place, axis) in measured[0].axes.iter().enumerate() {
        index[place] = match axis.kind {
            AxisKind::Layer => layer,
            AxisKind::Expert => 5,
            _ => 0,
        };
    }
    let flat = measured[0].flat_index(&index);
    let interval = measured[0].intervals.as_ref().unwrap()[flat].unwrap();
    let expected = format!(
        "layer 3, expert 5, {} ({} to {}) share of assignments",
        short_number(measured[0].values[flat]),
        short_number(interval.low),
        short_number(interval.high)
    );
    let (_, told) = window.find("Layers by experts");
    assert!(told.contains(&expected), "{told} lacks {expected}");
    // Twelve documents of six groups have the label, of 36 in all.
    let own = format!("12 documents, 6 groups of {}", groups.labels[0]);
    assert!(told.contains(&own), "{told} lacks {own}");
    assert_eq!(groups.labels.len(), 3);
}

#[test]
fn arrows_move_over_cells_and_enter_chooses() {
    let mut window = window(ThemeChoice::Light);
    let (cells, _) = window.find("Layers by experts");
    window.click_at(cells.min + cells.size() * vec2(0.5 / 8.0, 0.5 / 6.0));
    for key in [Key::ArrowRight, Key::ArrowRight, Key::ArrowDown, Key::Enter] {
        window.harness.key_press(key);
        window.settle();
    }
    assert_eq!(
        window.app().state().choices.cell,
        Some(Cell {
            layer: LayerId(1),
            expert: 2
        })
    );
    window.harness.event(egui::Event::Copy);
    window.harness.step();
    let copied = window.copied_text().expect("the cell is copied");
    assert!(copied.starts_with("layer 1, expert 2\t"), "{copied}");
    assert!(copied.contains(" to "), "{copied} has an interval");
}

#[test]
fn undo_takes_back_what_was_chosen() {
    let mut window = window(ThemeChoice::Dark);
    window.send(Command::ChooseCell(Some(Cell {
        layer: LayerId(4),
        expert: 7,
    })));
    window
        .harness
        .key_press_modifiers(Modifiers::COMMAND, Key::Z);
    window.settle();
    assert_eq!(window.app().state().choices.cell, None);
    assert!(window.says("No expert is chosen"));
    window
        .harness
        .key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    window.settle();
    assert!(window.says("Layer 4, expert 7 of 8"));
}

#[test]
fn the_palette_finds_a_view_and_the_sheet_lists_the_keys() {
    let mut window = window(ThemeChoice::Dark);
    window.find_command("capture");
    assert!(window.says("Choose files…"), "the Capture view is in front");
    window.harness.key_press(Key::F1);
    window.settle();
    assert!(window.says("copy the cell with its interval"));
}

#[test]
fn a_ranking_row_chooses_its_expert_and_the_command_is_copied() {
    let mut window = window(ThemeChoice::Light);
    let choice = DisciplinesChoice {
        tab: DisciplinesTab::Ranking,
        group: Some("law".to_owned()),
        minus: Some("protein".to_owned()),
        ..DisciplinesChoice::default()
    };
    window.send(Command::ChooseDisciplines(Box::new(choice)));
    assert!(window.says("the furthest first"), "the order is said");
    let first = window
        .harness
        .get_all_by_label_contains("layer ")
        .find(|node| {
            node.accesskit_node()
                .label()
                .is_some_and(|label| label.contains(", expert ") && label.contains(": "))
        })
        .expect("a row");
    let label = first.accesskit_node().label().unwrap_or_default();
    first.click();
    window.settle();
    let cell = window.app().state().choices.cell.unwrap();
    assert!(
        label.starts_with(&format!("layer {}, expert {}:", cell.layer, cell.expert)),
        "{label} chose {cell}"
    );
    let copy = window.harness.get_all_by_label("Copy as command").next();
    copy.expect("the button of the view in front").click();
    window.settle();
    assert!(window.says("--contrast law:protein --resamples 40"));
}

#[test]
fn a_point_of_a_layer_curve_says_its_label_value_and_interval() {
    let mut window = window(ThemeChoice::Dark);
    let choice = DisciplinesChoice {
        tab: DisciplinesTab::Layers,
        layer_metric: "load_entropy".to_owned(),
        ..DisciplinesChoice::default()
    };
    window.send(Command::ChooseDisciplines(Box::new(choice)));
    assert!(window.says("bands are 95% intervals"));
    let (plot, _) = window.find("along the layers");
    // Layers 0 to 5 with a margin of a twentieth at each side; the pointer goes down at layer 3.
    let x = plot.left() + plot.width() * (3.0 + 0.25) / 5.5;
    let mut y = plot.top();
    while y < plot.bottom() && !window.says(", layer 3") {
        window.harness.hover_at(pos2(x, y));
        window.harness.run_steps(2);
        y += 4.0;
    }
    let data = TraceData::open(&traces().plain).unwrap();
    let metric = find("load_entropy").unwrap();
    let measured = metric.measure(&data, &quick(), &NoProgress).unwrap();
    let measured = &measured[0];
    let (_, groups) = measured.axis(AxisKind::Group).unwrap();
    let is_told = groups.labels.iter().enumerate().any(|(group, label)| {
        let index: Vec<usize> = measured
            .axes
            .iter()
            .map(|axis| match axis.kind {
                AxisKind::Group => group,
                _ => axis.labels.iter().position(|l| l == "3").unwrap(),
            })
            .collect();
        let flat = measured.flat_index(&index);
        let interval = measured.intervals.as_ref().unwrap()[flat].unwrap();
        let value = format!(
            "{} ({} to {})",
            short_number(measured.values[flat]),
            short_number(interval.low),
            short_number(interval.high)
        );
        window.says(&format!("{label}, layer 3")) && window.says(&value)
    });
    assert!(is_told, "a point at layer 3 is told");
}

#[test]
fn distances_have_a_scale_of_their_own() {
    let mut window = window(ThemeChoice::Light);
    let choice = DisciplinesChoice {
        tab: DisciplinesTab::Distances,
        ..DisciplinesChoice::default()
    };
    window.send(Command::ChooseDisciplines(Box::new(choice)));
    for (role, label) in [(Role::ComboBox, "Scale"), (Role::Button, "logarithmic")] {
        let node = window.harness.get_by_role_and_label(role, label);
        node.click_accesskit();
        window.settle();
    }
    let chosen = &window.app().state().choices.disciplines;
    assert_eq!(chosen.distance_scale, ColorScale::Log);
    assert_eq!(chosen.scale, ColorScale::Auto);
    // The figure has it as well.
    let folder = tempfile::tempdir().unwrap();
    let stem = folder.path().join("distances");
    window.send(Command::ExportView("disciplines", stem.clone()));
    let spec = fs::read_to_string(stem.with_extension("toml")).unwrap();
    assert!(spec.contains("scale = \"log\""), "{spec}");
}

#[test]
fn two_traces_are_compared_on_one_scale_and_pointed_at_together() {
    let traces = traces();
    let paths = [traces.plain.as_path(), traces.masked.as_path()];
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &paths));
    window.send(Command::ChooseRequest(Box::new(quick())));
    window.send(Command::OpenView("compare"));
    assert!(window.says("minus"), "the difference has its title");
    let (cells, _) = window.find("Difference of the traces");
    // Layer 2, expert 1 is masked in one of them.
    let at = cells.min + cells.size() * vec2(1.5 / 8.0, 2.5 / 6.0);
    window.harness.hover_at(at);
    window.settle();
    let (_, told) = window.find("Difference of the traces");
    assert!(told.contains("layer 2, expert 1"), "{told}");
}

#[test]
fn the_difference_of_a_label_is_shown_and_drawn_again_by_its_specification() {
    let traces = traces();
    let paths = [traces.plain.as_path(), traces.masked.as_path()];
    let mut window = Window::open(SIZE, config(ThemeChoice::Light, &paths));
    window.send(Command::ChooseRequest(Box::new(quick())));
    let choice = CompareChoice {
        first: Some(traces.masked.clone()),
        second: Some(traces.plain.clone()),
        group: Some("law".to_owned()),
        ..CompareChoice::default()
    };
    window.send(Command::ChooseCompare(Box::new(choice)));
    window.send(Command::OpenView("compare"));
    assert!(window.says("masked minus plain"));

    // As `moescope compare masked plain assignment_share` has it, for law alone.
    let open = |path: &Path| TraceData::open(path).unwrap();
    let set = vec![
        ("masked".to_owned(), open(&traces.masked)),
        ("plain".to_owned(), open(&traces.plain)),
    ];
    let set = TraceSet::new(set, 1).unwrap();
    let metric = find("assignment_share").unwrap();
    let found = difference_of_traces(&set, metric, &quick(), &NoProgress).unwrap();
    let of_labels = found.iter().find(|m| m.axis(AxisKind::Group).is_some());
    let of_labels = of_labels.expect("a table of labels");
    let index: Vec<usize> = of_labels
        .axes
        .iter()
        .map(|axis| {
            let wanted = match axis.kind {
                AxisKind::Layer => "2",
                AxisKind::Expert => "1",
                AxisKind::Group => "law",
                _ => return 0,
            };
            axis.labels.iter().position(|l| l == wanted).unwrap()
        })
        .collect();
    let value = of_labels.value(&index);
    assert!(value <= 0.0, "a masked expert is chosen less: {value}");
    let (cells, _) = window.find("Difference of the traces");
    window
        .harness
        .hover_at(cells.min + cells.size() * vec2(1.5 / 8.0, 2.5 / 6.0));
    window.settle();
    let (_, told) = window.find("Difference of the traces");
    let expected = format!("layer 2, expert 1, {}", short_number(value));
    assert!(told.contains(&expected), "{told} lacks {expected}");

    let folder = tempfile::tempdir().unwrap();
    let stem = folder.path().join("moved");
    window.send(Command::ExportView("compare", stem.clone()));
    let svg = fs::read_to_string(stem.with_extension("svg")).unwrap();
    assert!(svg.contains("minus plain") && svg.contains("law"), "{svg}");
    assert!(svg.as_bytes() == drawn_again(&stem, "svg"));
}

#[test]
fn figures_are_written_with_numbers_and_specification() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = window(ThemeChoice::Dark);
    let stem = folder.path().join("share");
    window.send(Command::ExportView("disciplines", stem.clone()));
    for ending in ["svg", "pdf", "csv", "toml", "txt", "tex"] {
        let path = stem.with_extension(ending);
        assert!(path.is_file(), "{} is missing", path.display());
    }
    // Every format that was written is made again.
    for ending in ["svg", "pdf"] {
        let drawn = fs::read(stem.with_extension(ending)).unwrap();
        assert!(drawn == drawn_again(&stem, ending), "{ending}");
    }
    assert!(
        !stem.with_extension("json").exists(),
        "the trace has the numbers"
    );
}

#[test]
fn the_figure_of_every_tab_is_drawn_again_by_its_specification() {
    let mut window = window(ThemeChoice::Light);
    for (number, tab) in DisciplinesTab::ALL.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let choice = DisciplinesChoice {
            tab,
            // No map is called so; the first one is shown.
            map: "none".to_owned(),
            ..DisciplinesChoice::default()
        };
        window.send(Command::ChooseDisciplines(Box::new(choice)));
        let stem = folder.path().join(format!("tab-{number}"));
        window.send(Command::ExportView("disciplines", stem.clone()));
        let drawn = fs::read(stem.with_extension("svg")).unwrap();
        assert!(drawn == drawn_again(&stem, "svg"), "{}", tab.title());
    }
}

#[test]
fn the_labels_of_an_expert_are_a_figure() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = window(ThemeChoice::Light);
    window.send(Command::ChooseCell(Some(Cell {
        layer: LayerId(3),
        expert: 5,
    })));
    window.send(Command::OpenView("expert"));
    assert!(window.says("Layer 3, expert 5 of 8"));
    let stem = folder.path().join("expert");
    window.send(Command::ExportView("expert", stem.clone()));
    let svg = fs::read_to_string(stem.with_extension("svg")).unwrap();
    assert!(svg.contains("expert 5 of layer 3"), "{svg}");
    assert!(svg.contains("law · expert 5"), "{svg}");
    assert!(stem.with_extension("csv").is_file());
    // No metric has a table of one expert, so its numbers are beside it.
    assert!(stem.with_extension("json").is_file());
    assert!(svg.as_bytes() == drawn_again(&stem, "svg"));
}

#[test]
fn what_cannot_be_opened_is_told_with_what_would_help() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::open(SIZE, config(ThemeChoice::Dark, &[]));
    window.send(Command::Open(folder.path().join("nothing")));
    assert!(window.says("neither a trace"));
    assert!(window.says("Open trace…"), "the next action is there");
}
