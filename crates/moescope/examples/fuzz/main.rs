//! Feeds every reader of files from strangers with broken files; `docs/FUZZING.md` tells how and what was run.
//!
//! ```text
//! cargo run --release -p moescope --example fuzz -- --seed 1 --executions 100000
//! cargo run --release -p moescope --example fuzz -- --target safetensors --replay found.bin
//! ```

mod targets;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Parser;
use moescope_testkit::fuzz::{
    Bounds, Campaign, CountingAllocator, Failure, Finding, Mutator, Target, Worker, execute,
    smallest, supervise,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Questions asked while an input is cut down, in this process and in processes of their own.
const TRIES: (usize, usize) = (5000, 200);
/// How long an input is cut down.
const SHRINKING: Duration = Duration::from_secs(20);

/// Feed every reader with broken files.
#[derive(Parser)]
struct Arguments {
    /// Seed of all inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Inputs of each target.
    #[arg(long, default_value_t = 100_000)]
    executions: u64,
    /// Only this target, or those that start like `import_*`; may be repeated.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Processes at a time.
    #[arg(long, default_value_t = 2)]
    workers: u64,
    /// Where inputs that fail are kept.
    #[arg(long, default_value = "target/fuzz", value_name = "FOLDER")]
    findings: PathBuf,
    /// Execute this file once, and say what happened.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// List the targets.
    #[arg(long)]
    list: bool,
    /// FIRST:STEP:FOLDER of a process that the supervisor starts.
    #[arg(long, hide = true)]
    worker: Option<String>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let chosen: Vec<&Target> = targets::TARGETS
        .iter()
        .filter(|target| {
            let is_named = |name: &String| match name.strip_suffix('*') {
                Some(start) => target.name.starts_with(start),
                None => name == target.name,
            };
            arguments.target.is_empty() || arguments.target.iter().any(is_named)
        })
        .collect();
    anyhow::ensure!(!chosen.is_empty(), "there is no such target; see --list");
    if arguments.list {
        chosen.iter().for_each(|target| println!("{}", target.name));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(worker) = &arguments.worker {
        run_worker(worker, &arguments, chosen[0])?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &arguments.replay {
        return replay(file, chosen[0]);
    }
    let mut findings = 0;
    let (mut executions, start) = (0, Instant::now());
    for target in chosen {
        let (executed, found) = fuzz(target, &arguments)?;
        executions += executed;
        findings += found;
    }
    println!(
        "{executions} executions in {:.0} s with seed {}, {findings} findings",
        start.elapsed().as_secs_f64(),
        arguments.seed
    );
    Ok(if findings == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A folder in memory where there is one.
fn scratch() -> anyhow::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let found = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    found.context("cannot make a folder for the readers' files")
}

/// Fuzzes one target and reports it; how many inputs were executed and how many failures found.
fn fuzz(target: &Target, arguments: &Arguments) -> anyhow::Result<(u64, usize)> {
    let folder = scratch()?;
    let campaign = Campaign {
        seed: arguments.seed,
        executions: arguments.executions,
        workers: arguments.workers.max(1),
        scratch: folder.path().to_owned(),
    };
    let program = env::current_exe().context("cannot find this program")?;
    let start = Instant::now();
    let report = supervise(&campaign, |worker, folder| {
        let mut command = Command::new(&program);
        command
            .args(["--seed", &worker.seed.to_string()])
            .args(["--executions", &worker.end.to_string()])
            .args(["--target", target.name, "--worker"])
            .arg(format!(
                "{}:{}:{}",
                worker.first,
                worker.step,
                folder.display()
            ))
            .stderr(Stdio::null());
        command
    })?;
    #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
    let rate = report.executions as f64 / start.elapsed().as_secs_f64();
    println!("{:<18} {report}, {rate:.0} executions/s", target.name);
    if report.executions < campaign.executions {
        println!(
            "  {} inputs of {} were not counted: a worker that dies takes its last second with it, and twenty deaths end it",
            campaign.executions - report.executions,
            campaign.executions
        );
    }
    for finding in &report.findings {
        let path = keep(target, finding, arguments, &program)?;
        println!(
            "  input {}{}: {}\n    {}",
            finding.number,
            if finding.count > 1 {
                format!(" and {} others", finding.count - 1)
            } else {
                String::new()
            },
            finding.failure,
            path.display()
        );
    }
    Ok((report.executions, report.findings.len()))
}

/// Keeps a failing input, cut down.
fn keep(
    target: &Target,
    finding: &Finding,
    arguments: &Arguments,
    program: &Path,
) -> anyhow::Result<PathBuf> {
    let input = Mutator::new(target, arguments.seed).input(finding.number);
    let folder = scratch()?;
    let class = finding.failure.class();
    let start = Instant::now();
    let has_time = || start.elapsed() < SHRINKING;
    let small = if matches!(finding.failure, Failure::Death(_)) {
        smallest(&input, TRIES.1, |input| {
            let file = folder.path().join("input");
            has_time()
                && fs::write(&file, input).is_ok()
                && Command::new(program)
                    .args(["--target", target.name, "--replay"])
                    .arg(&file)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    // Neither good nor a failure that was told: dead.
                    .is_ok_and(|status| !matches!(status.code(), Some(0 | 1)))
        })
    } else {
        let mut reader = (target.open)(folder.path());
        smallest(&input, TRIES.0, |input| {
            if !has_time() {
                return false;
            }
            let failure = execute(&mut reader, input, &Bounds::default()).err();
            if failure.is_some() {
                reader = (target.open)(folder.path());
            }
            failure.is_some_and(|failure| failure.class() == class)
        })
    };
    let kept = arguments.findings.join(target.name);
    fs::create_dir_all(&kept)?;
    let path = kept.join(format!("seed-{}-{}.bin", arguments.seed, finding.number));
    fs::write(&path, small).with_context(|| format!("cannot keep an input: {}", path.display()))?;
    Ok(path)
}

fn run_worker(worker: &str, arguments: &Arguments, target: &Target) -> anyhow::Result<()> {
    let mut parts = worker.splitn(3, ':');
    let mut part = || parts.next().context("a worker is FIRST:STEP:FOLDER");
    let worker = Worker {
        seed: arguments.seed,
        first: part()?.parse()?,
        step: part()?.parse()?,
        end: arguments.executions,
    };
    worker.run(target, Path::new(part()?), &Bounds::default())?;
    Ok(())
}

/// Executes one file; a hang is ended as in a worker.
fn replay(file: &Path, target: &Target) -> anyhow::Result<ExitCode> {
    let input = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let folder = scratch()?;
    let mut reader = (target.open)(folder.path());
    let bounds = Bounds::default();
    std::thread::spawn(move || {
        std::thread::sleep(bounds.time * 30 + Duration::from_secs(1));
        std::process::exit(86);
    });
    match execute(&mut reader, &input, &bounds) {
        Ok(observed) => {
            println!("{observed:?}");
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            println!("{failure}");
            Ok(ExitCode::FAILURE)
        }
    }
}
