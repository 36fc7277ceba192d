//! Undo and redo of what the user did.

mod snapshot;

use std::time::{Duration, Instant};

pub(crate) use snapshot::{Part, Snapshot};

/// Steps that can be undone.
const MOST_STEPS: usize = 200;
/// Changes of one kind within this time are one step, such as the letters of a number that is typed.
const ONE_STEP: Duration = Duration::from_millis(700);

/// Something that the user does, as undo calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deed {
    words: String,
    kind: Option<&'static str>,
}

impl Deed {
    /// A step of its own, told as what was done: “closed Compare”.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            kind: None,
        }
    }

    /// The same, but quick ones of one kind are one step, which is called as the last of them: that is what was chosen.
    pub(crate) fn of_kind(kind: &'static str, words: impl Into<String>) -> Self {
        Self {
            kind: Some(kind),
            ..Self::new(words)
        }
    }
}

/// What was done, and what was undone of it.
///
/// A step has only the parts of the state that it changed. What changes by itself meanwhile, such as a capture that
/// ends, is no step, and no step takes it back.
#[derive(Debug, Default)]
pub(crate) struct History {
    past: Vec<Step>,
    future: Vec<Step>,
    last: Option<(Option<&'static str>, Instant)>,
}

/// One thing that was done, with what it changed as it was on the other side of it.
#[derive(Debug)]
struct Step {
    words: String,
    kind: Option<&'static str>,
    parts: Vec<Part>,
}

impl History {
    /// Notes what was done, and what it changed as that was before; nothing where it changed nothing.
    ///
    /// What is done at one moment is one step: a click may ask for several things.
    pub(crate) fn note(&mut self, deed: Deed, parts: Vec<Part>, now: Instant) {
        if parts.is_empty() {
            return;
        }
        let is_same_step = self.last.is_some_and(|(kind, at)| {
            let is_quick = now.duration_since(at) < ONE_STEP;
            at == now || is_quick && kind.is_some() && kind == deed.kind
        });
        self.last = Some((deed.kind, now));
        self.future.clear();
        if is_same_step && let Some(step) = self.past.last_mut() {
            if step.kind.is_some() && step.kind == deed.kind {
                step.words = deed.words;
            }
            step.add(parts);
            return;
        }
        self.past.push(Step {
            words: deed.words,
            kind: deed.kind,
            parts,
        });
        if self.past.len() > MOST_STEPS {
            self.past.remove(0);
        }
    }

    /// Takes the last step back, and says what it was.
    ///
    /// `put` puts parts into the state and returns them as they were, or nothing where none of them is any more; such a
    /// step is forgotten, and the one before it is taken back.
    pub(crate) fn undo(
        &mut self,
        put: impl FnMut(Vec<Part>) -> Option<Vec<Part>>,
    ) -> Option<String> {
        self.last = None;
        walk(&mut self.past, &mut self.future, put)
    }

    /// Does again what was undone last, and says what it was; `put` as in [`Self::undo`].
    pub(crate) fn redo(
        &mut self,
        put: impl FnMut(Vec<Part>) -> Option<Vec<Part>>,
    ) -> Option<String> {
        self.last = None;
        walk(&mut self.future, &mut self.past, put)
    }

