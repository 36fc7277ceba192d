//! Figures as a file: what is measured, what is drawn, and where it goes, so that a figure can be made again.

mod paths;
mod sources;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use moescope_analytics::MeasureRequest;
use moescope_core::{Progress, did_you_mean};
use moescope_figures::{FigureOptions, Format};
use serde::{Deserialize, Serialize};

use super::{FigureJob, kind, usual_metric, write_figure};
use crate::error::PipelineError;
use paths::{inside, relative_to};
pub use sources::FigureSource;
use sources::OpenSource;

/// Figures with what they are made of, as a TOML file has them.
///
/// Paths of traces and of measurements are relative to the file's folder, and so are those of the figures.
/// A figure's own traces, `measurement` and `measure` stand in place of those of the file as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureSpec {
    /// The trace of every figure that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<PathBuf>,
    /// The traces that every figure compares that names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<PathBuf>,
    /// The one of `traces` that the others are compared with, by its folder's name; the last one where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What is measured for every figure that does not say so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<MeasureRequest>,
    /// The figures.
    #[serde(rename = "figure")]
    pub figures: Vec<SpecFigure>,
}

/// One figure of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecFigure {
    /// The kind's name; see [`moescope_figures::catalogue`].
    pub kind: String,
    /// The metric to draw; without one, the kind's usual metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<PathBuf>,
    /// The traces that are compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<PathBuf>,
    /// As of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// A file of measurements, in place of a trace; then there is neither `metric` nor `measure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurement: Option<PathBuf>,
    /// The one of its measurements, by its title or its number from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The files to write; their endings are the formats.
    pub out: Vec<PathBuf>,
    /// What is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<MeasureRequest>,
    /// What the figure looks like.
    #[serde(default)]
    pub look: FigureOptions,
}

impl FigureSpec {
    /// The file of one figure: the source and `outs` are as seen from where the program runs, `file` is where the
    /// specification will be.
    ///
    /// # Errors
    /// When a path cannot be followed, or the figure is not written below the specification's folder.
    pub fn of_job(
        job: &FigureJob,
        source: &FigureSource,
        outs: &[PathBuf],
        file: &Path,
    ) -> Result<Self, PipelineError> {
        let folder = folder_of(file);
        let metric = job.metric.as_deref().unwrap_or(usual_metric(&job.kind));
        // What a file holds is not measured again.
        let is_of_trace = source.measurement.is_none();
        let seen = |path: &PathBuf| relative_to(folder, path);
        let written = |out: &PathBuf| {
            inside(&relative_to(folder, out)?).map_err(|error| {
                PipelineError::Settings(format!(
                    "{error}; write the specification beside the figure or above it: {}",
                    file.display()
                ))
            })
        };
        Ok(Self {
            trace: None,
            traces: Vec::new(),
            reference: None,
            measure: None,
            figures: vec![SpecFigure {
                kind: job.kind.clone(),
                metric: is_of_trace.then(|| metric.to_owned()),
                trace: source.trace.as_ref().map(seen).transpose()?,
                traces: source.traces.iter().map(seen).collect::<Result<_, _>>()?,
                reference: source.reference.clone(),
                measurement: source.measurement.as_ref().map(seen).transpose()?,
                table: source.table.clone(),
                out: outs.iter().map(written).collect::<Result<_, _>>()?,
                measure: is_of_trace.then(|| job.request.clone()),
                look: job.options.clone(),
            }],
        })
    }

    /// Reads a file and checks everything that can be checked without a trace.
    ///
    /// # Errors
    /// When the file cannot be read or parsed, a key is unknown (near ones are suggested), a kind or metric does not
    /// exist, an option is out of range, or a figure would be written outside the file's folder or over another.
    pub fn read(path: &Path) -> Result<Self, PipelineError> {
        let text = fs::read_to_string(path)
            .map_err(|source| PipelineError::io("read the specification", path, source))?;
        Self::parse(&text).map_err(|error| match error {
            PipelineError::Settings(reason) => {
                PipelineError::Settings(format!("{reason}: {}", path.display()))
            }
            other => other,
        })
    }

