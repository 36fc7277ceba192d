//! The traces that are open.

mod reopening;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use moescope_analytics::{AnalyticsError, TraceData};
use moescope_engine::DeviceChoice;
use moescope_pipeline::demo::kept_trace;
use moescope_trace::{Counts, RoutingTrace, TokenizerIdentity};

use crate::{
    job::{Job, JobProgress},
    lives::LiveModel,
};

use reopening::Reopened;
pub(crate) use reopening::{AskedTrace, once_more};

/// A trace of this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u32);

/// A trace that is open.
#[derive(Clone, Debug)]
pub struct OpenTrace {
    /// Its number in the session.
    pub id: TraceId,
    /// Its folder.
    pub path: PathBuf,
    /// What it is called on the screen.
    pub name: String,
    /// What its manifest says for people.
    pub about: TraceAbout,
    /// Its documents and decisions.
    pub data: Arc<TraceData>,
    /// Whether it is the embedded model's own trace.
    pub is_demo: bool,
    /// Columns with their labels, which every frame needs and finding takes a walk over all documents.
    labels: Vec<(String, Vec<String>)>,
}

/// What a trace's manifest says for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceAbout {
    /// What it holds.
    pub counts: Counts,
    /// How routing was changed while it was made.
    pub interventions: Vec<String>,
    /// The checkpoint's name, where it is known.
    pub checkpoint: Option<String>,
    /// What made tokens of its texts, where it is known.
    pub tokenizer: Option<TokenizerIdentity>,
}

/// Where a trace is, and its number: enough to open it again as the one that it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TracePlace {
    pub(crate) id: TraceId,
    path: PathBuf,
    is_demo: bool,
}

/// What was read of a trace's folder.
#[derive(Debug)]
pub(crate) struct ReadTrace {
    path: PathBuf,
    about: TraceAbout,
    data: Arc<TraceData>,
    labels: Vec<(String, Vec<String>)>,
    is_demo: bool,
}

/// What has come of reading traces.
#[derive(Debug, Default)]
pub(crate) struct TraceNews {
    /// Folders of those that are open now.
    pub(crate) opened: Vec<PathBuf>,
    /// Those whose files were merged, and that were read again: what was said of them before is of what was there before.
    pub(crate) renewed: Vec<TraceId>,
    /// What went wrong.
    pub(crate) failed: Vec<String>,
}

/// The traces that are open or being opened.
#[derive(Debug, Default)]
pub struct Traces {
    open: Vec<OpenTrace>,
    opening: Vec<Opening>,
    active: Option<TraceId>,
    next: u32,
    reopened: Reopened,
}

#[derive(Debug)]
struct Opening {
    what: Source,
    again: Option<Again>,
    job: Job<ReadTrace>,
}

impl Opening {
    /// Whether it is read, and somebody waits for it.
    fn is_awaited(&self) -> bool {
        let progress = self.job.progress();
        progress.is_some_and(|progress| !progress.is_cancelled())
    }
}

/// A trace that was closed is being opened again.
#[derive(Clone, Copy, Debug)]
struct Again {
    /// The number that it had.
    id: TraceId,
    /// Whether it is to be shown when it is there.
    is_shown: bool,
}

/// Where a trace comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Folder(PathBuf),
    /// The embedded model's trace, which is captured once and kept.
    Demo,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Demo => f.write_str("the demo trace"),
        }
    }
}

impl TracePlace {
    /// Where it comes from. The demo trace does so by its name, as where it is asked for anew.
    fn source(&self) -> Source {
        if self.is_demo {
            Source::Demo
        } else {
            Source::Folder(self.path.clone())
        }
    }
}

impl OpenTrace {
    /// Where it is.
    pub(crate) fn place(&self) -> TracePlace {
        TracePlace {
            id: self.id,
            path: self.path.clone(),
            is_demo: self.is_demo,
        }
    }

    /// The checkpoint that it is of, where that is another than the model's.
    pub(crate) fn other_checkpoint(&self, model: &LiveModel) -> Option<&str> {
        let own = &model.loaded.files.folder.name;
        self.about.checkpoint.as_deref().filter(|of| of != own)
    }

    /// The columns that its documents can be divided by.
    #[must_use]
    pub fn label_columns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.labels.iter().map(|(column, _)| column.as_str())
    }

    /// The labels of a column, in the order of all answers; none where there is no such column.
    #[must_use]
    pub fn labels(&self, column: &str) -> &[String] {
        let known = self.labels.iter().find(|(name, _)| name == column);
        known.map_or(&[], |(_, labels)| labels)
    }
}

impl Traces {
    /// The trace that views show.
    #[must_use]
    pub fn active(&self) -> Option<&OpenTrace> {
        self.open.iter().find(|t| Some(t.id) == self.active)
    }

    /// Every open trace, in the order in which they were opened.
    #[must_use]
    pub fn all(&self) -> &[OpenTrace] {
        &self.open
    }

