//! Round numbers for axes, and how they are written.

/// A place on an axis with its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// The value.
    pub value: f64,
    /// The value as written; empty for a tick without a label.
    pub label: String,
}

/// Round values within `low..=high`, about `wanted` of them: multiples of 1, 2 or 5 times a power of ten.
pub(crate) fn linear(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return vec![tick(low, 0)];
    }
    let rough = span / f64::from(u32::try_from(wanted.max(1)).unwrap_or(u32::MAX));
    let mut exponent = exponent_of(rough);
    let mantissa = rough / power_of_ten(exponent);
    let digit = if mantissa <= 1.000_001 {
        1
    } else if mantissa <= 2.000_001 {
        2
    } else if mantissa <= 5.000_001 {
        5
    } else {
        exponent += 1;
        1
    };
    let step = f64::from(digit) * power_of_ten(exponent);
    // A hair of tolerance keeps ends that are multiples up to rounding.
    let first = (low / step - 1e-9).ceil();
    let last = (high / step + 1e-9).floor();
    let mut ticks = Vec::new();
    let mut count = first;
    while count <= last && ticks.len() < 100 {
        ticks.push(tick(
            count * f64::from(digit) * power_of_ten(exponent),
            exponent,
        ));
        count += 1.0;
    }
    ticks
}

/// Powers of ten within `low..=high`, with their doubles and quintuples where there are few.
pub(crate) fn logarithmic(low: f64, high: f64, wanted: usize) -> Vec<Tick> {
    if !(low > 0.0 && high > low) {
        return vec![Tick {
            value: low,
            label: short(low),
        }];
    }
    let (from, to) = (exponent_of(low), exponent_of(high));
    let decades = usize::try_from(to - from + 1).unwrap_or(1);
    let digits: &[i32] = if decades * 3 <= wanted + 2 {
        &[1, 2, 5]
    } else {
        &[1]
    };
    let stride = i32::try_from(decades.div_ceil(wanted.max(1))).unwrap_or(1);
    let is_inside = |value: f64| value >= low * (1.0 - 1e-9) && value <= high * (1.0 + 1e-9);
    let ticks: Vec<Tick> = (from..=to)
        .filter(|exponent| exponent.rem_euclid(stride) == 0)
        .flat_map(|exponent| digits.iter().map(move |digit| (*digit, exponent)))
        .map(|(digit, exponent)| f64::from(digit) * power_of_ten(exponent))
        .filter(|value| is_inside(*value))
        .map(|value| Tick {
            value,
            // One notation for all: over many decades, powers.
            label: if decades > 5 {
                power(value)
            } else {
                short(value)
            },
        })
        .collect();
    if ticks.len() >= 2 {
        ticks
    } else {
        // Less than a decade without two round values inside: linear ticks are the honest ones.
        linear(low, high, wanted)
            .into_iter()
            .filter(|tick| tick.value > 0.0)
            .collect()
    }
}

fn tick(value: f64, exponent: i32) -> Tick {
    let value = if value == 0.0 { 0.0 } else { value };
    let decimals = usize::try_from(-exponent).unwrap_or(0);
    let label = if decimals > 6 || value.abs() >= 1e7 {
        short(value)
    } else {
        fixed(value, decimals)
    };
    Tick { value, label }
}

/// A number with a set count of decimals and a true minus sign.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        // Minus zero is zero.
        Some(digits) if digits.bytes().all(|b| b == b'0' || b == b'.') => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// A number in at most three significant digits, with powers of ten where plain digits would be long.
#[must_use]
pub fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return "not defined".to_owned();
    }
    // `{:.2e}` rounds to three significant digits exactly and alike on every machine.
    let scientific = format!("{value:.2e}");
    let (_, exponent) = split(&scientific);
    if (-3..5).contains(&exponent) {
        let decimals = usize::try_from(2 - exponent).unwrap_or(0);
        let text = fixed(value, decimals);
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        };
    }
    power(value)
}

/// A number as a digit or three times a power of ten.
fn power(value: f64) -> String {
    let scientific = format!("{value:.2e}");
    let (mantissa, exponent) = split(&scientific);
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    let power = format!("10{}", superscript(exponent));
    match mantissa {
        "1" => power,
        "-1" => format!("−{power}"),
        other => format!("{}×{power}", other.replace('-', "−")),
    }
}

/// Mantissa and exponent of a finite number written by `{:e}`.
fn split(scientific: &str) -> (&str, i32) {
    let (mantissa, exponent) = scientific
        .split_once('e')
        .expect("`{:e}` writes an exponent for every finite number");
    let exponent = exponent
        .parse()
        .expect("`{:e}` writes the exponent as an integer");
    (mantissa, exponent)
}

/// A whole number with narrow no-break spaces between groups of three digits.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn superscript(exponent: i32) -> String {
    exponent
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            '9' => '⁹',
            _ => '⁰',
        })
        .collect()
}

/// The decimal exponent of a positive number, exactly: 0.099 has −2.
fn exponent_of(value: f64) -> i32 {
    let text = format!("{value:e}");
    text.split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0)
}

/// A power of ten, correctly rounded on every machine, which `powi` does not promise.
fn power_of_ten(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(labels(&linear(0.0, 0.31, 5)), ["0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(
            labels(&linear(-0.04, 0.04, 4)),
            ["−0.04", "−0.02", "0.00", "0.02", "0.04"]
        );
        assert_eq!(
            labels(&linear(0.0, 1_000.0, 5)),
            ["0", "200", "400", "600", "800", "1000"]
        );
        assert_eq!(labels(&linear(2.0, 2.0, 5)), ["2"]);
    }

    #[test]
    fn log_ticks_are_powers_of_ten_and_thinned() {
        assert_eq!(
            labels(&logarithmic(0.0005, 2.0, 6)),
            ["0.001", "0.01", "0.1", "1"]
        );
        assert_eq!(
            labels(&logarithmic(0.1, 1.0, 6)),
            ["0.1", "0.2", "0.5", "1"]
        );
        assert!(logarithmic(1e-300, 1e300, 6).len() <= 8);
        assert_eq!(
            labels(&logarithmic(1e-5, 2.0, 6)),
            ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰"]
        );
        assert_eq!(
            labels(&logarithmic(0.31, 0.39, 4)),
            ["0.32", "0.34", "0.36", "0.38"]
        );
    }

    #[test]
    fn numbers_are_written_briefly() {
        assert_eq!(short(0.125), "0.125");
        assert_eq!(short(1.0 / 3.0), "0.333");
        assert_eq!(short(-20.0), "−20");
        assert_eq!(short(100.0), "100");
        assert_eq!(short(2e-5), "2×10⁻⁵");
        assert_eq!(short(-1e9), "−10⁹");
        assert_eq!(short(0.0), "0");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(grouped(1234), "1234");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
