//! Figures of what a view shows: drawn by the figures crate from the very measurement on the screen.

use std::{path::PathBuf, sync::Arc};

use moescope_analytics::MeasureRequest;
use moescope_figures::{FigureOptions, Format};
use moescope_pipeline::{FigureJob, FigureSpec, TraceSource, export_figure};

use crate::{answers::Measured, job::Job};

/// What a view offers to print.
#[derive(Clone, Debug)]
pub struct FigureOffer {
    /// The figure's kind; see [`moescope_figures::catalogue`].
    pub kind: &'static str,
    /// What the metric gave.
    pub measured: Measured,
    /// Which of its measurements is drawn.
    pub index: usize,
    /// What the figure looks like.
    pub options: FigureOptions,
    /// How `moescope figure` makes the same one, where it can: the traces and what is measured.
    pub again: Option<(TraceSource, FigureJob)>,
}

/// A figure to write.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// What is drawn.
    pub offer: FigureOffer,
    /// The files without their endings.
    pub stem: PathBuf,
    /// The formats.
    pub formats: Vec<Format>,
    /// Whether the specification is written beside them.
    pub has_spec: bool,
    /// Whether the numbers are written beside them.
    pub has_data: bool,
}

/// Figures that are being written.
#[derive(Debug, Default)]
pub struct Exports {
    job: Job<Vec<PathBuf>>,
}

impl Exports {
    /// Writes a figure on a thread of its own.
    pub(crate) fn start(&mut self, request: ExportRequest, ctx: &egui::Context) {
        self.job
            .start("writing the figure", ctx, move |_| write(&request));
    }

    /// What was written or went wrong, once.
    pub(crate) fn advance(&mut self) -> Option<Result<Vec<PathBuf>, String>> {
        if !self.job.poll() {
            return None;
        }
        match std::mem::take(&mut self.job) {
            Job::Ready(paths) => Some(Ok(paths)),
            Job::Failed { error, .. } => Some(Err(error)),
            Job::Idle | Job::Running(_) => None,
        }
    }

    /// Whether nothing is being written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.job.is_running()
    }
}

fn write(request: &ExportRequest) -> Result<Vec<PathBuf>, String> {
    let offer = &request.offer;
    let outs: Vec<PathBuf> = request
        .formats
        .iter()
        .map(|format| with_ending(&request.stem, format.extension()))
        .collect();
    let mut written = export_figure(
        offer.kind,
        &offer.measured,
        offer.index,
        &offer.options,
        &outs,
    )
    .map_err(|error| error.to_string())?;
    if request.has_data {
        let path = with_ending(&request.stem, "csv");
        let mut table = Vec::new();
        moescope_analytics::long_table(&offer.measured[offer.index..=offer.index])
            .write_csv(&mut table)
            .map_err(|error| error.to_string())?;
        std::fs::write(&path, table)
            .map_err(|error| format!("cannot write the numbers: {error}: {}", path.display()))?;
        written.push(path);
    }
    if let (true, Some((source, job)), Some(out)) = (request.has_spec, &offer.again, outs.first()) {
        let path = with_ending(&request.stem, "toml");
        let spec = FigureSpec::of_job(job, source, out, &path)
            .and_then(|spec| spec.to_toml())
            .map_err(|error| error.to_string())?;
        std::fs::write(&path, spec).map_err(|error| {
            format!(
                "cannot write the specification: {error}: {}",
                path.display()
            )
        })?;
        written.push(path);
    }
    Ok(written)
}

/// The stem with an ending put after it, so that a dot in a name stays.
fn with_ending(stem: &std::path::Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

impl FigureOffer {
    /// The offer of a measurement as the metric gave it.
    #[must_use]
    pub fn new(kind: &'static str, measured: &Measured, options: FigureOptions) -> Self {
        Self {
            kind,
            measured: Arc::clone(measured),
            index: 0,
            options,
            again: None,
        }
    }

    /// The same, with what `moescope figure` needs to measure and draw it again.
    #[must_use]
    pub fn made_of(self, source: TraceSource, metric: &str, request: MeasureRequest) -> Self {
        let job = FigureJob {
            kind: self.kind.to_owned(),
            metric: Some(metric.to_owned()),
            request,
            options: self.options.clone(),
        };
        Self {
            again: Some((source, job)),
            ..self
        }
    }
}
