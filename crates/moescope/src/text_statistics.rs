//! Statistics of comparisons over given texts.

use clap::Args;
use moescope_analytics::MeasureRequest;

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
