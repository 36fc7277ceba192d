//! Floats at the start of a line of the cache.

use std::ops::{Deref, DerefMut};

use super::simd::LANES;

/// Bytes of a line of the cache.
pub(super) const LINE: usize = 64;

/// A line of the cache: what a vector instruction reads from two of them takes twice as long.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// Floats that begin at a line's start. The allocator gives an address that is a multiple of sixteen bytes.
#[derive(Clone, Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
    len: usize,
}

impl Lines {
    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        Self {
            lines: vec![Line([0.0; LANES]); len.div_ceil(LANES)],
            len,
        }
    }

    /// Makes room for `len` floats; those that are there stay.
    pub(super) fn grow(&mut self, len: usize) {
        if self.len < len {
            self.lines.resize(len.div_ceil(LANES), Line([0.0; LANES]));
            self.len = len;
        }
    }
}

impl Deref for Lines {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: the lines hold at least `len` floats, one after the other.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
