//! What a view is, and what it is given.

use std::sync::Arc;

use egui::Ui;
use moescope_analytics::{ExpertProfile, MeasureRequest, TokenProfile};

use crate::{
    answers::{
        CompareQuestion, DocumentQuestion, ExpertQuestion, MeasureQuestion, Measured, Question,
        ReadDocument, TokenQuestion,
    },
    choices::Cell,
    command::{Command, Commands},
    export::FigureOffer,
    job::Job,
    state::State,
    theme::Theme,
    traces::OpenTrace,
};

/// A part of the window that shows one thing and can be put anywhere.
///
/// A view paints the state and sends commands. What it keeps for itself is scratch, such as a texture or where something
/// is scrolled to: nothing is lost with it.
pub trait View {
    /// What it is called.
    fn about(&self) -> ViewAbout;

    /// Paints it.
    fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>);

    /// The figure of exactly what it shows, if it shows something that can be printed.
    fn figure(&self, _ctx: &ViewContext<'_>) -> Option<FigureOffer> {
        None
    }

    /// Whether there is one; asked in every frame.
    fn has_figure(&self, ctx: &ViewContext<'_>) -> bool {
        self.figure(ctx).is_some()
    }

    /// The `moescope …` line that gives the same numbers, or what is missing for one.
    ///
    /// # Errors
    /// Says what has to be chosen or opened first.
    fn command_line(&self, ctx: &ViewContext<'_>) -> Result<String, &'static str>;

    /// What copies that line; more where a file must be there before it can be run.
    fn copy(&self, line: String) -> Command {
        Command::Copy(line)
    }

    /// Whether it makes something for itself that is not on the screen yet, such as a texture.
    fn is_busy(&self) -> bool {
        false
    }
}

/// What a view is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewAbout {
    /// Its name in scripts and settings; also the name of its file.
    pub name: &'static str,
    /// Its title on the screen.
    pub title: &'static str,
    /// What it is for, in a sentence.
    pub summary: &'static str,
}

/// What a view is given: the state to look at, the colours, and where commands go.
#[derive(Clone, Copy)]
pub struct ViewContext<'a> {
    /// Everything that there is.
    pub state: &'a State,
    /// What is measured of the trace that is shown.
    pub request: &'a MeasureRequest,
    /// The colours.
    pub theme: &'a Theme,
    /// Where commands go.
    pub commands: &'a Commands,
    /// The view that is being painted.
    pub view: Option<&'static str>,
}

/// What is known so far of a question.
pub(crate) struct Answer<'a> {
    /// What was asked.
    pub(crate) question: MeasureQuestion,
    /// The whole answer.
    pub(crate) job: Option<&'a Job<Measured>>,
    /// The values alone, which are there sooner.
    pub(crate) values: Option<&'a Measured>,
}

impl<'a> Answer<'a> {
    /// The best that there is.
    pub(crate) fn best(&self) -> Option<&'a Measured> {
        self.job.and_then(Job::value).or(self.values)
    }

    /// What was asked for [`Self::best`]: no intervals, as long as there are none.
    pub(crate) fn asked_of_best(&self) -> MeasureRequest {
        if self.job.and_then(Job::value).is_some() {
            self.question.request.clone()
        } else {
            without_resampling(&self.question.request)
        }
    }
}

/// The same without intervals and null models, which take longer than the values.
fn without_resampling(request: &MeasureRequest) -> MeasureRequest {
    MeasureRequest {
        resamples: 0,
        permutations: 0,
        ..request.clone()
    }
}

impl<'a> ViewContext<'a> {
    /// The trace that views show.
    #[must_use]
    pub fn trace(&self) -> Option<&'a OpenTrace> {
        self.state.traces.active()
    }

    /// What is measured, and how carefully.
    #[must_use]
    pub fn request(&self) -> &'a MeasureRequest {
        self.request
    }

    /// Asks for a change.
    pub fn send(&self, command: Command) {
        self.commands.send(command);
    }

    /// Brings a view to the front that tells of what was clicked, unless it would cover the one in which that was.
    pub(crate) fn bring_forward(&self, view: &'static str) {
        if let Some(clicked_in) = self.view {
            self.send(Command::BringForward { view, clicked_in });
        }
    }

    /// Chooses an expert that was clicked, and shows what is known of it.
    pub(crate) fn choose_cell(&self, cell: Cell) {
        self.send(Command::ChooseCell(Some(cell)));
        self.bring_forward("expert");
    }

    /// A metric on the active trace; asked for if it was not yet.
    pub(crate) fn measured(
        &self,
        trace: &OpenTrace,
        metric: &str,
        request: &MeasureRequest,
    ) -> (MeasureQuestion, Option<&'a Job<Measured>>) {
        let question = MeasureQuestion {
            trace: trace.id,
            metric: metric.to_owned(),
            request: request.clone(),
        };
        let job = self.state.answers.measured(&question);
        if job.is_none() {
            self.send(Command::Ask(Box::new(Question::Measure(question.clone()))));
        }
        (question, job)
    }

    /// A metric on a trace, its values first and what takes longer after them.
    pub(crate) fn measured_soon(
        &self,
        trace: &OpenTrace,
        metric: &str,
        request: &MeasureRequest,
    ) -> Answer<'a> {
        let quick = without_resampling(request);
        let (question, job) = self.measured(trace, metric, &quick);
        // What both need is read once, so the second waits for the first.
        if *request == quick || job.and_then(Job::value).is_none() {
            return Answer {
                question,
                job,
                values: None,
            };
        }
        let values = job.and_then(Job::value);
        let (question, job) = self.measured(trace, metric, request);
        Answer {
            question,
            job,
            values,
        }
    }

    /// What is known of an expert; asked for if it was not yet.
    pub(crate) fn expert(
        &self,
        trace: &OpenTrace,
        cell: Cell,
        request: &MeasureRequest,
    ) -> (ExpertQuestion, Option<&'a Job<Arc<ExpertProfile>>>) {
        let question = ExpertQuestion {
            trace: trace.id,
            cell,
            request: request.clone(),
        };
        let job = self.state.answers.expert(&question);
        if job.is_none() {
            self.send(Command::Ask(Box::new(Question::Expert(question.clone()))));
        }
        (question, job)
    }

    /// Where a token occurs in a trace; asked for if it was not yet.
    pub(crate) fn token(&self, question: &TokenQuestion) -> Option<&'a Job<Arc<TokenProfile>>> {
        let job = self.state.answers.token(question);
        if job.is_none() {
            self.send(Command::Ask(Box::new(Question::Token(question.clone()))));
        }
        job
    }

    /// A document's text; asked for if it was not yet.
    pub(crate) fn document(
        &self,
        question: &DocumentQuestion,
    ) -> Option<&'a Job<Arc<ReadDocument>>> {
        let job = self.state.answers.document(question);
        if job.is_none() {
            let question = Question::Document(question.clone());
            self.send(Command::Ask(Box::new(question)));
        }
        job
    }

    /// A comparison; asked for if it was not yet.
    pub(crate) fn compared(&self, question: &CompareQuestion) -> Option<&'a Job<Measured>> {
        let job = self.state.answers.compared(question);
        if job.is_none() {
            self.send(Command::Ask(Box::new(Question::Compare(question.clone()))));
        }
        job
    }
}
