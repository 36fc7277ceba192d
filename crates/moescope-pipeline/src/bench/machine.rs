//! The limits of the machine itself, measured in the same run.

use std::{
    hint::black_box,
    slice::ChunksExact,
    time::{Duration, Instant},
};

use moescope_engine::{ComputeDevice, ComputeType, EngineError, product_gflop_per_s};
use rayon::prelude::*;

use crate::model::available_memory;

/// Bytes that are read: more than the caches of a processor hold together.
const BYTES: usize = 1 << 30;
/// Passes of each way to read; the fastest counts.
const PASSES: usize = 4;
/// After so long no further pass is begun.
const ENOUGH: Duration = Duration::from_secs(2);
/// Numbers that a thread reads before it takes the next part: 1 MiB.
const PART: usize = 1 << 17;
/// Numbers that are added at once, so that no addition waits for the one before.
const LANES: usize = 16;

/// What the machine can do at best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MachineLimits {
    /// GB per second at which all cores together read memory; `None` on a GPU, where it is not measured.
    pub stream_gb_per_s: Option<f64>,
    /// Billions of operations per second of one large product by the engine's kernels.
    pub product_gflop_per_s: f64,
}

impl MachineLimits {
    /// Measures them; takes some seconds.
    ///
    /// # Errors
    /// When the device does not compute in this type, or fails.
    pub fn measure(device: &ComputeDevice, compute: ComputeType) -> Result<Self, EngineError> {
        Ok(Self {
            stream_gb_per_s: (device.kind == "cpu").then(stream_bandwidth),
            product_gflop_per_s: product_gflop_per_s(device, compute)?,
        })
    }
}

/// A way to read numbers.
type Sum = fn(&[u64]) -> u64;

/// GB per second at which all cores together read memory, by the fastest of several ways: each thread follows one, two
/// or four streams, in parts that threads take in turns or in one long part each.
#[must_use]
pub fn stream_bandwidth() -> f64 {
    // On a small machine a quarter of what is free, so that the measurement pushes nothing out.
    let quarter = available_memory().and_then(|bytes| usize::try_from(bytes / 4).ok());
    let numbers = quarter.map_or(BYTES, |quarter| quarter.clamp(64 << 20, BYTES)) / 8;
    // Written by all threads, so that on machines with several memories each has its share.
    let values: Vec<u64> = (0..numbers).into_par_iter().map(|i| i as u64).collect();
    let long = numbers.div_ceil(rayon::current_num_threads());
    let ways: [(usize, Sum); 6] = [
        (PART, sum::<1>),
        (PART, sum::<2>),
        (PART, sum::<4>),
        (long, sum::<1>),
        (long, sum::<2>),
        (long, sum::<4>),
    ];
    let mut fastest = f64::INFINITY;
    let begin = Instant::now();
    for pass in 0..PASSES {
        if pass > 0 && begin.elapsed() > ENOUGH {
            break;
        }
        for (part, sum) in ways {
            let start = Instant::now();
            let total: u64 = values
                .par_chunks(part)
                .map(sum)
                .reduce(|| 0, u64::wrapping_add);
            black_box(total);
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a billion")]
    let bytes = (numbers * 8) as f64;
    bytes / fastest / 1e9
}

/// The sum of the numbers, read as `STREAMS` streams at once.
fn sum<const STREAMS: usize>(values: &[u64]) -> u64 {
    let length = values.len() / STREAMS;
    let mut streams: [_; STREAMS] =
        std::array::from_fn(|i| values[i * length..(i + 1) * length].chunks_exact(LANES));
    let mut lanes = [0u64; LANES];
    for _ in 0..length / LANES {
        for stream in &mut streams {
            let next = stream.next().expect("all streams have one length");
            for (lane, value) in lanes.iter_mut().zip(next) {
                *lane = lane.wrapping_add(*value);
            }
        }
    }
    let rests = streams.iter().flat_map(ChunksExact::remainder);
    let tail = &values[STREAMS * length..];
    lanes
        .iter()
        .chain(rests)
        .chain(tail)
        .fold(0, |sum, value| sum.wrapping_add(*value))
}

/// Makes [`peak_bytes`] count from now on (Linux, proc(5)); elsewhere nothing happens.
pub fn forget_peak() {
    // Where the system refuses, the peak covers more than the model, which is what it says: the process's largest.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// The largest memory that this process has held, mapped files that were read included, where the system tells it
/// (Linux).
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_reads_every_number_once() {
        for length in [0, 1, 15, 64, 1000, 4097] {
            let values: Vec<u64> = (1..=length).collect();
            let expected = length * (length + 1) / 2;
            assert_eq!(sum::<1>(&values), expected);
            assert_eq!(sum::<2>(&values), expected);
            assert_eq!(sum::<4>(&values), expected);
        }
    }
}
