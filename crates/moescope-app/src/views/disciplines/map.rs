//! Documents as points: near ones are routed alike.

mod chosen;
mod lasso;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use egui::{Stroke, Ui};
use egui_plot::{MarkerShape, Plot, PlotPoint, Points};
use moescope_core::{AxisKind, Discipline, Measurement};
use moescope_figures::{FigureOptions, palette};
use moescope_pipeline::FigureSource;

use super::choice_row::named_combo;
use crate::{
    answers::{Measured, Question},
    choices::DisciplinesChoice,
    command::Command,
    export::FigureOffer,
    job::Job,
    traces::OpenTrace,
    view::ViewContext,
    widgets::{
        document::document_panel,
        job_panel::job_panel,
        legend::{legend, plot_shape},
        text::{heading, soft},
    },
};

use chosen::{chosen_panel, chosen_places};
use lasso::{Lasso, is_inside};

/// How near a click must be to a point, in points of the screen.
const REACH: f32 = 12.0;
const TEXT_HEIGHT: f32 = 150.0;

/// What the page keeps.
#[derive(Debug, Default)]
pub(super) struct MapPage {
    /// The document that was clicked.
    document: Option<String>,
    /// Whether a drag chooses documents, without Shift.
    is_selecting: bool,
    lasso: Lasso,
    /// Where documents stand, and on which map.
    places: Option<(Measured, usize, Vec<Place>)>,
}

/// A document on the map.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    document: String,
    class: String,
    at: [f64; 2],
}

