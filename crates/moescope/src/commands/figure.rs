//! `figure`: figures of a trace or of measurements in a file, one by options or several by a file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use moescope_analytics::{MeasureRequest, TraceSet};
use moescope_core::LabelList;
use moescope_figures::{FigureOptions, catalogue};
use moescope_pipeline::{
    FigureJob, FigureSource, FigureSpec, NamedTrace, kind, place_of_reference, read_measurements,
    usual_metric,
};

use super::measure::RequestArgs;
use crate::{console::Console, exit::Outcome, output, trace_args};

/// Draw figures of traces as SVG, PDF or PNG
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  moescope figure --list
  moescope figure my-trace layer_expert_heatmap --group math --group-b law --out math-law.pdf
  moescope figure my-trace fingerprint_map --variant t-SNE --hulls --out map.svg --spec-out map.toml
  moescope figure step-1000 step-10000 final saturation_curves --out saturation.pdf
  moescope figure map.toml
  moescope measure my-trace jsd --format measurements --out jsd.json
  moescope figure jsd.json group_matrix --layer 5 --out matrix.pdf

With several traces the figure compares them with the last one (or that of --reference).
Captions with all protocol facts are written beside the figure, with the endings .txt and .tex (for LaTeX).
A file of figures (TOML) has a [[figure]] for each, with kind, out, and what the options of this verb say:

  trace = \"my-trace\"
  [[figure]]
  kind = \"group_matrix\"
  out = [\"matrix.pdf\", \"matrix.svg\"]
  measure = { by = \"genre\", resamples = 2000 }
  look = { width_mm = 85.0 }

`traces = [\"a\", \"b\"]` in place of `trace` compares several, and `measurement = \"file.json\"` draws what a file holds.
Its paths are relative to it, and it writes below its folder, or below that of --out.")]
pub(crate) struct FigureArgs {
    /// A trace's folder, a file of figures, or a file of measurements
    #[arg(
        value_name = "TRACE|SPEC.toml|FILE.json",
        required_unless_present = "list"
    )]
    source: Option<PathBuf>,
    /// Further traces, and the figure's kind (see --list)
    #[arg(value_name = "TRACE|KIND")]
    rest: Vec<String>,
    /// The trace that the others are compared with, by its folder's name [default: the last one]
    #[arg(long, value_name = "NAME", requires = "rest")]
    reference: Option<String>,
    /// Where to write it; the ending chooses the format (for a file of figures: the folder)
    #[arg(long, value_name = "FILE.svg|pdf|png")]
    out: Option<PathBuf>,
    /// Write a file that makes this figure again
    #[arg(long, value_name = "FILE.toml", requires = "rest")]
    spec_out: Option<PathBuf>,
    /// Of a file of measurements the one with this title or number, counted from 1 [default: the first that can be drawn]
    #[arg(long, value_name = "TITLE|NUMBER", requires = "rest")]
    table: Option<String>,
    /// List the kinds and their options
    #[arg(long)]
    list: bool,
    /// The metric to draw; each kind has a usual one
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    look: LookArgs,
}

