//! Documents as points on a map, coloured and shaped by discipline: the figure of the `SciDFM` report.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    canvas::Point,
    map::{Classes, Map, Marks, is_finite},
    page::{self, Drawn, Words},
    slice::{Needs, slice},
    text::clean,
    ticks,
};

/// Draws documents at their first two components, with their classes in a legend.
#[derive(Clone, Copy, Debug)]
pub struct FingerprintMap;

const NEEDS: Needs = Needs {
    figure: "fingerprint_map",
    axes: "document × component (two components or more)",
};

impl FigureKind for FingerprintMap {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "Documents as points of a map, coloured and shaped by their group",
            axes: "document × component [× layer] [× variant]",
            metrics: "fingerprint_map and other projections of documents to the plane",
            options: &[
                (
                    "centroids",
                    "whether each group is named at the middle of its documents",
                ),
                (
                    "hulls",
                    "whether an outline holds the 80 % of each group that are nearest to its middle",
                ),
                ("layer", "the layer to draw, where there are several"),
                ("variant", "the variant to draw, where there are several"),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        self.draw_svg_of(std::slice::from_ref(measurement), 0, options)
    }

    fn draw_svg_of(
        &self,
        tables: &[Measurement],
        index: usize,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let measurement = &tables[index];
        let slice = slice(
            NEEDS,
            measurement,
            [AxisKind::Document, AxisKind::Component],
            options,
        )?;
        let [documents, components] = slice.axes;
        if components.len() < 2 {
            return Err(FigureError::WrongAxes {
                figure: NEEDS.figure,
                needed: NEEDS.axes,
                metric: clean(&measurement.metric),
                found: crate::slice::axes_in_words(measurement),
            });
        }
        let places: Vec<Point> = (0..documents.len())
            .map(|i| (slice.value([i, 0]), slice.value([i, 1])))
            .collect();
        let classes = Classes::new(documents.classes.as_deref(), &places);
        let lost = places.iter().filter(|place| !is_finite(**place)).count();
        let mut remarks = Vec::new();
        if lost > 0 {
            remarks.push(format!(
                "Without coordinates and not drawn: {lost} of {} documents",
                documents.len()
            ));
        }
        if components.len() > 2 {
            remarks.push(format!("The first two of {} components", components.len()));
        }
        let labels = slice.labels(1);
        remarks.extend(tables.iter().find_map(|table| quality(table, &labels[0])));
        if options.hulls && documents.classes.is_some() {
            remarks
                .push("Outlines: the 80 % of each class that are nearest to its middle".to_owned());
        }
        let unit = clean(&measurement.unit);
        let title = |label: &str| {
            if unit.is_empty() {
                label.to_owned()
            } else {
                format!("{label} ({unit})")
            }
        };
        let map = Map::new(
            [title(&labels[0]), title(&labels[1])],
            page::group_title(measurement),
            Marks {
                names: options.centroids,
                hulls: options.hulls,
            },
            classes,
            places,
        );
        let natural = map.natural_height(options)?;
        let words = Words::new(
            measurement,
            options,
            &slice.fixed,
            &remarks,
            Drawn::default(),
        );
        page::compose(&words, options, (natural, 20.0), |canvas, top, height| {
            map.paint(canvas, options, top, height)
        })
    }
}

/// What a table of the same metric says about the map whose first component has a label such as `tsne_1`.
///
/// The table has one axis of variants. Names that end in the short name of a map belong to that map alone.
fn quality(table: &Measurement, component: &str) -> Option<String> {
    const MAPS: [&str; 3] = ["_pca", "_tsne", "_umap"];
    let [axis] = table.axes.as_slice() else {
        return None;
    };
    if axis.kind != AxisKind::Variant || table.check().is_err() {
        return None;
    }
    let own = component.strip_suffix("_1").map(|name| format!("_{name}"));
    let numbers: Vec<String> = axis
        .labels
        .iter()
        .zip(&table.values)
        .filter_map(|(label, value)| {
            let name = match &own {
                Some(own) if label.ends_with(own.as_str()) => label.strip_suffix(own.as_str())?,
                _ if MAPS.iter().any(|map| label.ends_with(map)) => return None,
                _ => label,
            };
            let name = clean(name).replace('_', " ");
            Some(format!("{name} {}", ticks::short(*value)))
        })
        .collect();
    (!numbers.is_empty()).then(|| format!("How far to trust the map: {}", numbers.join(", ")))
}
