//! The experts that a label uses most differently, with intervals.

use std::sync::Arc;

use egui::{Align, Layout, Rect, RichText, ScrollArea, Sense, Stroke, Ui, pos2, vec2};
use moescope_core::{AxisKind, Interval, LayerId, Measurement, NullComparison};
use moescope_figures::{FigureOptions, Significance, palette, short_number};
use moescope_pipeline::FigureSource;

use super::{
    choice_row::{Pair, first_with, metric_combo},
    heat::is_of_experts,
};
use crate::{
    answers::Measured,
    choices::{Cell, DisciplinesChoice},
    export::FigureOffer,
    fonts,
    traces::OpenTrace,
    view::ViewContext,
    widgets::{
        job_panel::answer_panel,
        legend::diamond,
        text::{heading, probability, soft, with_interval},
    },
};

const ROW: f32 = 24.0;

/// What the page keeps: the order, which takes longer than a frame has.
#[derive(Debug, Default)]
pub(super) struct RankingPage {
    order: Option<Order>,
}

/// Experts in their order, and what they were ordered for.
#[derive(Debug)]
struct Order {
    measured: Measured,
    pair: Pair,
    rows: Vec<Ranked>,
    range: Range,
}

impl RankingPage {
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        trace: &OpenTrace,
        choice: &mut DisciplinesChoice,
    ) {
        let pair = Pair::of(trace, ctx.request(), choice);
        ui.horizontal_wrapped(|ui| {
            metric_combo(ui, &mut choice.metric, is_of_experts);
            pair.ui(ui, choice);
        });
        let request = pair.request(ctx.request());
        let answer = ctx.measured_soon(trace, &choice.metric, &request);
        answer_panel(ui, ctx, answer, |ui, measured| {
            let Some(index) = first_with(measured, &[AxisKind::Layer, AxisKind::Expert]) else {
                ui.label("This metric gives no table of layers and experts; choose another");
                return;
            };
            let measurement = &measured[index];
            heading(ui, &pair.heading(&measurement.title));
            let center = measurement.reference.map_or_else(
                || "zero".to_owned(),
                |reference| format!("the reference {}", short_number(reference)),
            );
            ui.label(soft(
                format!("By distance to {center}, the furthest first"),
                ctx.theme,
            ));
            let significance = Significance::of(measurement);
            header(ui, ctx, measurement, significance);
            let order = self.order(measured, index, &pair);
            ScrollArea::vertical().show_rows(ui, ROW, order.rows.len(), |ui, shown| {
                for place in shown {
                    let ranked = &order.rows[place];
                    row(ui, ctx, place, ranked, order.range, significance);
                }
            });
        });
    }

    /// The order of a measurement, made once.
    fn order(&mut self, measured: &Measured, index: usize, pair: &Pair) -> &Order {
        let is_known =
            |order: &Order| Arc::ptr_eq(&order.measured, measured) && order.pair == *pair;
        let known = self.order.take().filter(is_known);
        self.order.insert(known.unwrap_or_else(|| {
            let rows = ranked(&measured[index], pair);
            Order {
                measured: Arc::clone(measured),
                pair: pair.clone(),
                range: Range::of(&rows, measured[index].reference),
                rows,
            }
        }))
    }
}

/// An expert with its value.
#[derive(Clone, Copy, Debug)]
struct Ranked {
    cell: Cell,
    value: f64,
    interval: Option<Interval>,
    null: Option<NullComparison>,
}

/// All experts of all layers in the order of the figure `lollipop`: the furthest from the reference first, on either side.
fn ranked(measurement: &Measurement, pair: &Pair) -> Vec<Ranked> {
    let group = measurement.axis(AxisKind::Group).map(|(place, axis)| {
        let wanted = pair.group.as_ref().filter(|_| pair.minus.is_none());
        let at = wanted.and_then(|group| axis.labels.iter().position(|l| l == group));
        (place, at.unwrap_or(0))
    });
    let (Some((layer_axis, layers)), Some((expert_axis, experts))) = (
        measurement.axis(AxisKind::Layer),
        measurement.axis(AxisKind::Expert),
    ) else {
        return Vec::new();
    };
    let mut index = vec![0; measurement.axes.len()];
    if let Some((place, at)) = group {
        index[place] = at;
    }
    let mut rows = Vec::with_capacity(layers.len() * experts.len());
    for (layer, layer_label) in layers.labels.iter().enumerate() {
        for (expert, expert_label) in experts.labels.iter().enumerate() {
            index[layer_axis] = layer;
            index[expert_axis] = expert;
            let flat = measurement.flat_index(&index);
            let (Ok(layer), Ok(expert)) = (layer_label.parse(), expert_label.parse()) else {
                continue;
            };
            rows.push(Ranked {
                cell: Cell {
                    layer: LayerId(layer),
                    expert,
                },
                value: measurement.values[flat],
                interval: measurement.intervals.as_ref().and_then(|all| all[flat]),
                null: measurement.nulls.as_ref().and_then(|all| all[flat]),
            });
        }
    }
    rows.retain(|row| row.value.is_finite());
    let center = measurement.reference.unwrap_or(0.0);
    // Halved as in the figure: the same rounding gives the same order.
    let distance = |row: &Ranked| (row.value / 2.0 - center / 2.0).abs();
    rows.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    rows
}

