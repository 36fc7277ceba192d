//! The measurements behind the answers, each made once.

use moescope_analytics::{AnalyticsError, Control, MeasureRequest, TraceData, find};
use moescope_core::{Cancelled, Measurement, Progress};

use super::Finding;
use crate::error::PipelineError;

/// Permutations within equal tokens take long, and p of 0.005 is small enough for an answer in words.
const MOST_CONDITIONAL_PERMUTATIONS: u32 = 199;

/// What the questions are asked of, and what was measured for them so far.
pub(super) struct Studies<'a> {
    data: &'a TraceData,
    request: &'a MeasureRequest,
    progress: &'a dyn Progress,
    /// The questions' number, and how many there are.
    place: (u64, u64),
    /// Metric, what it was conditioned on or matched by, and its tables or why there is none.
    made: Vec<(Study, Tables)>,
}

/// What a metric gave, or why this trace has none of it.
pub(super) type Tables = Result<Vec<Measurement>, String>;

/// A metric under a control.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Study {
    metric: &'static str,
    given: Vec<Control>,
    matched: Vec<Control>,
}

impl Study {
    /// A metric as it is.
    pub(super) fn of(metric: &'static str) -> Self {
        Self {
            metric,
            given: Vec::new(),
            matched: Vec::new(),
        }
    }

    /// The conditional mutual information given some variables.
    pub(super) fn given(given: Vec<Control>) -> Self {
        Self {
            given,
            ..Self::of("conditional_mutual_information")
        }
    }

    /// A metric of documents that are matched by some variables.
    pub(super) fn matched(metric: &'static str, matched: Vec<Control>) -> Self {
        Self {
            matched,
            ..Self::of(metric)
        }
    }

    /// The command that measures it, without the trace's path.
    pub(super) fn command(&self, by: &str) -> String {
        let list = |controls: &[Control]| {
            let names: Vec<String> = controls.iter().map(ToString::to_string).collect();
            names.join(",")
        };
        let mut command = vec![format!("measure TRACE {}", self.metric)];
        if !self.given.is_empty() {
            command.push(format!("--given {}", list(&self.given)));
        }
        if !self.matched.is_empty() {
            command.push(format!("--match {}", list(&self.matched)));
        }
        if by != "discipline" {
            command.push(format!("--by {by}"));
        }
        command.join(" ")
    }
}

impl<'a> Studies<'a> {
    pub(super) fn new(
        data: &'a TraceData,
        request: &'a MeasureRequest,
        progress: &'a dyn Progress,
    ) -> Result<Self, PipelineError> {
        request.check()?;
        // A column that is not there is an error of the question, not an answer.
        data.labels(&request.by)?;
        Ok(Self {
            data,
            request,
            progress,
            place: (0, 1),
            made: Vec::new(),
        })
    }

    /// Says which question is being answered.
    pub(super) fn at(&mut self, done: usize, all: usize) {
        self.place = (done as u64, all as u64);
    }

    /// The label column.
    pub(super) fn by(&self) -> &str {
        &self.request.by
    }

    /// Whether documents carry more than one value in a column.
    pub(super) fn varies(&self, column: &str) -> bool {
        self.data
            .labels(column)
            .is_ok_and(|labels| labels.len() > 1)
    }

    /// The tables of a study, or why this trace has none.
    pub(super) fn tables(&mut self, study: &Study) -> Result<Tables, PipelineError> {
        if let Some((_, made)) = self.made.iter().find(|(known, _)| known == study) {
            return Ok(made.clone());
        }
        let mut request = self.request.clone();
        if !study.given.is_empty() {
            request.given.clone_from(&study.given);
            request.permutations = request.permutations.min(MOST_CONDITIONAL_PERMUTATIONS);
        }
        request.match_on.extend(study.matched.iter().cloned());
        let progress = Quiet {
            progress: self.progress,
            place: self.place,
            metric: study.metric,
        };
        let made = match find(study.metric)?.measure(self.data, &request, &progress) {
            Ok(tables) => Ok(tables),
            Err(
                error @ (AnalyticsError::MissingInput { .. }
                | AnalyticsError::TooLittle { .. }
                | AnalyticsError::Request(_)),
            ) => Err(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        self.made.push((study.clone(), made.clone()));
        Ok(made)
    }

    /// Answers with the first table of a metric, or says why there is none.
    pub(super) fn answer(
        &mut self,
        question: &str,
        metric: &'static str,
        words: impl FnOnce(&Measurement) -> Option<String>,
    ) -> Result<Finding, PipelineError> {
        let study = Study::of(metric);
        let answer = match self.tables(&study)? {
            Ok(tables) => tables
                .first()
                .and_then(words)
                .unwrap_or_else(|| "Nothing is defined in this scope.".to_owned()),
            Err(reason) => format!("This trace cannot say: {reason}."),
        };
        Ok(Finding {
            question: question.to_owned(),
            answer,
            command: study.command(self.by()),
        })
    }

    pub(super) fn into_measurements(self) -> Vec<Measurement> {
        self.made
            .into_iter()
            .filter_map(|(_, made)| made.ok())
            .flatten()
            .collect()
    }
}

/// Shows the question that is being answered, and cancels within it.
struct Quiet<'a> {
    progress: &'a dyn Progress,
    place: (u64, u64),
    metric: &'static str,
}

impl Progress for Quiet<'_> {
    fn report(&self, _done: u64, _total: u64, _message: &str) -> Result<(), Cancelled> {
        let (done, all) = self.place;
        self.progress
            .report(done, all, &format!("measuring {}", self.metric))
    }
}
