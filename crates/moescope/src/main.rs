//! See, measure and change how mixture-of-experts language models route tokens.
//!
//! This is the command line: it parses, calls a job, and shows what came out; without a command it opens the app.
//! Results go to standard output, progress and warnings to standard error.

mod cells;
mod cli;
mod commands;
mod console;
mod counted_args;
mod data_args;
mod devices;
mod exit;
mod interrupt;
mod label_args;
mod output;
mod run_head;
mod shared_args;
mod table_args;
mod table_file;
mod text_file;
mod text_statistics;
mod trace_args;

use std::process::ExitCode;

use clap::Parser as _;

use cli::Cli;
use console::Console;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new(&cli.global);
    interrupt::install();
    let result = devices::set_threads(cli.global.threads)
        .and_then(|()| cli.command.unwrap_or_default().run(&cli.global, &console));
    console.finish();
    exit::report(result, &console)
}
