//! What analytics said to the questions that views asked.

use std::{path::PathBuf, sync::Arc};

use moescope_analytics::{
    ExpertConfig, ExpertProfile, MeasureRequest, TokenConfig, TokenProfile, TraceData, TraceSet,
    expert_profile, find, token_profile,
};
use moescope_core::Measurement;
use moescope_pipeline::{ComparedMetric, PipelineError, name_traces};
use moescope_trace::RoutingTrace;

use crate::{
    choices::Cell,
    job::{Job, JobProgress},
    results::Results,
    traces::{AskedTrace, OpenTrace, TraceId, Traces, once_more},
};

/// Entries of each list of an expert.
pub(crate) const EXPERT_TOP: usize = 12;
/// Occurrences of an expert that are shown in their text.
pub(crate) const EXPERT_CONTEXTS: usize = 12;
/// Tokens before and after each.
pub(crate) const EXPERT_WINDOW: usize = 12;
/// Occurrences of a token that are shown in their text.
pub(crate) const TOKEN_CONTEXTS: usize = 12;
/// Tokens before and after each.
pub(crate) const TOKEN_WINDOW: usize = 8;
/// Of two traces, the one that the other is compared with.
const REFERENCE: usize = 1;

/// Something that a view wants to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// A metric on a trace.
    Measure(MeasureQuestion),
    /// All of one expert.
    Expert(ExpertQuestion),
    /// A metric on two traces, or what it differs by.
    Compare(CompareQuestion),
    /// A document's text.
    Document(DocumentQuestion),
    /// Where a token occurs in a trace.
    Token(TokenQuestion),
}

/// A metric on a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasureQuestion {
    /// The trace.
    pub trace: TraceId,
    /// The metric's name.
    pub metric: String,
    /// What to count, and how carefully.
    pub request: MeasureRequest,
}

/// All of one expert.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpertQuestion {
    /// The trace.
    pub trace: TraceId,
    /// The expert.
    pub cell: Cell,
    /// What to count, and how carefully.
    pub request: MeasureRequest,
}

/// A comparison of two traces.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareQuestion {
    /// The trace that is compared.
    pub first: PathBuf,
    /// The trace that it is compared with.
    pub second: PathBuf,
    /// The metric's name.
    pub metric: String,
    /// What to count, and how carefully.
    pub request: MeasureRequest,
}

/// A document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentQuestion {
    /// The trace's folder.
    pub trace: PathBuf,
    /// The document's id.
    pub id: String,
}

/// Where a token occurs in a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenQuestion {
    /// The trace.
    pub trace: TraceId,
    /// Entry of the vocabulary that the trace was made with.
    pub id: u32,
    /// What to count.
    pub request: MeasureRequest,
}

/// A document as it can be read.
#[derive(Debug)]
pub(crate) struct ReadDocument {
    /// How long it is and what it is labelled with.
    pub(crate) about: String,
    /// Its text, as far as the trace keeps it.
    pub(crate) text: String,
}

/// What a metric gave.
pub(crate) type Measured = Arc<Vec<Measurement>>;

/// Bytes that all answers together hold at most, about, besides what is on the screen and the last few of each kind.
const MOST_BYTES: usize = 256 << 20;
/// How they are shared: tables of one trace, and of two; the rest are lists and texts.
const MEASURED_BYTES: usize = MOST_BYTES / 8 * 5;
const COMPARED_BYTES: usize = MOST_BYTES / 4;
const LIST_BYTES: usize = MOST_BYTES / 24;

/// Everything that was asked, with its answers.
#[derive(Debug)]
pub struct Answers {
    measured: Results<MeasureQuestion, Measured>,
    experts: Results<ExpertQuestion, Arc<ExpertProfile>>,
    compared: Results<CompareQuestion, Measured>,
    documents: Results<DocumentQuestion, Arc<ReadDocument>>,
    tokens: Results<TokenQuestion, Arc<TokenProfile>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            measured: Results::new(MEASURED_BYTES),
            experts: Results::new(LIST_BYTES),
            compared: Results::new(COMPARED_BYTES),
            documents: Results::new(LIST_BYTES),
            tokens: Results::new(LIST_BYTES),
        }
    }
}

