//! A quantity along the layers, with intervals.

use egui::Ui;
use egui_plot::{FilledArea, HoverPosition, Line, Plot, Points};
use moescope_core::{AxisKind, Interval, Measurement};
use moescope_figures::{FigureOptions, palette, short_number};
use moescope_pipeline::FigureSource;

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
        text::{heading, soft, with_interval},
    },
};

/// Bands of more lines cover each other; then the lines alone are shown, and the intervals under the pointer.
const MOST_BANDS: usize = 4;

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
            let lines = series(measurement);
            heading(ui, &measurement.title);
            ui.label(soft(caption(measurement, &lines), ctx.theme));
            plot(ui, ctx, measurement, &lines);
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
    intervals: Vec<Option<Interval>>,
}

impl Series {
    fn has_interval(&self) -> bool {
        self.intervals.iter().any(Option::is_some)
    }

    /// The lower or upper edge of the band, which is the line itself where there is no interval.
    fn edge(&self, end: impl Fn(Interval) -> f64) -> Vec<f64> {
        let points = self.values.iter().zip(&self.intervals);
        points
            .map(|(value, interval)| interval.map_or(*value, &end))
            .collect()
    }

    /// All of a point in words.
    fn describe(&self, point: usize, measurement: &Measurement) -> Option<String> {
        let (layer, value) = (self.layers.get(point)?, self.values.get(point)?);
        let interval = self.intervals.get(point).copied().flatten();
        let sure = match (interval, measurement.protocol.level) {
            (Some(_), Some(level)) => format!("{}% interval", short_number(100.0 * level)),
            _ => "no interval".to_owned(),
        };
        Some(format!(
            "{}, layer {layer}\n{} {}\n{sure}",
            self.name,
            with_interval(*value, interval),
            measurement.unit
        ))
    }
}

fn has_bands(lines: &[Series]) -> bool {
    lines.len() <= MOST_BANDS && lines.iter().any(Series::has_interval)
}

/// What is drawn: the unit, and what shows the intervals.
fn caption(measurement: &Measurement, lines: &[Series]) -> String {
    let unit = &measurement.unit;
    match measurement
        .protocol
        .level
        .map(|level| short_number(100.0 * level))
    {
        Some(level) if has_bands(lines) => format!("{unit}; bands are {level}% intervals"),
        Some(level) if lines.iter().any(Series::has_interval) => format!(
            "{unit}; no bands, since {} would hide each other: point at a marker to read its {level}% interval",
            lines.len()
        ),
        _ => unit.clone(),
    }
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
                intervals: Vec::new(),
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
                series.intervals.push(interval);
            }
            series
        })
        .collect()
}

fn plot(ui: &mut Ui, ctx: &ViewContext<'_>, measurement: &Measurement, all: &[Series]) {
    let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
    let looks = palette::categories(&names);
    let has_bands = has_bands(all);
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
        .label_formatter(|pointed| match pointed {
            HoverPosition::NearDataPoint {
                plot_name, index, ..
            } => {
                let line = all.iter().find(|line| line.name == *plot_name)?;
                line.describe(*index, measurement)
            }
            HoverPosition::Elsewhere { .. } => None,
        })
        .show(ui, |plot| {
            for (series, look) in all.iter().zip(&looks) {
                let color = ctx.theme.on_ground(look.color);
                let (shape, is_filled) = plot_shape(look.marker);
                if has_bands && !series.layers.is_empty() {
                    let low = series.edge(|interval| interval.low);
                    let high = series.edge(|interval| interval.high);
                    plot.add(
                        FilledArea::new(series.name.clone(), &series.layers, &low, &high)
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
    let source = FigureSource::one(trace.path.clone());
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

    #[test]
    fn the_caption_says_what_is_drawn_and_a_point_says_all_of_itself() {
        let of = |count: usize, interval: Option<Interval>| {
            let names = (0..count).map(|label| format!("label_{label}")).collect();
            Measurement {
                metric: "load_entropy".into(),
                title: "Load entropy".into(),
                unit: "nats".into(),
                axes: vec![
                    Axis::new(AxisKind::Layer, vec!["3".into()]),
                    Axis::new(AxisKind::Group, names),
                ],
                values: vec![0.2; count],
                intervals: Some(vec![interval; count]),
                nulls: None,
                reference: None,
                protocol: Protocol {
                    level: Some(0.95),
                    ..Protocol::default()
                },
            }
        };
        let interval = Some(Interval {
            low: 0.1,
            high: 0.3,
        });
        let told = |measurement: &Measurement| caption(measurement, &series(measurement));
        assert_eq!(told(&of(4, interval)), "nats; bands are 95% intervals");
        let many = of(5, interval);
        assert!(!has_bands(&series(&many)));
        assert!(
            told(&many).starts_with("nats; no bands, since 5 "),
            "{}",
            told(&many)
        );
        assert_eq!(told(&of(4, None)), "nats");
        let point = |measurement: &Measurement| series(measurement)[1].describe(0, measurement);
        assert_eq!(
            point(&many).as_deref(),
            Some("label 1, layer 3\n0.2 (0.1 to 0.3) nats\n95% interval")
        );
        assert_eq!(
            point(&of(4, None)).as_deref(),
            Some("label 1, layer 3\n0.2 nats\nno interval")
        );
        assert_eq!(series(&many)[1].describe(1, &many), None);
    }
}
