//! Memory that is counted.
#![expect(
    unsafe_code,
    reason = "an allocator is unsafe by nature; this one adds up sizes and passes every call on"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator with a count of the bytes in use, of all threads together.
///
/// ```
/// use moescope_testkit::fuzz::CountingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// let before = CountingAllocator::restart_peak();
/// drop(vec![0_u8; 1 << 20]);
/// assert!(CountingAllocator::peak() - before >= 1 << 20);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CountingAllocator;

impl CountingAllocator {
    /// Forgets the peak so far; the bytes in use now.
    #[must_use]
    pub fn restart_peak() -> usize {
        let live = LIVE.load(Ordering::Relaxed);
        PEAK.store(live, Ordering::Relaxed);
        live
    }

    /// The most bytes in use since the last restart.
    #[must_use]
    pub fn peak() -> usize {
        PEAK.load(Ordering::Relaxed)
    }

    fn add(size: usize) {
        let live = LIVE.fetch_add(size, Ordering::Relaxed).wrapping_add(size);
        PEAK.fetch_max(live, Ordering::Relaxed);
    }

    fn remove(size: usize) {
        LIVE.fetch_sub(size, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to `System` as it came; counting touches two atomics and allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of `System.alloc`.
        let place = unsafe { System.alloc(layout) };
        if !place.is_null() {
            Self::add(layout.size());
        }
        place
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let place = unsafe { System.alloc_zeroed(layout) };
        if !place.is_null() {
            Self::add(layout.size());
        }
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: `place` came from this allocator, which is `System`.
        unsafe { System.dealloc(place, layout) };
        Self::remove(layout.size());
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { System.realloc(place, layout, size) };
        if !moved.is_null() {
            Self::add(size);
            Self::remove(layout.size());
        }
        moved
    }
}
