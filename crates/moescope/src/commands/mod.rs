//! The verbs, one file each.

mod ablate;
mod app;
mod bench;
mod capture;
mod compare;
mod compare_weights;
mod completions;
mod demo;
mod effect;
mod expert;
mod figure;
mod findings;
mod generate;
mod import;
mod info;
mod inspect;
mod man;
mod measure;
mod metrics;
mod show;
mod token;
mod validate;
mod verify;

use clap::Subcommand;

use crate::{cli::GlobalArgs, console::Console, exit::Outcome};

/// What to do. A new verb is one file and one line in each of the three lists of this file.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    App(app::AppArgs),
    Inspect(inspect::InspectArgs),
    Generate(generate::GenerateArgs),
    Capture(capture::CaptureArgs),
    Verify(verify::VerifyArgs),
    Import(import::ImportArgs),
    Validate(validate::ValidateArgs),
    Info(info::InfoArgs),
    Show(show::ShowArgs),
    Measure(measure::MeasureArgs),
    Compare(compare::CompareArgs),
    CompareWeights(compare_weights::CompareWeightsArgs),
    Ablate(ablate::AblateArgs),
    Effect(effect::EffectArgs),
    Metrics(metrics::MetricsArgs),
    Expert(expert::ExpertArgs),
    Token(token::TokenArgs),
    Findings(findings::FindingsArgs),
    // Its options are many.
    Figure(Box<figure::FigureArgs>),
    Demo(demo::DemoArgs),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Without a verb the window opens.
impl Default for Command {
    fn default() -> Self {
        Self::App(app::AppArgs::default())
    }
}

impl Command {
    /// Runs the verb.
    pub(crate) fn run(self, global: &GlobalArgs, console: &Console) -> anyhow::Result<Outcome> {
        match self {
            Self::App(args) => app::run(&args, global),
            Self::Inspect(args) => inspect::run(&args, global, console),
            Self::Generate(args) => generate::run(&args, global, console),
            Self::Capture(args) => capture::run(&args, global, console),
            Self::Verify(args) => verify::run(&args, global, console),
            Self::Import(args) => import::run(&args, console),
            Self::Validate(args) => validate::run(&args, console),
            Self::Info(args) => info::run(&args),
            Self::Show(args) => show::run(&args),
            Self::Measure(args) => measure::run(&args, console),
            Self::Compare(args) => compare::run(&args, console),
            Self::CompareWeights(args) => compare_weights::run(&args, global, console),
            Self::Ablate(args) => ablate::run(&args, global, console),
            Self::Effect(args) => effect::run(&args, global, console),
            Self::Metrics(args) => metrics::run(&args),
            Self::Expert(args) => expert::run(&args, console),
            Self::Token(args) => token::run(&args, console),
            Self::Findings(args) => findings::run(&args, console),
            Self::Figure(args) => figure::run(&args, console),
            Self::Demo(args) => demo::run(&args, global, console),
            Self::Bench(args) => bench::run(&args, global, console),
            Self::Completions(args) => completions::run(&args),
            Self::Man(args) => man::run(&args),
        }
    }
}
