//! The documents that are chosen on a map: how many of each label, and each by name.

use std::collections::{BTreeMap, HashSet};

use egui::{Grid, Panel, ScrollArea, Ui};
use moescope_core::Discipline;

use super::Place;
use crate::{
    command::Command,
    view::ViewContext,
    widgets::text::{heading, soft},
};

const WIDTH: f32 = 210.0;

/// The places of the chosen documents, as far as the map has them.
pub(super) fn chosen_places<'a>(places: &'a [Place], documents: &[String]) -> Vec<&'a Place> {
    if documents.is_empty() {
        return Vec::new();
    }
    let chosen: HashSet<&str> = documents.iter().map(String::as_str).collect();
    let is_chosen = |place: &&Place| chosen.contains(place.document.as_str());
    places.iter().filter(is_chosen).collect()
}

/// Lists the chosen documents beside the map; the one that was clicked.
pub(super) fn chosen_panel(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    chosen: &[&Place],
) -> Option<String> {
    Panel::right("chosen documents")
        .resizable(true)
        .default_size(WIDTH)
        .show(ui, |ui| {
            heading(ui, &format!("Documents chosen: {}", chosen.len()));
            ui.horizontal(|ui| {
                if ui.button("Clear").on_hover_text("Choose none").clicked() {
                    ctx.send(Command::ChooseDocuments(Vec::new()));
                }
                let copy = ui.button("Copy ids");
                if copy.on_hover_text("One id a line").clicked() {
                    let ids: Vec<&str> = chosen.iter().map(|p| p.document.as_str()).collect();
                    ctx.send(Command::Copy(ids.join("\n")));
                }
            });
            labels(ui, ctx, chosen);
            ui.separator();
            list(ui, chosen)
        })
        .inner
}

/// How many documents each label has.
fn labels(ui: &mut Ui, ctx: &ViewContext<'_>, chosen: &[&Place]) {
    Grid::new("chosen labels")
        .num_columns(2)
        .spacing([10.0, 2.0])
        .show(ui, |ui| {
            for (label, count) in counts(chosen) {
                ui.label(label);
                ui.label(soft(count.to_string(), ctx.theme));
                ui.end_row();
            }
        });
}

fn counts<'a>(chosen: &[&'a Place]) -> Vec<(&'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for place in chosen {
        *counts.entry(place.class.as_str()).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| Discipline::display_order(a.0).cmp(&Discipline::display_order(b.0)));
    counts
}

fn list(ui: &mut Ui, chosen: &[&Place]) -> Option<String> {
    let height = ui.text_style_height(&egui::TextStyle::Body);
    let mut clicked = None;
    ScrollArea::both()
        .id_salt("chosen documents")
        .auto_shrink([false, false])
        .show_rows(ui, height, chosen.len(), |ui, shown| {
            for place in &chosen[shown] {
                let link = ui
                    .link(place.document.as_str())
                    .on_hover_text("Read the document");
                if link.clicked() {
                    clicked = Some(place.document.clone());
                }
            }
        });
    clicked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_documents_are_found_and_counted_in_display_order() {
        let place = |document: &str, class: &str| Place {
            document: document.into(),
            class: class.into(),
            at: [0.0, 0.0],
        };
        let places = [
            place("a", "law"),
            place("b", "math"),
            place("c", "law"),
            place("d", "math"),
        ];
        let chosen = ["c", "a", "b", "not on this map"].map(str::to_owned);
        let found = chosen_places(&places, &chosen);
        assert_eq!(found.len(), 3);
        assert_eq!(counts(&found), [("math", 1), ("law", 2)]);
        assert!(chosen_places(&places, &[]).is_empty());
    }
}
