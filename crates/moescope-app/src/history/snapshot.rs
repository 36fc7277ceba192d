//! What undo can bring back, and what a step changed of it.

use std::{mem::discriminant, sync::Arc};

use moescope_analytics::MeasureRequest;

use crate::{
    choices::{CaptureChoice, Cell, Choices, CompareChoice, DisciplinesChoice},
    lives::{LiveChoice, ShownLines},
    shell::layout::SavedLayout,
    theme::ThemeChoice,
    traces::{TraceId, TracePlace},
};

/// A part of the state, as it was before a step or after it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// What is measured.
    Request(Box<MeasureRequest>),
    /// The expert that is chosen.
    Cell(Option<Cell>),
    /// The documents that are chosen.
    Documents(Arc<[String]>),
    /// What Disciplines shows.
    Disciplines(Box<DisciplinesChoice>),
    /// What Compare shows.
    Compare(Box<CompareChoice>),
    /// What Capture would run.
    Capture(Box<CaptureChoice>),
    /// What Live begins with and shows.
    Live(Box<LiveChoice>),
    /// Which views are open, and where they stand.
    Layout(Box<SavedLayout>),
    /// The lines and the token of Live that are looked at.
    Lines(ShownLines),
    /// Whether a trace is open. It has no data: whoever closes a large trace wants its memory back, so undo reads its
    /// folder again.
    Trace {
        /// Where it is.
        place: TracePlace,
        /// Whether it is open.
        is_open: bool,
    },
    /// The trace that is shown.
    ShownTrace(Option<TraceId>),
    /// The theme.
    Theme(ThemeChoice),
    /// The size of everything; `None` is the display's own.
    Zoom(Option<f32>),
}

impl Part {
    /// Whether both are of the same part of the state.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Trace { place, .. }, Self::Trace { place: other, .. }) => place.id == other.id,
            _ => discriminant(self) == discriminant(other),
        }
    }
}

/// All that undo can bring back, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// What is chosen.
    pub(crate) choices: Choices,
    /// Which views are open, and where they stand.
    pub(crate) layout: SavedLayout,
    /// What Live shows.
    pub(crate) lines: ShownLines,
    /// The traces that are open.
    pub(crate) traces: Vec<TracePlace>,
    /// The one that is shown.
    pub(crate) shown_trace: Option<TraceId>,
    /// The theme.
    pub(crate) theme: ThemeChoice,
    /// The size of everything.
    pub(crate) zoom: Option<f32>,
}

impl Snapshot {
    /// What is otherwise later, as it was then. Which view is in front of others is only looking, and counts for nothing.
    pub(crate) fn changed(self, later: &Self) -> Vec<Part> {
        let Choices {
            request,
            cell,
            documents,
            disciplines,
            compare,
            capture,
            live,
        } = self.choices;
        let now = &later.choices;
        // Traces come later than what asks for them, so that a step only closes them.
        let traces = self.traces.into_iter();
        let closed = traces.filter(|place| !later.traces.contains(place));
        let closed = closed.map(|place| Part::Trace {
            place,
            is_open: true,
        });
        let others = [
            (request != now.request).then(|| Part::Request(Box::new(request))),
            (cell != now.cell).then_some(Part::Cell(cell)),
            (documents != now.documents).then_some(Part::Documents(documents)),
            (disciplines != now.disciplines).then(|| Part::Disciplines(Box::new(disciplines))),
            (compare != now.compare).then(|| Part::Compare(Box::new(compare))),
            (capture != now.capture).then(|| Part::Capture(Box::new(capture))),
            (live != now.live).then(|| Part::Live(Box::new(live))),
            (!self.layout.is_arranged_as(&later.layout))
                .then(|| Part::Layout(Box::new(self.layout))),
            (self.lines != later.lines).then_some(Part::Lines(self.lines)),
            (self.shown_trace != later.shown_trace).then_some(Part::ShownTrace(self.shown_trace)),
            (self.theme != later.theme).then_some(Part::Theme(self.theme)),
            (self.zoom != later.zoom).then_some(Part::Zoom(self.zoom)),
        ];
        closed.chain(others.into_iter().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::layout::Layout;

    /// The parts of a snapshot that are otherwise after a change.
    fn check(change: impl FnOnce(&mut Snapshot), expected: &[Part]) {
        let before = Snapshot {
            layout: Layout::default().saved(),
            ..Snapshot::default()
        };
        let mut after = before.clone();
        change(&mut after);
        assert_eq!(before.changed(&after), expected);
    }

    #[test]
    fn a_step_has_what_it_changed_and_nothing_else() {
        check(|_| {}, &[]);
        check(
            |after| after.choices.request.seed += 1,
            &[Part::Request(Box::default())],
        );
        check(
            |after| {
                after.zoom = Some(2.0);
                after.theme = after.theme.other();
            },
            &[Part::Theme(ThemeChoice::default()), Part::Zoom(None)],
        );
    }

    #[test]
    fn a_view_that_is_closed_is_a_step_and_one_in_front_is_not() {
        let first = Part::Layout(Box::new(Layout::default().saved()));
        let rearrange = |after: &mut Snapshot, change: fn(&mut Layout)| {
            let mut layout = Layout::default();
            change(&mut layout);
            after.layout = layout.saved();
        };
        check(
            |after| rearrange(after, |layout| layout.hide("compare")),
            &[first],
        );
        check(
            |after| rearrange(after, |layout| layout.show("compare")),
            &[],
        );
    }
}
