//! Rotary positions.

use super::{output::SharedOut, team};
use crate::config::RopeLayout;

/// Values below which threads cost more than they bring.
const SERIAL_BELOW: usize = 32 * 1024;

/// Rotates the first dimensions of every head of `x [tokens, width]`, as many as there are angles for; cosines and sines
/// are `[tokens, rotary_dims / 2]` each.
pub(super) fn rotate(
    x: &mut [f32],
    width: usize,
    head_dim: usize,
    (cos, sin): (&[f32], &[f32]),
    layout: RopeLayout,
) {
    let half = cos.len() / (x.len() / width).max(1);
    if half == 0 {
        return;
    }
    let (len, rows) = (x.len(), x.len() / width);
    let shared = SharedOut::new(x);
    let work = |row: usize| {
        let angles = row * half..(row + 1) * half;
        let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
        // SAFETY: every task has its own row.
        let row = unsafe { shared.range(row * width, width) };
        for head in row.chunks_mut(head_dim) {
            match layout {
                RopeLayout::Half => rotate_halves(head, cos, sin),
                RopeLayout::Pairs => rotate_pairs(head, cos, sin),
            }
        }
    };
    if len < SERIAL_BELOW {
        (0..rows).for_each(work);
    } else {
        team::for_each(rows, work);
    }
}

/// Each dimension with the one half the rotated dimensions further on.
fn rotate_halves(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (left, right) = head.split_at_mut(cos.len());
    for ((l, r), (cos, sin)) in left.iter_mut().zip(right).zip(cos.iter().zip(sin)) {
        (*l, *r) = (*l * cos - *r * sin, *r * cos + *l * sin);
    }
}

/// Each dimension with its neighbour.
fn rotate_pairs(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    for (pair, (cos, sin)) in head.chunks_exact_mut(2).zip(cos.iter().zip(sin)) {
        let (l, r) = (pair[0], pair[1]);
        pair[0] = l * cos - r * sin;
        pair[1] = r * cos + l * sin;
    }
}
