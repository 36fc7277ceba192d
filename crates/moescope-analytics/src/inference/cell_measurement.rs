//! From the values of sparse counts to measurements, beside what shuffled tokens give.

use moescope_core::{Axis, Interval, Measurement, Protocol};

use super::{
    cells::{CellSource, CellValues},
    interval_words, power_above_null,
};
use crate::{
    AnalyticsError, MeasureRequest,
    stats::{
        bootstrap::Bootstrap,
        correlation::mean,
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
    },
};

/// One value of a measurement, by its place among all values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    /// As observed.
    Plain(usize),
    /// As observed, and compared with shuffled tokens.
    Tested(usize),
    /// Minus its mean over shuffled tokens.
    Corrected(usize),
}

/// What a measurement of such values is.
pub(crate) struct CellMeasurement<'a> {
    /// A title for people.
    pub(crate) title: &'a str,
    /// The unit with its denominator.
    pub(crate) unit: &'a str,
    /// The axes of `shown`.
    pub(crate) axes: Vec<Axis>,
    /// The values.
    pub(crate) shown: Vec<Shown>,
    /// How their intervals were made.
    pub(crate) method: IntervalMethod,
    /// The value of an indifferent router.
    pub(crate) reference: Option<f64>,
    /// What was shuffled.
    pub(crate) shuffled: &'a str,
    /// What the tested values are.
    pub(crate) tested: &'a str,
}

impl CellMeasurement<'_> {
    /// The measurement.
    pub(crate) fn of(
        self,
        found: &CellValues,
        source: CellSource<'_>,
    ) -> Result<Measurement, AnalyticsError> {
        let request = source.request;
        let (mut protocol, has_intervals) = found.protocol(source, self.method);
        let tested: Vec<usize> = self
            .shown
            .iter()
            .filter_map(|shown| match shown {
                Shown::Tested(place) => Some(*place),
                _ => None,
            })
            .collect();
        let has_nulls = request.permutations > 0 && !tested.is_empty();
        if has_nulls {
            found.describe_null(&mut protocol, self.shuffled, self.tested);
            protocol.bias_correction = format!(
                "none; _minus_shuffled: mean over shuffled {} subtracted",
                self.shuffled
            );
        }
        let family = found.family(&tested, request.seed);
        if has_nulls {
            let power = power_above_null(&family.deviations(), self.unit, |x| x);
            protocol.notes.extend(power);
        }
        let mut nulls = family.finish().into_iter();
        let nulls = self.shown.iter().map(|shown| match shown {
            Shown::Tested(_) => nulls.next().flatten(),
            _ => None,
        });
        let nulls = has_nulls.then(|| nulls.collect());
        let value = |shown: &Shown| match shown {
            Shown::Plain(place) | Shown::Tested(place) => found.observed[*place],
            Shown::Corrected(place) => found.corrected(*place),
        };
        let interval = |shown: &Shown| match shown {
            Shown::Plain(place) | Shown::Tested(place) => found.summaries[*place].interval,
            Shown::Corrected(place) => found.corrected_interval(*place),
        };
        let measurement = Measurement {
            metric: source.metric.to_owned(),
            title: self.title.to_owned(),
            unit: self.unit.to_owned(),
            axes: self.axes,
            values: self.shown.iter().map(value).collect(),
            intervals: has_intervals.then(|| self.shown.iter().map(interval).collect()),
            nulls,
            reference: self.reference,
            protocol,
        };
        measurement.check()?;
        Ok(measurement)
    }
}

impl CellValues {
    /// A value minus its mean over shuffles; NaN without shuffles.
    fn corrected(&self, place: usize) -> f64 {
        self.observed[place] - mean(&self.shuffled[place])
    }

    /// The spread of the resamples around their own mean, laid around the corrected value.
    ///
    /// The resamples are biased like the value, so their mean says nothing, but their spread does.
    fn corrected_interval(&self, place: usize) -> Option<Interval> {
        let summary = &self.summaries[place];
        let shift = self.corrected(place) - summary.mean;
        let plain = summary.percentile.filter(|_| shift.is_finite())?;
        Some(Interval {
            low: plain.low + shift,
            high: plain.high + shift,
        })
    }

    /// The tests of some values against shuffled tokens, one family.
    fn family(&self, places: &[usize], seed: u64) -> NullFamily {
        let shuffles = places
            .first()
            .map_or(0, |place| self.shuffled[*place].len());
        let count = u32::try_from(shuffles).unwrap_or(u32::MAX);
        let mut family = NullFamily::new(Tail::Greater, count, seed);
        for place in places {
            family.add_value(self.observed[*place], &self.shuffled[*place]);
        }
        family
    }

    /// The protocol of these values so far: how intervals were made, and why some are missing.
    fn protocol(&self, source: CellSource<'_>, method: IntervalMethod) -> (Protocol, bool) {
        let request = MeasureRequest {
            resamples: self.resamples,
            ..source.request.clone()
        };
        let mut all = Bootstrap::default();
        for summary in &self.summaries {
            all.push(*summary);
        }
        let mut protocol = source.selection.protocol(source.request);
        let has_intervals = all.intervals.iter().any(Option::is_some);
        protocol.resamples = self.resamples;
        protocol.level = has_intervals.then_some(request.level);
        protocol.interval_method = interval_words(source.selection, &request, method, &all);
        source.blocks.describe(&mut protocol);
        if self.resamples < source.request.resamples {
            protocol.notes.push(format!(
                "{} resamples instead of {}: these counts are large",
                self.resamples, source.request.resamples
            ));
        }
        (protocol, has_intervals)
    }

    /// Says how the null came about.
    fn describe_null(&self, protocol: &mut Protocol, what: &str, corrected_over: &str) {
        let shuffles = self.shuffled.first().map_or(0, Vec::len);
        if shuffles > 0 {
            protocol.null_method = format!(
                "{what} shuffled over the counted tokens of each document, {shuffles} shuffles, one-sided; q corrects for all {corrected_over} (max-T); p cannot be below {:.3}",
                self.smallest_p()
            );
        }
    }

    fn smallest_p(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a number of shuffles")]
        let shuffles = self.shuffled.first().map_or(0, Vec::len) as f64;
        1.0 / (1.0 + shuffles)
    }
}
