//! An output that several threads fill at disjoint places.

use std::marker::PhantomData;

/// A slice that tasks write to without locks; each element has exactly one writer.
pub(super) struct SharedOut<'a, T> {
    start: *mut T,
    len: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: writes go to disjoint elements (the contract of `write`), so sharing the pointer is sound.
unsafe impl<T: Send> Sync for SharedOut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for SharedOut<'_, T> {}

impl<'a, T> SharedOut<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            lifetime: PhantomData,
        }
    }

    /// Room for `len` elements in an empty vector, without clearing it first.
    ///
    /// # Safety
    /// Before the vector is made `len` long, every element is written, and none is read before it is written.
    pub(super) unsafe fn unwritten(vector: &'a mut Vec<T>, len: usize) -> Self {
        vector.clear();
        vector.reserve_exact(len);
        Self {
            start: vector.as_mut_ptr(),
            len,
            lifetime: PhantomData,
        }
    }

    /// Writes one element.
    ///
    /// # Safety
    /// No other task writes or reads the element while this borrow lives.
    #[inline(always)]
    pub(super) unsafe fn write(&self, index: usize, value: T) {
        assert!(index < self.len, "output index in range");
        // SAFETY: in range by the assertion, and without another writer by the contract.
        unsafe { self.start.add(index).write(value) };
    }

    /// A row of the output for one task alone.
    ///
    /// # Safety
    /// No other task touches the range while the slice lives.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's contract")]
    pub(super) unsafe fn range(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start + len <= self.len, "output range in range");
        // SAFETY: in range by the assertion, and without another user by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
