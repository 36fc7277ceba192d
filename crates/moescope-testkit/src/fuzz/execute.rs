//! One execution under watch.

use std::{
    cell::Cell,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, Once, PoisonError},
    time::{Duration, Instant},
};

use super::{memory::CountingAllocator, target::Reader};

/// What one execution may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory, whatever the input.
    pub memory: usize,
    /// Bytes of memory for every byte of the input, besides.
    pub memory_per_byte: usize,
    /// Wall clock.
    pub time: Duration,
}

impl Default for Bounds {
    /// 64 MiB and 32 bytes for every byte of the input; one second.
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            memory_per_byte: 32,
            time: Duration::from_secs(1),
        }
    }
}

impl Bounds {
    /// The most memory for an input of this length.
    #[must_use]
    pub fn memory_for(&self, len: usize) -> usize {
        self.memory + self.memory_per_byte * len
    }
}

/// What an execution cost that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Whether the reader took the input for good.
    pub is_accepted: bool,
    /// The most bytes in use beyond those in use before.
    pub peak: usize,
    /// Wall clock.
    pub time: Duration,
}

/// What an execution must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It panicked.
    Panic {
        /// `FILE:LINE` of the panic.
        place: String,
        /// Its message.
        message: String,
    },
    /// It used more memory than the bound.
    Memory {
        /// Bytes.
        peak: usize,
        /// Bytes that its length allows.
        bound: usize,
    },
    /// It took longer than the bound, three times.
    Slow(Duration),
    /// It ended the process: an abort, a stack overflow, an allocation that failed, or a hang that was ended.
    Death(String),
}

impl Failure {
    /// What makes two failures the same finding.
    #[must_use]
    pub fn class(&self) -> String {
        match self {
            Self::Panic { place, .. } => format!("panic at {place}"),
            Self::Memory { .. } => "memory".to_owned(),
            Self::Slow(_) => "slow".to_owned(),
            Self::Death(status) => format!("death: {status}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic { place, message } => write!(f, "panic at {place}: {message}"),
            Self::Memory { peak, bound } => {
                write!(f, "{peak} bytes of memory, the bound is {bound}")
            }
            Self::Slow(time) => write!(f, "{:.1} s", time.as_secs_f64()),
            Self::Death(status) => write!(f, "the process ended: {status}"),
        }
    }
}

thread_local! {
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Place and message of the last panic of a watched thread.
static LAST_PANIC: Mutex<Option<(String, String)>> = Mutex::new(None);

/// Runs a reader on an input.
///
/// # Errors
/// With the failure, when the reader panics or breaks a bound.
pub fn execute(reader: &mut Reader, input: &[u8], bounds: &Bounds) -> Result<Observation, Failure> {
    let mut observed = execute_once(reader, input, bounds)?;
    // Other programs may have had the processor: only what is slow every time is slow.
    for _ in 0..2 {
        if observed.time <= bounds.time / 20 {
            break;
        }
        let again = execute_once(reader, input, bounds)?;
        observed.time = observed.time.min(again.time);
    }
    if observed.time > bounds.time {
        return Err(Failure::Slow(observed.time));
    }
    Ok(observed)
}

fn execute_once(
    reader: &mut Reader,
    input: &[u8],
    bounds: &Bounds,
) -> Result<Observation, Failure> {
    listen_to_panics();
    let live = CountingAllocator::restart_peak();
    let start = Instant::now();
    let was_watched = IS_WATCHED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(|| reader(input)));
    IS_WATCHED.set(was_watched);
    let time = start.elapsed();
    let peak = CountingAllocator::peak().saturating_sub(live);
    let Ok(is_accepted) = result else {
        let (place, message) = LAST_PANIC
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_else(|| ("another thread".to_owned(), String::new()));
        return Err(Failure::Panic { place, message });
    };
    let bound = bounds.memory_for(input.len());
    if peak > bound {
        return Err(Failure::Memory { peak, bound });
    }
    Ok(Observation {
        is_accepted,
        peak,
        time,
    })
}

/// Notes where a watched thread panics, without a word on standard error; other panics are reported as ever.
fn listen_to_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_WATCHED.get() {
                return previous(info);
            }
            let place = info.location().map_or_else(String::new, |location| {
                // Without the folder of the toolchain or registry, so that findings agree between machines.
                let file = location.file();
                let short = file.rsplit_once("/src/").map_or(file, |(before, after)| {
                    let name = before.rsplit('/').next().unwrap_or_default();
                    &file[file.len() - after.len() - "/src/".len() - name.len()..]
                });
                format!("{short}:{}", location.line())
            });
            let message = info.payload_as_str().unwrap_or_default().to_owned();
            *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some((place, message));
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(mut reader: Reader, bounds: Bounds) -> Failure {
        execute(&mut reader, b"input", &bounds).unwrap_err()
    }

    #[test]
    fn panics_are_named_by_their_place() {
        let failure = fails(Box::new(|_| panic!("at {}", 3)), Bounds::default());
        let Failure::Panic { place, message } = &failure else {
            panic!("{failure}");
        };
        assert!(place.contains("src/fuzz/execute.rs:"), "{place}");
        assert_eq!(message, "at 3");
        assert_eq!(failure.class(), format!("panic at {place}"));
    }

    #[test]
    fn what_is_slow_every_time_is_slow() {
        let bounds = Bounds {
            time: Duration::from_millis(20),
            ..Bounds::default()
        };
        let nap = |_: &[u8]| {
            std::thread::sleep(Duration::from_millis(25));
            true
        };
        assert!(matches!(fails(Box::new(nap), bounds), Failure::Slow(_)));
        let mut naps = 1;
        let mut once: Reader = Box::new(move |input| {
            naps -= 1;
            naps < 0 || nap(input)
        });
        assert!(execute(&mut once, b"", &bounds).unwrap().is_accepted);
    }
}
