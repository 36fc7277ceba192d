//! A quantity along the layers, with intervals.

use egui::Ui;
use egui_plot::{FilledArea, Line, Plot, Points};
use moescope_core::{AxisKind, Measurement};
use moescope_figures::{FigureOptions, palette, short_number};
use moescope_pipeline::TraceSource;

use super::choice_row::{first_with, metric_combo};
use crate::{
    answers::Question,
    choices::DisciplinesChoice,
    export::FigureOffer,
    job::Job,
    traces::OpenTrace,
    view::ViewContext,
    widgets::{
        job_panel::job_panel,
        legend::{legend, plot_shape},
        text::{heading, soft},
    },
};

pub(super) fn ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    trace: &OpenTrace,
    choice: &mut DisciplinesChoice,
) {
    ui.horizontal_wrapped(|ui| metric_combo(ui, &mut choice.layer_metric, is_along_layers));
    let (question, job) = ctx.measured(trace, &choice.layer_metric, ctx.request());
    job_panel(
        ui,
        ctx,
        job,
        || Question::Measure(question),
        |ui, measured| {
            let Some(index) = first_with(measured, &[AxisKind::Layer]) else {
                ui.label("This metric gives no values along the layers; choose another");
                return;
            };
            let measurement = &measured[index];
            heading(ui, &measurement.title);
            ui.label(soft(
                match measurement.protocol.level {
                    Some(level) if measurement.intervals.is_some() => format!(
                        "{}; bands are {}% intervals",
                        measurement.unit,
                        short_number(100.0 * level)
                    ),
                    _ => measurement.unit.clone(),
                },
                ctx.theme,
            ));
            plot(ui, ctx, measurement);
        },
    );
}

/// Whether a metric is one value, or one a label or variant, at each layer.
fn is_along_layers(axes: &[AxisKind]) -> bool {
    axes.contains(&AxisKind::Layer)
        && axes
            .iter()
            .all(|kind| matches!(kind, AxisKind::Layer | AxisKind::Group | AxisKind::Variant))
}

/// A line along the layers.
#[derive(Clone, Debug, PartialEq)]
struct Series {
    name: String,
    layers: Vec<f64>,
    values: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

fn series(measurement: &Measurement) -> Vec<Series> {
    let Some((layer_axis, layers)) = measurement.axis(AxisKind::Layer) else {
        return Vec::new();
    };
    let others: Vec<usize> = (0..measurement.axes.len())
        .filter(|axis| *axis != layer_axis)
        .collect();
    let count: usize = others.iter().map(|a| measurement.axes[*a].len()).product();
    (0..count)
        .map(|number| {
            let mut index = vec![0; measurement.axes.len()];
            let mut rest = number;
            let mut names = Vec::new();
            for axis in others.iter().rev() {
                let labels = &measurement.axes[*axis].labels;
                index[*axis] = rest % labels.len();
                rest /= labels.len();
                names.insert(0, labels[index[*axis]].replace('_', " "));
            }
            let mut series = Series {
                name: if names.is_empty() {
                    measurement.title.clone()
                } else {
                    names.join(", ")
                },
                layers: Vec::new(),
                values: Vec::new(),
                low: Vec::new(),
                high: Vec::new(),
            };
            for (layer, label) in layers.labels.iter().enumerate() {
                index[layer_axis] = layer;
                let flat = measurement.flat_index(&index);
                let value = measurement.values[flat];
                let Some(at) = label.parse().ok().filter(|_| value.is_finite()) else {
                    continue;
                };
                let interval = measurement.intervals.as_ref().and_then(|all| all[flat]);
                series.layers.push(at);
                series.values.push(value);
                series.low.push(interval.map_or(value, |i| i.low));
                series.high.push(interval.map_or(value, |i| i.high));
            }
            series
        })
        .collect()
}

fn plot(ui: &mut Ui, ctx: &ViewContext<'_>, measurement: &Measurement) {
    let all = series(measurement);
    let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
    let looks = palette::categories(&names);
    let has_intervals = measurement.intervals.is_some();
    // Bands of many lines cover each other; then the lines alone are shown, and the numbers under the pointer.
    let has_bands = has_intervals && all.len() <= 4;
    legend(
        ui,
        ctx.theme,
        names.iter().copied().zip(looks.iter().copied()),
    );
    let response = Plot::new(("layers", &measurement.metric))
        .show_background(false)
        .grid_color(ctx.theme.strong_line)
        .cursor_color(ctx.theme.strong_line)
        .x_axis_label("Layer")
        .y_axis_label(measurement.unit.clone())
        .show(ui, |plot| {
            for (series, look) in all.iter().zip(&looks) {
                let color = ctx.theme.on_ground(look.color);
                let (shape, is_filled) = plot_shape(look.marker);
                if has_bands && !series.layers.is_empty() {
                    plot.add(
                        FilledArea::new(
                            series.name.clone(),
                            &series.layers,
                            &series.low,
                            &series.high,
                        )
                        .fill_color(color.gamma_multiply(0.18))
                        .allow_hover(false),
                    );
                }
                let points: Vec<[f64; 2]> = series
                    .layers
                    .iter()
                    .zip(&series.values)
                    .map(|(x, y)| [*x, *y])
                    .collect();
                plot.line(Line::new(series.name.clone(), points.clone()).color(color));
                plot.points(
                    Points::new(series.name.clone(), points)
                        .shape(shape)
                        .filled(is_filled)
                        .radius(4.0)
                        .color(color),
                );
            }
            if let Some(reference) = measurement.reference {
                plot.hline(
                    egui_plot::HLine::new("reference", reference)
                        .color(ctx.theme.strong_line)
                        .style(egui_plot::LineStyle::dashed_loose()),
                );
            }
        });
    response.response.widget_info(|| {
        egui::WidgetInfo::labeled(
            egui::Role::Image,
            true,
            format!("{} along the layers", measurement.title),
        )
    });
}

pub(super) fn figure(
    ctx: &ViewContext<'_>,
    trace: &OpenTrace,
    choice: &DisciplinesChoice,
) -> Option<FigureOffer> {
    let (_, job) = ctx.measured(trace, &choice.layer_metric, ctx.request());
    let measured = job.and_then(Job::value)?;
    let options = FigureOptions::default();
    let mut offer = FigureOffer::new("layer_series", measured, options);
    offer.index = first_with(measured, &[AxisKind::Layer])?;
    let source = TraceSource::one(trace.path.clone());
    Some(offer.made_of(source, &choice.layer_metric, ctx.request().clone()))
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, Protocol};

    use super::*;

    #[test]
    fn every_label_is_a_line_through_its_own_values() {
        let labels = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let measurement = Measurement {
            metric: "load_entropy".into(),
            title: "Load entropy".into(),
            unit: "fraction of ln E".into(),
            axes: vec![
                Axis::new(AxisKind::Layer, labels(&["1", "4"])),
                Axis::new(AxisKind::Group, labels(&["math", "law"])),
            ],
            values: vec![0.1, 0.2, 0.3, f64::NAN],
            intervals: None,
            nulls: None,
            reference: None,
            protocol: Protocol::default(),
        };
        let found = series(&measurement);
        assert_eq!(found[0].name, "math");
        assert_eq!(
            (found[0].layers.as_slice(), found[0].values.as_slice()),
            ([1.0, 4.0].as_slice(), [0.1, 0.3].as_slice())
        );
        assert_eq!(
            (found[1].layers.as_slice(), found[1].values.as_slice()),
            ([1.0].as_slice(), [0.2].as_slice())
        );
    }
}
