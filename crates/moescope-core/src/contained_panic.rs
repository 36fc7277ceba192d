//! Panics of other people's decoders that become errors, without a word on standard error.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// How many [`contain_panic`] are running.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Threads on which a decoder may run its work; their panics come back to the thread that waits for them.
const POOLS: &str = "polars-";

/// Runs `work`, and gives `None` where it panicked.
///
/// For libraries that panic on some corrupt files; whatever `work` was making must be dropped, so that no broken state
/// survives. The panic hook is told to stay silent about it meanwhile, because whoever gets `None` reports it; every
/// other panic reaches the hook that was installed before.
///
/// ```
/// let contained = moescope_core::contain_panic(|| -> u8 { Vec::new()[0] });
/// assert_eq!(contained, None);
/// ```
pub fn contain_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_contained = IS_CONTAINED.get()
                || RUNNING.load(Ordering::Relaxed) > 0
                    && thread::current()
                        .name()
                        .is_some_and(|name| name.starts_with(POOLS));
            if !is_contained {
                previous(info);
            }
        }));
    });
    let before = IS_CONTAINED.replace(true);
    RUNNING.fetch_add(1, Ordering::Relaxed);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    RUNNING.fetch_sub(1, Ordering::Relaxed);
    IS_CONTAINED.set(before);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_none_and_the_hook_speaks_again_afterwards() {
        assert_eq!(contain_panic(|| 3), Some(3));
        assert_eq!(
            contain_panic(|| -> u8 { panic!("index out of bounds") }),
            None
        );
        assert!(!IS_CONTAINED.get());
    }
}
