//! The last line of defence against a template that nobody means well with.
//!
//! Fuel bounds nearly everything a template can do. What it does not bound is one single operation on lists that hold
//! one another many times over: joining or writing them takes time and memory beyond any bound, within one step.
//! So a rendering runs on a thread of its own, with a watch on the clock and on the memory of the process. A thread
//! cannot be ended from outside: one that is given up runs on until the process ends, which after such an error is soon.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// Expressions nest as deep as a template is long, and values as deep as its fuel lets it; both are walked recursively.
///
/// Only what is used of it becomes memory.
#[cfg(target_pointer_width = "64")]
const STACK_BYTES: usize = 1 << 30;
#[cfg(not(target_pointer_width = "64"))]
const STACK_BYTES: usize = 64 << 20;
/// Rendering megabytes takes less than a second.
const LONGEST: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Memory that a rendering may take beside what its messages need.
const MOST_BYTES: usize = 512 << 20;

/// Runs work on a template, or on messages, of so many bytes.
pub(super) fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = mpsc::channel();
    let before = resident_bytes();
    let started = Instant::now();
    thread::Builder::new()
        .name("chat template".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            // Nobody listens any more where it was given up.
            drop(sender.send(work()));
        })
        .map_err(|error| format!("no thread could be started for it: {error}"))?;
    let most = before.map(|before| {
        before
            .saturating_add(MOST_BYTES)
            .saturating_add(bytes.saturating_mul(128))
    });
    loop {
        match receiver.recv_timeout(LOOK_EVERY) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err("it made the renderer fail".to_owned());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let is_too_large = most
            .zip(resident_bytes())
            .is_some_and(|(most, now)| now > most);
        if is_too_large || started.elapsed() > LONGEST {
            return Err("it wants more work or memory than any template needs".to_owned());
        }
    }
}

/// Memory of this process that is in use; known on Linux only.
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = status.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // The smallest page there is: on machines with larger ones the watch is laxer.
    Some(pages.saturating_mul(4096))
}
