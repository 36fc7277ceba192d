//! Options of the texts: which files, which columns, how much of them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use moescope_pipeline::{CaptureConfig, CapturePlan, Columns, DataConfig, OnBadRow, PromptConfig};
use moescope_trace::OverlongPolicy;

use crate::{console::Console, output::count, shared_args::PromptArgs};

/// Columns, how many texts, and how long they may be.
#[derive(Args, Debug)]
#[command(next_help_heading = "Data")]
pub(crate) struct ColumnArgs {
    /// The column of the text [default: text]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// The column of the discipline [default: discipline, if there is one]
    #[arg(long, value_name = "NAME")]
    discipline_column: Option<String>,
    /// The column of the unique id [default: id; records without one are called by file and line]
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,
    /// The column of the parent document, the unit of resampling [default: group, if there is one]
    #[arg(long, value_name = "NAME")]
    group_column: Option<String>,
    /// Where a record has no group: its id up to this sign is the group, as in `book#p5` with `#`
    #[arg(long, value_name = "SIGN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    group_before: Option<String>,
    /// The column of the kind of text [default: genre, if there is one]
    #[arg(long, value_name = "NAME")]
    genre_column: Option<String>,
    /// Further columns to keep as labels
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    keep_columns: Vec<String>,
    /// At most this many texts of each discipline, the first ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// What to do with records that cannot be used
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    on_bad_row: OnBadRowArg,
    /// Longest text in tokens [default: the model's context, less what is generated]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// What to do with longer ones
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    overlong: OverlongArg,
}

/// How texts become what the model reads.
#[derive(Args, Debug)]
#[command(next_help_heading = "Prompt")]
pub(crate) struct TextArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Wrap texts of the disciplines smiles and protein in SciDFM's marks; for models with a smiles.model
    #[arg(long)]
    science_units: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum OnBadRowArg {
    /// List them all and stop.
    #[default]
    Error,
    /// Leave them out and say so.
    Skip,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum OverlongArg {
    /// List them all and stop.
    #[default]
    Error,
    /// Drop their end.
    Truncate,
    /// Take them in pieces ID#0, ID#1, … of one group.
    Chunk,
    /// Leave them out.
    Skip,
}

impl ColumnArgs {
    /// Which texts to take, and how; everything else as usual.
    pub(crate) fn config(
        &self,
        files: &[PathBuf],
        texts: &TextArgs,
    ) -> anyhow::Result<CaptureConfig> {
        Ok(CaptureConfig {
            data: DataConfig {
                files: files.to_vec(),
                columns: Columns {
                    text: self.text_column.clone(),
                    discipline: self.discipline_column.clone(),
                    id: self.id_column.clone(),
                    group: self.group_column.clone(),
                    group_before: self.group_before.clone(),
                    genre: self.genre_column.clone(),
                },
                keep_columns: self.keep_columns.clone(),
                limit: self.limit.map(|limit| limit as usize),
                on_bad_row: match self.on_bad_row {
                    OnBadRowArg::Error => OnBadRow::Error,
                    OnBadRowArg::Skip => OnBadRow::Skip,
                },
                ..DataConfig::default()
            },
            prompt: PromptConfig {
                wraps_science_units: texts.science_units,
                ..texts.prompt.config()?
            },
            max_tokens: self.max_tokens,
            overlong: match self.overlong {
                OverlongArg::Error => OverlongPolicy::Error,
                OverlongArg::Truncate => OverlongPolicy::Truncate,
                OverlongArg::Chunk => OverlongPolicy::Chunk,
                OverlongArg::Skip => OverlongPolicy::Skip,
            },
            ..CaptureConfig::default()
        })
    }

    /// Says what was planned, and what was left out.
    pub(crate) fn tell(&self, plan: &CapturePlan, console: &Console) {
        if !plan.skipped.is_empty() {
            console.warning(&format!(
                "{} records were left out:{}",
                count(plan.skipped.total()),
                plan.skipped
            ));
        }
        for note in plan.prompt_notes() {
            console.note(note);
        }
        if !plan.touched().is_empty() {
            console.note(&format!(
                "{} texts are longer than the limit and were {}",
                count(plan.touched().len() as u64),
                self.overlong_word()
            ));
        }
        console.note(&format!(
            "{} samples, {} tokens",
            count(plan.samples().len() as u64),
            count(plan.num_tokens())
        ));
    }

    /// What was done with overlong texts, in a word.
    pub(crate) fn overlong_word(&self) -> &'static str {
        match self.overlong {
            // The plan would not have come about.
            OverlongArg::Error => "refused",
            OverlongArg::Truncate => "truncated",
            OverlongArg::Chunk => "cut into pieces",
            OverlongArg::Skip => "left out",
        }
    }
}
