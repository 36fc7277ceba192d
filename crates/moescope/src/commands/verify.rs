//! `moescope verify`: compare with what another implementation computed.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use moescope_engine::{Checkpoint, MoeModel, Tolerances, VerifyReport, verify};
use moescope_pipeline::PassSize;
use serde::Serialize;

use crate::{
    cli::GlobalArgs,
    console::Console,
    devices,
    exit::Outcome,
    output::{self, count},
    shared_args::{ModelArgs, check_fit},
};

/// Most tokens of a sequence that another implementation's values are usually kept for.
const USUAL_TOKENS: u64 = 512;

/// Compare a model's numbers with what another implementation computed
///
/// FILE is a safetensors file with `input_ids.T` and any of `logits.T`, `router_logits.T.L`, `selected.T.L` and
/// `weights.T.L` for lengths T and MoE layers L, and `generated` with `generated_logits`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  moescope verify my-model --expected expected.safetensors")]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// What the other implementation computed
    #[arg(long, value_name = "FILE")]
    expected: PathBuf,
    /// Largest difference of logits that passes
    #[arg(long, default_value_t = Tolerances::default().logits, value_name = "X", allow_negative_numbers = true)]
    tolerance: f64,
    /// Largest difference of routing weights that passes
    #[arg(long, default_value_t = Tolerances::default().weights, value_name = "X", allow_negative_numbers = true)]
    weight_tolerance: f64,
    /// Largest margin between the last chosen expert and the first left out at which a selection may differ: for
    /// rounded weights and bf16
    #[arg(long, default_value_t = Tolerances::default().near_tie, value_name = "X", allow_negative_numbers = true)]
    near_tie: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    passes: bool,
    tolerances: Tolerances,
    #[serde(flatten)]
    found: &'a VerifyReport,
}

pub(crate) fn run(
    args: &VerifyArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let tolerances = Tolerances {
        logits: args.tolerance,
        weights: args.weight_tolerance,
        near_tie: args.near_tie,
    };
    for (name, value) in [
        ("tolerance", tolerances.logits),
        ("weight-tolerance", tolerances.weights),
        ("near-tie", tolerances.near_tie),
    ] {
        if !(value.is_finite() && value >= 0.0) {
            bail!("--{name} must be 0 or more, found {value}");
        }
    }
    let options = args.model.options();
    let choice = devices::choice(global)?;
    // The expected values hold token ids, so no tokenizer is needed.
    let folder = args.model.source.find(console)?;
    let checkpoint = Checkpoint::open(&folder.path)?;
    let device = devices::open(choice, console)?;
    let context = checkpoint.config().max_positions as u64;
    let pass = PassSize::prefill(USUAL_TOKENS.min(context));
    check_fit(&checkpoint, &device, options, &pass, console)?;
    let model = MoeModel::load(&checkpoint, &device, options, console)?;
    let report = verify(&model, &args.expected, tolerances, console)?;
    console.finish();
    if args.json {
        output::json(&Report {
            passes: report.passes(),
            tolerances,
            found: &report,
        })?;
    } else {
        show(&report, tolerances)?;
    }
    Ok(if report.passes() {
        Outcome::Success
    } else {
        Outcome::CheckFailed
    })
}

fn show(report: &VerifyReport, tolerances: Tolerances) -> anyhow::Result<()> {
    let errors = [
        ("next-token logits", &report.logits, tolerances.logits),
        ("router logits", &report.router_logits, tolerances.logits),
        ("routing weights", &report.weights, tolerances.weights),
    ];
    let rows: Vec<Vec<String>> = errors
        .into_iter()
        .map(|(what, error, tolerance)| {
            let is_compared = error.compared > 0;
            let cell = |text: String| if is_compared { text } else { "–".to_owned() };
            vec![
                what.to_owned(),
                count(error.compared),
                cell(format!("{:.2e}", error.largest)),
                format!("{tolerance:.0e}"),
                cell(error.at.clone()),
            ]
        })
        .collect();
    output::table(
        &["", ">compared", ">largest error", ">allowed", "at"],
        &rows,
    )?;
    let more = |[near, after]: [(u64, &str); 2]| -> String {
        let told = |(n, what): (u64, &str)| match n {
            0 => String::new(),
            _ => format!(", {} {what}", count(n)),
        };
        told(near) + &told(after)
    };
    output::line(&format!(
        "selections: {} compared, {} differ{}",
        count(report.selections),
        count(report.differing),
        more([
            (report.near_ties, "of them near ties"),
            (
                report.downstream,
                "not compared, since one before them differs"
            ),
        ])
    ))?;
    output::line(&format!(
        "greedy tokens: {} compared, {} differ{}",
        count(report.greedy_tokens),
        count(report.differing_greedy),
        more([
            (report.greedy_near_ties, "of them near ties"),
            (
                report.downstream_greedy,
                "not compared, since a near tie comes before them"
            ),
        ])
    ))?;
    if !report.examples.is_empty() {
        show_margins(report)?;
        show_selections(report)?;
    }
    if report.passes() {
        output::line("passed")?;
    } else {
        output::line(&format!("FAILED: {}", report.failures.join("; ")))?;
    }
    Ok(())
}

/// How many selections of which margin differ.
fn show_margins(report: &VerifyReport) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = report
        .by_margin
        .iter()
        .map(|bin| {
            let most = bin.at_most;
            vec![
                most.map_or("more".to_owned(), |most| format!("up to {most:.0e}")),
                count(bin.selections),
                count(bin.differing),
            ]
        })
        .collect();
    output::table(&["margin", ">selections", ">differ"], &rows)?;
    Ok(())
}

/// Selections that differ, the largest margin first: a tiny margin excuses much, a large one nothing.
fn show_selections(report: &VerifyReport) -> anyhow::Result<()> {
    let mut examples: Vec<_> = report.examples.iter().collect();
    examples.sort_by(|a, b| b.margin.total_cmp(&a.margin));
    let rows: Vec<Vec<String>> = examples
        .iter()
        .map(|example| {
            vec![
                format!("{:.2e}", example.margin),
                format!("{:?}", example.expected),
                format!("{:?}", example.found),
                example.at.clone(),
            ]
        })
        .collect();
    output::table(&[">margin", "expected", "found", "at"], &rows)?;
    Ok(())
}