/// What the figure looks like.
#[derive(Args, Debug)]
#[command(next_help_heading = "Look")]
struct LookArgs {
    /// The title; the metric's own by default
    #[arg(long)]
    title: Option<String>,
    /// Width in millimetres
    #[arg(long, default_value_t = 170.0, value_name = "MM")]
    width: f64,
    /// Height in millimetres; what the contents need by default
    #[arg(long, value_name = "MM")]
    height: Option<f64>,
    /// Colours or value axis: auto, linear, log, symmetric
    #[arg(long, default_value = "auto")]
    scale: String,
    /// Lowest and highest value of the scale, like 0:0.5
    #[arg(long, value_name = "LOW:HIGH", allow_hyphen_values = true)]
    limits: Option<String>,
    /// The layer to draw
    #[arg(long, value_name = "LAYER")]
    layer: Option<u16>,
    /// The label to draw
    #[arg(long, value_name = "LABEL")]
    group: Option<String>,
    /// The label to subtract
    #[arg(long, value_name = "LABEL")]
    group_b: Option<String>,
    /// The variant to draw, where there are several (for maps: PCA or t-SNE)
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Labels that stand out among lines; the others become grey
    #[arg(long, value_name = "LABELS")]
    highlight: Vec<LabelList>,
    /// Only these experts
    #[arg(long, value_delimiter = ',', value_name = "EXPERTS")]
    experts: Vec<u16>,
    /// How many of the largest to show
    #[arg(long, value_name = "N")]
    top: Option<u16>,
    /// The order of a matrix: similarity, given
    #[arg(long, default_value = "similarity")]
    order: String,
    /// What each small panel shows: auto, layer, group
    #[arg(long, default_value = "auto")]
    panels: String,
    /// Outline where most documents of each label lie
    #[arg(long)]
    hulls: bool,
    /// Name each label at the middle of its documents
    #[arg(long)]
    centroids: bool,
    /// Leave out the protocol under the figure
    #[arg(long)]
    no_caption: bool,
    /// Resolution of a PNG
    #[arg(long, default_value_t = 300, value_name = "DPI")]
    dpi: u32,
}

impl LookArgs {
    fn options(&self) -> anyhow::Result<FigureOptions> {
        let limits = self
            .limits
            .as_deref()
            .map(|text| {
                let (low, high) = text
                    .split_once(':')
                    .with_context(|| format!("--limits takes LOW:HIGH, found '{text}'"))?;
                let number = |text: &str| {
                    text.trim()
                        .parse::<f64>()
                        .with_context(|| format!("'{text}' is not a number"))
                };
                anyhow::Ok([number(low)?, number(high)?])
            })
            .transpose()?;
        let options = FigureOptions {
            title: self.title.clone(),
            width_mm: self.width,
            height_mm: self.height,
            scale: self.scale.parse()?,
            limits,
            layer: self.layer,
            group: self.group.clone(),
            group_b: self.group_b.clone(),
            variant: self.variant.clone(),
            highlight: LabelList::all_of(&self.highlight),
            experts: self.experts.clone(),
            top: self.top,
            order: self.order.parse()?,
            panels: self.panels.parse()?,
            hulls: self.hulls,
            centroids: self.centroids,
            caption: !self.no_caption,
            png_dpi: self.dpi,
        };
        options.check()?;
        Ok(options)
    }
}

impl FigureArgs {
    /// The file of a single figure.
    fn out(&self) -> anyhow::Result<&Path> {
        self.out
            .as_deref()
            .context("a figure needs --out FILE with the ending .svg, .pdf or .png")
    }
}

pub(crate) fn run(args: &FigureArgs, console: &Console) -> anyhow::Result<Outcome> {
    if args.list {
        list()?;
        return Ok(Outcome::Success);
    }
    let Some(source) = &args.source else {
        bail!(
            "a figure needs a trace, a file of figures or a file of measurements; see moescope figure --help"
        );
    };
    let ends_in = |ending: &str| {
        let found = source.extension();
        found.is_some_and(|found| found.eq_ignore_ascii_case(ending))
    };
    if ends_in("toml") && args.rest.is_empty() {
        draw_file(args, source, console)?;
        return Ok(Outcome::Success);
    }
    if ends_in("json") && !source.is_dir() {
        draw_measured(args, source, console)?;
        return Ok(Outcome::Success);
    }
    if args.table.is_some() {
        bail!(
            "--table chooses from a file of measurements, which ends in .json: {}",
            source.display()
        );
    }
    let (traces, kinds) = trace_args::split(&source.to_string_lossy(), &args.rest)?;
    match kinds.as_slice() {
        [kind] => draw_one(args, &traces, kind, console)?,
        [] => bail!(
            "a figure of a trace needs a KIND; see moescope figure --list (a file of figures ends in .toml): {}",
            source.display()
        ),
        several => bail!(
            "one figure has one KIND, and these are neither traces nor one kind: {}",
            several.join(", ")
        ),
    }
    Ok(Outcome::Success)
}