    /// The trace of a number.
    #[must_use]
    pub fn get(&self, id: TraceId) -> Option<&OpenTrace> {
        self.open.iter().find(|t| t.id == id)
    }

    /// The trace of a folder.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&OpenTrace> {
        self.open.iter().find(|t| t.path == path)
    }

    /// What is being opened, or could not be.
    pub(crate) fn opening(&self) -> impl Iterator<Item = (String, &Job<ReadTrace>)> {
        self.opening.iter().map(|o| (o.what.to_string(), &o.job))
    }

    /// Whether something is being opened.
    pub(crate) fn is_opening(&self) -> bool {
        self.opening.iter().any(|opening| opening.job.is_running())
    }

    /// Shows a trace that is open, or one that is being opened again as soon as it is.
    pub(crate) fn choose(&mut self, id: TraceId) {
        if self.get(id).is_some() {
            self.active = Some(id);
        }
        let opening = self.opening.iter_mut();
        for again in opening.filter_map(|opening| opening.again.as_mut()) {
            again.is_shown = again.id == id;
        }
    }

    /// Whether a trace is open, or is being opened again.
    pub(crate) fn knows(&self, id: TraceId) -> bool {
        let mut again = self.opening.iter().filter(|opening| opening.is_awaited());
        self.get(id).is_some() || again.any(|o| o.again.is_some_and(|again| again.id == id))
    }

    /// Whether a trace that was closed can be opened again: its folder is not open already, nor being opened.
    pub(crate) fn can_open_again(&self, place: &TracePlace) -> bool {
        let what = place.source();
        let is_opening = |opening: &Opening| opening.what == what && opening.is_awaited();
        self.at(&place.path).is_none()
            && !self.knows(place.id)
            && !self.opening.iter().any(is_opening)
    }

    /// Opens a trace that was closed, under the number that it had.
    pub(crate) fn open_again(&mut self, place: &TracePlace, ctx: &egui::Context) {
        let what = place.source();
        let TracePlace { id, path, is_demo } = place.clone();
        let again = Again {
            id,
            is_shown: self.open.is_empty(),
        };
        self.start(what, Some(again), ctx, move |_| read(path, is_demo));
    }

    /// Opens a folder on a thread of its own; one that is open is shown.
    pub(crate) fn open(&mut self, path: PathBuf, ctx: &egui::Context) {
        if let Some(id) = self.at(&path).map(|known| known.id) {
            self.choose(id);
            return;
        }
        self.start(Source::Folder(path.clone()), None, ctx, move |_| {
            read(path, false)
        });
    }

    /// Opens the embedded model's trace, which is captured first where it is not kept yet.
    pub(crate) fn open_demo(&mut self, device: DeviceChoice, ctx: &egui::Context) {
        if let Some(id) = self.open.iter().find(|t| t.is_demo).map(|known| known.id) {
            self.choose(id);
            return;
        }
        self.start(Source::Demo, None, ctx, move |progress| {
            let path = kept_trace(device, progress.as_ref()).map_err(|error| error.to_string())?;
            read(path, true)
        });
    }

    /// Closes a trace, or gives up opening it again.
    pub(crate) fn close(&mut self, id: TraceId) {
        self.open.retain(|t| t.id != id);
        self.reopened.forget(id);
        for opening in &self.opening {
            if opening.again.is_some_and(|again| again.id == id)
                && let Some(progress) = opening.job.progress()
            {
                progress.cancel();
            }
        }
        if self.active == Some(id) {
            self.active = self.open.last().map(|t| t.id);
        }
    }

    /// Puts a trace that is in memory among the open ones and shows it.
    pub(crate) fn insert(&mut self, path: PathBuf, about: TraceAbout, data: TraceData) -> TraceId {
        let read = ReadTrace {
            labels: labels_of(&data),
            path,
            about,
            data: Arc::new(data),
            is_demo: false,
        };
        self.add(read, None)
    }

    /// Takes the traces that have been read.
    pub(crate) fn advance(&mut self) -> TraceNews {
        let mut news = TraceNews::default();
        for (id, read) in self.reopened.take() {
            if self.renew(id, read) {
                news.renewed.push(id);
            }
        }
        // Reading a folder is not interrupted; nobody waits for it any more.
        self.opening.retain(|opening| {
            let progress = opening.job.progress();
            !progress.is_some_and(|progress| progress.is_cancelled())
        });
        for opening in &mut self.opening {
            if opening.job.poll()
                && let Some(error) = opening.job.error()
            {
                let told = format!("cannot open {}: {error}", opening.what);
                news.failed.push(told);
            }
        }
        let (done, going): (Vec<_>, Vec<_>) = std::mem::take(&mut self.opening)
            .into_iter()
            .partition(|opening| matches!(opening.job, Job::Ready(_)));
        self.opening = going;
        for opening in done {
            if let Job::Ready(read) = opening.job {
                news.opened.push(read.path.clone());
                self.add(read, opening.again);
            }
        }
        news
    }

    /// A trace for a question that another thread answers.
    ///
    /// # Errors
    /// When it is open no more.
    pub(crate) fn asked(&self, id: TraceId) -> Result<AskedTrace, String> {
        let trace = self
            .get(id)
            .ok_or_else(|| "the trace was closed".to_owned())?;
        Ok(AskedTrace {
            place: trace.place(),
            data: Arc::clone(&trace.data),
            reopened: self.reopened.clone(),
        })
    }

    /// Puts what was read again in the place of an open trace; says whether it is open.
    fn renew(&mut self, id: TraceId, read: ReadTrace) -> bool {
        let open = self.open.iter_mut().find(|trace| trace.id == id);
        open.map(|trace| {
            trace.about = read.about;
            trace.data = read.data;
            trace.labels = read.labels;
        })
        .is_some()
    }

    /// Puts a trace among the open ones, in the order of their numbers.
    fn add(&mut self, read: ReadTrace, again: Option<Again>) -> TraceId {
        let id = again.map_or(TraceId(self.next), |again| again.id);
        self.next = self.next.max(id.0 + 1);
        let name = if read.is_demo {
            "Demo: scidfm-mini on 15 disciplines".to_owned()
        } else {
            name_of(&read.path)
        };
        let place = self.open.partition_point(|known| known.id.0 < id.0);
        let trace = OpenTrace {
            id,
            name,
            path: read.path,
            about: read.about,
            data: read.data,
            is_demo: read.is_demo,
            labels: read.labels,
        };
        self.open.insert(place, trace);
        if again.is_none_or(|again| again.is_shown) {
            self.active = Some(id);
        }
        id
    }

    fn start(
        &mut self,
        what: Source,
        again: Option<Again>,
        ctx: &egui::Context,
        work: impl FnOnce(&Arc<JobProgress>) -> Result<ReadTrace, String> + Send + 'static,
    ) {
        // A failed attempt makes room for the next, and so does one that nobody waits for any more.
        self.opening.retain(Opening::is_awaited);
        if let Some(known) = self.opening.iter_mut().find(|o| o.what == what) {
            // What is asked for by name is shown when it is there.
            if let (Some(known), None) = (&mut known.again, again) {
                known.is_shown = true;
            }
            return;
        }
        let mut job = Job::Idle;
        job.start(&format!("opening {what}"), ctx, work);
        self.opening.push(Opening { what, again, job });
    }
}

