//! The bootstrap over groups within label.

use moescope_core::{Cancelled, Interval, Progress};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{
    correlation::mean,
    draws::{Draw, OfDraw, Strips, evaluate_draws},
    interval::{IntervalMethod, expanded_tail, make_interval},
    random::{self, Purpose},
    statistic::Statistic,
    units::UnitTable,
};

/// Fewer groups than this on a side give no interval: five values do not show how the sixth would fall.
pub(crate) const FEWEST_GROUPS: usize = 5;

/// How to resample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootstrapConfig {
    /// Resamples to draw.
    pub(crate) resamples: u32,
    /// Seed of the draws.
    pub(crate) seed: u64,
    /// Level of the intervals.
    pub(crate) level: f64,
    /// From resamples to interval.
    pub(crate) method: IntervalMethod,
}

/// Intervals and standard errors of every value, `[layers × len]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bootstrap {
    /// `None` where a side has fewer than [`FEWEST_GROUPS`] groups or the value is undefined.
    pub(crate) intervals: Vec<Option<Interval>>,
    /// The quantiles of the resamples as they are, whatever the method.
    pub(crate) percentiles: Vec<Option<Interval>>,
    /// Standard deviation over resamples; NaN where there is no interval.
    pub(crate) standard_errors: Vec<f64>,
    /// Mean over resamples; NaN where there is no interval.
    pub(crate) means: Vec<f64>,
    /// Whether partners were drawn together.
    pub(crate) is_paired: bool,
}

impl Bootstrap {
    /// Appends what was found for further layers.
    pub(crate) fn extend(&mut self, other: Self) {
        self.intervals.extend(other.intervals);
        self.percentiles.extend(other.percentiles);
        self.standard_errors.extend(other.standard_errors);
        self.means.extend(other.means);
        self.is_paired |= other.is_paired;
    }

    /// Appends what was found for one value.
    pub(crate) fn push(&mut self, summary: Summary) {
        self.intervals.push(summary.interval);
        self.percentiles.push(summary.percentile);
        self.standard_errors.push(summary.standard_error);
        self.means.push(summary.mean);
    }
}

/// Resamples groups with replacement within each label, and recomputes the statistic at every layer.
///
/// # Errors
/// When cancelled.
pub(crate) fn bootstrap(
    table: &UnitTable,
    statistic: &Statistic<'_>,
    config: BootstrapConfig,
    progress: &dyn Progress,
) -> Result<Bootstrap, Cancelled> {
    // The side with the fewest groups decides.
    let fewest: Vec<usize> = (0..statistic.len)
        .map(|value| {
            let sides = (statistic.sides)(value);
            let groups = (0..table.labels()).filter(|label| sides.contains(*label));
            groups
                .map(|label| table.of_label[label].len())
                .min()
                .unwrap_or(0)
        })
        .collect();
    let has_interval: Vec<bool> = fewest
        .iter()
        .map(|groups| config.resamples > 0 && *groups >= FEWEST_GROUPS)
        .collect();
    let mut found = Bootstrap {
        is_paired: table.partners.is_some(),
        ..Bootstrap::default()
    };
    if !has_interval.iter().any(|has| *has) {
        let size = table.layers * statistic.len;
        found.intervals = vec![None; size];
        found.percentiles = vec![None; size];
        found.standard_errors = vec![f64::NAN; size];
        found.means = vec![f64::NAN; size];
        return Ok(found);
    }
    let draws = draw_units(table, config);
    let (mut strips, mut resampled) = (Strips::default(), Vec::new());
    for layer in 0..table.layers {
        let check = || progress.report(layer as u64, table.layers as u64, "bootstrap over groups");
        check()?;
        let observed = statistic.values(&table.sums(layer));
        strips.load(table, layer);
        evaluate_draws(&strips, statistic, &draws, &mut resampled, &check)?;
        let summaries: Vec<Summary> = (0..statistic.len)
            .into_par_iter()
            .map(|value| {
                if !has_interval[value] {
                    return Summary::default();
                }
                let column = resampled.iter().skip(value).step_by(statistic.len);
                let tail = expanded_tail(config.level, fewest[value]);
                summarize(
                    column.copied().collect(),
                    observed[value],
                    tail,
                    config.method,
                )
            })
            .collect();
        for summary in summaries {
            found.push(summary);
        }
    }
    Ok(found)
}

