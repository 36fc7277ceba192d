//! How the allocator treats the large buffers that every layer takes and gives back.

/// Lets the allocator keep freed memory instead of giving it back to the system.
///
/// Activations of a pass are some megabytes per layer, taken and given back dozens of times. By default the GNU C
/// library maps them anew each time, and the system clears every page before it is written: up to a tenth of the time
/// of a prefill. Other allocators keep memory by themselves.
pub(super) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Allocations below this come from the heap.
        const FROM_HEAP: libc::c_int = 1 << 30;
        /// Free memory at the heap's end that is kept.
        const KEPT: libc::c_int = 1 << 30;
        // SAFETY: both calls change numbers in the allocator's settings; a refusal leaves them as they are.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, FROM_HEAP);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
}
