//! Layers and positions, which are typed.

use egui::{TextEdit, Ui};
use moescope_analytics::MeasureRequest;
use moescope_core::{LayerSelection, PositionSelection};

use super::LABEL;
use crate::{traces::OpenTrace, view::ViewContext, widgets::text::field_label};

/// Layers as text such as `0,5-8`.
pub(super) fn layers(
    ui: &mut Ui,
    context: &ViewContext<'_>,
    trace: &OpenTrace,
    request: &mut MeasureRequest,
) {
    let row = Row {
        label: "Layers",
        hint: "",
        told: "all, or numbers and ranges such as 0,5-8",
    };
    let known = trace.data.layers();
    let read = |text: &str| match text.parse::<LayerSelection>() {
        Err(_) => Err("Write all, or layers such as 0,5-8".to_owned()),
        Ok(layers) if known.iter().any(|layer| layers.contains(*layer)) => Ok(layers),
        Ok(_) => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            Err(format!("The trace has layers {}", known.join(",")))
        }
    };
    let current = request.scope.layers.to_string();
    if let Some(layers) = row.ui(ui, context, current, read) {
        request.scope.layers = layers;
    }
}

/// Positions of tokens as text such as `0,5-8` or `16-`; nothing is all of them.
pub(super) fn positions(ui: &mut Ui, context: &ViewContext<'_>, request: &mut MeasureRequest) {
    let row = Row {
        label: "Positions",
        hint: "all",
        told: "Tokens by their position in a document, 0 the first, given and generated counted through: numbers and ranges such as 0,5-8 or 16-; nothing for all",
    };
    let current = &request.scope.positions;
    let current = if current.is_all() {
        String::new()
    } else {
        current.to_string()
    };
    if let Some(positions) = row.ui(ui, context, current, read_positions) {
        request.scope.positions = positions;
    }
}

fn read_positions(text: &str) -> Result<PositionSelection, String> {
    if text.trim().is_empty() {
        return Ok(PositionSelection::All);
    }
    let read = text.parse::<PositionSelection>();
    read.map_err(|_| "Write positions such as 0,5-8 or 16-, or nothing for all".to_owned())
}

/// A field for text that is read as it is typed.
struct Row {
    label: &'static str,
    /// What an empty field shows.
    hint: &'static str,
    /// What can be written.
    told: &'static str,
}

impl Row {
    /// What was typed just now; what cannot be read is said and not taken.
    fn ui<T>(
        &self,
        ui: &mut Ui,
        context: &ViewContext<'_>,
        current: String,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let id = ui.scope_id().with(self.label);
        // As it is typed, which need not be how it is written, until another field is typed into.
        let mut text: String = ui.data(|data| data.get_temp(id)).unwrap_or(current);
        let is_changed = ui
            .horizontal(|ui| {
                let label = field_label(ui, self.label, LABEL);
                let edit = TextEdit::singleline(&mut text)
                    .hint_text(self.hint)
                    .desired_width(f32::INFINITY);
                let field = ui.add(edit).labelled_by(label.id).on_hover_text(self.told);
                if field.changed() {
                    ui.data_mut(|data| data.insert_temp(id, text.clone()));
                } else if !field.has_focus() {
                    ui.data_mut(|data| data.remove::<String>(id));
                }
                field.changed()
            })
            .inner;
        match read(&text) {
            Ok(read) => is_changed.then_some(read),
            Err(told) => {
                ui.colored_label(context.theme.warning, format!("Note: {told}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_every_position_and_nonsense_is_none() {
        assert_eq!(read_positions(" "), Ok(PositionSelection::All));
        assert_eq!(read_positions("all"), Ok(PositionSelection::All));
        let ranges = PositionSelection::Ranges(vec![(0, 0), (16, u32::MAX)]);
        assert_eq!(read_positions("0,16-"), Ok(ranges));
        let told = read_positions("5-2").unwrap_err();
        assert!(told.contains("0,5-8"), "{told}");
    }
}