/// The same for values that are no function of sums: `evaluate` gives them for how often each unit is drawn.
///
/// Every value depends on all labels. The table gives the units only.
///
/// # Errors
/// When `evaluate` says that the caller asked to stop.
pub(crate) fn bootstrap_units(
    table: &UnitTable,
    observed: &[f64],
    config: BootstrapConfig,
    evaluate: &OfDraw<'_, u32>,
) -> Result<Bootstrap, Cancelled> {
    let fewest = table.of_label.iter().map(ExactSizeIterator::len).min();
    let fewest = fewest.unwrap_or(0);
    let resampled: Vec<Vec<f64>> = if fewest >= FEWEST_GROUPS {
        (0..config.resamples)
            .into_par_iter()
            .map_init(Vec::new, |times, resample| {
                draw_times(table, config.seed, resample, times);
                evaluate(times)
            })
            .collect::<Result<_, _>>()?
    } else {
        Vec::new()
    };
    let tail = expanded_tail(config.level, fewest);
    let mut found = Bootstrap {
        is_paired: table.partners.is_some(),
        ..Bootstrap::default()
    };
    for (value, observed) in observed.iter().enumerate() {
        let column = resampled.iter().map(|values| values[value]).collect();
        let summary = summarize(column, *observed, tail, config.method);
        found.push(summary);
    }
    Ok(found)
}

/// The units of each resample.
fn draw_units(table: &UnitTable, config: BootstrapConfig) -> Vec<Draw> {
    (0..config.resamples)
        .into_par_iter()
        .map_init(Vec::new, |times, resample| {
            draw_times(table, config.seed, resample, times);
            Draw::resample(table, times)
        })
        .collect()
}

/// How often each unit is drawn in a resample, `[units]`.
fn draw_times(table: &UnitTable, seed: u64, resample: u32, times: &mut Vec<u32>) {
    let mut rng = random::stream(seed, Purpose::Bootstrap, u64::from(resample));
    times.clear();
    times.resize(table.units(), 0);
    if let Some(partners) = &table.partners {
        draw_pairs(&mut rng, &table.label, partners, times);
        return;
    }
    for range in &table.of_label {
        for _ in range.clone() {
            times[range.start + random::below(&mut rng, range.len())] += 1;
        }
    }
}

/// Draws pairs of units, and units without a partner, with replacement within the label of the first.
fn draw_pairs(
    rng: &mut ChaCha8Rng,
    labels: &[usize],
    partners: &[Option<usize>],
    times: &mut [u32],
) {
    let firsts: Vec<usize> = (0..partners.len())
        .filter(|unit| partners[*unit].is_none_or(|partner| *unit < partner))
        .collect();
    for own in firsts.chunk_by(|a, b| labels[*a] == labels[*b]) {
        for _ in own {
            let unit = own[random::below(rng, own.len())];
            times[unit] += 1;
            if let Some(partner) = partners[unit] {
                times[partner] += 1;
            }
        }
    }
}

/// What the resamples of one value say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    /// `None` where there are too few groups or the value is undefined.
    pub(crate) interval: Option<Interval>,
    /// The quantiles of the resamples as they are, whatever the method.
    pub(crate) percentile: Option<Interval>,
    /// Standard deviation over resamples; NaN where there is no interval.
    pub(crate) standard_error: f64,
    /// Mean over resamples; NaN where there is no interval.
    pub(crate) mean: f64,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            interval: None,
            percentile: None,
            standard_error: f64::NAN,
            mean: f64::NAN,
        }
    }
}

