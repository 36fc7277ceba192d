//! Which documents count by their other labels, and which labels are taken together.

use egui::{Button, Label, Role, TextEdit, Ui, WidgetInfo};
use moescope_analytics::MeasureRequest;
use moescope_core::{LabelFilter, LabelGroup};

use super::{LABEL, combo, tick_labels};
use crate::{
    state::unseen_labels,
    traces::OpenTrace,
    view::ViewContext,
    widgets::text::{field_label, soft},
};

/// A row for every column that documents are filtered by, and one that begins another.
pub(super) fn only(
    ui: &mut Ui,
    context: &ViewContext<'_>,
    trace: &OpenTrace,
    request: &mut MeasureRequest,
) {
    let begun = ui.scope_id().with("filter begun");
    let filters = &mut request.scope.only;
    let mut columns: Vec<String> = filters.iter().map(|f| f.column.clone()).collect();
    // A column of which no label is ticked is no filter yet.
    let column: Option<String> = ui.data(|data| data.get_temp(begun));
    let column = column.filter(|column| !columns.contains(column) && has(trace, column));
    columns.extend(column);
    for column in &columns {
        if column_ui(ui, column, trace.labels(column), filters) {
            ui.data_mut(|data| data.remove::<String>(begun));
        }
    }
    combo(ui, "Only where", "add a column", |ui| {
        for column in trace.label_columns() {
            let is_offered = !["all", "id"].contains(&column) && column != request.by;
            if is_offered
                && !columns.iter().any(|known| known == column)
                && ui.selectable_label(false, column).clicked()
            {
                ui.data_mut(|data| data.insert_temp(begun, column.to_owned()));
            }
        }
    });
    for LabelFilter { column, labels } in &context.state.choices.request.scope.only {
        let own = trace.labels(column);
        let unseen: Vec<&str> = labels
            .iter()
            .filter(|label| !own.contains(label))
            .map(String::as_str)
            .collect();
        let told = if own.is_empty() {
            format!(
                "This trace has no labels by {column} and is measured without that filter; it stays chosen for traces that have"
            )
        } else if unseen.is_empty() {
            continue;
        } else if unseen.len() == labels.len() {
            format!(
                "This trace has no {column} {} and is measured without that filter; it stays chosen for traces that have",
                unseen.join(", ")
            )
        } else {
            format!(
                "This trace has no {column} {}; the filter on it stays chosen for traces that have",
                unseen.join(", ")
            )
        };
        ui.add(Label::new(soft(told, context.theme)).wrap());
    }
}

/// Says which labels and groups are chosen and cannot be measured of the trace that is shown.
pub(super) fn told_unseen(ui: &mut Ui, context: &ViewContext<'_>) {
    let (shown, chosen) = (context.request(), &context.state.choices.request);
    let told = if chosen.by == shown.by {
        let unseen = unseen_labels(shown, chosen);
        if unseen.is_empty() {
            return;
        }
        format!(
            "This trace cannot be measured by {} {}; the choice stays for traces that can",
            chosen.by,
            unseen.join(", ")
        )
    } else {
        format!(
            "This trace has no labels by {}; they stay chosen for traces that have",
            chosen.by
        )
    };
    ui.add(Label::new(soft(told, context.theme)).wrap());
}

fn has(trace: &OpenTrace, column: &str) -> bool {
    trace.label_columns().any(|known| known == column)
}

/// The labels of a column that count; whether the filter was taken away.
fn column_ui(ui: &mut Ui, column: &str, labels: &[String], filters: &mut Vec<LabelFilter>) -> bool {
    let place = filters.iter().position(|filter| filter.column == column);
    let mut ticked = place.map_or_else(Vec::new, |place| filters[place].labels.clone());
    let shown = if ticked.is_empty() {
        "any".to_owned()
    } else {
        ticked.join(", ")
    };
    let mut is_over = false;
    combo(ui, &format!("Only {column}"), &shown, |ui| {
        is_over = tick_labels(ui, labels, &mut ticked, "any");
    });
    match place {
        Some(place) if ticked.is_empty() => _ = filters.remove(place),
        Some(place) => filters[place].labels = ticked,
        None if ticked.is_empty() => {}
        None => filters.push(LabelFilter {
            column: column.to_owned(),
            labels: ticked,
        }),
    }
    is_over
}

/// A group of labels that is being put together.
#[derive(Clone, Default)]
struct Draft {
    name: String,
    labels: Vec<String>,
}