    /// As [`Self::read`], of a text.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str) -> Result<Self, PipelineError> {
        let spec: Self = toml::from_str(text).map_err(|error| {
            let hint = suggestion(error.message());
            let told = error.to_string();
            PipelineError::Settings(format!(
                "cannot read the specification: {}{hint}",
                told.trim_end()
            ))
        })?;
        spec.check()?;
        Ok(spec)
    }

    /// The file's text.
    ///
    /// # Errors
    /// When a number has no place in TOML (a seed of 2⁶³ or more).
    pub fn to_toml(&self) -> Result<String, PipelineError> {
        toml::to_string(self).map_err(|error| {
            PipelineError::Settings(format!("cannot write the specification: {error}"))
        })
    }

    /// Draws all figures into `out`, or below the specification's own `folder`; returns the files of the figures.
    ///
    /// # Errors
    /// As [`FigureJob::draw`], with the number of the figure, and when a file cannot be written.
    pub fn draw(
        &self,
        folder: &Path,
        out: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Vec<PathBuf>, PipelineError> {
        let base = out.unwrap_or(folder);
        let mut written = Vec::new();
        let mut opened: Option<(FigureSource, OpenSource)> = None;
        for figure in &self.figures {
            let source = self.source_of(figure);
            let data = match opened.take() {
                Some((of, data)) if of == source => data,
                _ => source.open(folder)?,
            };
            let job = FigureJob {
                kind: figure.kind.clone(),
                metric: figure.metric.clone(),
                request: self.measure_of(figure),
                options: figure.look.clone(),
            };
            let (svg, measurement) = data.draw(&job, progress)?;
            for name in &figure.out {
                let path = base.join(inside(name)?);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)
                        .map_err(|source| PipelineError::io("make the folder", parent, source))?;
                }
                let format = Format::from_path(&path)?;
                write_figure(&svg, format, &path, &measurement, &job.options)?;
                written.push(path);
            }
            opened = Some((source, data));
        }
        Ok(written)
    }

    fn source_of(&self, figure: &SpecFigure) -> FigureSource {
        let own = FigureSource {
            trace: figure.trace.clone(),
            traces: figure.traces.clone(),
            reference: figure.reference.clone(),
            measurement: figure.measurement.clone(),
            table: figure.table.clone(),
        };
        if own.is_empty() {
            FigureSource {
                trace: self.trace.clone(),
                traces: self.traces.clone(),
                reference: self.reference.clone(),
                ..FigureSource::default()
            }
        } else {
            own
        }
    }

    fn measure_of(&self, figure: &SpecFigure) -> MeasureRequest {
        let own = figure.measure.as_ref().or(self.measure.as_ref());
        own.cloned().unwrap_or_default()
    }

    fn check(&self) -> Result<(), PipelineError> {
        let mut taken = BTreeSet::new();
        for figure in &self.figures {
            kind(&figure.kind)?;
            let source = self.source_of(figure);
            let request = self.measure_of(figure);
            source.check(&figure.kind, figure.metric.as_deref(), &request)?;
            if figure.measurement.is_some() && (figure.metric.is_some() || figure.measure.is_some())
            {
                return Err(PipelineError::Settings(format!(
                    "the figure '{}' has a `measurement`, of which nothing is measured; leave out `metric` and `measure`",
                    figure.kind
                )));
            }
            request.check()?;
            figure.look.check()?;
            if figure.out.is_empty() {
                return Err(PipelineError::Settings(format!(
                    "the figure '{}' has no file in `out`; name one, e.g. out = [\"figure.pdf\"]",
                    figure.kind
                )));
            }
            for out in &figure.out {
                Format::from_path(out)?;
                if !taken.insert(inside(out)?) {
                    return Err(PipelineError::Settings(format!(
                        "two figures would be written to {}; give each its own name",
                        out.display()
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The folder of a specification's file.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A near name for an unknown key, from the words of the parser: "unknown field `x`, expected one of `a`, `b`".
fn suggestion(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field ") else {
        return String::new();
    };
    let mut words = rest.split('`').skip(1).step_by(2);
    let typed = words.next().unwrap_or_default();
    let known: Vec<&str> = words.collect();
    did_you_mean(typed, &known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
trace = "my-trace"

[measure]
resamples = 200

[[figure]]
kind = "group_matrix"
out = ["figures/matrix.svg", "figures/matrix.pdf"]

[[figure]]
kind = "layer_series"
metric = "mutual_information"
trace = "../other"
out = ["series.png"]
measure = { by = "genre", scope = { layers = "0,5-8" } }
look = { width_mm = 85.0, highlight = ["law"] }
"#;

    fn refused(text: &str, wanted: &str) {
        let error = FigureSpec::parse(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }

    #[test]
    fn a_file_has_several_figures_and_what_they_share() {
        let spec = FigureSpec::parse(TWO).unwrap();
        let [matrix, series] = spec.figures.as_slice() else {
            panic!("two figures");
        };
        let trace = |figure| spec.source_of(figure).trace;
        assert_eq!(trace(matrix), Some("my-trace".into()));
        assert_eq!(spec.measure_of(matrix).resamples, 200);
        assert_eq!(trace(series), Some("../other".into()));
        // A figure's own measure replaces that of the file as a whole.
        let own = spec.measure_of(series);
        assert_eq!((own.by.as_str(), own.resamples), ("genre", 1000));
        assert_eq!(own.scope.layers.to_string(), "0,5-8");
        assert_eq!(series.look.highlight, ["law"]);
    }

    #[test]
    fn a_figure_compares_traces() {
        let several = "traces = [\"step-1\", \"step-2\", \"final\"]";
        let curves = TWO
            .replace("trace = \"../other\"", several)
            .replace("\"layer_series\"", "\"saturation_curves\"")
            .replace("metric = \"mutual_information\"\n", "");
        let spec = FigureSpec::parse(&curves).unwrap();
        assert_eq!(spec.source_of(&spec.figures[1]).traces.len(), 3);
        // One trace cannot saturate.
        refused(
            &curves.replace(several, "trace = \"final\""),
            "moescope compare",
        );
        let both = format!("{several}\ntrace = \"final\"");
        refused(&curves.replace(several, &both), "both `trace` and `traces`");
        let unknown = format!("{several}\nreference = \"step-3\"");
        refused(&curves.replace(several, &unknown), "no trace is called");
    }

    #[test]
    fn a_figure_is_drawn_of_a_file_of_measurements() {
        let of_file = TWO
            .replace(
                "trace = \"../other\"",
                "measurement = \"a.json\"\ntable = \"2\"",
            )
            .replace("metric = \"mutual_information\"\n", "")
            .replace(
                "measure = { by = \"genre\", scope = { layers = \"0,5-8\" } }\n",
                "",
            );
        let spec = FigureSpec::parse(&of_file).unwrap();
        let source = spec.source_of(&spec.figures[1]);
        assert_eq!(
            source,
            FigureSource::measured("a.json".into(), Some("2".into()))
        );
        let text = spec.to_toml().unwrap();
        assert_eq!(FigureSpec::parse(&text).unwrap(), spec);
        let file = "measurement = \"a.json\"\n";
        let with = |more: &str| of_file.replace(file, &format!("{file}{more}\n"));
        refused(&with("trace = \"b\""), "a `measurement` and a trace");
        refused(
            &with("traces = [\"b\", \"c\"]"),
            "a `measurement` and a trace",
        );
        refused(&with("metric = \"jsd\""), "leave out `metric`");
        refused(&with("measure = { seed = 1 }"), "leave out `metric`");
        refused(&of_file.replace(file, ""), "`table` and no `measurement`");
    }

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let spec = FigureSpec::parse(TWO).unwrap();
        let text = spec.to_toml().unwrap();
        assert_eq!(FigureSpec::parse(&text).unwrap(), spec);
        assert_eq!(FigureSpec::parse(&text).unwrap().to_toml().unwrap(), text);
    }

    #[test]
    fn filters_and_groups_of_labels_are_kept() {
        let measure = r#"measure = { merge = [{ name = "science", labels = ["math", "physics"] }], scope = { only = [{ column = "genre", labels = ["abstract"] }] } }"#;
        let old = r#"measure = { by = "genre", scope = { layers = "0,5-8" } }"#;
        let spec = FigureSpec::parse(&TWO.replace(old, measure)).unwrap();
        let request = spec.measure_of(&spec.figures[1]);
        assert_eq!(request.merge[0].to_string(), "science=math,physics");
        assert_eq!(request.scope.only[0].to_string(), "genre=abstract");
        let text = spec.to_toml().unwrap();
        assert_eq!(FigureSpec::parse(&text).unwrap(), spec);
        let twice = measure.replace("\"math\", ", "\"physics\", ");
        refused(&TWO.replace(old, &twice), "'physics' is named twice");
    }

    #[test]
    fn a_trace_is_given_twice_only_to_compare_parts_of_it() {
        let text = r#"
[[figure]]
kind = "layer_expert_heatmap"
metric = "assignment_share"
traces = ["chat", "chat"]
out = ["parts.svg"]
measure = { by = "all", reference = { phase = "prefill", positions = "0-7" } }
"#;
        let spec = FigureSpec::parse(text).unwrap();
        let request = spec.measure_of(&spec.figures[0]);
        assert_eq!(request.reference.describe(), "prefill, positions 0-7");
        let again = spec.to_toml().unwrap();
        assert_eq!(FigureSpec::parse(&again).unwrap(), spec);
        let reference = r#", reference = { phase = "prefill", positions = "0-7" }"#;
        refused(&text.replace(reference, ""), "given twice");
        refused(&text.replace("phase", "phrase"), "did you mean 'phase'?");
    }

    #[test]
    fn unknown_keys_are_answered_with_near_ones() {
        refused(
            &TWO.replace("width_mm", "width"),
            "did you mean 'width_mm'?",
        );
        refused(
            &TWO.replace("resamples", "resample"),
            "did you mean 'resamples'?",
        );
        refused(&TWO.replace("layers", "layer"), "did you mean 'layers'?");
        refused(
            &TWO.replace("group_matrix", "group_matrx"),
            "did you mean 'group_matrix'?",
        );
        refused(
            &TWO.replace("mutual_information", "mutual_info"),
            "mutual_information",
        );
    }

    #[test]
    fn figures_stay_in_their_folder_and_apart() {
        refused(
            &TWO.replace("series.png", "../series.png"),
            "below the folder",
        );
        refused(
            &TWO.replace("series.png", "/tmp/series.png"),
            "below the folder",
        );
        refused(&TWO.replace("series.png", "series.bmp"), "series.bmp");
        refused(
            &TWO.replace("series.png", "figures/./matrix.pdf"),
            "two figures",
        );
        refused(&TWO.replace("[\"series.png\"]", "[]"), "no file");
        refused(&TWO.replace("trace = \"my-trace\"", ""), "has no trace");
    }
}