impl MapPage {
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        trace: &OpenTrace,
        choice: &mut DisciplinesChoice,
    ) {
        let (question, job) = ctx.measured(trace, "fingerprint_map", ctx.request());
        ui.horizontal_wrapped(|ui| {
            let names = job
                .and_then(Job::value)
                .map_or_else(Vec::new, |measured| map_names(measured));
            named_combo(ui, "Map", &choice.map.clone(), 90.0, |ui| {
                for name in names {
                    ui.selectable_value(&mut choice.map, name.clone(), name);
                }
            });
            ui.toggle_value(&mut self.is_selecting, "Select")
                .on_hover_text(
                    "Drag around documents to choose them; Shift+drag does it at any time",
                );
            if self.is_selecting {
                self.label_combo(ui, ctx);
            }
            ui.label(soft(
                "Near points are documents that are routed alike",
                ctx.theme,
            ));
        });
        job_panel(
            ui,
            ctx,
            job,
            || Question::Measure(question),
            |ui, measured| {
                let Some(index) = index_of(measured, &choice.map) else {
                    ui.label("There is no map of this name; choose another");
                    return;
                };
                let is_known = |known: &(Measured, usize, Vec<Place>)| {
                    Arc::ptr_eq(&known.0, measured) && known.1 == index
                };
                let (_, _, places) = self
                    .places
                    .take()
                    .filter(is_known)
                    .unwrap_or_else(|| (Arc::clone(measured), index, places(&measured[index])));
                heading(ui, &measured[index].title);
                let room = if self.document.is_some() {
                    ui.available_height() - TEXT_HEIGHT - 30.0
                } else {
                    ui.available_height()
                };
                let chosen = chosen_places(&places, &ctx.state.choices.documents);
                if !chosen.is_empty()
                    && let Some(clicked) = chosen_panel(ui, ctx, &chosen)
                {
                    self.document = Some(clicked);
                }
                self.plot(ui, ctx, &places, &chosen, room.max(120.0));
                self.document_ui(ui, ctx, trace);
                self.places = Some((Arc::clone(measured), index, places));
            },
        );
    }

    /// Chooses all documents of a label, which needs no pointer.
    fn label_combo(&self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let Some((_, _, places)) = &self.places else {
            return;
        };
        named_combo(ui, "Choose all of", "a label", 110.0, |ui| {
            for label in labels_of(places) {
                if ui.selectable_label(false, label).clicked() {
                    let of_label = places.iter().filter(|place| place.class == label);
                    let documents = of_label.map(|place| place.document.clone());
                    ctx.send(Command::ChooseDocuments(documents.collect()));
                }
            }
        });
    }

    fn plot(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        places: &[Place],
        chosen: &[&Place],
        height: f32,
    ) {
        let mut classes: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
        for place in places {
            classes.entry(place.class.as_str()).or_default().push(place);
        }
        let labels = labels_of(places);
        let looks = palette::categories(&labels);
        let before = ui.cursor().top();
        legend(
            ui,
            ctx.theme,
            labels.iter().copied().zip(looks.iter().copied()),
        );
        let height = (height - (ui.cursor().top() - before)).max(120.0);
        let read = places
            .iter()
            .find(|place| Some(&place.document) == self.document.as_ref());
        let is_selecting = self.is_selecting || ui.input(|input| input.modifiers.shift);
        let response = Plot::new("fingerprint map")
            .height(height)
            .allow_drag(!is_selecting && !self.lasso.is_drawn())
            .data_aspect(1.0)
            .show_axes(false)
            .show_grid(false)
            .show_background(false)
            .show_crosshair(false)
            .show(ui, |plot| {
                for (label, look) in labels.iter().zip(looks) {
                    let points: Vec<[f64; 2]> =
                        classes[label].iter().map(|place| place.at).collect();
                    let (shape, is_filled) = plot_shape(look.marker);
                    plot.points(
                        Points::new(*label, points)
                            .shape(shape)
                            .filled(is_filled)
                            .radius(4.0)
                            .color(ctx.theme.on_ground(look.color)),
                    );
                }
                let ring = |name: &'static str, at: Vec<[f64; 2]>, radius: f32| {
                    Points::new(name, at)
                        .shape(MarkerShape::Circle)
                        .filled(false)
                        .radius(radius)
                        .color(ctx.theme.text)
                };
                if !chosen.is_empty() {
                    let of_chosen = chosen.iter().map(|place| place.at).collect();
                    plot.points(ring("chosen", of_chosen, 6.0));
                }
                if let Some(place) = read {
                    plot.points(ring("read", vec![place.at], 9.0));
                }
                plot.pointer_coordinate()
                    .and_then(|at| nearest(places, at, plot))
                    .cloned()
            });
        let near = response.inner;
        response.response.widget_info(|| {
            egui::WidgetInfo::labeled(
                egui::Role::Image,
                true,
                format!("Map of {} documents", places.len()),
            )
        });
        if response.response.clicked() {
            self.document = near.as_ref().map(|place| place.document.clone());
        }
        let stroke = Stroke::new(1.5, ctx.theme.text);
        let (plotted, transform) = (&response.response, &response.transform);
        if is_selecting {
            self.lasso.begin(ui, plotted, transform);
        }
        if let Some(outline) = self.lasso.follow(ui, plotted, transform, stroke) {
            let inside = places.iter().filter(|place| is_inside(&outline, place.at));
            let documents = inside.map(|place| place.document.clone()).collect();
            ctx.send(Command::ChooseDocuments(documents));
        }
        if let Some(place) = near.filter(|_| !self.lasso.is_drawn()) {
            response.response.on_hover_text_at_pointer(format!(
                "{}\n{}\nClick to read it",
                place.document, place.class
            ));
        }
    }

    fn document_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, trace: &OpenTrace) {
        let Some(id) = &self.document else {
            return;
        };
        if document_panel(ui, ctx, trace, id, TEXT_HEIGHT) {
            self.document = None;
        }
    }
}

/// The labels of the documents, in display order.
fn labels_of(places: &[Place]) -> Vec<&str> {
    let labels: BTreeSet<&str> = places.iter().map(|place| place.class.as_str()).collect();
    let mut labels: Vec<&str> = labels.into_iter().collect();
    labels.sort_by(|a, b| Discipline::display_order(a).cmp(&Discipline::display_order(b)));
    labels
}

