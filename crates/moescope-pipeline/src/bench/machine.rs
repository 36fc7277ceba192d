//! The limits of the machine itself, measured in the same run.

use std::{hint::black_box, time::Instant};

use rayon::prelude::*;

/// Larger than any cache.
const BYTES: usize = 512 << 20;
/// Passes; the fastest counts.
const PASSES: usize = 5;

/// GB per second at which all cores together read memory.
#[must_use]
pub fn stream_bandwidth() -> f64 {
    let values: Vec<u64> = vec![1; BYTES / 8];
    let fastest = (0..PASSES)
        .map(|_| {
            let start = Instant::now();
            let sum: u64 = values
                .par_chunks(1 << 16)
                .map(|chunk| {
                    chunk
                        .iter()
                        .fold(0u64, |sum, value| sum.wrapping_add(*value))
                })
                .sum();
            black_box(sum);
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    drop(values);
    // So that the largest memory told afterwards is the model's and not this measurement's (Linux, proc(5)).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    #[expect(clippy::cast_precision_loss, reason = "half a billion")]
    let bytes = BYTES as f64;
    bytes / fastest / 1e9
}

/// The largest memory that this process has held, where the system tells it (Linux).
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
