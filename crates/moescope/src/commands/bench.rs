//! `bench`: how fast a model runs here.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use clap::{Args, ValueEnum};
use moescope_engine::Checkpoint;
use moescope_pipeline::{
    DEMO,
    bench::{
        BenchConfig, BenchModel, BenchOutcome, BenchPhase, BenchRow, Geometry, RandomCheckpoint,
        Recording,
    },
};

use crate::{
    cli::GlobalArgs,
    console::Console,
    devices,
    exit::Outcome,
    output,
    shared_args::{HubArgs, PrecisionArgs, check_fit},
};

/// Seed of the random weights.
const SEED: u64 = 0;

/// Measure how fast a model runs here, with and without recording
///
/// The machine's own limits are measured in the same run: the bandwidth at which all cores read memory, and the speed of
/// one large product. A model of random weights is as fast as a trained one, so none needs to be downloaded: olmoe-4l,
/// scidfm-2l and qwen3-30b-2l are the first layers of published models, and --like takes any config.json. Their
/// weights are written once into the cache folder, a few gigabytes, and may be deleted at any time.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  moescope bench demo
  moescope bench olmoe-4l --weights q8 --compute bf16
  moescope bench --like qwen3/config.json --layers 2 --json > bench.jsonl")]
pub(crate) struct BenchArgs {
    /// olmoe-4l, scidfm-2l or qwen3-30b-2l (random weights); a folder in Hugging Face layout, a repository id, or `demo`
    #[arg(value_name = "MODEL", required_unless_present = "like")]
    model: Option<String>,
    /// Measure a model of this config.json's shape, with random weights
    #[arg(long, value_name = "CONFIG", conflicts_with = "model")]
    like: Option<PathBuf>,
    /// Take only the first N layers of --like [default: all]
    #[arg(long, value_name = "N", requires = "like")]
    layers: Option<usize>,
    /// Write the checkpoint with random weights into this new folder, and measure nothing
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    cases: CaseArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// What is measured.
#[derive(Args, Debug)]
#[command(next_help_heading = "Cases")]
struct CaseArgs {
    /// What is done: prefill, decode, surprisal (prefill with the whole head) [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    phases: Vec<PhaseArg>,
    /// Lengths of the prefills, in tokens [default: 16,128,512,2048]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    prefill: Vec<usize>,
    /// Sequences that are decoded at a time [default: 1,8]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    batches: Vec<usize>,
    /// What is kept meanwhile: off, routing (ids, weights and derived numbers), logits (router logits as well)
    /// [default: all three]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    recording: Vec<RecordingArg>,
    /// Leave out cases that would make the measurement longer than this many minutes
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_minutes: u16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PhaseArg {
    Prefill,
    Decode,
    Surprisal,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RecordingArg {
    Off,
    Routing,
    Logits,
}

impl From<PhaseArg> for BenchPhase {
    fn from(arg: PhaseArg) -> Self {
        match arg {
            PhaseArg::Prefill => Self::Prefill,
            PhaseArg::Decode => Self::Decode,
            PhaseArg::Surprisal => Self::Surprisal,
        }
    }
}

impl From<RecordingArg> for Recording {
    fn from(arg: RecordingArg) -> Self {
        match arg {
            RecordingArg::Off => Self::Off,
            RecordingArg::Routing => Self::Routing,
            RecordingArg::Logits => Self::Logits,
        }
    }
}

impl CaseArgs {
    fn config(&self) -> anyhow::Result<BenchConfig> {
        let usual = BenchConfig::default();
        let config = BenchConfig {
            phases: given(&self.phases, usual.phases),
            prefill: given(&self.prefill, usual.prefill),
            batches: given(&self.batches, usual.batches),
            recordings: given(&self.recording, usual.recordings),
            limit: Duration::from_mins(self.max_minutes.into()),
        };
        config.check()?;
        Ok(config)
    }
}

/// What was asked for, or the usual.
fn given<A: Copy + Into<T>, T>(asked: &[A], usual: Vec<T>) -> Vec<T> {
    if asked.is_empty() {
        usual
    } else {
        asked.iter().map(|one| (*one).into()).collect()
    }
}

pub(crate) fn run(
    args: &BenchArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let config = args.cases.config()?;
    let choice = devices::choice(global)?;
    let geometry = geometry(args)?;
    if let Some(folder) = &args.write {
        let Some(geometry) = geometry else {
            bail!(
                "only a model of random weights is written: give {} or --like CONFIG",
                Geometry::names().join(", ")
            );
        };
        RandomCheckpoint::new(&geometry, SEED)?.write(folder, console)?;
        console.finish();
        return Ok(Outcome::Success);
    }
    let (name, checkpoint) = if let Some(geometry) = geometry {
        let random = RandomCheckpoint::new(&geometry, SEED)?;
        let folder = random.cached(console)?;
        console.note(&format!(
            "model: {} with random weights, {} in {} (may be deleted at any time)",
            geometry.name,
            output::bytes(random.bytes()),
            folder.display()
        ));
        (geometry.name, Checkpoint::open(&folder)?)
    } else {
        // The tokens are arbitrary, so no tokenizer is needed.
        let model = args.model.as_deref().unwrap_or(DEMO);
        let folder = args.hub.find(model, console)?;
        (folder.name.clone(), Checkpoint::open(&folder.path)?)
    };
    let device = devices::open(choice, console)?;
    let options = args.precision.options();
    let pass = config.pass_size(checkpoint.config().max_positions);
    check_fit(&checkpoint, &device, options, &pass, console)?;
    let model = BenchModel::load(name, checkpoint, device, options, console)?;
    let mut failure = None;
    let outcome = model.run(&config, console, &mut |row| {
        if args.json && failure.is_none() {
            failure = output::json(row).err();
        }
    })?;
    console.finish();
    if let Some(error) = failure {
        return Err(error);
    }
    if !args.json {
        show(&outcome.rows)?;
    }
    warn_of_left_out(&outcome, console);
    Ok(Outcome::Success)
}

/// The shape whose weights are to be random, if one was asked for.
fn geometry(args: &BenchArgs) -> anyhow::Result<Option<Geometry>> {
    if let Some(config) = &args.like {
        return Ok(Some(Geometry::like(config, args.layers)?));
    }
    let model = args.model.as_deref().unwrap_or(DEMO);
    // A name must not change its meaning with what lies around; a folder of that name is `./olmoe-4l`.
    if let Some(geometry) = Geometry::published(model) {
        return Ok(Some(geometry));
    }
    let near = Geometry::did_you_mean(model);
    if !near.is_empty() && !std::path::Path::new(model).exists() {
        bail!("there is no geometry or model '{model}'{near}");
    }
    Ok(None)
}

fn warn_of_left_out(outcome: &BenchOutcome, console: &Console) {
    if !outcome.left_out.is_empty() {
        console.warning(&format!(
            "left out, because they would take too long: {}; --max-minutes allows more",
            outcome.left_out.join(", ")
        ));
    }
}

fn show(rows: &[BenchRow]) -> anyhow::Result<()> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let last = rows.last().unwrap_or(first);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    output::line(&format!(
        "{}: {} ({} weights, {} compute) on {}, {} threads",
        first.model, first.geometry, first.weights, first.compute, first.device, first.threads
    ))?;
    output::line(&format!(
        "limits: {} GB/s read by all cores, {:.0} GFLOP/s in a large product",
        or_dash(first.stream_gb_per_s.map(|speed| format!("{speed:.1}"))),
        first.product_gflop_per_s
    ))?;
    output::line(&format!(
        "loaded in {:.2} s; weights {}; peak memory {}{}",
        first.load_seconds,
        output::bytes(first.weights_bytes),
        or_dash(last.peak_bytes.map(output::bytes)),
        last.peak_to_weights
            .map_or_else(String::new, |ratio| format!(" ({ratio:.2} × the weights)"))
    ))?;
    let percent = |fraction: f64| format!("{:.0} %", 100.0 * fraction);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of a model, shown with three digits"
    )]
    let per_token = |row: &BenchRow| output::bytes(row.bytes_per_token as u64);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.phase.to_owned(),
                row.tokens.to_string(),
                row.batch.to_string(),
                row.recording.to_owned(),
                if row.surprisal { "yes" } else { "no" }.to_owned(),
                format!("{:.0}", row.tokens_per_s),
                per_token(row),
                format!("{:.1}", row.gb_per_s),
                or_dash(row.bandwidth_fraction.map(percent)),
                format!("{:.1}", row.gflop_per_s),
                percent(row.product_fraction),
            ]
        })
        .collect();
    output::table(
        &[
            "phase",
            ">tokens",
            ">batch",
            "recording",
            "surprisal",
            ">tokens/s",
            ">bytes/token",
            ">GB/s",
            ">of limit",
            ">GFLOP/s",
            ">of limit",
        ],
        &cells,
    )?;
    Ok(())
}
