//! The command line as a whole.

use clap::{Args, Parser};

use crate::commands::Command;

/// See, measure and change how mixture-of-experts language models route tokens.
#[derive(Debug, Parser)]
#[command(name = "moescope", version, propagate_version = true, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const AFTER_HELP: &str = "\
Without a command the desktop app opens.

Try it with the embedded model:
  moescope generate demo --prompt \"The enzyme\" --max-tokens 20
  moescope capture demo --data texts.jsonl --out my-trace
  moescope show my-trace --sample ID

Exit status: 0 success, 1 a check failed, 2 bad usage or input, 130 interrupted.";

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Where to compute: auto (a hardware GPU, else the CPU), cpu, gpu, gpu:N
    #[arg(long, global = true, default_value = "auto", value_name = "DEVICE")]
    pub(crate) device: String,
    /// Threads of the CPU; all by default
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Show no progress and no notes, only results, warnings and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Show more of what is done
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// Use no colours (as does the variable `NO_COLOR`)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command()
            .get_subcommands()
            .filter(|c| c.get_name() != "help")
        {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains("Example"),
                "{} has no example in its help",
                command.get_name()
            );
        }
    }
}
