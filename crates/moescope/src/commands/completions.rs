//! `moescope completions`: tab completion for a shell.

use std::io::{self, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{cli::Cli, exit::Outcome};

/// Print the completions for a shell
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moescope completions bash > ~/.local/share/bash-completion/completions/moescope"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    // Into memory first: the generator panics where its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "moescope", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Outcome::Success)
}