impl Answers {
    /// The answer of a metric, if it was asked for.
    pub(crate) fn measured(&self, question: &MeasureQuestion) -> Option<&Job<Measured>> {
        self.measured.get(question)
    }

    /// What is known of an expert, if it was asked for.
    pub(crate) fn expert(&self, question: &ExpertQuestion) -> Option<&Job<Arc<ExpertProfile>>> {
        self.experts.get(question)
    }

    /// The answer of a comparison, if it was asked for.
    pub(crate) fn compared(&self, question: &CompareQuestion) -> Option<&Job<Measured>> {
        self.compared.get(question)
    }

    /// A document's text, if it was asked for.
    pub(crate) fn document(&self, question: &DocumentQuestion) -> Option<&Job<Arc<ReadDocument>>> {
        self.documents.get(question)
    }

    /// Where a token occurs, if it was asked for.
    pub(crate) fn token(&self, question: &TokenQuestion) -> Option<&Job<Arc<TokenProfile>>> {
        self.tokens.get(question)
    }

    /// Notes a question.
    pub(crate) fn ask(&mut self, question: Question) {
        match question {
            Question::Measure(question) => self.measured.ask(question),
            Question::Expert(question) => self.experts.ask(question),
            Question::Compare(question) => self.compared.ask(question),
            Question::Document(question) => self.documents.ask(question),
            Question::Token(question) => self.tokens.ask(question),
        }
    }

    /// Notes a question again whose answer failed.
    pub(crate) fn ask_again(&mut self, question: Question) {
        match &question {
            Question::Measure(question) => self.measured.forget_failure(question),
            Question::Expert(question) => self.experts.forget_failure(question),
            Question::Compare(question) => self.compared.forget_failure(question),
            Question::Document(question) => self.documents.forget_failure(question),
            Question::Token(question) => self.tokens.forget_failure(question),
        }
        self.ask(question);
    }

    /// Forgets everything about a trace that is closed.
    pub(crate) fn forget_trace(&mut self, trace: &OpenTrace) {
        let (id, path) = (trace.id, &trace.path);
        self.compared
            .forget(|question| question.first == *path || question.second == *path);
        self.documents.forget(|question| question.trace == *path);
        self.measured.forget(|question| question.trace == id);
        self.experts.forget(|question| question.trace == id);
        self.tokens.forget(|question| question.trace == id);
    }

    /// Forgets what was answered from a trace that was read again. What is still being answered is answered from what was
    /// read.
    pub(crate) fn renew_trace(&mut self, trace: &OpenTrace) {
        let (id, path) = (trace.id, &trace.path);
        self.compared
            .forget_answered(|question| question.first == *path || question.second == *path);
        self.documents
            .forget_answered(|question| question.trace == *path);
        self.measured
            .forget_answered(|question| question.trace == id);
        self.experts
            .forget_answered(|question| question.trace == id);
        self.tokens.forget_answered(|question| question.trace == id);
    }

    /// Takes answers that have come and starts work on what waits.
    pub(crate) fn advance(&mut self, traces: &Traces, ctx: &egui::Context) {
        self.measured.advance(|question, job| {
            let question = question.clone();
            let asked = traces.asked(question.trace);
            job.start(&format!("measuring {}", question.metric), ctx, move |p| {
                measure(&asked?, &question, p)
            });
        });
        self.experts.advance(|question, job| {
            let question = question.clone();
            let asked = traces.asked(question.trace);
            job.start(&format!("expert {}", question.cell), ctx, move |p| {
                describe(&asked?, &question, p)
            });
        });
        self.compared.advance(|question, job| {
            let question = question.clone();
            job.start(&format!("comparing {}", question.metric), ctx, move |p| {
                compare(&question, p)
            });
        });
        self.documents.advance(|question, job| {
            let question = question.clone();
            job.start(&format!("reading {}", question.id), ctx, move |_| {
                read_document(&question)
            });
        });
        self.tokens.advance(|question, job| {
            let question = question.clone();
            let asked = traces.asked(question.trace);
            job.start("looking for the token", ctx, move |p| {
                find_token(&asked?, &question, p)
            });
        });
    }

