//! Numbers of measurements as cells of tables for people.

use moescope_core::Measurement;

use crate::output::count;

/// Whether a table's numbers are shown as percentages.
pub(crate) fn is_share(table: &Measurement) -> bool {
    table.unit.starts_with("share of")
}

/// The unit after a title, where numbers are not percentages.
pub(crate) fn unit_mark(table: &Measurement) -> String {
    if is_share(table) {
        String::new()
    } else {
        format!(" [{}]", table.unit)
    }
}

/// A value with its interval: `1.2 % (1.1 to 1.3)`.
pub(crate) fn cell(table: &Measurement, flat: usize) -> String {
    let value = table.values[flat];
    if !value.is_finite() {
        return "—".to_owned();
    }
    let (factor, mark) = if is_share(table) {
        (100.0, " %")
    } else {
        (1.0, "")
    };
    let interval = table.intervals.as_ref().and_then(|all| all[flat]);
    let range = interval.map_or_else(String::new, |interval| {
        format!(
            " ({} to {})",
            significant(factor * interval.low),
            significant(factor * interval.high)
        )
    });
    format!("{}{mark}{range}", significant(factor * value))
}

/// A share from 0 to 1: `12.34 %`; a dash where there is none.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.2} %", 100.0 * share)
    } else {
        "–".to_owned()
    }
}

/// How many times as large: `1.25`; a dash where there is none.
pub(crate) fn ratio(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.2}")
    } else {
        "–".to_owned()
    }
}

/// Three significant digits.
pub(crate) fn significant(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if x.abs() < 1e-4 {
        return format!("{x:.2e}");
    }
    #[expect(clippy::cast_possible_truncation, reason = "a decimal exponent")]
    let exponent = x.abs().log10().floor() as i32;
    let places = usize::try_from(2 - exponent).unwrap_or(0);
    format!("{x:.places$}")
}

/// A count that was measured as a number.
pub(crate) fn whole(number: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    count(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let found = [0.0, 12.345, 1.0, 0.012_34, 100.0, -0.5, 0.000_012_3].map(significant);
        assert_eq!(
            found,
            ["0", "12.3", "1.00", "0.0123", "100", "-0.500", "1.23e-5"]
        );
    }
}
