//! From a trace, or from measurements in a file, to finished figures.

mod caption;
mod measurement_file;
mod spec;

use std::path::{Path, PathBuf};

use moescope_analytics::{MeasureRequest, TraceData, TraceSet, find as find_metric};
use moescope_core::{AxisKind, Measurement, Progress, did_you_mean};
use moescope_figures::{FigureKind, FigureOptions, Format, find as find_kind, render};

pub use caption::{caption_of, latex_caption_of};
pub use measurement_file::{measurements_to_json, read_measurements};
pub use spec::{FigureSource, FigureSpec, SpecFigure};

use crate::{compare_traces::ComparedMetric, error::PipelineError};
use measurement_file::place_of_table;

/// One figure to draw.
#[derive(Clone, Debug)]
pub struct FigureJob {
    /// The kind's name; see [`moescope_figures::catalogue`].
    pub kind: String,
    /// The metric to draw; without one, the kind's usual metric.
    pub metric: Option<String>,
    /// What to measure, and how carefully.
    pub request: MeasureRequest,
    /// What the figure looks like.
    pub options: FigureOptions,
}

/// The metric that a kind draws where none is named.
#[must_use]
pub fn usual_metric(kind: &str) -> &'static str {
    match kind {
        "co_activation_matrix" => "co_activation",
        "fingerprint_map" => "fingerprint_map",
        "group_matrix" => "jsd",
        "lag_profile" => "overlap_by_lag",
        "layer_flow" => "layer_transition",
        "layer_series" => "mutual_information",
        "lollipop" => "domain_specialization",
        "position_profile" => "position_profile",
        "reliability_curve" => "label_drift",
        "saturation_curves" => "router_saturation",
        "vocabulary_table" => "top_tokens",
        _ => "assignment_share",
    }
}

impl FigureJob {
    /// Measures and draws; the SVG and the measurement that it shows.
    ///
    /// # Errors
    /// When kind or metric are unknown, the measurement fails, or the kind cannot draw it.
    pub fn draw(
        &self,
        data: &TraceData,
        progress: &dyn Progress,
    ) -> Result<(String, Measurement), PipelineError> {
        let kind = kind(&self.kind)?;
        let found = find_metric(self.metric())?.measure(data, &self.request, progress)?;
        draw_first(kind, found, &self.options)
    }

    /// As [`Self::draw`], of several traces: a metric that compares them, or the differences of one of a single trace.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn draw_comparison(
        &self,
        traces: &TraceSet,
        progress: &dyn Progress,
    ) -> Result<(String, Measurement), PipelineError> {
        let kind = kind(&self.kind)?;
        let metric = ComparedMetric::find(self.metric())?;
        let found = metric.compare(traces, &self.request, progress)?;
        draw_first(kind, found, &self.options)
    }

    /// Draws one of some measurements that are there already, as [`read_measurements`] gives them: the one that `table`
    /// names by its title or its number from 1, or else the first that the kind can draw. Nothing is measured.
    ///
    /// # Errors
    /// When the kind is unknown or cannot draw the measurement, or there is none of that name.
    pub fn draw_measured(
        &self,
        mut measurements: Vec<Measurement>,
        table: Option<&str>,
    ) -> Result<(String, Measurement), PipelineError> {
        let kind = kind(&self.kind)?;
        let place = match table {
            Some(table) => place_of_table(&measurements, table)?,
            None if measurements.len() == 1 => 0,
            None => return draw_first(kind, measurements, &self.options),
        };
        let svg = kind.draw_svg_of(&measurements, place, &self.options)?;
        Ok((svg, measurements.swap_remove(place)))
    }

    fn metric(&self) -> &str {
        let named = self.metric.as_deref();
        named.unwrap_or_else(|| usual_metric(&self.kind))
    }

    /// Draws and writes the figure in the format that the file's name asks for, and captions with all protocol facts
    /// beside it (`NAME.txt`, and `NAME.tex` for LaTeX).
    ///
    /// # Errors
    /// As [`Self::draw`], and when a file cannot be written.
    pub fn write(
        &self,
        data: &TraceData,
        out: &Path,
        progress: &dyn Progress,
    ) -> Result<Measurement, PipelineError> {
        let format = Format::from_path(out)?;
        let (svg, measurement) = self.draw(data, progress)?;
        write_figure(&svg, format, out, &measurement, &self.options)?;
        Ok(measurement)
    }

    /// As [`Self::write`], of measurements as [`Self::draw_measured`] draws them.
    ///
    /// # Errors
    /// As [`Self::draw_measured`], and when a file cannot be written.
    pub fn write_measured(
        &self,
        measurements: Vec<Measurement>,
        table: Option<&str>,
        out: &Path,
    ) -> Result<Measurement, PipelineError> {
        let format = Format::from_path(out)?;
        let (svg, measurement) = self.draw_measured(measurements, table)?;
        write_figure(&svg, format, out, &measurement, &self.options)?;
        Ok(measurement)
    }

    /// As [`Self::write`], of several traces.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_comparison(
        &self,
        traces: &TraceSet,
        out: &Path,
        progress: &dyn Progress,
    ) -> Result<Measurement, PipelineError> {
        let format = Format::from_path(out)?;
        let (svg, measurement) = self.draw_comparison(traces, progress)?;
        write_figure(&svg, format, out, &measurement, &self.options)?;
        Ok(measurement)
    }
}

