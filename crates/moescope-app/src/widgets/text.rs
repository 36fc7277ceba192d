//! Writing: headings, side words, numbers with their intervals.

use std::sync::Arc;

use egui::{
    Align, Galley, Layout, Response, RichText, TextFormat, TextStyle, TextWrapMode, Ui, WidgetText,
    text::LayoutJob, vec2,
};
use moescope_core::Interval;
use moescope_figures::short_number;

use crate::{fonts, theme::Theme};

/// A heading of a part.
pub(crate) fn heading(ui: &mut Ui, text: &str) {
    ui.label(RichText::new(text).family(fonts::bold()).size(14.0));
}

/// The name of a field, as wide as those above and below it.
pub(crate) fn field_label(ui: &mut Ui, text: &str, width: f32) -> Response {
    let size = vec2(width, ui.spacing().interact_size.y);
    ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
        ui.set_min_width(width);
        ui.label(text)
    })
    .inner
}

/// Things side by side that go to the next row together where a row is wrapped; `width` is what they take.
pub(crate) fn together<R>(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui) -> R) -> R {
    let size = vec2(width, ui.spacing().interact_size.y);
    let layout = Layout::left_to_right(Align::Center);
    ui.allocate_ui_with_layout(size, layout, add).inner
}

/// Words on one line, measured.
pub(crate) fn on_one_line(ui: &Ui, text: impl Into<WidgetText>) -> Arc<Galley> {
    let mode = Some(TextWrapMode::Extend);
    text.into()
        .into_galley(ui, mode, f32::INFINITY, TextStyle::Body)
}

/// Words of the second rank.
pub(crate) fn soft(text: impl Into<String>, theme: &Theme) -> RichText {
    RichText::new(text).color(theme.soft_text)
}

/// A piece of text with one part of it marked.
pub(crate) fn excerpt(ui: &mut Ui, theme: &Theme, [before, marked, after]: [&str; 3]) {
    let mut job = LayoutJob::default();
    job.wrap.max_width = ui.available_width();
    let font = TextStyle::Body.resolve(ui.style());
    let plain = TextFormat::simple(font.clone(), theme.soft_text);
    let look = TextFormat {
        background: theme.accent_ground,
        color: theme.on_accent,
        font_id: font,
        ..TextFormat::default()
    };
    job.append(before, 0.0, plain.clone());
    job.append(marked, 0.0, look);
    job.append(after, 0.0, plain);
    ui.label(job);
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

/// A count as a share of another, in per cent: `12.5 %`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let [part, whole] = [part, whole].map(|n| n as f64);
    share(part / whole)
}

/// A share in per cent: `12.5 %`, `< 0.1 %`, or that it is not defined.
pub(crate) fn share(value: f64) -> String {
    if !value.is_finite() {
        "not defined".to_owned()
    } else if value > 0.0 && value < 0.0005 {
        "< 0.1 %".to_owned()
    } else {
        format!("{:.1} %", 100.0 * value)
    }
}

/// A count with what is counted: `1 document`, `12 documents`.
pub(crate) fn counted(number: u64, shown: impl std::fmt::Display, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{shown} {one}{ending}")
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
        assert_eq!(counted(1, 1, "group"), "1 group");
        assert_eq!(counted(1200, "1.2 k", "token"), "1.2 k tokens");
        assert_eq!(percent(1, 8), "12.5 %");
        assert_eq!(percent(1, 80_000), "< 0.1 %");
        assert_eq!(
            (percent(0, 3), percent(0, 0)),
            ("0.0 %".into(), "not defined".into())
        );
    }
}
