//! Keys and values of one head among those of all.

use super::super::{lines::Lines, output::SharedOut, team};
use crate::kernels::{AttentionShape, KeyRange};

/// Uses of each key from which on it pays to bring the rows of a head together: in the cache they are a row of all
/// heads apart, which is often a multiple of what maps to one set of the processor's caches.
const WORTH_MOVING: usize = 8;

/// The rows of the cache that some query may see.
pub(super) struct Cached<'a> {
    rows: Rows<'a>,
}

enum Rows<'a> {
    /// The rows of all heads side by side.
    AsTheyAre { keys: &'a [f32], values: &'a [f32] },
    /// One head after the other.
    ByHead {
        keys: Lines,
        values: Lines,
        first: usize,
        count: usize,
    },
}

impl<'a> Cached<'a> {
    /// `keys [rows, kv_heads · D]` and `values [rows, kv_heads · V]`.
    pub(super) fn of(
        keys: &'a [f32],
        values: &'a [f32],
        ranges: &[KeyRange],
        shape: AttentionShape,
    ) -> Self {
        let first = ranges.iter().map(|range| range.first).min().unwrap_or(0);
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        let rows = end.saturating_sub(first);
        let uses: usize = ranges.iter().map(KeyRange::len).sum();
        if rows == 0 || uses < rows * WORTH_MOVING {
            return Self {
                rows: Rows::AsTheyAre { keys, values },
            };
        }
        let moved = |values: &[f32], width: usize| {
            let stride = width * shape.kv_heads;
            let taken = &values[first * stride..end * stride];
            let mut out = Lines::zeros(taken.len());
            let shared = SharedOut::new(&mut out);
            team::for_each(shape.kv_heads, |head| {
                // SAFETY: every head has its own rows.
                let out = unsafe { shared.range(head * rows * width, rows * width) };
                for (to, from) in out.chunks_mut(width).zip(taken.chunks(stride)) {
                    to.copy_from_slice(&from[head * width..(head + 1) * width]);
                }
            });
            out
        };
        Self {
            rows: Rows::ByHead {
                keys: moved(keys, shape.head_dim),
                values: moved(values, shape.value_dim),
                first,
                count: rows,
            },
        }
    }

    /// The keys and the values of one head.
    pub(super) fn head(&self, kv_head: usize, shape: AttentionShape) -> [Heads<'_>; 2] {
        let widths = [shape.head_dim, shape.value_dim];
        match &self.rows {
            Rows::AsTheyAre { keys, values } => {
                let of = |values: &'a [f32], width: usize| Heads {
                    values: &values[kv_head * width..],
                    first: 0,
                    stride: shape.kv_heads * width,
                    width,
                };
                [of(keys, widths[0]), of(values, widths[1])]
            }
            Rows::ByHead {
                keys,
                values,
                first,
                count,
            } => [(keys, widths[0]), (values, widths[1])].map(|(values, width)| Heads {
                values: &values[kv_head * count * width..(kv_head + 1) * count * width],
                first: *first,
                stride: width,
                width,
            }),
        }
    }
}

/// One head's rows.
#[derive(Clone, Copy)]
pub(super) struct Heads<'a> {
    values: &'a [f32],
    /// The number of the first row.
    first: usize,
    stride: usize,
    pub(super) width: usize,
}

impl<'a> Heads<'a> {
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &'a [f32] {
        let at = (row - self.first) * self.stride;
        &self.values[at..at + self.width]
    }

    /// The place of a row.
    ///
    /// # Safety
    /// The row is before [`Self::end`].
    #[inline(always)]
    pub(super) unsafe fn start(&self, row: usize) -> *const f32 {
        // SAFETY: by the contract.
        unsafe { self.values.as_ptr().add((row - self.first) * self.stride) }
    }

    /// One past the last row.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        // The last row of one head among others ends before the row of all heads does.
        self.first + (self.values.len() + self.stride - self.width) / self.stride
    }
}
