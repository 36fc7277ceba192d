//! Undo and redo of what the user chose.

use std::time::{Duration, Instant};

use crate::choices::Choices;

/// Steps that can be undone.
const MOST_STEPS: usize = 200;
/// Changes of one kind within this time are one step, such as the letters of a number that is typed.
const ONE_STEP: Duration = Duration::from_millis(700);

/// Past and undone choices.
#[derive(Debug, Default)]
pub(crate) struct History {
    past: Vec<Choices>,
    future: Vec<Choices>,
    last: Option<(&'static str, Instant)>,
}

impl History {
    /// Notes what was chosen before a change; without a kind it is a step of its own.
    pub(crate) fn note(
        &mut self,
        before: Choices,
        kind: impl Into<Option<&'static str>>,
        now: Instant,
    ) {
        let kind = kind.into();
        let is_same_step = self
            .last
            .is_some_and(|(last, at)| Some(last) == kind && now.duration_since(at) < ONE_STEP);
        self.last = kind.map(|kind| (kind, now));
        self.future.clear();
        if is_same_step {
            return;
        }
        self.past.push(before);
        if self.past.len() > MOST_STEPS {
            self.past.remove(0);
        }
    }

    /// The choices before the last step; `now` can be redone.
    pub(crate) fn undo(&mut self, now: &Choices) -> Option<Choices> {
        let before = self.past.pop()?;
        self.future.push(now.clone());
        self.last = None;
        Some(before)
    }

    /// The choices that were undone last.
    pub(crate) fn redo(&mut self, now: &Choices) -> Option<Choices> {
        let after = self.future.pop()?;
        self.past.push(now.clone());
        self.last = None;
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_seed(seed: u64) -> Choices {
        let mut choices = Choices::default();
        choices.request.seed = seed;
        choices
    }

    #[test]
    fn undo_and_redo_walk_the_same_way_and_a_new_step_ends_redo() {
        let start = Instant::now();
        let later = |step: u32| start + ONE_STEP * step;
        let mut history = History::default();
        history.note(with_seed(0), "seed", later(0));
        history.note(with_seed(1), "seed", later(2));
        assert_eq!(history.undo(&with_seed(2)), Some(with_seed(1)));
        assert_eq!(history.redo(&with_seed(1)), Some(with_seed(2)));
        assert_eq!(history.undo(&with_seed(2)), Some(with_seed(1)));
        history.note(with_seed(1), "seed", later(9));
        assert_eq!(history.redo(&with_seed(5)), None);
        assert_eq!(history.undo(&with_seed(5)), Some(with_seed(1)));
        assert_eq!(history.undo(&with_seed(1)), Some(with_seed(0)));
        assert_eq!(history.undo(&with_seed(0)), None);
    }

    #[test]
    fn quick_changes_of_one_kind_are_one_step() {
        let start = Instant::now();
        let mut history = History::default();
        history.note(with_seed(0), "seed", start);
        history.note(with_seed(1), "seed", start + Duration::from_millis(10));
        history.note(with_seed(12), "cell", start + Duration::from_millis(20));
        assert_eq!(history.undo(&with_seed(12)), Some(with_seed(12)));
        assert_eq!(history.undo(&with_seed(12)), Some(with_seed(0)));
    }
}
