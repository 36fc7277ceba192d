//! Views and borders that are dragged elsewhere: egui moves them while it paints, and the app hears of it afterwards.

use super::{Layout, SavedLayout};

/// What is dragged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dragged {
    /// A view, or several.
    View,
    /// The border between views.
    Border,
}

/// Something was dragged elsewhere.
#[derive(Debug)]
pub(crate) struct Rearranged {
    /// What.
    pub(crate) dragged: Dragged,
    /// How the views stood before.
    pub(crate) before: SavedLayout,
}

impl Layout {
    /// What was dragged elsewhere since this was asked last.
    pub(crate) fn take_rearranged(&mut self) -> Option<Rearranged> {
        self.rearranged.take()
    }

    /// Notes what was dragged and is let go now, if it lies elsewhere: all of a drag is one step.
    pub(super) fn note_rearranged(&mut self, ctx: &egui::Context) {
        let Some(dragged) = self.dragged.take() else {
            return;
        };
        let before = self.pressed.take();
        if let Some(before) = before.filter(|before| !before.is_arranged_as(&self.saved())) {
            self.rearranged = Some(Rearranged { dragged, before });
            ctx.request_repaint();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dragged_is_noted_when_it_is_let_go_and_lies_elsewhere() {
        let ctx = egui::Context::default();
        let drag = |layout: &mut Layout, change: fn(&mut Layout)| {
            layout.pressed = Some(layout.saved());
            layout.dragged = Some(Dragged::View);
            change(layout);
            layout.note_rearranged(&ctx);
            layout.take_rearranged()
        };
        let mut layout = Layout::default();
        let first = layout.saved();
        assert!(drag(&mut layout, |_| {}).is_none());
        assert!(drag(&mut layout, |layout| layout.show("compare")).is_none());
        let moved = drag(&mut layout, |layout| layout.hide("compare")).unwrap();
        assert_eq!(moved.dragged, Dragged::View);
        assert!(moved.before.is_arranged_as(&first));
        layout.note_rearranged(&ctx);
        assert!(layout.take_rearranged().is_none(), "it is noted once");
    }
}