/// Draws the figure that the options describe.
fn draw_one(
    args: &FigureArgs,
    traces: &[NamedTrace],
    name: &str,
    console: &Console,
) -> anyhow::Result<()> {
    let out = args.out()?;
    kind(name)?;
    let job = FigureJob {
        kind: name.to_owned(),
        metric: args.metric.clone(),
        request: args.request.request()?,
        options: args.look.options()?,
    };
    let mut source = FigureSource::default();
    if let [trace] = traces {
        if args.reference.is_some() {
            bail!("--reference is for figures of several traces");
        }
        job.write(&args.request.open(&trace.path)?, out, console)?;
        source.trace = Some(trace.path.clone());
    } else {
        let reference = place_of_reference(traces, args.reference.as_deref())?;
        let opened = traces
            .iter()
            .map(|trace| Ok((trace.name.clone(), args.request.open(&trace.path)?)))
            .collect::<anyhow::Result<_>>()?;
        job.write_comparison(&TraceSet::new(opened, reference)?, out, console)?;
        source.traces = traces.iter().map(|trace| trace.path.clone()).collect();
        source.reference.clone_from(&args.reference);
    }
    tell(args, &job, &source, out, console)
}

/// Draws a measurement of a file; nothing is measured.
fn draw_measured(args: &FigureArgs, file: &Path, console: &Console) -> anyhow::Result<()> {
    let [name] = args.rest.as_slice() else {
        bail!(
            "a figure of a file of measurements needs one KIND and no trace; see moescope figure --list: {}",
            file.display()
        );
    };
    let out = args.out()?;
    // What was measured is measured; nobody shall believe to have changed it.
    let is_measured_anew = args.metric.is_some()
        || args.reference.is_some()
        || args.request.no_cache
        || args.request.request()? != MeasureRequest::default();
    if is_measured_anew {
        bail!(
            "the numbers of a file are drawn as they are; options of what is measured are for traces: {}",
            file.display()
        );
    }
    kind(name)?;
    let job = FigureJob {
        kind: name.clone(),
        metric: None,
        request: MeasureRequest::default(),
        options: args.look.options()?,
    };
    job.write_measured(read_measurements(file)?, args.table.as_deref(), out)?;
    let source = FigureSource::measured(file.to_owned(), args.table.clone());
    tell(args, &job, &source, out, console)
}

/// Says what was written, and writes the specification where it was asked for.
fn tell(
    args: &FigureArgs,
    job: &FigureJob,
    source: &FigureSource,
    out: &Path,
    console: &Console,
) -> anyhow::Result<()> {
    console.finish();
    console.note(&format!("wrote {}", out.display()));
    if let Some(file) = &args.spec_out {
        let spec = FigureSpec::of_job(job, source, &[out.to_owned()], file)?;
        std::fs::write(file, spec.to_toml()?)
            .with_context(|| format!("cannot write the specification: {}", file.display()))?;
        console.note(&format!("wrote {}", file.display()));
    }
    Ok(())
}

/// Draws the figures of a file.
fn draw_file(args: &FigureArgs, file: &Path, console: &Console) -> anyhow::Result<()> {
    // What the file does not say, nobody shall believe to have said beside it.
    let has_options = args.metric.is_some()
        || args.request.no_cache
        || args.request.request()? != MeasureRequest::default()
        || args.look.options()? != FigureOptions::default();
    if has_options {
        bail!(
            "a file of figures says itself what is measured and drawn; besides it there is --out alone: {}",
            file.display()
        );
    }
    let spec = FigureSpec::read(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let written = spec.draw(folder, args.out.as_deref(), console)?;
    console.finish();
    for path in written {
        console.note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

fn list() -> anyhow::Result<()> {
    for kind in catalogue() {
        let about = kind.about();
        output::line(&format!("{}: {}", about.name, about.summary))?;
        output::line(&format!(
            "  draws    {} (usually {})",
            about.metrics,
            usual_metric(about.name)
        ))?;
        for (option, meaning) in about.options {
            output::line(&format!("  --{:<9} {meaning}", option.replace('_', "-")))?;
        }
    }
    Ok(())
}