/// Sorts one value's resamples and reads its interval; no interval where a tenth of them is undefined.
pub(crate) fn summarize(
    mut resamples: Vec<f64>,
    observed: f64,
    tail: f64,
    method: IntervalMethod,
) -> Summary {
    let drawn = resamples.len();
    resamples.retain(|x| x.is_finite());
    if resamples.len() * 10 < drawn * 9 || resamples.len() < 2 {
        return Summary::default();
    }
    resamples.sort_unstable_by(f64::total_cmp);
    let Some(interval) = make_interval(&resamples, observed, method, tail) else {
        return Summary::default();
    };
    let mean = mean(&resamples);
    #[expect(clippy::cast_precision_loss, reason = "a number of resamples")]
    let degrees = (resamples.len() - 1) as f64;
    let variance = resamples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / degrees;
    Summary {
        interval: Some(interval),
        percentile: make_interval(&resamples, observed, IntervalMethod::Percentile, tail),
        standard_error: variance.sqrt(),
        mean,
    }
}

#[cfg(test)]
mod tests {
    use moescope_core::NoProgress;

    use super::*;
    use crate::stats::statistic::Sides;

    /// One label whose units have the values given, and their mean as the statistic.
    fn mean_of(values: &[f64], method: IntervalMethod) -> Bootstrap {
        let mut table = UnitTable::new(1, vec![0; values.len()], 1, 2);
        for (unit, value) in values.iter().enumerate() {
            table.row_mut(0, unit).copy_from_slice(&[*value, 1.0]);
        }
        let statistic = Statistic {
            len: 1,
            evaluate: &|sums, out| out[0] = sums[0] / sums[1],
            sides: &|_| Sides::One(0),
        };
        let config = BootstrapConfig {
            resamples: 2000,
            seed: 1,
            level: 0.95,
            method,
        };
        bootstrap(&table, &statistic, config, &NoProgress).unwrap()
    }

    #[test]
    fn four_groups_have_no_interval_and_five_have_one() {
        let found = mean_of(&[1.0, 2.0, 3.0, 4.0], IntervalMethod::Percentile);
        assert_eq!(found.intervals, [None]);
        let found = mean_of(&[1.0, 2.0, 3.0, 4.0, 5.0], IntervalMethod::Percentile);
        assert!(found.intervals[0].is_some());
    }

    #[test]
    fn pairs_are_drawn_together_so_what_they_share_cancels() {
        // Twenty groups seen by two sides: the second is always 0.5 above the first, however far groups lie apart.
        let mut table = UnitTable::new(2, [vec![0; 20], vec![1; 20]].concat(), 1, 2);
        for group in 0..20 {
            let value = f64::from(u32::try_from(group).unwrap());
            table.row_mut(0, group).copy_from_slice(&[value, 1.0]);
            table
                .row_mut(0, 20 + group)
                .copy_from_slice(&[value + 0.5, 1.0]);
        }
        let statistic = Statistic {
            len: 1,
            evaluate: &|s, out| out[0] = s[2] / s[3] - s[0] / s[1],
            sides: &|_| Sides::Two(0, 1),
        };
        let config = BootstrapConfig {
            resamples: 200,
            seed: 1,
            level: 0.95,
            method: IntervalMethod::Percentile,
        };
        let apart = bootstrap(&table, &statistic, config, &NoProgress).unwrap();
        assert!(apart.standard_errors[0] > 1.0);
        let partners = (0..40)
            .map(|unit| Some(if unit < 20 { unit + 20 } else { unit - 20 }))
            .collect();
        let table = table.with_partners(partners);
        let together = bootstrap(&table, &statistic, config, &NoProgress).unwrap();
        assert!(together.standard_errors[0] < 1e-9);
        let interval = together.intervals[0].unwrap();
        assert!((interval.low - 0.5).abs() < 1e-9 && (interval.high - 0.5).abs() < 1e-9);
    }

    #[test]
    fn standard_error_of_a_mean_is_sd_over_root_n() {
        // 0..40: population sd = √((40² − 1)/12) = 11.543; over √40: 1.825.
        let values: Vec<f64> = (0..40).map(f64::from).collect();
        let found = mean_of(&values, IntervalMethod::Percentile);
        assert!((found.standard_errors[0] - 1.825).abs() < 0.1);
        assert!((found.means[0] - 19.5).abs() < 0.15);
    }
}
