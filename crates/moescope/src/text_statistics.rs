//! Statistics of comparisons over given texts.

use clap::Args;
use moescope_analytics::MeasureRequest;
use moescope_core::Protocol;

use crate::output::count;

/// How numbers are divided, and how sure they are.
#[derive(Args, Debug)]
#[command(next_help_heading = "Statistics")]
pub(crate) struct TextStatisticsArgs {
    /// The label to divide the texts by; `all` for none
    #[arg(long, default_value = "discipline", value_name = "COLUMN")]
    by: String,
    /// The column whose values are resampled together
    #[arg(long, default_value = "group", value_name = "COLUMN")]
    resample_by: String,
    /// Bootstrap resamples; 0 makes no intervals
    #[arg(long, default_value_t = 1000, value_name = "N")]
    resamples: u32,
    /// Level of the intervals
    #[arg(long, default_value_t = 0.95, value_name = "P")]
    level: f64,
    /// Seed of the resamples
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
}

impl TextStatisticsArgs {
    /// The request, with so many permutations of labels.
    pub(crate) fn request(&self, permutations: u32) -> anyhow::Result<MeasureRequest> {
        let request = MeasureRequest {
            by: self.by.clone(),
            resample_by: self.resample_by.clone(),
            resamples: self.resamples,
            permutations,
            seed: self.seed,
            level: self.level,
            ..MeasureRequest::default()
        };
        request.check()?;
        Ok(request)
    }
}

/// What was read and what stands in brackets, as the head of a report has it.
pub(crate) fn texts_and_intervals(
    protocol: &Protocol,
    samples: u64,
    tokens: u64,
) -> [(&'static str, String); 3] {
    let method = &protocol.interval_method;
    let brackets = protocol.level.map_or_else(
        || method.clone(),
        |level| format!("{:.0} % intervals, {method}", 100.0 * level),
    );
    let texts = format!(
        "{} of {} groups, {} tokens of which {} count",
        count(samples),
        count(protocol.n_groups),
        count(tokens),
        count(protocol.n_tokens)
    );
    [
        ("texts", texts),
        ("scope", protocol.scope.clone()),
        ("in brackets", brackets),
    ]
}
