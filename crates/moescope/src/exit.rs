//! From what happened to an exit status.

use std::{io, process::ExitCode};

use moescope_analytics::AnalyticsError;
use moescope_engine::EngineError;
use moescope_pipeline::PipelineError;
use moescope_trace::TraceError;

use crate::console::Console;

/// How a command ended that was not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything is as it should be.
    Success,
    /// A check was done, and it failed.
    CheckFailed,
    /// Asked to stop, and stopped in good order.
    Interrupted,
}

const CHECK_FAILED: u8 = 1;
const BAD_INPUT: u8 = 2;
const INTERRUPTED: u8 = 130;

/// Shows an error and gives the exit status.
pub(crate) fn report(result: anyhow::Result<Outcome>, console: &Console) -> ExitCode {
    match result {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(Outcome::CheckFailed) => ExitCode::from(CHECK_FAILED),
        Ok(Outcome::Interrupted) => ExitCode::from(INTERRUPTED),
        // Whoever read our output has enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if is_cancelled(&error) => {
            console.note(&described(&error));
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            console.error(&described(&error));
            ExitCode::from(BAD_INPUT)
        }
    }
}

/// The error and its causes, without those that it already tells of.
fn described(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut text, cause| {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
        text
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<PipelineError>()
            .is_some_and(PipelineError::is_cancelled)
            || matches!(cause.downcast_ref(), Some(EngineError::Cancelled(_)))
            || matches!(cause.downcast_ref(), Some(TraceError::Cancelled(_)))
            || matches!(cause.downcast_ref(), Some(AnalyticsError::Cancelled(_)))
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_that_the_error_names_is_not_said_twice() {
        let io = PipelineError::Io {
            action: "read the data",
            source: io::Error::other("the disk is on fire"),
            path: PathBuf::from("texts.jsonl"),
        };
        assert_eq!(
            described(&anyhow::Error::from(io)),
            "cannot read the data: the disk is on fire: texts.jsonl"
        );
        let lost = Err::<(), _>(io::Error::other("gone")).context("cannot write the table");
        assert_eq!(
            described(&lost.unwrap_err()),
            "cannot write the table: gone"
        );
    }
}