/// The document nearest to a place, if it is within reach.
fn nearest<'a>(
    places: &'a [Place],
    at: PlotPoint,
    plot: &egui_plot::PlotUi<'_>,
) -> Option<&'a Place> {
    let pointer = plot.screen_from_plot(at);
    places
        .iter()
        .map(|place| {
            let pos = plot.screen_from_plot(PlotPoint::from(place.at));
            (pos.distance(pointer), place)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(distance, _)| *distance <= REACH)
        .map(|(_, place)| place)
}

/// The names of the maps, which stand in parentheses at the end of their titles.
fn map_names(measured: &[Measurement]) -> Vec<String> {
    let maps = measured.iter().filter(|m| is_map(m));
    maps.filter_map(map_name).map(str::to_owned).collect()
}

fn map_name(measurement: &Measurement) -> Option<&str> {
    let (_, name) = measurement.title.strip_suffix(')')?.rsplit_once('(')?;
    Some(name)
}

fn is_map(measurement: &Measurement) -> bool {
    measurement.axis(AxisKind::Document).is_some()
        && measurement.axis(AxisKind::Component).is_some()
}

fn index_of(measured: &[Measurement], name: &str) -> Option<usize> {
    let ending = format!("({name})");
    measured
        .iter()
        .position(|m| is_map(m) && m.title.ends_with(&ending))
        .or_else(|| measured.iter().position(is_map))
}

fn places(measurement: &Measurement) -> Vec<Place> {
    let Some((0, documents)) = measurement.axis(AxisKind::Document) else {
        return Vec::new();
    };
    let components = measurement
        .axis(AxisKind::Component)
        .map_or(0, |(_, a)| a.len());
    if components < 2 {
        return Vec::new();
    }
    documents
        .labels
        .iter()
        .enumerate()
        .map(|(place, document)| Place {
            document: document.clone(),
            class: documents
                .classes
                .as_ref()
                .map_or_else(|| "document".to_owned(), |classes| classes[place].clone()),
            at: [
                measurement.values[place * components],
                measurement.values[place * components + 1],
            ],
        })
        .collect()
}

pub(super) fn figure(
    ctx: &ViewContext<'_>,
    trace: &OpenTrace,
    choice: &DisciplinesChoice,
) -> Option<FigureOffer> {
    let (_, job) = ctx.measured(trace, "fingerprint_map", ctx.request());
    let measured = job.and_then(Job::value)?;
    let options = FigureOptions::default();
    let mut offer = FigureOffer::new("fingerprint_map", measured, options);
    offer.index = index_of(measured, &choice.map)?;
    let source = FigureSource::one(trace.path.clone());
    let mut offer = offer.made_of(source, "fingerprint_map", ctx.request().clone());
    if let Some((_, job)) = &mut offer.again {
        // Among all maps, this one; the offer has it by its place.
        job.options.variant = map_name(&measured[offer.index]).map(str::to_owned);
    }
    Some(offer)
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, Protocol};

    use super::*;

    #[test]
    fn documents_stand_where_the_measurement_says() {
        let mut documents = Axis::new(AxisKind::Document, vec!["a".into(), "b".into()]);
        documents.classes = Some(vec!["law".into(), "math".into()]);
        let measurement = Measurement {
            metric: "fingerprint_map".into(),
            title: "Map of documents (PCA)".into(),
            unit: "coordinate".into(),
            axes: vec![
                documents,
                Axis::new(AxisKind::Component, vec!["1".into(), "2".into()]),
            ],
            values: vec![1.0, 2.0, 3.0, 4.0],
            intervals: None,
            nulls: None,
            reference: None,
            protocol: Protocol::default(),
        };
        let found = places(&measurement);
        assert_eq!(found[1].at.map(f64::to_bits), [3.0, 4.0].map(f64::to_bits));
        assert_eq!(
            (found[1].document.as_str(), found[1].class.as_str()),
            ("b", "math")
        );
        assert_eq!(map_names(std::slice::from_ref(&measurement)), ["PCA"]);
        assert_eq!(index_of(&[measurement], "t-SNE"), Some(0));
    }
}
