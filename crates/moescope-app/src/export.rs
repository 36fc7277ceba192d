//! Figures of what a view shows: drawn by the figures crate from the very measurement on the screen.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use moescope_analytics::MeasureRequest;
use moescope_figures::{FigureOptions, Format};
use moescope_pipeline::{FigureJob, FigureSource, FigureSpec, export_figure, measurements_to_json};

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
    /// How `moescope figure` makes the same one of a trace: the traces and what is measured. Where no trace gives these
    /// numbers again, they are written beside the figure for it.
    pub again: Option<(FigureSource, FigureJob)>,
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
    if request.has_spec && !outs.is_empty() {
        written.extend(write_spec(offer, &request.stem, &outs)?);
    }
    Ok(written)
}

/// Writes what makes the figure again: a specification of the traces, or one of the numbers with a file that has them.
fn write_spec(offer: &FigureOffer, stem: &Path, outs: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut written = Vec::new();
    let (source, job) = if let Some((source, job)) = &offer.again {
        (source.clone(), job.clone())
    } else {
        let path = with_ending(stem, "json");
        // The one that is drawn: kinds that put several tables together draw what a trace gives again.
        let json = measurements_to_json(&offer.measured[offer.index..=offer.index])
            .map_err(|error| error.to_string())?;
        std::fs::write(&path, json).map_err(|error| {
            format!("cannot write the measurements: {error}: {}", path.display())
        })?;
        written.push(path.clone());
        let job = FigureJob {
            kind: offer.kind.to_owned(),
            metric: None,
            request: MeasureRequest::default(),
            options: offer.options.clone(),
        };
        (FigureSource::measured(path, None), job)
    };
    let path = with_ending(stem, "toml");
    let spec = FigureSpec::of_job(&job, &source, outs, &path)
        .and_then(|spec| spec.to_toml())
        .map_err(|error| error.to_string())?;
    std::fs::write(&path, spec).map_err(|error| {
        format!(
            "cannot write the specification: {error}: {}",
            path.display()
        )
    })?;
    written.push(path);
    Ok(written)
}

/// The stem with an ending put after it, so that a dot in a name stays.
fn with_ending(stem: &Path, ending: &str) -> PathBuf {
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
    pub fn made_of(self, source: FigureSource, metric: &str, request: MeasureRequest) -> Self {
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