    /// Whether nothing runs or waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.measured.is_idle()
            && self.experts.is_idle()
            && self.compared.is_idle()
            && self.documents.is_idle()
            && self.tokens.is_idle()
    }

    /// The progress of all that runs.
    pub(crate) fn running(&self) -> Vec<Arc<JobProgress>> {
        let measured = self.measured.jobs().filter_map(Job::progress);
        let experts = self.experts.jobs().filter_map(Job::progress);
        let compared = self.compared.jobs().filter_map(Job::progress);
        let tokens = self.tokens.jobs().filter_map(Job::progress);
        let all = measured.chain(experts).chain(compared).chain(tokens);
        all.cloned().collect()
    }
}

fn measure(
    asked: &AskedTrace,
    question: &MeasureQuestion,
    progress: &Arc<JobProgress>,
) -> Result<Measured, String> {
    let metric = find(&question.metric).map_err(|error| error.to_string())?;
    asked
        .answer(|data| metric.measure(data, &question.request, progress.as_ref()))
        .map(Arc::new)
}

fn describe(
    asked: &AskedTrace,
    question: &ExpertQuestion,
    progress: &Arc<JobProgress>,
) -> Result<Arc<ExpertProfile>, String> {
    let config = ExpertConfig {
        layer: question.cell.layer,
        expert: question.cell.expert,
        top: EXPERT_TOP,
        contexts: EXPERT_CONTEXTS,
        window: EXPERT_WINDOW,
    };
    asked
        .answer(|data| expert_profile(data, &question.request, &config, progress.as_ref()))
        .map(Arc::new)
}

fn find_token(
    asked: &AskedTrace,
    question: &TokenQuestion,
    progress: &Arc<JobProgress>,
) -> Result<Arc<TokenProfile>, String> {
    let config = TokenConfig {
        id: question.id,
        contexts: TOKEN_CONTEXTS,
        window: TOKEN_WINDOW,
    };
    asked
        .answer(|data| token_profile(data, &question.request, &config, progress.as_ref()))
        .map(Arc::new)
}

/// Opens both traces anew: a set owns its traces, and opening reads the samples only.
fn compare(question: &CompareQuestion, progress: &Arc<JobProgress>) -> Result<Measured, String> {
    let work = || -> Result<Vec<Measurement>, PipelineError> {
        let named = name_traces(&[question.first.clone(), question.second.clone()])?;
        let opened = named
            .into_iter()
            .map(|trace| Ok((trace.name, TraceData::open(&trace.path)?)))
            .collect::<Result<Vec<_>, PipelineError>>()?;
        let set = TraceSet::new(opened, REFERENCE)?;
        let metric = ComparedMetric::find(&question.metric)?;
        Ok(metric.compare(&set, &question.request, progress.as_ref())?)
    };
    once_more(work)
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

fn read_document(question: &DocumentQuestion) -> Result<Arc<ReadDocument>, String> {
    let document = once_more(|| RoutingTrace::open(&question.trace)?.document(&question.id))
        .map_err(|error| error.to_string())?;
    let meta = &document.sample.meta;
    let labels = [
        meta.discipline
            .as_ref()
            .map(moescope_core::Discipline::as_str),
        meta.genre.as_deref(),
        meta.group.as_deref(),
        meta.source.as_deref(),
    ];
    let mut about = vec![format!("{} tokens", document.sample.num_tokens)];
    about.extend(labels.into_iter().flatten().map(str::to_owned));
    let pieces = document.tokens.iter().map(|token| token.text.as_deref());
    let text: Option<String> = pieces.collect();
    Ok(Arc::new(ReadDocument {
        about: about.join(", "),
        text: text.unwrap_or_else(|| {
            "The trace keeps no texts; capture it again with texts to read them here".to_owned()
        }),
    }))
}
