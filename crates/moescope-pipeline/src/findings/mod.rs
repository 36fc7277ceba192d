//! The questions people ask of a trace, answered in order with numbers and in plain words.

mod balance;
mod beyond;
mod confidence;
mod corrected;
mod dependence;
mod identification;
mod limits;
mod locality;
mod phases;
mod specialists;
mod studies;
pub(crate) mod words;

use moescope_analytics::{MeasureRequest, TraceData};
use moescope_core::{Measurement, Progress};
use serde::Serialize;

use crate::error::PipelineError;
use studies::Studies;

/// One question and what the trace says to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The question.
    pub question: String,
    /// The answer in a sentence or a few, with intervals; or why this trace cannot answer.
    pub answer: String,
    /// The command whose table the numbers come from, with the word `TRACE` where the trace's path goes.
    ///
    /// It permutes as often as it resamples, where what is measured given something is permuted 199 times at most.
    pub command: String,
}

/// All findings, with the measurements that they rest on.
#[derive(Clone, Debug)]
pub struct Findings {
    /// In the order in which they should be read.
    pub findings: Vec<Finding>,
    /// Every table that was measured.
    pub measurements: Vec<Measurement>,
}

impl Findings {
    /// A measurement of this metric.
    #[must_use]
    pub fn of(&self, metric: &str) -> Option<&Measurement> {
        self.measurements
            .iter()
            .find(|measurement| measurement.metric == metric)
    }
}

/// Answers a question.
type Answer = fn(&mut Studies<'_>) -> Result<Finding, PipelineError>;

/// Measures what is needed and answers.
///
/// A question that this trace cannot answer, since it lacks a column or a second label, says so; the others are answered.
///
/// # Errors
/// When a label column, a label or a scope is not in the trace, a table is malformed, or `progress` cancels.
pub fn findings(
    data: &TraceData,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Findings, PipelineError> {
    let mut studies = Studies::new(data, request, progress)?;
    let questions: [Answer; 10] = [
        dependence::whether,
        beyond::labels,
        dependence::where_,
        specialists::specialists,
        balance::balance,
        confidence::confidence,
        phases::phases,
        locality::locality,
        identification::identification,
        limits::limits,
    ];
    let mut findings = Vec::with_capacity(questions.len());
    for (done, answer) in questions.into_iter().enumerate() {
        studies.at(done, questions.len());
        findings.push(answer(&mut studies)?);
    }
    Ok(Findings {
        findings,
        measurements: studies.into_measurements(),
    })
}
