//! The traces and the files of measurements of a specification's figures.

use std::path::{Path, PathBuf};

use moescope_analytics::{MeasureRequest, TraceData, TraceSet};
use moescope_core::{Measurement, Progress};

use super::super::{FigureJob, read_measurements, usual_metric};
use crate::{
    compare_traces::ComparedMetric,
    error::PipelineError,
    trace_names::{name_traces, name_traces_and_doubles, place_of_reference},
};

/// Where a figure's numbers come from: one trace, several that are compared, or a file that has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FigureSource {
    /// One trace.
    pub trace: Option<PathBuf>,
    /// Several traces.
    pub traces: Vec<PathBuf>,
    /// The one of several that the others are compared with, by its folder's name; the last one where none is named.
    pub reference: Option<String>,
    /// A file of measurements, of which nothing is measured.
    pub measurement: Option<PathBuf>,
    /// The one of its measurements, by its title or its number from 1; the first that can be drawn where none is named.
    pub table: Option<String>,
}

impl FigureSource {
    /// One trace.
    #[must_use]
    pub fn one(trace: PathBuf) -> Self {
        Self {
            trace: Some(trace),
            ..Self::default()
        }
    }

    /// Several traces, of which the last one is the reference.
    #[must_use]
    pub fn several(traces: Vec<PathBuf>) -> Self {
        Self {
            traces,
            ..Self::default()
        }
    }

    /// A measurement of a file.
    #[must_use]
    pub fn measured(measurement: PathBuf, table: Option<String>) -> Self {
        Self {
            measurement: Some(measurement),
            table,
            ..Self::default()
        }
    }

    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks what can be checked without opening a trace.
    pub(super) fn check(
        &self,
        kind: &str,
        metric: Option<&str>,
        request: &MeasureRequest,
    ) -> Result<(), PipelineError> {
        let metric = metric.unwrap_or(usual_metric(kind));
        let refuse = |reason: &str| {
            Err(PipelineError::Settings(format!(
                "the figure '{kind}' {reason}"
            )))
        };
        if self.measurement.is_some() {
            return if self.trace.is_some() || !self.traces.is_empty() || self.reference.is_some() {
                refuse("has a `measurement` and a trace; give one of them")
            } else {
                Ok(())
            };
        }
        if self.table.is_some() {
            return refuse("has a `table` and no `measurement`; name the file that holds it");
        }
        match (&self.trace, self.traces.as_slice()) {
            (None, []) => refuse(
                "has no trace; give it one, or give `trace` at the top of the file (`traces` compares several, and \
                 `measurement` is a file of numbers)",
            ),
            (Some(_), [_, ..]) => refuse("has both `trace` and `traces`; give one of them"),
            (Some(_), []) if self.reference.is_some() => {
                refuse("has a `reference` and one trace; `traces` compares several")
            }
            (Some(_), []) => {
                moescope_analytics::find(metric)?;
                Ok(())
            }
            (None, traces) => {
                ComparedMetric::find(metric)?;
                // One trace is compared with itself only where another part of it is meant.
                let named = if request.reference.is_as_scope() {
                    name_traces(traces)?
                } else {
                    name_traces_and_doubles(traces)?
                };
                place_of_reference(&named, self.reference.as_deref())?;
                Ok(())
            }
        }
    }

    /// Opens the traces, or reads the measurements; paths are relative to `folder`.
    pub(super) fn open(&self, folder: &Path) -> Result<OpenSource, PipelineError> {
        if let Some(file) = &self.measurement {
            return Ok(OpenSource::Measured {
                measurements: read_measurements(&folder.join(file))?,
                table: self.table.clone(),
            });
        }
        if let Some(trace) = &self.trace {
            let data = TraceData::open(&folder.join(trace))?;
            return Ok(OpenSource::One(Box::new(data)));
        }
        let paths: Vec<PathBuf> = self.traces.iter().map(|path| folder.join(path)).collect();
        let mut named = name_traces_and_doubles(&paths)?;
        let opened = named
            .iter()
            .map(|trace| Ok((trace.name.clone(), TraceData::open(&trace.path)?)))
            .collect::<Result<Vec<_>, PipelineError>>()?;
        // A reference may be named by its path as the specification has it.
        for (trace, path) in named.iter_mut().zip(&self.traces) {
            trace.path.clone_from(path);
        }
        let reference = place_of_reference(&named, self.reference.as_deref())?;
        Ok(OpenSource::Several(TraceSet::new(opened, reference)?))
    }
}

/// Traces that are open, or measurements that were read.
pub(super) enum OpenSource {
    One(Box<TraceData>),
    Several(TraceSet),
    Measured {
        measurements: Vec<Measurement>,
        table: Option<String>,
    },
}

impl OpenSource {
    pub(super) fn draw(
        &self,
        job: &FigureJob,
        progress: &dyn Progress,
    ) -> Result<(String, Measurement), PipelineError> {
        match self {
            Self::One(data) => job.draw(data, progress),
            Self::Several(traces) => job.draw_comparison(traces, progress),
            Self::Measured {
                measurements,
                table,
            } => job.draw_measured(measurements.clone(), table.as_deref()),
        }
    }
}