/// The labels that are taken together, and rows that put together others.
pub(super) fn groups(
    ui: &mut Ui,
    context: &ViewContext<'_>,
    trace: &OpenTrace,
    request: &mut MeasureRequest,
) {
    let mut removed = None;
    for (place, group) in request.merge.iter().enumerate() {
        ui.horizontal(|ui| {
            let hint = format!("Take the group {} apart", group.name);
            let button = ui.small_button("×").on_hover_text(&hint);
            button.widget_info(|| WidgetInfo::labeled(Role::Button, true, &hint));
            if button.clicked() {
                removed = Some(place);
            }
            let told = format!("{}: {}", group.name, group.labels.join(", "));
            ui.add(Label::new(soft(&told, context.theme)).truncate())
                .on_hover_text(&told);
        });
    }
    if let Some(place) = removed {
        take_apart(request, place);
    }
    let own = trace.labels(&request.by);
    let is_free = |label: &&String| !request.merge.iter().any(|g| g.labels.contains(*label));
    let free: Vec<String> = own.iter().filter(is_free).cloned().collect();
    if own.len() < 2 || free.is_empty() {
        return;
    }
    let id = ui.scope_id().with("group of labels");
    let mut draft: Draft = ui.data(|data| data.get_temp(id)).unwrap_or_default();
    draft.labels.retain(|label| free.contains(label));
    let shown = if draft.labels.is_empty() {
        "no labels".to_owned()
    } else {
        draft.labels.join(", ")
    };
    combo(ui, "Take together", &shown, |ui| {
        tick_labels(ui, &free, &mut draft.labels, "none");
    });
    if !draft.labels.is_empty() && name_ui(ui, context, own, request, &mut draft) {
        let group = LabelGroup {
            name: draft.name.trim().to_owned(),
            labels: std::mem::take(&mut draft.labels),
        };
        draft.name.clear();
        take_together(request, group);
    }
    ui.data_mut(|data| data.insert_temp(id, draft));
}

/// The name of the labels that are ticked; whether they shall be taken together.
fn name_ui(
    ui: &mut Ui,
    context: &ViewContext<'_>,
    labels: &[String],
    request: &MeasureRequest,
    draft: &mut Draft,
) -> bool {
    let mut is_wanted = false;
    let mut told = None;
    ui.horizontal(|ui| {
        let label = field_label(ui, "Group name", LABEL);
        let room = (ui.available_width() - 56.0).max(40.0);
        ui.add(TextEdit::singleline(&mut draft.name).desired_width(room))
            .labelled_by(label.id)
            .on_hover_text("What these labels are called together, such as science");
        let name = draft.name.trim();
        let mut others = labels.iter().filter(|label| !draft.labels.contains(label));
        let is_taken = others.any(|label| label == name)
            || request.merge.iter().any(|group| group.name == name);
        told = is_taken.then(|| format!("{name} is another label; choose another name"));
        let is_named = !name.is_empty() && !is_taken;
        let button = ui.add_enabled(is_named, Button::new("Add").small());
        button.widget_info(|| WidgetInfo::labeled(Role::Button, is_named, "Add the group"));
        is_wanted = button.clicked();
    });
    if let Some(told) = told {
        ui.colored_label(context.theme.warning, format!("Note: {told}"));
    }
    is_wanted
}

/// Adds a group; where one of its labels was chosen, its name is.
fn take_together(request: &mut MeasureRequest, group: LabelGroup) {
    let chosen = &mut request.scope.labels;
    if chosen.iter().any(|label| group.labels.contains(label)) {
        chosen.retain(|label| !group.labels.contains(label));
        chosen.push(group.name.clone());
    }
    request.merge.push(group);
}

/// Removes a group; where its name was chosen, its labels are.
fn take_apart(request: &mut MeasureRequest, place: usize) {
    let group = request.merge.remove(place);
    let chosen = &mut request.scope.labels;
    if chosen.contains(&group.name) {
        chosen.retain(|label| *label != group.name);
        chosen.extend(group.labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_labels_go_into_their_group_and_come_out_of_it() {
        let mut request = MeasureRequest::default();
        request.scope.labels = vec!["law".into(), "math".into()];
        take_together(&mut request, "science=math,physics".parse().unwrap());
        assert_eq!(request.scope.labels, ["law", "science"]);
        request.check().unwrap();
        take_apart(&mut request, 0);
        assert_eq!(request.scope.labels, ["law", "math", "physics"]);
        assert!(request.merge.is_empty());
        // A group of labels that are not chosen changes nothing.
        take_together(&mut request, "arts=history".parse().unwrap());
        take_apart(&mut request, 0);
        assert_eq!(request.scope.labels, ["law", "math", "physics"]);
    }
}
