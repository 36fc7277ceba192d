//! Edits that know nothing of a format.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Values at which readers of lengths and counts go wrong.
const BOUNDARIES: [u64; 16] = [
    0,
    1,
    2,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Longest run of bytes that one edit inserts or copies.
const LONGEST_RUN: usize = 64;

/// Changes some bytes; `other` is a good file to take from.
pub(super) fn edit(rng: &mut ChaCha8Rng, input: &mut Vec<u8>, other: &[u8], words: &[&str]) {
    if input.is_empty() {
        input.extend_from_slice(other);
        return;
    }
    match rng.random_range(0..12) {
        0 | 1 => {
            let at = place(rng, input.len());
            input[at] ^= 1 << rng.random_range(0..8);
        }
        2 => {
            let at = place(rng, input.len());
            input[at] = rng.random();
        }
        3 => input.truncate(rng.random_range(0..input.len())),
        4 => {
            let (start, end) = range(rng, input.len());
            input.drain(start..end);
        }
        5 => {
            let (start, end) = range(rng, input.len());
            let run = input[start..end].to_vec();
            insert(rng, input, &run);
        }
        6 => {
            let run: Vec<u8> = (0..rng.random_range(1..9)).map(|_| rng.random()).collect();
            insert(rng, input, &run);
        }
        7 => splice(rng, input, other),
        8 | 9 => write_boundary(rng, input),
        10 => {
            if let Some(word) = pick(rng, words) {
                insert(rng, input, word.as_bytes());
            }
        }
        _ => {
            let (start, end) = range(rng, input.len());
            input[start..end].reverse();
        }
    }
}

/// One of a list, if it is not empty.
pub(super) fn pick<'l, T>(rng: &mut ChaCha8Rng, list: &'l [T]) -> Option<&'l T> {
    (!list.is_empty()).then(|| &list[rng.random_range(0..list.len())])
}

/// A place below `len`: often near an end, where formats keep their lengths.
fn place(rng: &mut ChaCha8Rng, len: usize) -> usize {
    let near = len.min(16);
    match rng.random_range(0..4) {
        0 => rng.random_range(0..near),
        1 => len - 1 - rng.random_range(0..near),
        _ => rng.random_range(0..len),
    }
}

/// A short range within `len`, not empty.
fn range(rng: &mut ChaCha8Rng, len: usize) -> (usize, usize) {
    let start = place(rng, len);
    let run = rng.random_range(1..=LONGEST_RUN);
    (start, len.min(start + run))
}

fn insert(rng: &mut ChaCha8Rng, input: &mut Vec<u8>, run: &[u8]) {
    let at = rng.random_range(0..=input.len());
    input.splice(at..at, run.iter().copied());
}

/// Up to here this file, from there the other one.
fn splice(rng: &mut ChaCha8Rng, input: &mut Vec<u8>, other: &[u8]) {
    input.truncate(rng.random_range(0..=input.len()));
    let from = rng.random_range(0..=other.len());
    input.extend_from_slice(&other[from..]);
}

/// A boundary, or the file's own length give or take one, over one to eight bytes in either order.
fn write_boundary(rng: &mut ChaCha8Rng, input: &mut [u8]) {
    let len = input.len() as u64;
    let value = match rng.random_range(0..4) {
        0 => (len + rng.random_range(0..3)).wrapping_sub(rng.random_range(0..12)),
        _ => BOUNDARIES[rng.random_range(0..BOUNDARIES.len())],
    };
    let width = [1, 2, 4, 8][rng.random_range(0..4)];
    let at = place(rng, input.len());
    let bytes = value.to_le_bytes();
    let is_reversed = rng.random_range(0..4) == 0;
    for (i, target) in input[at..].iter_mut().take(width).enumerate() {
        *target = bytes[if is_reversed { width - 1 - i } else { i }];
    }
}