/// The values that the lines reach over.
#[derive(Clone, Copy, Debug)]
struct Range {
    low: f64,
    high: f64,
    reference: Option<f64>,
}

impl Range {
    fn of(rows: &[Ranked], reference: Option<f64>) -> Self {
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for row in rows {
            let ends = row.interval.unwrap_or(Interval {
                low: row.value,
                high: row.value,
            });
            low = low.min(ends.low).min(row.value);
            high = high.max(ends.high).max(row.value);
        }
        Self {
            low,
            high: if high > low { high } else { low + 1.0 },
            reference,
        }
    }

    fn place(self, value: f64, rect: Rect) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "a place on the screen")]
        let share = ((value - self.low) / (self.high - self.low)) as f32;
        rect.left() + share.clamp(0.0, 1.0) * rect.width()
    }
}

/// Where the columns stand: rank, expert, value, line, test.
fn columns(width: f32) -> [f32; 4] {
    [44.0, 168.0, 356.0, (width - 110.0).max(420.0)]
}

fn header(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    measurement: &Measurement,
    significance: Option<Significance>,
) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let at = columns(rect.width());
    let test = significance.map_or_else(|| "no test".to_owned(), Significance::words);
    let words = [
        (4.0, "Rank"),
        (at[0], "Expert"),
        (at[1], measurement.unit.as_str()),
        (at[3] + 16.0, test.as_str()),
    ];
    for (x, text) in words {
        let room = Rect::from_min_max(
            pos2(rect.left() + x, rect.top()),
            pos2(rect.right(), rect.bottom()),
        );
        let mut cell = ui.new_child(
            egui::UiBuilder::new()
                .max_rect(room)
                .layout(Layout::left_to_right(Align::Center)),
        );
        cell.add(egui::Label::new(soft(text, ctx.theme)).truncate());
    }
    let line = Stroke::new(1.0, ctx.theme.line);
    ui.painter().hline(rect.x_range(), rect.bottom(), line);
}

fn row(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    place: usize,
    ranked: &Ranked,
    range: Range,
    significance: Option<Significance>,
) {
    let theme = ctx.theme;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    let is_chosen = ctx.state.choices.cell == Some(ranked.cell);
    if is_chosen {
        ui.painter().rect_filled(rect, 3, theme.accent_ground);
    } else if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 3, theme.button);
    }
    let at = columns(rect.width());
    let name = format!("layer {}, expert {}", ranked.cell.layer, ranked.cell.expert);
    let value = with_interval(ranked.value, ranked.interval);
    let is_set_apart = significance.is_some_and(|s| s.holds(ranked.null));
    let test = ranked.null.map_or_else(String::new, |null| {
        let p = null.p_corrected.unwrap_or(null.p);
        probability(p)
    });
    let write = |x: f32, text: RichText, ui: &mut Ui| {
        let room = rect.with_min_x(rect.left() + x);
        ui.put(room, |ui: &mut Ui| {
            // What could be marked with the mouse would take the row's clicks.
            let label = egui::Label::new(text).selectable(false);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| ui.add(label))
                .inner
        });
    };
    write(4.0, soft((place + 1).to_string(), theme), ui);
    write(at[0], RichText::new(&name).family(fonts::bold()), ui);
    write(at[1], RichText::new(&value), ui);
    write(at[3] + 16.0, soft(&test, theme), ui);
    if is_set_apart {
        let mark = pos2(rect.left() + at[3] + 6.0, rect.center().y);
        diamond(ui, mark, 4.0, theme.text);
    }
    let line = Rect::from_min_max(
        pos2(rect.left() + at[2], rect.top()),
        pos2(rect.left() + at[3] - 16.0, rect.bottom()),
    );
    paint_line(ui, ctx, line, ranked, range);
    response.widget_info(|| {
        egui::WidgetInfo::selected(
            egui::Role::Button,
            true,
            is_chosen,
            format!(
                "{name}: {value} {test}{}",
                if is_set_apart { ", set apart" } else { "" }
            ),
        )
    });
    if response.clicked() {
        ctx.choose_cell(ranked.cell);
    }
}

