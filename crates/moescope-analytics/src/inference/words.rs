//! How intervals and nulls came about, in words for the protocol.

use moescope_core::Protocol;

use crate::{
    MeasureRequest,
    data::Selection,
    stats::{
        bootstrap::{Bootstrap, FEWEST_GROUPS},
        correlation::median,
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
    },
};

/// Says how the intervals were made, and why some are missing.
pub(crate) fn interval_words(
    selection: &Selection,
    request: &MeasureRequest,
    method: IntervalMethod,
    bootstrap: &Bootstrap,
) -> String {
    if request.resamples == 0 {
        return "none: no resamples asked for".to_owned();
    }
    let few: Vec<String> = selection
        .labels
        .iter()
        .zip(selection.groups_of_labels())
        .filter(|(_, groups)| *groups < FEWEST_GROUPS)
        .map(|(label, groups)| format!("{groups} groups ({label})"))
        .collect();
    let no_interval = format!("no interval: {}", few.join(", "));
    if bootstrap.intervals.iter().all(Option::is_none) {
        return if few.is_empty() {
            "no interval: the value is undefined in too many resamples".to_owned()
        } else {
            no_interval
        };
    }
    let name = match method {
        IntervalMethod::Percentile => "expanded percentile",
        IntervalMethod::BiasCorrected { .. } => "bias-corrected expanded percentile",
    };
    let drawn = if bootstrap.is_paired {
        "groups, each drawn from both traces together"
    } else {
        "groups within label"
    };
    let mut words = format!(
        "{name} bootstrap over {drawn}, {} resamples",
        request.resamples
    );
    if !few.is_empty() {
        words = format!("{words}; {no_interval}");
    }
    words
}

/// Says what was permuted, how many times, and for which family p was corrected.
pub(crate) fn null_words(family: &NullFamily, tail: Tail, corrected_over: &str) -> String {
    if family.permutations() == 0 {
        return String::new();
    }
    let tail = match tail {
        Tail::Greater => "one-sided",
        Tail::TwoSided | Tail::AroundZero => "two-sided",
    };
    let arranged = if family.is_paired() {
        "the two traces swapped at random within each group"
    } else {
        "labels permuted over groups"
    };
    format!(
        "{arranged}, documents intact, {} permutations, {tail}; q corrects for all {corrected_over} (max-T)",
        family.permutations()
    )
}

/// Adds the smallest difference that this design could have seen.
///
/// With normal errors, a difference of 2.8 standard errors is found in 80 % of studies at the two-sided 5 % level (1.96 + 0.84).
pub(crate) fn add_power_note(
    protocol: &mut Protocol,
    standard_errors: &[f64],
    unit: &str,
    is_difference: bool,
) {
    let typical = median(standard_errors.to_vec());
    if !typical.is_finite() {
        return;
    }
    // The difference of two labels with equal errors has √2 times the error of one.
    let error = if is_difference {
        typical
    } else {
        typical * std::f64::consts::SQRT_2
    };
    protocol.notes.push(format!(
        "power: this design would see a difference between two labels of about {} {unit} (80 % power at the 5 % level for one comparison, median over cells)",
        significant(2.8 * error)
    ));
}

/// The smallest difference to something measured on the same documents that this design could have seen.
///
/// `None` where there is no standard error, or none of the differences varies.
pub(crate) fn power_of_difference(
    standard_errors: &[f64],
    other: &str,
    unit: &str,
) -> Option<String> {
    let typical = median(standard_errors.to_vec());
    (typical.is_finite() && typical > 0.0).then(|| {
        format!(
            "power: this design would see a difference to {other} of about {} {unit} (80 % power at the 5 % level for one comparison, median over values)",
            significant(2.8 * typical)
        )
    })
}

/// The smallest value above its mean under the null that one test would have found in 80 % of studies.
///
/// One-sided at 5 %: 1.645 standard deviations of the null to be significant, 0.842 more to be so in 80 % of studies.
/// `shown` gives it as it is printed. `None` where rearranging changes nothing, or nothing was rearranged, so that no deviation
/// but that of rounding is left.
pub(crate) fn power_above_null(
    deviations: &[f64],
    unit: &str,
    shown: impl Fn(f64) -> f64,
) -> Option<String> {
    let smallest = 2.49 * median(deviations.to_vec());
    (smallest.is_finite() && smallest > 1e-12).then(|| {
        format!(
            "power: this design would see about {} {unit} above the mean of the null (80 % power at the 5 % level for one value, median over values)",
            significant(shown(smallest))
        )
    })
}

/// Two significant digits.
pub(super) fn significant(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "a decimal exponent")]
    let exponent = x.abs().log10().floor() as i32;
    let places = usize::try_from(1 - exponent).unwrap_or(0);
    format!("{x:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_note_gives_two_digits_of_2_8_standard_errors() {
        let mut protocol = Protocol::default();
        add_power_note(&mut protocol, &[0.01, f64::NAN, 0.03, 0.02], "bits", true);
        // Median 0.02, times 2.8.
        assert!(protocol.notes[0].contains("0.056 bits"), "{protocol:?}");
        assert_eq!(significant(123.4), "123");
        assert_eq!(significant(0.000_456), "0.00046");
    }
}
