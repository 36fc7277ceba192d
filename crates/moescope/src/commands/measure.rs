//! `measure`: numbers with their uncertainty.

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use moescope_analytics::{FingerprintKind, MeasureRequest, TraceData, find};
use moescope_core::{Axis, AxisKind, Scope, Weighting};
use moescope_trace::RoutingTrace;

use crate::{
    console::Console,
    exit::Outcome,
    table_args::TableArgs,
    trace_args::{self, NamedTrace},
};

/// Measure metrics on traces, with intervals and null models
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  moescope measure my-trace mutual_information
  moescope measure my-trace domain_specialization --layers 3 --contrast math:law
  moescope measure my-trace jsd nmi --format csv --out numbers.csv
  moescope measure step-1000 step-2000 final load_entropy --by all

`moescope metrics` lists the metrics; `moescope compare` measures what differs between traces.")]
pub(crate) struct MeasureArgs {
    /// A trace's folder
    #[arg(value_name = "TRACE")]
    trace: String,
    /// Further traces, and names of metrics (see `moescope metrics`); what is a folder with a manifest is a trace
    ///
    /// With several traces every metric is measured on each, and the column `trace` says which it is.
    #[arg(value_name = "TRACE|METRIC", required = true)]
    rest: Vec<String>,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    tables: TableArgs,
}

/// What to count and how carefully; shared by every verb that measures.
#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    /// The label column to compare by; `all` puts all documents together
    #[arg(long, default_value = "discipline", value_name = "COLUMN")]
    by: String,
    /// Measure the difference of two labels, first minus second
    #[arg(long, value_name = "A:B")]
    contrast: Option<String>,
    /// Only documents with these labels
    #[arg(long, value_delimiter = ',', value_name = "LABELS")]
    labels: Vec<String>,
    /// Layers in the model's numbering, like 0,5-8
    #[arg(long, default_value = "all", value_name = "LAYERS")]
    layers: String,
    /// Given text, generated text, or both: prefill, decode, all
    #[arg(long, default_value = "prefill", value_name = "PHASE")]
    phase: String,
    /// Count special and template tokens as well
    #[arg(long)]
    include_special: bool,
    /// What has equal weight
    #[arg(long, value_enum, default_value_t)]
    weighting: WeightingArg,
    /// The column whose values are resampled together
    #[arg(long, default_value = "group", value_name = "COLUMN")]
    resample_by: String,
    /// Bootstrap resamples and permutations; 0 makes neither intervals nor p values
    #[arg(long, default_value_t = 1000, value_name = "N")]
    resamples: u32,
    /// Level of the intervals
    #[arg(long, default_value_t = 0.95, value_name = "P")]
    level: f64,
    /// Seed of all randomness
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// What stands for a document in maps and classifiers: `mean_prob`, `selection_frequency`, `weight_share`,
    /// `last_prob`, `scidfm_logits`, `scidfm_probs`, `scidfm_weights`
    #[arg(long, default_value = "mean_prob", value_name = "KIND")]
    fingerprint: String,
    /// The cumulative score at which a set of `esft_gate_experts` (published: 0.1) or `esft_token_experts` (0.2) is complete
    #[arg(long, value_name = "P")]
    esft_p: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum WeightingArg {
    #[default]
    Token,
    Document,
}

impl RequestArgs {
    /// The request that the options describe.
    pub(crate) fn request(&self) -> anyhow::Result<MeasureRequest> {
        let contrast = self
            .contrast
            .as_deref()
            .map(|pair| {
                pair.split_once(':')
                    .map(|(a, b)| (a.to_owned(), b.to_owned()))
                    .with_context(|| {
                        format!("--contrast takes two labels like math:law, found '{pair}'")
                    })
            })
            .transpose()?;
        let kinds = FingerprintKind::ALL.map(FingerprintKind::as_str);
        let fingerprint = FingerprintKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == self.fingerprint)
            .with_context(|| {
                format!(
                    "there is no fingerprint '{}'; the kinds are {}",
                    self.fingerprint,
                    kinds.join(", ")
                )
            })?;
        let request = MeasureRequest {
            scope: Scope {
                layers: self.layers.parse()?,
                phase: self.phase.parse()?,
                include_special: self.include_special,
                labels: self.labels.clone(),
                weighting: match self.weighting {
                    WeightingArg::Token => Weighting::Token,
                    WeightingArg::Document => Weighting::Document,
                },
            },
            by: self.by.clone(),
            contrast,
            resample_by: self.resample_by.clone(),
            resamples: self.resamples,
            permutations: self.resamples,
            seed: self.seed,
            level: self.level,
            fingerprint,
            esft_p: self.esft_p,
            ..MeasureRequest::default()
        };
        request.check()?;
        Ok(request)
    }
}

pub(crate) fn run(args: &MeasureArgs, console: &Console) -> anyhow::Result<Outcome> {
    let request = args.request.request()?;
    args.tables.check()?;
    let (traces, metrics) = trace_args::split(&args.trace, &args.rest)?;
    if metrics.is_empty() {
        bail!("no metric is named; `moescope metrics` lists them");
    }
    let metrics = metrics
        .iter()
        .map(|name| find(name))
        .collect::<Result<Vec<_>, _>>()?;
    // All manifests are read before anything is measured, and one trace at a time is in memory.
    let opened = traces
        .iter()
        .map(|trace| RoutingTrace::open(&trace.path))
        .collect::<Result<Vec<_>, _>>()?;
    let mut measurements = Vec::new();
    for (NamedTrace { name, .. }, trace) in traces.iter().zip(&opened) {
        let data = TraceData::from_trace(trace)?;
        for metric in &metrics {
            for mut measurement in metric.measure(&data, &request, console)? {
                if traces.len() > 1 {
                    let axis = Axis::new(AxisKind::Trace, vec![name.clone()]);
                    measurement.axes.insert(0, axis);
                }
                measurements.push(measurement);
            }
        }
    }
    console.finish();
    args.tables.write(&measurements)?;
    Ok(Outcome::Success)
}