fn paint_line(ui: &Ui, ctx: &ViewContext<'_>, rect: Rect, ranked: &Ranked, range: Range) {
    if rect.width() < 20.0 {
        return;
    }
    let painter = ui.painter();
    let color = ctx.theme.on_ground(palette::category(0).color);
    let y = rect.center().y;
    if let Some(reference) = range.reference {
        let x = range.place(reference, rect);
        let stroke = Stroke::new(1.0, ctx.theme.strong_line);
        painter.vline(x, rect.y_range(), stroke);
    }
    if let Some(interval) = ranked.interval {
        let [low, high] = [interval.low, interval.high].map(|end| range.place(end, rect));
        painter.hline(low..=high, y, Stroke::new(2.0, color));
    }
    painter.circle_filled(pos2(range.place(ranked.value, rect), y), 4.0, color);
}

pub(super) fn figure(
    ctx: &ViewContext<'_>,
    trace: &OpenTrace,
    choice: &DisciplinesChoice,
) -> Option<FigureOffer> {
    let pair = Pair::of(trace, ctx.request(), choice);
    let request = pair.request(ctx.request());
    let answer = ctx.measured_soon(trace, &choice.metric, &request);
    let measured = answer.best()?;
    let options = FigureOptions {
        group: pair.group.clone().filter(|_| pair.minus.is_none()),
        ..FigureOptions::default()
    };
    let mut offer = FigureOffer::new("lollipop", measured, options);
    offer.index = first_with(measured, &[AxisKind::Layer, AxisKind::Expert])?;
    let source = FigureSource::one(trace.path.clone());
    Some(offer.made_of(source, &choice.metric, answer.asked_of_best()))
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, Protocol};

    use super::*;

    fn measurement(reference: Option<f64>, values: Vec<f64>) -> Measurement {
        let labels = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Measurement {
            metric: "x".into(),
            title: "x".into(),
            unit: "1".into(),
            axes: vec![
                Axis::new(AxisKind::Group, labels(&["math", "law"])),
                Axis::new(AxisKind::Layer, labels(&["2", "5"])),
                Axis::new(AxisKind::Expert, labels(&["0", "1", "2", "3"])),
            ],
            values,
            intervals: None,
            nulls: None,
            reference,
            protocol: Protocol::default(),
        }
    }

    fn rows(measurement: &Measurement, group: &str) -> Vec<String> {
        let pair = Pair {
            labels: vec!["math".into(), "law".into()],
            group: Some(group.into()),
            minus: None,
        };
        let rows = ranked(measurement, &pair);
        rows.iter()
            .map(|row| format!("L{} E{} · {group}", row.cell.layer, row.cell.expert))
            .collect()
    }

    /// The rows of the figure that is exported.
    fn drawn(measurement: &Measurement, group: &str) -> Vec<String> {
        let options = FigureOptions {
            group: Some(group.into()),
            ..FigureOptions::default()
        };
        let figure = moescope_figures::find("lollipop").unwrap();
        let svg = figure.draw_svg(measurement, &options).unwrap();
        svg.split("<text")
            .filter_map(|text| text.split('>').nth(1)?.split('<').next())
            .map(str::trim)
            .filter(|text| text.starts_with('L') && text.contains(" · "))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_furthest_from_the_reference_come_first_as_in_the_figure() {
        let math = [0.1, 0.9, f64::NAN, 0.4, 0.25, 0.0, 0.5, 0.6];
        let law = [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 1.0];
        let shares = measurement(Some(0.25), [math, law].concat());
        let found = rows(&shares, "math");
        // Distances 0.65, 0.35, and twice 0.25 in the order of the cells.
        assert_eq!(
            found[..4],
            [
                "L2 E1 · math",
                "L5 E3 · math",
                "L5 E1 · math",
                "L5 E2 · math"
            ]
        );
        assert_eq!(found.len(), 7);
        assert_eq!(found, drawn(&shares, "math"));
        assert_eq!(rows(&shares, "law"), drawn(&shares, "law"));
    }

    #[test]
    fn without_a_reference_the_furthest_from_zero_come_first() {
        let mut values = vec![0.0; 16];
        values[..3].copy_from_slice(&[0.1, -0.9, 0.4]);
        let differences = measurement(None, values);
        let found = rows(&differences, "math");
        assert_eq!(found[..3], ["L2 E1 · math", "L2 E2 · math", "L2 E0 · math"]);
        assert_eq!(found, drawn(&differences, "math"));
    }
}
