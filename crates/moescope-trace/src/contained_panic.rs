//! Panics of a decoder that become errors, without a word on standard error.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, and gives `None` where it panicked.
///
/// The panic hook is told to stay silent about this thread meanwhile, because whoever gets `None` reports it; every
/// other panic reaches the hook that was installed before.
pub(crate) fn contain_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_CONTAINED.get() {
                previous(info);
            }
        }));
    });
    let before = IS_CONTAINED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
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
