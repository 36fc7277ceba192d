//! Processes that run a campaign, and the one that outlives them.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    execute::Failure,
    report::{Finding, Report},
    worker::{HUNG, Worker},
};

/// After this many deaths of a worker the rest of its range would only repeat them.
const MOST_DEATHS: usize = 20;

/// One target's executions, shared by some processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Seed of all inputs.
    pub seed: u64,
    /// Number of inputs.
    pub executions: u64,
    /// Number of processes.
    pub workers: u64,
    /// A folder for the files of all readers, in memory if possible.
    pub scratch: PathBuf,
}

/// Runs a campaign in processes that `command` describes: given a worker and its folder, a command that calls
/// [`Worker::run`].
///
/// A process that dies has found something; another one goes on after the input that killed it.
///
/// # Errors
/// When a process cannot be started, or says what no worker says.
///
/// # Panics
/// When a thread of the supervisor panics.
pub fn supervise(
    campaign: &Campaign,
    command: impl Fn(&Worker, &Path) -> Command + Sync,
) -> io::Result<Report> {
    let total = Mutex::new(Report::default());
    let results: Vec<io::Result<()>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..campaign.workers)
            .map(|first| {
                let (total, command) = (&total, &command);
                scope.spawn(move || {
                    let folder = campaign.scratch.join(first.to_string());
                    let worker = Worker {
                        seed: campaign.seed,
                        first,
                        step: campaign.workers,
                        end: campaign.executions,
                    };
                    run_range(worker, &folder, command, total)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("the supervisor does not panic"))
            .collect()
    });
    results.into_iter().collect::<io::Result<()>>()?;
    Ok(total.into_inner().expect("no thread panicked"))
}

/// Runs one worker's range to its end, in as many processes as it takes.
fn run_range(
    mut worker: Worker,
    folder: &Path,
    command: &impl Fn(&Worker, &Path) -> Command,
    total: &Mutex<Report>,
) -> io::Result<()> {
    for _ in 0..MOST_DEATHS {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let child = command(&worker, folder).stdout(Stdio::piped()).spawn()?;
        let status = listen(child, total)?;
        if status.success() {
            return Ok(());
        }
        let number = fs::read(status_file(folder))?;
        let number = u64::from_le_bytes(number.try_into().map_err(|_| {
            io::Error::other(format!("a worker ended before its first input: {status}"))
        })?);
        total.lock().expect("no thread panicked").extend(Report {
            executions: 1,
            findings: vec![Finding {
                number,
                failure: death(status),
                count: 1,
            }],
            ..Report::default()
        });
        worker.first = number + worker.step;
    }
    Ok(())
}

/// What the end of a process says about the input that it was busy with.
pub(super) fn death(status: ExitStatus) -> Failure {
    Failure::Death(match status.code() {
        Some(HUNG) => "hang".to_owned(),
        _ => status.to_string(),
    })
}

/// Adds up what a process says until it ends.
fn listen(mut child: Child, total: &Mutex<Report>) -> io::Result<ExitStatus> {
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let report = parse(&line?)
                .ok_or_else(|| io::Error::other("a worker said what no worker says"))?;
            total.lock().expect("no thread panicked").extend(report);
        }
    }
    child.wait()
}

/// Where a worker notes the number of its input.
pub(super) fn status_file(folder: &Path) -> PathBuf {
    folder.join("number")
}

/// A report as one line.
pub(super) fn message(report: &Report) -> String {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            let failure = match &finding.failure {
                Failure::Panic { place, message } => json!({"place": place, "message": message}),
                Failure::Memory { peak, bound } => json!({"peak": peak, "bound": bound}),
                Failure::Slow(time) => json!({"seconds": time.as_secs_f64()}),
                Failure::Death(status) => json!({"status": status}),
            };
            json!({"number": finding.number, "count": finding.count, "failure": failure})
        })
        .collect();
    json!({
        "executions": report.executions, "accepted": report.accepted, "peak": report.peak,
        "longest": report.longest.as_secs_f64(), "findings": findings,
    })
    .to_string()
}

fn parse(line: &str) -> Option<Report> {
    let value: Value = serde_json::from_str(line).ok()?;
    let size = |value: &Value| usize::try_from(value.as_u64()?).ok();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let findings = value["findings"]
        .as_array()?
        .iter()
        .map(|finding| {
            let own = &finding["failure"];
            let failure = if let Some(place) = text(&own["place"]) {
                Failure::Panic {
                    place,
                    message: text(&own["message"])?,
                }
            } else if let Some(peak) = size(&own["peak"]) {
                Failure::Memory {
                    peak,
                    bound: size(&own["bound"])?,
                }
            } else if let Some(seconds) = own["seconds"].as_f64() {
                Failure::Slow(Duration::try_from_secs_f64(seconds).ok()?)
            } else {
                Failure::Death(text(&own["status"])?)
            };
            Some(Finding {
                number: finding["number"].as_u64()?,
                failure,
                count: finding["count"].as_u64()?,
            })
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Report {
        executions: value["executions"].as_u64()?,
        accepted: value["accepted"].as_u64()?,
        peak: size(&value["peak"])?,
        longest: Duration::try_from_secs_f64(value["longest"].as_f64()?).ok()?,
        findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_its_line() {
        let failures = [
            Failure::Panic {
                place: "a.rs:3".into(),
                message: "index \"out\"\nof bounds".into(),
            },
            Failure::Memory { peak: 2, bound: 1 },
            Failure::Slow(Duration::from_millis(1500)),
            Failure::Death("signal: 6 (SIGABRT)".into()),
        ];
        let mut report = Report {
            accepted: 3,
            peak: 1 << 40,
            longest: Duration::from_millis(250),
            ..Report::default()
        };
        for (number, failure) in (7..).zip(failures) {
            report.add(number, Err(failure));
        }
        assert_eq!(parse(&message(&report)), Some(report));
        assert_eq!(parse("hello"), None);
    }

    #[test]
    fn a_campaign_goes_on_after_the_input_that_killed_its_process() {
        // A shell stands for a worker: it dies at number 4 as if by an abort, and reports all else.
        let script = r#"
            number=$1
            while [ "$number" -lt 9 ]; do
                printf "\\0$(printf %o "$number")\0\0\0\0\0\0\0" > "$2/number"
                if [ "$number" -eq 4 ]; then kill -ABRT $$; fi
                echo '{"executions":1,"accepted":1,"peak":5,"longest":0.5,"findings":[]}'
                number=$((number + $3))
            done"#;
        let scratch = tempfile::tempdir().unwrap();
        let campaign = Campaign {
            seed: 1,
            executions: 9,
            workers: 2,
            scratch: scratch.path().to_owned(),
        };
        let report = supervise(&campaign, |worker, folder| {
            let mut command = Command::new("sh");
            command
                .args(["-c", script, "sh", &worker.first.to_string()])
                .arg(folder)
                .arg(worker.step.to_string());
            command
        })
        .unwrap();
        assert_eq!((report.executions, report.accepted), (9, 8));
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].number, 4);
        assert!(report.findings[0].failure.to_string().contains("signal: 6"));
    }
}
