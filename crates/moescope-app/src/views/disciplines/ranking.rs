//! The experts that a label uses most differently, with intervals.

use std::sync::Arc;

use egui::{Align, Layout, Rect, RichText, ScrollArea, Sense, Stroke, Ui, pos2, vec2};
use moescope_core::{AxisKind, Interval, LayerId, Measurement, NullComparison};
use moescope_figures::{FigureOptions, Significance, palette};
use moescope_pipeline::TraceSource;

use super::{
    choice_row::{Pair, first_with, metric_combo},
    heat::is_of_experts,
};
use crate::{
    answers::Measured,
    choices::{Cell, DisciplinesChoice},
    command::Command,
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

/// All experts of all layers, the largest value first; differences by their size, whatever their sign.
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
    let is_difference = pair.minus.is_some();
    let size = |row: &Ranked| {
        if is_difference {
            row.value.abs()
        } else {
            row.value
        }
    };
    rows.sort_by(|a, b| size(b).total_cmp(&size(a)));
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
        ctx.send(Command::ChooseCell(Some(ranked.cell)));
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
    let measured = ctx.measured_soon(trace, &choice.metric, &request).best()?;
    let options = FigureOptions {
        group: pair.group.clone().filter(|_| pair.minus.is_none()),
        ..FigureOptions::default()
    };
    let mut offer = FigureOffer::new("lollipop", measured, options);
    offer.index = first_with(measured, &[AxisKind::Layer, AxisKind::Expert])?;
    let source = TraceSource::one(trace.path.clone());
    Some(offer.made_of(source, &choice.metric, request))
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, Protocol};

    use super::*;

    #[test]
    fn experts_come_by_value_and_differences_by_size() {
        let labels = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let measurement = Measurement {
            metric: "x".into(),
            title: "x".into(),
            unit: "1".into(),
            axes: vec![
                Axis::new(AxisKind::Group, labels(&["math"])),
                Axis::new(AxisKind::Layer, labels(&["2"])),
                Axis::new(AxisKind::Expert, labels(&["0", "1", "2", "3"])),
            ],
            values: vec![0.1, -0.9, f64::NAN, 0.4],
            intervals: None,
            nulls: None,
            reference: None,
            protocol: Protocol::default(),
        };
        let experts = |minus: Option<&str>| -> Vec<u16> {
            let pair = Pair {
                labels: vec!["math".into(), "law".into()],
                group: Some("math".into()),
                minus: minus.map(str::to_owned),
            };
            let rows = ranked(&measurement, &pair);
            rows.iter().map(|row| row.cell.expert).collect()
        };
        assert_eq!(experts(None), [3, 0, 1]);
        assert_eq!(experts(Some("law")), [1, 3, 0]);
    }
}