/// The kind of a name, or an error that suggests near ones.
///
/// # Errors
/// When there is no such kind.
pub fn kind(name: &str) -> Result<&'static dyn FigureKind, PipelineError> {
    find_kind(name).ok_or_else(|| {
        let all: Vec<&str> = moescope_figures::catalogue()
            .iter()
            .map(|kind| kind.about().name)
            .collect();
        PipelineError::Settings(format!(
            "there is no figure '{name}'{}; the kinds are {}",
            did_you_mean(name, &all),
            all.join(", ")
        ))
    })
}

/// Draws the first of a metric's measurements that the kind can show.
fn draw_first(
    kind: &dyn FigureKind,
    mut measurements: Vec<Measurement>,
    options: &FigureOptions,
) -> Result<(String, Measurement), PipelineError> {
    let mut refusal = None;
    // A metric may give several tables, e.g. maps and their quality; the last map is the one to show first.
    let wanted = options.variant.as_deref();
    let is_named = |measurement: &Measurement| {
        wanted.is_some_and(|name| measurement.title.ends_with(&format!("({name})")))
    };
    for index in 0..measurements.len() {
        if is_named(&measurements[index]) {
            let options = FigureOptions {
                variant: None,
                ..options.clone()
            };
            let svg = kind.draw_svg_of(&measurements, index, &options)?;
            return Ok((svg, measurements.swap_remove(index)));
        }
        let has_variants = measurements[index].axis(AxisKind::Variant).is_some();
        match kind.draw_svg_of(&measurements, index, options) {
            Ok(svg) if wanted.is_none() || has_variants => {
                return Ok((svg, measurements.swap_remove(index)));
            }
            Ok(_) => {}
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.map_or_else(
        || PipelineError::Settings("the metric gave nothing that this figure can draw".to_owned()),
        PipelineError::from,
    ))
}

/// Draws one of a metric's measurements and writes it in the format that each file's name asks for, with captions beside
/// them; the files that were written.
///
/// # Errors
/// When the kind is unknown or cannot draw the measurement, an option is out of range, or a file cannot be written.
pub fn export_figure(
    kind_name: &str,
    measurements: &[Measurement],
    index: usize,
    options: &FigureOptions,
    outs: &[PathBuf],
) -> Result<Vec<PathBuf>, PipelineError> {
    let kind = kind(kind_name)?;
    let Some(measurement) = measurements.get(index) else {
        return Err(PipelineError::Settings(format!(
            "there is no measurement {index} to draw; there are {}",
            measurements.len()
        )));
    };
    let svg = kind.draw_svg_of(measurements, index, options)?;
    for out in outs {
        write_figure(&svg, Format::from_path(out)?, out, measurement, options)?;
    }
    Ok(outs.to_vec())
}

/// Writes one format of a drawn figure, with its captions beside it.
pub(crate) fn write_figure(
    svg: &str,
    format: Format,
    out: &Path,
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<(), PipelineError> {
    let bytes = render(svg, format, options)?;
    std::fs::write(out, bytes)
        .map_err(|source| PipelineError::io("write the figure", out, source))?;
    let captions = [
        ("txt", caption_of(measurement)),
        (
            "tex",
            latex_caption_of(measurement, options.title.as_deref()),
        ),
    ];
    for (ending, text) in captions {
        let caption = out.with_extension(ending);
        std::fs::write(&caption, text)
            .map_err(|source| PipelineError::io("write the caption", &caption, source))?;
    }
    Ok(())
}
