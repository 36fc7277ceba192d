//! A list to choose from, with a name for screen readers.

use egui::{ComboBox, Role, Ui, WidgetInfo};

/// Paints a list that shows what is chosen; `add` paints what it offers.
pub(crate) fn combo_box(
    ui: &mut Ui,
    name: &str,
    shown: &str,
    width: f32,
    add: impl FnOnce(&mut Ui),
) {
    let response = ComboBox::from_id_salt(name)
        .width(width)
        .truncate()
        .selected_text(shown)
        .show_ui(ui, add)
        .response;
    response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, name));
}
