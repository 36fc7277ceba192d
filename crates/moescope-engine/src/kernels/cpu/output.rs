//! An output that several threads fill at disjoint places.

use std::{marker::PhantomData, ops::Range};

/// A slice that tasks write to without locks; each element has exactly one writer.
pub(super) struct SharedOut<'a, T> {
    start: *mut T,
    len: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: tasks have disjoint ranges (the contract of `range`), so sharing the pointer is sound.
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

impl SharedOut<'_, f32> {
    /// `columns` of `rows` for one task alone, where rows lie `width` apart.
    ///
    /// # Safety
    /// No other task touches these elements while the rectangle lives.
    pub(super) unsafe fn rectangle(
        &self,
        width: usize,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Rectangle<'_> {
        assert!(columns.end <= width && rows.end * width <= self.len);
        Rectangle {
            // SAFETY: in range by the assertion.
            start: unsafe { self.start.add(rows.start * width + columns.start) },
            stride: width,
            rows: rows.len(),
            columns: columns.len(),
            lifetime: PhantomData,
        }
    }
}

/// Some columns of some rows of an output, for one task alone.
pub(super) struct Rectangle<'a> {
    start: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

impl<'a> Rectangle<'a> {
    /// All of a matrix whose rows are `width` wide.
    pub(super) fn whole(values: &'a mut [f32], width: usize) -> Self {
        Self {
            start: values.as_mut_ptr(),
            stride: width,
            rows: values.len() / width,
            columns: width,
            lifetime: PhantomData,
        }
    }

    /// The columns of a row.
    #[inline(always)]
    pub(super) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row in range");
        // SAFETY: the row is one of the rectangle's, which nobody else touches.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.stride), self.columns) }
    }
}
