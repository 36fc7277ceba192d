//! `moescope man`: manual pages.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use crate::{cli::Cli, exit::Outcome, output};

/// Print the manual page, or write one for every command
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  moescope man | man -l -\n  moescope man --out man1")]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs) -> anyhow::Result<Outcome> {
    let mut command = Cli::command();
    command.build();
    match &args.out {
        None => output::text(&String::from_utf8_lossy(&page(command)?))?,
        Some(folder) => {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
            write_pages(&command, "moescope", folder)?;
        }
    }
    Ok(Outcome::Success)
}

fn write_pages(command: &Command, name: &str, folder: &Path) -> anyhow::Result<()> {
    let file = folder.join(format!("{name}.1"));
    let page = page(command.clone())?;
    fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        write_pages(verb, &format!("{name}-{}", verb.get_name()), folder)?;
    }
    Ok(())
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}
