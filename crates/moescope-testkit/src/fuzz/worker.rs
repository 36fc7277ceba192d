//! One process of a campaign.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    execute::{Bounds, execute},
    mutator::Mutator,
    report::Report,
    supervise::{message, status_file},
    target::Target,
};

/// The exit status of a worker that hung.
pub(super) const HUNG: i32 = 86;
/// A hang is this many times the bound on time: what is merely slow should be measured, not killed.
const HANG: u32 = 10;
/// How often a worker reports.
const EVERY: Duration = Duration::from_secs(1);

/// A range of inputs: `first`, `first + step`, … below `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Seed of all inputs.
    pub seed: u64,
    /// The first number.
    pub first: u64,
    /// The distance between numbers: how many workers there are.
    pub step: u64,
    /// One past the last number.
    pub end: u64,
}

impl Worker {
    /// Executes the range, and tells the supervisor about it on standard output.
    ///
    /// The number of the input is in the folder before each execution, for a supervisor that finds this process dead.
    /// A hang ends the process.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn run(&self, target: &Target, folder: &Path, bounds: &Bounds) -> io::Result<()> {
        let status = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(status_file(folder))?;
        let mutator = Mutator::new(target, self.seed);
        let beat = watch_for_hangs(bounds.time * HANG);
        let mut reader = (target.open)(folder);
        let mut report = Report::default();
        let mut reported = Instant::now();
        let mut number = self.first;
        while number < self.end {
            write_number(&status, number)?;
            let input = mutator.input(number);
            beat.fetch_add(1, Ordering::Relaxed);
            let result = execute(&mut reader, &input, bounds);
            if result.is_err() {
                // Whatever state the reader was in, nobody knows it now.
                reader = (target.open)(folder);
            }
            report.add(number, result);
            if reported.elapsed() > EVERY {
                tell(&mut report)?;
                reported = Instant::now();
            }
            number += self.step;
        }
        tell(&mut report)
    }
}

fn tell(report: &mut Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", message(&std::mem::take(report)))?;
    out.flush()
}

/// Writes the number in place, so that the file always holds one number.
fn write_number(mut file: &File, number: u64) -> io::Result<()> {
    use io::Seek as _;
    file.rewind()?;
    file.write_all(&number.to_le_bytes())
}

/// Ends the process when the counter stands still for too long.
fn watch_for_hangs(longest: Duration) -> Arc<AtomicU64> {
    let counter = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&counter);
    thread::spawn(move || {
        let (mut last, mut since) = (seen.load(Ordering::Relaxed), Instant::now());
        loop {
            thread::sleep(longest / 20);
            let now = seen.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > longest {
                process::exit(HUNG);
            }
        }
    });
    counter
}
