//! `measure`: numbers with their uncertainty.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use moescope_analytics::{
    BiasCorrection, Control, FingerprintKind, LoadMass, MeasureRequest, TraceData, find,
};
use moescope_core::{Axis, AxisKind, LabelList, LayerSelection, Scope, Weighting};
use moescope_pipeline::{ModelFolder, NamedTrace, StoredWeights};
use moescope_trace::RoutingTrace;

use crate::{
    console::Console, counted_args::CountedArgs, exit::Outcome, label_args::LabelArgs,
    table_args::TableArgs, trace_args,
};

/// Measure metrics on traces, with intervals and null models
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  moescope measure my-trace mutual_information
  moescope measure my-trace domain_specialization --layers 3 --contrast math:law
  moescope measure my-trace mutual_information --match genre,length
  moescope measure my-trace domain_specialization --labels chemistry --only genre=abstract
  moescope measure my-trace assignment_share --by all --positions 16-
  moescope measure my-trace jsd --merge science=chemistry,physics --labels science,law
  moescope measure my-trace conditional_mutual_information --given token,position
  moescope measure my-trace jsd nmi --format csv --out numbers.csv
  moescope measure my-trace router_similarity --model my-model
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
    /// The model that made the trace, for metrics of its weights: a folder, a repository id in the local cache, or `demo`
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    tables: TableArgs,
}

/// What to count and how carefully; shared by every verb that measures.
#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    labels: LabelArgs,
    /// Measure the difference of two labels, first minus second; a colon within a label is written \:
    #[arg(long, value_name = "A:B")]
    contrast: Option<String>,
    /// Layers in the model's numbering, like 0,5-8
    #[arg(long, default_value = "all", value_name = "LAYERS")]
    layers: LayerSelection,
    #[command(flatten)]
    counted: CountedArgs,
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
    /// Neither read nor write the cache beside a large trace (`.moescope-cache` in its folder)
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Weight documents (tokens, for `position`) so that these are distributed alike under every label: `genre`, `length`,
    /// `position`, or any label column
    #[arg(long = "match", value_delimiter = ',', value_name = "VARIABLES")]
    match_on: Vec<Control>,
    /// What `conditional_mutual_information` holds constant: `token`, `position`, `length`, or any label column; several jointly
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "token",
        value_name = "VARIABLES"
    )]
    given: Vec<Control>,
    /// How the upward bias of mutual information is corrected
    #[arg(long, value_enum, default_value_t)]
    bias: BiasArg,
    /// What stands for a document in maps and classifiers: `mean_prob`, `selection_frequency`, `weight_share`,
    /// `last_prob`, `scidfm_logits`, `scidfm_probs`, `scidfm_weights`
    #[arg(long, default_value = "mean_prob", value_name = "KIND")]
    fingerprint: String,
    /// The cumulative score at which a set of `esft_gate_experts` (published: 0.1) or `esft_token_experts` (0.2) is complete
    #[arg(long, value_name = "P")]
    esft_p: Option<f64>,
    /// What the load of an expert is a sum of: `counts`, `weights`, `probabilities`, `last_probabilities` (of each
    /// document's last token); by default what each metric's definition says, which is mostly `counts`
    #[arg(long, value_name = "MASS")]
    mass: Option<String>,
    /// The largest distance of tokens in `overlap_by_lag`
    #[arg(long, default_value_t = 32, value_name = "TOKENS")]
    lags: u32,
    /// The length of segments in `segment_routing_consistency` and `expert_cache_hit_rate`
    #[arg(long, default_value_t = 16, value_name = "TOKENS")]
    segment: u32,
    /// The length of windows in `label_drift`
    #[arg(long, default_value_t = 32, value_name = "TOKENS")]
    window: u32,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum WeightingArg {
    #[default]
    Token,
    Document,
}

impl From<WeightingArg> for Weighting {
    fn from(weighting: WeightingArg) -> Self {
        match weighting {
            WeightingArg::Token => Self::Token,
            WeightingArg::Document => Self::Document,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum BiasArg {
    /// Subtract the mean over permuted labels.
    #[default]
    Permutation,
    /// Subtract the bias of independent tokens.
    MillerMadow,
    /// Subtract nothing.
    None,
}

impl RequestArgs {
    /// Opens the trace that is measured.
    pub(crate) fn open(&self, trace: &Path) -> anyhow::Result<TraceData> {
        let data = TraceData::open(trace)?;
        Ok(if self.no_cache {
            data.without_cache()
        } else {
            data
        })
    }

    /// The request that the options describe.
    pub(crate) fn request(&self) -> anyhow::Result<MeasureRequest> {
        let contrast = self
            .contrast
            .as_deref()
            .map(|pair| {
                LabelList::pair(pair).with_context(|| {
                    format!("--contrast takes two labels like math:law, found '{pair}'; a colon within a label is written \\:")
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
        let mass = self.mass.as_deref().map(load_mass).transpose()?;
        let request = MeasureRequest {
            scope: Scope {
                layers: self.layers.clone(),
                labels: self.labels.labels(),
                only: self.labels.only.clone(),
                weighting: self.weighting.into(),
                ..self.counted.scope()
            },
            by: self.labels.by.clone(),
            merge: self.labels.merge.clone(),
            contrast,
            resample_by: self.resample_by.clone(),
            resamples: self.resamples,
            permutations: self.resamples,
            seed: self.seed,
            level: self.level,
            match_on: self.match_on.clone(),
            given: self.given.clone(),
            bias: match self.bias {
                BiasArg::Permutation => BiasCorrection::Permutation,
                BiasArg::MillerMadow => BiasCorrection::MillerMadow,
                BiasArg::None => BiasCorrection::None,
            },
            fingerprint,
            esft_p: self.esft_p,
            mass,
            lags: self.lags,
            segment: self.segment,
            window: self.window,
            ..MeasureRequest::default()
        };
        request.check()?;
        Ok(request)
    }
}

fn load_mass(name: &str) -> anyhow::Result<LoadMass> {
    let kinds = LoadMass::ALL.map(LoadMass::as_str);
    LoadMass::ALL
        .into_iter()
        .find(|mass| mass.as_str() == name)
        .with_context(|| {
            format!(
                "there is no mass '{name}'; the kinds are {}",
                kinds.join(", ")
            )
        })
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
    for trace in &traces {
        RoutingTrace::open(&trace.path)?;
    }
    let mut measurements = Vec::new();
    for NamedTrace { name, path } in &traces {
        let mut data = args.request.open(path)?;
        if let Some(model) = &args.model {
            let weights = StoredWeights::open(ModelFolder::find(model, None)?, data.model())?;
            data = data.with_weights(Arc::new(weights));
        }
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
