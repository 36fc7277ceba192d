//! Interventions that are chosen, each with a way to take it back.

use egui::Ui;

/// Paints a button for each; a click takes it back.
pub(crate) fn intervention_list(ui: &mut Ui, interventions: &mut Vec<String>) {
    let mut taken_back = None;
    for (place, spec) in interventions.iter().enumerate() {
        let button = ui.button(format!("{spec}  ×"));
        if button.on_hover_text("Take this back").clicked() {
            taken_back = Some(place);
        }
    }
    if let Some(place) = taken_back {
        interventions.remove(place);
    }
}