fn read(path: PathBuf, is_demo: bool) -> Result<ReadTrace, String> {
    let opened = once_more(|| {
        let trace = RoutingTrace::open(&path)?;
        let data = TraceData::from_trace(&trace)?;
        Ok::<_, AnalyticsError>((trace, data))
    });
    let (trace, data) = opened.map_err(|error| error.to_string())?;
    let labels = labels_of(&data);
    let manifest = trace.manifest();
    Ok(ReadTrace {
        about: TraceAbout {
            counts: manifest.counts.clone(),
            interventions: manifest.interventions.clone(),
            checkpoint: manifest.checkpoint.as_ref().and_then(|c| c.id.clone()),
            tokenizer: manifest.tokenizer.clone(),
        },
        path,
        data: Arc::new(data),
        labels,
        is_demo,
    })
}

fn labels_of(data: &TraceData) -> Vec<(String, Vec<String>)> {
    let columns = data.label_columns().into_iter();
    columns
        .filter_map(|column| data.labels(&column).ok().map(|labels| (column, labels)))
        .collect()
}

/// What a trace is called: its folder, with the one above where many are called alike.
fn name_of(path: &Path) -> String {
    let name = folder_name(path);
    match path.parent().map(folder_name) {
        Some(above) if name == "trace" => format!("{above}/{name}"),
        _ => name,
    }
}

/// The last part of a path, or the path where it has none.
pub(crate) fn folder_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_demo_trace_is_not_opened_twice_by_undo() {
        let ctx = egui::Context::default();
        let place = TracePlace {
            id: TraceId(4),
            path: "demo".into(),
            is_demo: true,
        };
        // It was closed, and is asked for by its name.
        let mut traces = Traces::default();
        let (answer, disk) = channel::<()>();
        traces.start(Source::Demo, None, &ctx, move |_| {
            disk.recv().unwrap_err();
            Err("it took long".to_owned())
        });
        assert!(!traces.can_open_again(&place));
        traces.open_again(&place, &ctx);
        assert_eq!(traces.opening.len(), 1);
        drop(answer);
        // It is opened again behind another, and asked for by its name meanwhile.
        let mut traces = Traces::default();
        assert!(traces.can_open_again(&place));
        traces.open_again(&place, &ctx);
        traces.opening[0].again.as_mut().unwrap().is_shown = false;
        traces.open_demo(DeviceChoice::Cpu, &ctx);
        assert_eq!(traces.opening.len(), 1);
        assert!(traces.opening[0].again.unwrap().is_shown);
        assert!(traces.knows(place.id));
    }
}
