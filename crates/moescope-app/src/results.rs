//! Results by what was asked: each is made once and kept for whoever asks the same.

use std::cell::Cell;

use crate::job::Job;

/// Jobs that run at a time: each uses all cores by itself, and a second one keeps a quick question from waiting.
const MOST_RUNNING: usize = 2;
/// Results that are kept; those that were not looked at for longest go first.
const MOST_KEPT: usize = 96;

/// A question that nobody has asked for so many frames is not begun: the number in a field goes through many values.
const UNWANTED_FRAMES: u64 = 2;

/// Results that were asked for, with what each answers.
#[derive(Debug)]
pub(crate) struct Results<K, T> {
    entries: Vec<Entry<K, T>>,
    frame: u64,
}

#[derive(Debug)]
struct Entry<K, T> {
    key: K,
    job: Job<T>,
    /// Whether it still has to be started.
    is_waiting: bool,
    /// The frame in which somebody looked for it last.
    wanted_at: Cell<u64>,
}

impl<K, T> Default for Results<K, T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            frame: 0,
        }
    }
}

impl<K: PartialEq + Clone, T: Send + 'static> Results<K, T> {
    /// The job that answers, if it was asked for.
    pub(crate) fn get(&self, key: &K) -> Option<&Job<T>> {
        let entry = self.entries.iter().find(|entry| entry.key == *key)?;
        entry.wanted_at.set(self.frame);
        Some(&entry.job)
    }

    /// Notes that an answer is wanted; nothing happens when it is there or on its way.
    pub(crate) fn ask(&mut self, key: K) {
        if let Some(place) = self.entries.iter().position(|entry| entry.key == key) {
            // What is asked for again is kept longest.
            let entry = self.entries.remove(place);
            self.entries.push(entry);
            return;
        }
        self.entries.push(Entry {
            key,
            job: Job::Idle,
            is_waiting: true,
            wanted_at: Cell::new(self.frame),
        });
        if self.entries.len() > MOST_KEPT {
            self.entries.remove(0);
        }
    }

    /// Forgets what failed, so that it can be asked for again.
    pub(crate) fn forget_failure(&mut self, key: &K) {
        self.entries
            .retain(|entry| entry.key != *key || entry.job.error().is_none());
    }

    /// Forgets what `is_gone` says; work on it is cancelled.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&K) -> bool) {
        self.entries.retain(|entry| {
            let goes = is_gone(&entry.key);
            if goes && let Some(progress) = entry.job.progress() {
                progress.cancel();
            }
            !goes
        });
    }

    /// Takes what has come and starts what waits, the latest question first; once a frame.
    pub(crate) fn advance(&mut self, mut start: impl FnMut(&K, &mut Job<T>)) {
        self.frame += 1;
        let oldest = self.frame.saturating_sub(UNWANTED_FRAMES);
        self.entries
            .retain(|entry| !entry.is_waiting || entry.wanted_at.get() >= oldest);
        for entry in &mut self.entries {
            entry.job.poll();
        }
        let running = self
            .entries
            .iter()
            .filter(|entry| entry.job.is_running())
            .count();
        let waiting = self.entries.iter_mut().rev().filter(|e| e.is_waiting);
        for entry in waiting.take(MOST_RUNNING.saturating_sub(running)) {
            entry.is_waiting = false;
            start(&entry.key, &mut entry.job);
        }
    }

    /// All jobs, for the status bar.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Job<T>> {
        self.entries.iter().map(|entry| &entry.job)
    }

    /// Whether nothing runs or waits.
    pub(crate) fn is_idle(&self) -> bool {
        !self
            .entries
            .iter()
            .any(|entry| entry.is_waiting || entry.job.is_running())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_same_question_is_answered_once() {
        let ctx = egui::Context::default();
        let mut results: Results<u32, u32> = Results::default();
        let mut started = Vec::new();
        for key in [7, 7, 8, 9] {
            results.ask(key);
        }
        while !results.is_idle() {
            for key in [7, 8, 9] {
                assert!(results.get(&key).is_some(), "somebody waits for {key}");
            }
            results.advance(|key, job| {
                started.push(*key);
                let answer = *key * 10;
                job.start("answer", &ctx, move |_| Ok(answer));
            });
            thread::yield_now();
        }
        assert_eq!(started.len(), 3);
        assert_eq!(started[..2], [9, 8], "the latest questions come first");
        assert_eq!(results.get(&7).and_then(Job::value), Some(&70));
        results.forget(|key| *key == 7);
        assert!(results.get(&7).is_none());
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_begun() {
        let ctx = egui::Context::default();
        let mut results: Results<u32, u32> = Results::default();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        (0..20).for_each(|key| results.ask(key));
        let mut started = Vec::new();
        for _ in 0..5 {
            results.advance(|key, job| {
                started.push(*key);
                let held = std::sync::Arc::clone(&held);
                job.start("answer", &ctx, move |_| {
                    let _ = held.lock().unwrap().recv();
                    Ok(0)
                });
            });
        }
        assert_eq!(started, [19, 18], "two run, the others were not wanted");
        drop(hold);
        while !results.is_idle() {
            results.advance(|key, _| panic!("{key} is begun"));
            thread::yield_now();
        }
    }
}
