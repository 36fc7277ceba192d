//! Panels of curves.

use moescope_core::{AxisKind, Measurement};

use super::NEEDS;
use crate::{
    FigureError, FigureOptions,
    page::{self, MARGIN, Words},
    palette,
    panels::{Grid, axis_titles},
    series::{Chart, Explained, LineStyle, Series, point},
    slice::{index_of, slice},
    text::Face,
};

pub(super) fn draw(
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<String, FigureError> {
    let lines = slice(
        NEEDS,
        measurement,
        [AxisKind::Layer, AxisKind::Group],
        options,
    )?;
    let names = lines.labels(1);
    let shown: Vec<usize> = if options.highlight.is_empty() {
        (0..names.len()).collect()
    } else {
        options
            .highlight
            .iter()
            .map(|label| index_of("highlight", lines.axes[1], label))
            .collect::<Result<_, _>>()?
    };
    let labels: Vec<&str> = names.iter().map(String::as_str).collect();
    let looks = palette::categories(&labels);
    let layers = lines.axes[0].len();
    let places = lines.labels(0);
    // Each panel has all lines, so that all panels have the same axis of values.
    let chart_of = |own: usize| {
        let series = names.iter().enumerate().map(|(i, name)| Series {
            name: name.clone(),
            look: looks[i],
            style: if i == own {
                LineStyle::Marked
            } else {
                LineStyle::Context
            },
            points: (0..layers)
                .map(|layer| point(measurement, lines.flat([layer, i])))
                .collect(),
        });
        let explained = Explained {
            context: (names.len() > 1).then(|| {
                format!(
                    "the others by {}",
                    page::group_title(measurement).to_lowercase()
                )
            }),
            ..Explained::default()
        };
        let along = (places.clone(), "Layer");
        Chart::new(measurement, options, along, series.collect(), explained)
    };
    let charts: Vec<Chart> = shown.iter().map(|own| chart_of(*own)).collect();
    // Each chart draws the intervals of its own line: the key is that of one that has some.
    let keyed = charts
        .iter()
        .find(|chart| chart.drawn().intervals)
        .unwrap_or(&charts[0]);
    let words = Words::new(
        measurement,
        options,
        &lines.fixed,
        &keyed.remarks(),
        keyed.drawn(),
    );
    let panel_mm = 24.0;
    let label = Face::LABEL;
    let x0 = MARGIN + label.line_mm() + 0.8 + charts[0].value_width(panel_mm)? + 1.5;
    let grid = Grid::new(charts.len(), options, x0, 34.0);
    let natural = grid.natural_height(panel_mm);
    let least = grid.least_height();
    page::compose(&words, options, (natural, least), |canvas, top, height| {
        let mut bottom = top;
        for (index, chart) in charts.iter().enumerate() {
            let panel = grid.panel(index, top, height);
            chart.paint_small(canvas, panel, grid.is_first(index))?;
            grid.title(canvas, panel, &names[shown[index]])?;
            if grid.is_lowest(index) {
                bottom = bottom.max(panel.y1 + chart.place_labels(canvas, panel)?);
            }
        }
        let unit = page::unit(measurement);
        let y = axis_titles(
            canvas,
            &grid,
            (&unit, "Layer"),
            (top, bottom - 3.0, bottom + 0.8),
        )?;
        keyed.key(canvas, options, (grid.x0, y))
    })
}
