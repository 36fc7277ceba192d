//! Results by what was asked: each is made once and kept for whoever asks the same.

use crate::job::Job;

/// Jobs that run at a time: each uses all cores by itself, and a second one keeps a quick question from waiting.
const MOST_RUNNING: usize = 2;
/// Results that are kept; those that were not looked at for longest go first.
const MOST_KEPT: usize = 96;

/// Results that were asked for, with what each answers.
#[derive(Debug)]
pub struct Results<K, T> {
    entries: Vec<Entry<K, T>>,
}

#[derive(Debug)]
struct Entry<K, T> {
    key: K,
    job: Job<T>,
    /// Whether it still has to be started.
    is_waiting: bool,
}

impl<K, T> Default for Results<K, T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<K: PartialEq + Clone, T: Send + 'static> Results<K, T> {
    /// The job that answers, if it was asked for.
    pub fn get(&self, key: &K) -> Option<&Job<T>> {
        self.entries
            .iter()
            .find(|entry| entry.key == *key)
            .map(|entry| &entry.job)
    }

    /// Notes that an answer is wanted; nothing happens when it is there or on its way.
    pub fn ask(&mut self, key: K) {
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
        });
        if self.entries.len() > MOST_KEPT {
            self.entries.remove(0);
        }
    }

    /// Forgets what failed, so that it can be asked for again.
    pub fn forget_failure(&mut self, key: &K) {
        self.entries
            .retain(|entry| entry.key != *key || entry.job.error().is_none());
    }

    /// Forgets what `is_gone` says; work on it is cancelled.
    pub fn forget(&mut self, is_gone: impl Fn(&K) -> bool) {
        self.entries.retain(|entry| {
            let goes = is_gone(&entry.key);
            if goes && let Some(progress) = entry.job.progress() {
                progress.cancel();
            }
            !goes
        });
    }

    /// Takes what has come and starts what waits, the latest question first.
    pub fn advance(&mut self, mut start: impl FnMut(&K, &mut Job<T>)) {
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
    pub fn jobs(&self) -> impl Iterator<Item = &Job<T>> {
        self.entries.iter().map(|entry| &entry.job)
    }

    /// Whether nothing runs or waits.
    pub fn is_idle(&self) -> bool {
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
}
