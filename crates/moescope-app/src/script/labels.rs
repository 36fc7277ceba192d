//! What the window says, as a screen reader would hear it, with the places of the widgets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use egui::{Context, FullOutput, Plugin, Rect, Role, accesskit, pos2};

/// A widget that says something.
#[derive(Clone, Debug)]
struct Said {
    text: String,
    rect: Option<Rect>,
    is_control: bool,
}

/// What the last frame said.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    said: Arc<Mutex<Vec<Said>>>,
}

impl Labels {
    /// Whether a widget says something that contains the text.
    pub(super) fn says(&self, text: &str) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().any(|said| said.text.contains(text))
    }

    /// Where the widget is that says the text: exactly rather than in part, a control rather than a label.
    pub(super) fn place_of(&self, text: &str) -> Option<egui::Pos2> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter()
            .filter(|said| said.text.contains(text))
            .filter_map(|said| Some((said, said.rect?)))
            .min_by_key(|(said, _)| (said.text != text, !said.is_control, said.text.len()))
            .map(|(_, rect)| rect.center())
    }
}

/// Hears every frame.
pub(super) struct Hearing(pub(super) Labels);

impl Plugin for Hearing {
    fn debug_name(&self) -> &'static str {
        "labels for a script"
    }

    fn output_hook(&mut self, _ctx: &Context, output: &mut FullOutput) {
        let Some(update) = &output.platform_output.accesskit_update else {
            return;
        };
        let own = |node: &accesskit::Node| {
            let text = node.label().or_else(|| node.value());
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let names: HashMap<_, _> = update
            .nodes
            .iter()
            .filter_map(|(id, node)| Some((*id, own(node)?)))
            .collect();
        // A field is called what the label beside it says, whatever was typed into it.
        let said = |node: &accesskit::Node| {
            let label = node.labelled_by().iter().find_map(|id| names.get(id));
            label.cloned().or_else(|| own(node))
        };
        let heard = update
            .nodes
            .iter()
            .filter_map(|(_, node)| {
                let text = said(node)?;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "places on a screen, which were f32 before"
                )]
                let rect = node.bounds().map(|bounds| {
                    Rect::from_min_max(
                        pos2(bounds.x0 as f32, bounds.y0 as f32),
                        pos2(bounds.x1 as f32, bounds.y1 as f32),
                    )
                });
                Some(Said {
                    text,
                    rect,
                    is_control: !matches!(node.role(), Role::Label | Role::TextRun),
                })
            })
            .collect();
        *self.0.said.lock().unwrap_or_else(PoisonError::into_inner) = heard;
    }
}
