//! `figure`: one figure from a trace.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use moescope_figures::{FigureOptions, catalogue};
use moescope_pipeline::{FigureJob, kind, usual_metric};

use super::measure::RequestArgs;
use crate::{console::Console, exit::Outcome, output};

/// Draw a figure of a trace as SVG, PDF or PNG
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  moescope figure --list
  moescope figure my-trace layer_expert_heatmap --group math --group-b law --out math-law.pdf
  moescope figure my-trace fingerprint_map --variant t-SNE --centroids --out map.svg

A caption with all protocol facts is written beside the figure, with the ending .txt.")]
pub(crate) struct FigureArgs {
    /// A trace's folder
    #[arg(value_name = "TRACE", required_unless_present = "list")]
    trace: Option<PathBuf>,
    /// The figure's kind; see --list
    #[arg(value_name = "KIND", required_unless_present = "list")]
    kind: Option<String>,
    /// Where to write it; the ending chooses the format
    #[arg(
        long,
        value_name = "FILE.svg|pdf|png",
        required_unless_present = "list"
    )]
    out: Option<PathBuf>,
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
            centroids: self.centroids,
            caption: !self.no_caption,
            png_dpi: self.dpi,
        };
        options.check()?;
        Ok(options)
    }
}

pub(crate) fn run(args: &FigureArgs, console: &Console) -> anyhow::Result<Outcome> {
    if args.list {
        list()?;
        return Ok(Outcome::Success);
    }
    let (Some(trace), Some(name), Some(out)) = (&args.trace, &args.kind, &args.out) else {
        anyhow::bail!("a figure needs TRACE, KIND and --out FILE; see moescope figure --list");
    };
    kind(name)?;
    let job = FigureJob {
        kind: name.clone(),
        metric: args.metric.clone(),
        request: args.request.request()?,
        options: args.look.options()?,
    };
    let data = args.request.open(trace)?;
    job.write(&data, out, console)?;
    console.finish();
    console.note(&format!("wrote {}", out.display()));
    Ok(Outcome::Success)
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
