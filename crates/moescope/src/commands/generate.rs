//! `moescope generate`: continue a prompt, and keep its routing where that is wanted.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use moescope_pipeline::{FinishReason, GenerateConfig, generate, pass_size, prompt_id};

use crate::{
    cli::GlobalArgs,
    console::Console,
    exit::Outcome,
    output,
    shared_args::{InterventionArgs, ModelArgs, PromptArgs, SamplingArgs},
    text_file,
};

/// Continue a prompt, and keep the routing with --trace
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  moescope generate demo --prompt \"The enzyme\" --max-tokens 20
  moescope generate my-model --chat --system \"Answer in one sentence.\" --prompt \"What is a catalyst?\"
  moescope generate demo --prompt \"The enzyme\" --intervene mask:all:3 --trace masked")]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The text to continue
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "prompt_file",
        conflicts_with = "prompt_file"
    )]
    prompt: Option<String>,
    /// A file with the text to continue; `-` is standard input
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Most tokens to generate
    #[arg(long, default_value_t = 128, value_name = "N")]
    max_tokens: usize,
    /// End where this text would come; may be given more than once
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    #[command(flatten)]
    framing: PromptArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
    /// Keep the routing of every token in this new folder
    #[arg(long, value_name = "FOLDER", help_heading = "Trace")]
    trace: Option<PathBuf>,
    /// Keep router logits in the trace
    #[arg(long, requires = "trace", help_heading = "Trace")]
    logits: bool,
    /// Keep all bits of the trace's numbers
    #[arg(long, requires = "trace", help_heading = "Trace")]
    full_precision: bool,
    /// Print one JSON object at the end instead of the text as it comes
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(
    args: &GenerateArgs,
    global: &GlobalArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let config = GenerateConfig {
        prompt: prompt(args)?,
        framing: args.framing.config()?,
        max_new_tokens: args.max_tokens,
        sampling: args.sampling.config()?,
        stop: args.stop.clone(),
        interventions: args.interventions.interventions()?,
        trace: args.trace.clone(),
        is_full_precision: args.full_precision,
        keeps_logits: args.logits,
    };
    let loaded = args
        .model
        .load(global, console, |files| Ok(pass_size(files, &config)?))?;
    console.finish();
    let mut closed = None;
    let mut on_text = |text: &str| {
        if args.json {
            return true;
        }
        match output::text(text) {
            Ok(()) => true,
            Err(error) => {
                closed = Some(error);
                false
            }
        }
    };
    let done = generate(
        &loaded,
        &config,
        &mut on_text,
        &interrupt_only::InterruptOnly,
    )?;
    if let Some(error) = closed {
        return Err(error.into());
    }
    if args.json {
        output::json(&done)?;
    } else {
        output::line("")?;
    }
    for note in &done.notes {
        console.note(note);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is shown with a few digits"
    )]
    let rate = |tokens: usize, secs: f64| tokens as f64 / secs.max(1e-9);
    console.note(&format!(
        "{} prompt tokens at {:.0} tokens/s, {} generated at {:.0} tokens/s",
        done.prompt_tokens,
        rate(done.prompt_tokens, done.prefill_secs),
        done.generated_tokens,
        rate(done.generated_tokens, done.decode_secs)
    ));
    if let Some(path) = &done.trace {
        console.note(&format!(
            "routing kept; look at it with `moescope show {} --sample {}`",
            path.display(),
            prompt_id(&config.prompt)
        ));
    }
    Ok(match done.finish_reason {
        FinishReason::Cancelled => Outcome::Interrupted,
        FinishReason::EndToken | FinishReason::StopText | FinishReason::Length => Outcome::Success,
    })
}

fn prompt(args: &GenerateArgs) -> anyhow::Result<String> {
    if let Some(prompt) = &args.prompt {
        return Ok(prompt.clone());
    }
    let Some(path) = &args.prompt_file else {
        bail!("give the text to continue with --prompt or --prompt-file");
    };
    text_file::read(path, "prompt")
}

/// A bar would stand between the words of the text.
mod interrupt_only {
    use moescope_core::{Cancelled, Progress};

    use crate::interrupt;

    /// Shows nothing and passes Ctrl-C on.
    pub(super) struct InterruptOnly;

    impl Progress for InterruptOnly {
        fn report(&self, _done: u64, _total: u64, _message: &str) -> Result<(), Cancelled> {
            if interrupt::is_requested() {
                Err(Cancelled)
            } else {
                Ok(())
            }
        }
    }
}