    /// Changes what all steps know of the state, where it has changed by itself: else they would take that back.
    pub(crate) fn amend(&mut self, mut change: impl FnMut(&mut Part)) {
        for step in self.past.iter_mut().chain(&mut self.future) {
            for part in &mut step.parts {
                change(part);
            }
        }
    }
}

impl Step {
    /// Adds what a further change found; what is known already was so before the step.
    fn add(&mut self, parts: Vec<Part>) {
        for part in parts {
            if !self.parts.iter().any(|known| known.is_alike(&part)) {
                self.parts.push(part);
            }
        }
    }
}

fn walk(
    from: &mut Vec<Step>,
    to: &mut Vec<Step>,
    mut put: impl FnMut(Vec<Part>) -> Option<Vec<Part>>,
) -> Option<String> {
    while let Some(step) = from.pop() {
        if let Some(parts) = put(step.parts) {
            let told = step.words.clone();
            to.push(Step { parts, ..step });
            return Some(told);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::ThemeChoice;

    /// A state of which a step changes one number.
    struct Numbers {
        zoom: f32,
        history: History,
    }

    impl Numbers {
        fn new() -> Self {
            Self {
                zoom: 0.0,
                history: History::default(),
            }
        }

        fn set(&mut self, deed: Deed, zoom: f32, now: Instant) {
            let before = Part::Zoom(Some(self.zoom));
            self.history.note(deed, vec![before], now);
            self.zoom = zoom;
        }

        fn undo(&mut self) -> Option<String> {
            let zoom = &mut self.zoom;
            self.history.undo(|parts| put(zoom, parts))
        }

        fn redo(&mut self) -> Option<String> {
            let zoom = &mut self.zoom;
            self.history.redo(|parts| put(zoom, parts))
        }
    }

    fn put(zoom: &mut f32, parts: Vec<Part>) -> Option<Vec<Part>> {
        let Some(Part::Zoom(Some(before))) = parts.into_iter().next() else {
            return None;
        };
        let now = std::mem::replace(zoom, before);
        Some(vec![Part::Zoom(Some(now))])
    }

    fn told(words: &str) -> String {
        words.to_owned()
    }

    fn is_near(a: f32, b: f32) -> bool {
        (a - b).abs() < f32::EPSILON
    }

    #[test]
    fn undo_and_redo_walk_the_same_way_and_a_new_step_ends_redo() {
        let start = Instant::now();
        let later = |step: u32| start + ONE_STEP * step;
        let mut state = Numbers::new();
        state.set(Deed::of_kind("number", "first"), 1.0, later(0));
        state.set(Deed::of_kind("number", "second"), 2.0, later(2));
        assert_eq!(state.undo(), Some(told("second")));
        assert!(is_near(state.zoom, 1.0));
        assert_eq!(state.redo(), Some(told("second")));
        assert!(is_near(state.zoom, 2.0));
        assert_eq!(state.undo(), Some(told("second")));
        state.set(Deed::of_kind("number", "other"), 5.0, later(9));
        assert_eq!(state.redo(), None);
        assert_eq!(state.undo(), Some(told("other")));
        assert_eq!(state.undo(), Some(told("first")));
        assert!(is_near(state.zoom, 0.0));
        assert_eq!(state.undo(), None);
    }

    #[test]
    fn quick_changes_of_one_kind_are_one_step_and_so_is_what_one_moment_changes() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut state = Numbers::new();
        state.set(Deed::of_kind("number", "typed 1"), 1.0, at(0));
        state.set(Deed::of_kind("number", "typed 12"), 12.0, at(10));
        state.set(Deed::of_kind("other", "chose"), 13.0, at(20));
        state.set(Deed::new("clicked"), 14.0, at(30));
        state.set(Deed::new("clicked as well"), 15.0, at(30));
        state.set(Deed::new("clicked again"), 16.0, at(40));
        assert_eq!(state.undo(), Some(told("clicked again")));
        assert!(is_near(state.zoom, 15.0));
        assert_eq!(state.undo(), Some(told("clicked")));
        assert!(is_near(state.zoom, 13.0));
        assert_eq!(state.undo(), Some(told("chose")));
        // What was typed last is what undo takes back.
        assert_eq!(state.undo(), Some(told("typed 12")));
        assert!(is_near(state.zoom, 0.0));
        // What a click did first stays what the step is called.
        state.set(Deed::new("showed a line"), 1.0, at(2000));
        state.set(Deed::of_kind("token", "chose a token"), 2.0, at(2000));
        state.set(Deed::of_kind("token", "chose another"), 3.0, at(2010));
        assert_eq!(state.undo(), Some(told("showed a line")));
        assert!(is_near(state.zoom, 0.0));
    }

    #[test]
    fn a_step_that_finds_nothing_any_more_is_passed_over() {
        let start = Instant::now();
        let mut state = Numbers::new();
        state.set(Deed::new("zoomed"), 1.0, start);
        let gone = vec![Part::Theme(ThemeChoice::Light)];
        let later = start + ONE_STEP;
        state.history.note(Deed::new("gone"), gone, later);
        state
            .history
            .note(Deed::new("nothing"), Vec::new(), later + ONE_STEP);
        assert_eq!(state.undo(), Some(told("zoomed")));
        assert!(is_near(state.zoom, 0.0));
        assert_eq!(state.redo(), Some(told("zoomed")));
        assert_eq!(state.redo(), None);
    }

    #[test]
    fn what_changed_by_itself_is_not_taken_back_and_not_done_again() {
        let start = Instant::now();
        let mut state = Numbers::new();
        state.set(Deed::new("first"), 1.0, start);
        state.set(Deed::new("second"), 2.0, start + ONE_STEP);
        state.undo();
        // The state is 1 now, the past knows 0, and the future 2.
        let mut amended = Vec::new();
        state.history.amend(|part| {
            if let Part::Zoom(Some(zoom)) = part {
                amended.push(*zoom);
                *zoom += 10.0;
            }
        });
        assert_eq!(amended.len(), 2);
        assert_eq!(state.redo(), Some(told("second")));
        assert!(is_near(state.zoom, 12.0));
        assert_eq!(state.undo(), Some(told("second")));
        assert_eq!(state.undo(), Some(told("first")));
        assert!(is_near(state.zoom, 10.0));
    }

    #[test]
    fn only_the_last_steps_are_kept() {
        let start = Instant::now();
        let mut state = Numbers::new();
        for _ in 0..=MOST_STEPS {
            let at = state.history.past.len();
            let at = u32::try_from(at).unwrap();
            state.set(Deed::new("step"), 1.0, start + ONE_STEP * at);
        }
        assert_eq!(state.history.past.len(), MOST_STEPS);
    }
}
