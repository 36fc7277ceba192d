//! Writing: headings, side words, numbers with their intervals.

use egui::{RichText, Ui};
use moescope_core::Interval;
use moescope_figures::short_number;

use crate::{fonts, theme::Theme};

/// A heading of a part.
pub(crate) fn heading(ui: &mut Ui, text: &str) {
    ui.label(RichText::new(text).family(fonts::bold()).size(14.0));
}

/// Words of the second rank.
pub(crate) fn soft(text: impl Into<String>, theme: &Theme) -> RichText {
    RichText::new(text).color(theme.soft_text)
}

/// A value with its interval: `0.12 (0.10 to 0.14)`.
pub(crate) fn with_interval(value: f64, interval: Option<Interval>) -> String {
    match interval {
        Some(Interval { low, high }) => format!(
            "{} ({} to {})",
            short_number(value),
            short_number(low),
            short_number(high)
        ),
        None => short_number(value),
    }
}

/// A p or q: `0.002`, or `< 0.001`.
pub(crate) fn probability(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_what_is_not_defined() {
        let interval = Some(Interval {
            low: 0.1,
            high: 0.25,
        });
        assert_eq!(with_interval(0.123_456, interval), "0.123 (0.1 to 0.25)");
        assert_eq!(with_interval(f64::NAN, None), "not defined");
        assert_eq!(probability(0.000_2), "< 0.001");
    }
}
