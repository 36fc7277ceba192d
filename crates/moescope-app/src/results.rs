//! Results by what was asked: each is made once and kept for whoever asks the same.

use std::cell::Cell;

use crate::{answer_bytes::AnswerBytes, job::Job};

/// Jobs that run at a time: each uses all cores by itself, and a second one keeps a quick question from waiting.
const MOST_RUNNING: usize = 2;
/// So many results are kept whatever their size: what a view shows, and what it showed before.
const LEAST_KEPT: usize = 8;
/// A question with its job counts as so many bytes besides its result.
const ENTRY_BYTES: usize = 4096;

/// A question that nobody has asked for so many frames is not begun: the number in a field goes through many values.
const UNWANTED_FRAMES: u64 = 2;

/// Results that were asked for, with what each answers.
///
/// Together they hold at most so many bytes: those that nobody looked at for longest go first, and work on them is
/// cancelled. Neither the last few nor what is on the screen goes.
#[derive(Debug)]
pub(crate) struct Results<K, T> {
    entries: Vec<Entry<K, T>>,
    frame: u64,
    most_bytes: usize,
}

#[derive(Debug)]
struct Entry<K, T> {
    key: K,
    job: Job<T>,
    /// Whether it still has to be started.
    is_waiting: bool,
    /// The frame in which somebody looked for it last.
    wanted_at: Cell<u64>,
    /// What the job's value holds, about.
    bytes: usize,
}

