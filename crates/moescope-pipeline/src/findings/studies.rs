//! The measurements behind the answers, each made once.

use moescope_analytics::{AnalyticsError, Control, MeasureRequest, TraceData, find};
use moescope_core::{Cancelled, Measurement, Progress};

use super::Finding;
use crate::{command_words::Line, error::PipelineError};

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

    /// What is asked for, where `request` is asked for otherwise.
    fn request(&self, request: &MeasureRequest) -> MeasureRequest {
        let mut request = request.clone();
        if !self.given.is_empty() {
            request.given.clone_from(&self.given);
            request.permutations = request.permutations.min(MOST_CONDITIONAL_PERMUTATIONS);
        }
        for control in &self.matched {
            if !request.match_on.contains(control) {
                request.match_on.push(control.clone());
            }
        }
        request
    }
}

impl<'a> Studies<'a> {
    pub(super) fn new(
        data: &'a TraceData,
        request: &'a MeasureRequest,
        progress: &'a dyn Progress,
    ) -> Result<Self, PipelineError> {
        request.check()?;
        request.refuse_reference_scope("what is found in one trace")?;
        // A column or a label that is not there is an error of the question, not an answer.
        request.check_in(data)?;
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

    /// Whether documents in scope carry more than one value in a column.
    pub(super) fn varies(&self, column: &str) -> bool {
        let documents = self.data.documents().iter();
        let mut values = documents
            .filter(|document| self.request.is_wanted(document))
            .filter_map(|document| document.label(column));
        let first = values.next();
        values.any(|value| Some(value) != first)
    }

    /// The command whose table a study is, without the trace's path.
    pub(super) fn command(&self, study: &Study) -> String {
        let mut line = Line::beginning(&format!("measure TRACE {}", study.metric));
        line.request_options(&study.request(self.request));
        line.into_string()
    }

    /// The tables of a study, or why this trace has none.
    pub(super) fn tables(&mut self, study: &Study) -> Result<Tables, PipelineError> {
        if let Some((_, made)) = self.made.iter().find(|(known, _)| known == study) {
            return Ok(made.clone());
        }
        let request = study.request(self.request);
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
            command: self.command(&study),
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

#[cfg(test)]
mod tests {
    use moescope_analytics::{ExpertsOrder, MemoryDocument};
    use moescope_core::{Discipline, NoProgress, Sample};
    use moescope_testkit::model_spec;

    use super::*;

    /// Two documents of law, an abstract and a textbook, and an abstract of physics; none has a token.
    fn trace() -> TraceData {
        let documents = [
            ("a", "law", "abstract"),
            ("b", "law", "textbook"),
            ("c", "physics", "abstract"),
        ];
        let documents = documents.map(|(id, discipline, genre)| MemoryDocument {
            sample: Sample {
                id: id.to_owned(),
                discipline: Some(Discipline::new(discipline).unwrap()),
                genre: Some(genre.to_owned()),
                ..Sample::default()
            },
            tokens: Vec::new(),
            decisions: None,
            profiles: Vec::new(),
        });
        TraceData::in_memory(
            model_spec(1, 2, 1),
            ExpertsOrder::ByWeight,
            documents.to_vec(),
        )
        .unwrap()
    }

    #[test]
    fn a_command_says_all_that_was_asked_for() {
        let mut request = MeasureRequest {
            match_on: vec![Control::Length],
            resamples: 99,
            permutations: 99,
            ..MeasureRequest::default()
        };
        request.scope.only = vec!["genre=abstract".parse().unwrap()];
        let data = trace();
        let studies = Studies::new(&data, &request, &NoProgress).unwrap();
        let command = |study: Study| studies.command(&study);
        assert_eq!(
            command(Study::given(vec![Control::Position])),
            "measure TRACE conditional_mutual_information --only genre=abstract --resamples 99 --match length --given position"
        );
        let matched = vec![Control::Position, Control::Length];
        assert_eq!(
            command(Study::matched("mutual_information", matched)),
            "measure TRACE mutual_information --only genre=abstract --resamples 99 --match length,position"
        );
    }

    #[test]
    fn a_column_varies_among_the_documents_in_scope() {
        let data = trace();
        let varies = |only: &[&str], labels: &[&str]| {
            let mut request = MeasureRequest::default();
            request.scope.only = only.iter().map(|filter| filter.parse().unwrap()).collect();
            request.scope.labels = labels.iter().map(|label| (*label).to_owned()).collect();
            let studies = Studies::new(&data, &request, &NoProgress).unwrap();
            studies.varies("genre")
        };
        assert!(varies(&[], &[]));
        assert!(varies(&[], &["law"]));
        assert!(!varies(&[], &["physics"]));
        assert!(!varies(&["genre=abstract"], &[]));
        assert!(varies(&["genre=abstract,textbook"], &[]));
    }

    #[test]
    fn labels_that_are_not_there_are_an_error_of_the_question() {
        let data = trace();
        let refused = |request: &MeasureRequest, words: &str| {
            let error = Studies::new(&data, request, &NoProgress).err().unwrap();
            assert!(error.to_string().contains(words), "{error}");
        };
        let merging = |group: &str| MeasureRequest {
            merge: vec![group.parse().unwrap()],
            ..MeasureRequest::default()
        };
        refused(&merging("words=law,history"), "'history'");
        refused(&merging("physics=law"), "another discipline");
        let mut grouped = merging("words=law");
        grouped.scope.labels = vec!["law".to_owned()];
        refused(&grouped, "name 'words' in its place");
        grouped.scope.labels = vec!["words".to_owned()];
        assert!(Studies::new(&data, &grouped, &NoProgress).is_ok());
    }
}
