//! Which metric of which label, or of which difference: the line over heat map and ranking.

use egui::{ComboBox, Ui};
use moescope_analytics::{MeasureRequest, catalogue};
use moescope_core::{AxisKind, Measurement};

use crate::{
    choices::DisciplinesChoice,
    traces::OpenTrace,
    widgets::text::{on_one_line, together},
};

/// A label, and the one that is subtracted from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) labels: Vec<String>,
    pub(super) group: Option<String>,
    pub(super) minus: Option<String>,
}

impl Pair {
    /// The chosen labels, as far as the trace has them in the scope.
    pub(super) fn of(
        trace: &OpenTrace,
        request: &MeasureRequest,
        choice: &DisciplinesChoice,
    ) -> Self {
        let mut labels = request.merged_labels(trace.labels(&request.by));
        let only = &request.scope.labels;
        labels.retain(|label| only.is_empty() || only.contains(label));
        let known = |wanted: &Option<String>| wanted.clone().filter(|label| labels.contains(label));
        let group = known(&choice.group).or_else(|| labels.first().cloned());
        let minus = known(&choice.minus).filter(|minus| Some(minus) != group.as_ref());
        Self {
            labels,
            group,
            minus,
        }
    }

    /// What is measured: all labels, or the difference of two.
    pub(super) fn request(&self, request: &MeasureRequest) -> MeasureRequest {
        let contrast = match (&self.group, &self.minus) {
            (Some(a), Some(b)) => Some((a.clone(), b.clone())),
            _ => None,
        };
        MeasureRequest {
            contrast,
            ..request.clone()
        }
    }

    /// The label to take of a measurement: a difference has one only.
    pub(super) fn fixed(&self) -> Vec<(AxisKind, String)> {
        match (&self.group, &self.minus) {
            (Some(group), None) => vec![(AxisKind::Group, group.clone())],
            _ => Vec::new(),
        }
    }

    /// What is shown, in words; the title of a difference names its two sides already.
    pub(super) fn heading(&self, title: &str) -> String {
        match (&self.group, &self.minus) {
            (Some(group), None) => format!("{title}: {group}"),
            _ => title.to_owned(),
        }
    }

    /// Lets the user choose.
    pub(super) fn ui(&self, ui: &mut Ui, choice: &mut DisciplinesChoice) {
        let shown = self.group.clone().unwrap_or_default();
        named_combo(ui, "Label", &shown, 130.0, |ui| {
            for label in &self.labels {
                if ui
                    .selectable_label(self.group.as_ref() == Some(label), label)
                    .clicked()
                {
                    choice.group = Some(label.clone());
                }
            }
        });
        let shown = self.minus.as_deref().unwrap_or("nothing");
        named_combo(ui, "minus", shown, 130.0, |ui| {
            if ui
                .selectable_label(self.minus.is_none(), "nothing")
                .clicked()
            {
                choice.minus = None;
            }
            for label in &self.labels {
                let is_shown = self.minus.as_ref() == Some(label);
                if Some(label) != self.group.as_ref()
                    && ui.selectable_label(is_shown, label).clicked()
                {
                    choice.minus = Some(label.clone());
                }
            }
        });
    }
}

/// A list of choices with its name before it, which is also its accessible name.
pub(in crate::views) fn named_combo(
    ui: &mut Ui,
    name: &str,
    shown: &str,
    width: f32,
    add: impl FnOnce(&mut Ui),
) {
    let words = on_one_line(ui, name);
    let both = words.size().x + ui.spacing().item_spacing.x + width;
    together(ui, both, |ui| {
        ui.label(words);
        let response = ComboBox::from_id_salt(name)
            .width(width)
            .height(480.0)
            .truncate()
            .selected_text(shown)
            .show_ui(ui, add)
            .response;
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, name));
    });
}

/// A list of metrics, by title.
pub(in crate::views) fn metric_combo(
    ui: &mut Ui,
    chosen: &mut String,
    is_offered: impl Fn(&[AxisKind]) -> bool,
) {
    let offered: Vec<_> = catalogue()
        .iter()
        .map(|metric| metric.about())
        .filter(|about| is_offered(about.axes))
        .collect();
    let shown = offered
        .iter()
        .find(|about| about.name == chosen.as_str())
        .map_or(chosen.clone(), |about| about.title.to_owned());
    named_combo(ui, "Metric", &shown, 215.0, |ui| {
        ui.set_min_width(320.0);
        for about in offered {
            let label = ui.selectable_label(about.name == chosen.as_str(), about.title);
            if label
                .on_hover_ui(|ui| {
                    ui.set_max_width(420.0);
                    ui.strong(about.name);
                    ui.label(about.formula);
                    ui.label(format!("Unit: {}", about.unit));
                })
                .clicked()
            {
                about.name.clone_into(chosen);
            }
        }
    });
}

/// The first of a metric's tables that has some axes.
pub(in crate::views) fn first_with(
    measurements: &[Measurement],
    kinds: &[AxisKind],
) -> Option<usize> {
    measurements
        .iter()
        .position(|m| kinds.iter().all(|kind| m.axis(*kind).is_some()))
}