impl<K: PartialEq + Clone, T: AnswerBytes + Send + 'static> Results<K, T> {
    /// No result yet, and room for so many bytes of them.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self {
            entries: Vec::new(),
            frame: 0,
            most_bytes,
        }
    }

    /// The job that answers, if it was asked for.
    pub(crate) fn get(&self, key: &K) -> Option<&Job<T>> {
        let entry = self.entries.iter().find(|entry| entry.key == *key)?;
        entry.wanted_at.set(self.frame);
        Some(&entry.job)
    }

    /// Notes that an answer is wanted; nothing happens when it is there or on its way.
    pub(crate) fn ask(&mut self, key: K) {
        if let Some(place) = self.entries.iter().position(|entry| entry.key == key) {
            // What is asked for again comes first.
            let entry = self.entries.remove(place);
            entry.wanted_at.set(self.frame);
            self.entries.push(entry);
            return;
        }
        self.entries.push(Entry {
            key,
            job: Job::Idle,
            is_waiting: true,
            wanted_at: Cell::new(self.frame),
            bytes: 0,
        });
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
            if goes {
                entry.cancel();
            }
            !goes
        });
    }

    /// Forgets the results that `is_of` says, so that they are made anew where they are asked for; what waits or runs goes on.
    pub(crate) fn forget_answered(&mut self, is_of: impl Fn(&K) -> bool) {
        self.entries.retain_mut(|entry| {
            if !is_of(&entry.key) {
                return true;
            }
            entry.job.poll();
            entry.is_waiting || entry.job.is_running()
        });
    }

    /// Takes what has come and starts what waits, the latest question first; once a frame.
    pub(crate) fn advance(&mut self, mut start: impl FnMut(&K, &mut Job<T>)) {
        self.frame += 1;
        let oldest = self.frame.saturating_sub(UNWANTED_FRAMES);
        self.entries
            .retain(|entry| !entry.is_waiting || entry.wanted_at.get() >= oldest);
        for entry in &mut self.entries {
            if entry.job.poll() {
                entry.bytes = entry.job.value().map_or(0, AnswerBytes::answer_bytes);
            }
        }
        self.make_room(oldest);
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

    /// Lets go of what was wanted least recently, and not since a frame, until the rest fits.
    fn make_room(&mut self, since: u64) {
        let held = |entry: &Entry<K, T>| ENTRY_BYTES + entry.bytes;
        let mut total: usize = self.entries.iter().map(held).sum();
        while total > self.most_bytes && self.entries.len() > LEAST_KEPT {
            let places = self.entries.iter().enumerate();
            let unwanted = places.filter(|(_, entry)| entry.wanted_at.get() < since);
            let Some((place, _)) = unwanted.min_by_key(|(_, entry)| entry.wanted_at.get()) else {
                return;
            };
            let entry = self.entries.remove(place);
            entry.cancel();
            total -= held(&entry);
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

impl<K, T> Entry<K, T> {
    /// Stops the work, if it goes on.
    fn cancel(&self) {
        if let Some(progress) = self.job.progress() {
            progress.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    /// Counts as many bytes as it says.
    impl AnswerBytes for u32 {
        fn answer_bytes(&self) -> usize {
            usize::try_from(*self).unwrap()
        }
    }

    /// Asks for answers of one size, and looks at all of them until they are there.
    fn answered(results: &mut Results<u32, u32>, keys: &std::ops::Range<u32>, bytes: u32) {
        let ctx = egui::Context::default();
        keys.clone().for_each(|key| results.ask(key));
        while !results.is_idle() {
            for key in keys.clone() {
                assert!(results.get(&key).is_some(), "somebody waits for {key}");
            }
            results.advance(|_, job| job.start("answer", &ctx, move |_| Ok(bytes)));
            thread::yield_now();
        }
    }

    #[test]
    fn what_was_not_looked_at_for_longest_goes_when_there_are_too_many_bytes() {
        let mega = 1 << 20;
        let mut results = Results::new(10 * mega);
        answered(&mut results, &(0..12), 1 << 20);
        // While all are wanted, none goes.
        assert_eq!(results.entries.len(), 12);
        for wanted in [1, 0, 0, 0] {
            assert!(results.get(&wanted).is_some());
            results.advance(|key, _| panic!("{key} is begun"));
        }
        // A megabyte and an entry each: nine fit into ten megabytes.
        let kept: Vec<u32> = results.entries.iter().map(|entry| entry.key).collect();
        assert_eq!(kept, [0, 1, 5, 6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn the_last_few_stay_whatever_their_size() {
        let mut results = Results::new(1);
        answered(&mut results, &(0..12), 1 << 20);
        for _ in 0..5 {
            results.advance(|key, _| panic!("{key} is begun"));
        }
        assert_eq!(results.entries.len(), LEAST_KEPT);
    }

    #[test]
    fn work_on_what_goes_is_cancelled() {
        let mut results = Results::new(1);
        answered(&mut results, &(0..10), 1 << 20);
        let ctx = egui::Context::default();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        results.ask(99);
        let begun = Instant::now();
        while !is_cancelled.load(Ordering::Relaxed) {
            for key in 0..10 {
                assert!(results.get(&key).is_some(), "{key} is on the screen");
            }
            results.advance(|_, job| {
                let told = Arc::clone(&is_cancelled);
                job.start("long work", &ctx, move |progress| {
                    while !progress.is_cancelled() {
                        thread::yield_now();
                    }
                    told.store(true, Ordering::Relaxed);
                    Err("cancelled".to_owned())
                });
            });
            assert!(begun.elapsed() < Duration::from_mins(1));
            thread::yield_now();
        }
        assert!(results.entries.iter().all(|entry| entry.key != 99));
    }

    #[test]
    fn the_same_question_is_answered_once() {
        let ctx = egui::Context::default();
        let mut results: Results<u32, u32> = Results::new(usize::MAX);
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
    fn what_was_answered_is_forgotten_and_what_is_being_answered_is_not() {
        let ctx = egui::Context::default();
        let mut results: Results<u32, u32> = Results::new(usize::MAX);
        answered(&mut results, &(0..2), 1);
        let (open_gate, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        results.ask(7);
        results.advance(|_, job| {
            let gate = Arc::clone(&gate);
            job.start("answer", &ctx, move |_| {
                let _ = gate.lock().unwrap().recv();
                Ok(70)
            });
        });
        results.forget_answered(|key| *key != 1);
        assert!(results.get(&0).is_none() && results.get(&1).is_some());
        drop(open_gate);
        while !results.is_idle() {
            results.advance(|key, _| panic!("{key} is begun"));
            thread::yield_now();
        }
        assert_eq!(results.get(&7).and_then(Job::value), Some(&70));
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_begun() {
        let ctx = egui::Context::default();
        let mut results: Results<u32, u32> = Results::new(usize::MAX);
        let (open_gate, gate) = std::sync::mpsc::channel::<()>();
        let gate = std::sync::Arc::new(std::sync::Mutex::new(gate));
        (0..20).for_each(|key| results.ask(key));
        let mut started = Vec::new();
        for _ in 0..5 {
            results.advance(|key, job| {
                started.push(*key);
                let gate = std::sync::Arc::clone(&gate);
                job.start("answer", &ctx, move |_| {
                    let _ = gate.lock().unwrap().recv();
                    Ok(0)
                });
            });
        }
        assert_eq!(started, [19, 18], "two run, the others were not wanted");
        drop(open_gate);
        while !results.is_idle() {
            results.advance(|key, _| panic!("{key} is begun"));
            thread::yield_now();
        }
    }
}
