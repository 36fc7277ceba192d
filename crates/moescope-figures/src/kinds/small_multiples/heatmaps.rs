//! Panels of cells.

use moescope_core::{AxisKind, Measurement};

use super::NEEDS;
use crate::{
    FigureError, FigureOptions, Panels,
    axis::{ColumnLabels, RowLabels, count},
    canvas::{Area, Canvas, THIN},
    cells::Cells,
    legend::{self, Sign, signs_of_scale},
    page::{self, Drawn, MARGIN, Words, group_title},
    palette::INK,
    panels::{Grid, axis_titles},
    scale::ValueScale,
    slice::{Slice, slice},
    text::Face,
};

/// Up to this many layers, each of them has a panel; beyond, each group has one.
const MOST_LAYERS: usize = 12;

/// The panels and what they share.
struct Multiples {
    grid: Grid,
    titles: Vec<String>,
    rows: Vec<String>,
    columns: Vec<String>,
    /// The values of each panel, row by row.
    values: Vec<Vec<f64>>,
    scale: ValueScale,
    row_title: String,
    unit: String,
    mark: Option<f64>,
    signs: Vec<Sign>,
}

pub(super) fn draw(
    measurement: &Measurement,
    options: &FigureOptions,
) -> Result<String, FigureError> {
    let kinds = [AxisKind::Layer, AxisKind::Group, AxisKind::Expert];
    let slice = slice(NEEDS, measurement, kinds, options)?;
    let is_by_layer = match options.panels {
        Panels::Layer => true,
        Panels::Group => false,
        Panels::Auto => slice.axes[0].len() <= MOST_LAYERS,
    };
    let multiples = Multiples::new(&slice, is_by_layer, options)?;
    let mut remarks = Vec::new();
    let natural = multiples.natural_height();
    if multiples.are_rows_thinned(natural) {
        remarks.push(format!(
            "Rows of each panel from above: {}",
            multiples.rows.join(", ")
        ));
    }
    let words = Words::new(
        measurement,
        options,
        &slice.fixed,
        &remarks,
        Drawn::default(),
    );
    let least = multiples.grid.least_height();
    page::compose(&words, options, (natural, least), |canvas, top, height| {
        multiples.paint(canvas, options, top, height)
    })
}

impl Multiples {
    fn new(
        slice: &Slice<'_, 3>,
        is_by_layer: bool,
        options: &FigureOptions,
    ) -> Result<Self, FigureError> {
        let measurement = slice.measurement;
        let [layers, groups, experts] = slice.axes.map(moescope_core::Axis::len);
        let [layer_labels, group_labels] = [slice.labels(0), slice.labels(1)];
        let group = group_title(measurement);
        let (panels, num_rows) = if is_by_layer {
            (layers, groups)
        } else {
            (groups, layers)
        };
        let value = |panel: usize, row: usize, expert: usize| {
            let (layer, group) = if is_by_layer {
                (panel, row)
            } else {
                (row, panel)
            };
            slice.value([layer, group, expert])
        };
        let values: Vec<Vec<f64>> = (0..panels)
            .map(|panel| {
                (0..num_rows * experts)
                    .map(|i| value(panel, i / experts, i % experts))
                    .collect()
            })
            .collect();
        let all: Vec<f64> = values.iter().flatten().copied().collect();
        let reference = measurement.reference;
        let is_centred = reference.is_some() || all.iter().any(|v| *v < 0.0);
        let scale = ValueScale::new(&all, options, reference.unwrap_or(0.0), is_centred);
        let has_undefined = all.iter().any(|v| !v.is_finite());
        let layer_titles = layer_labels.iter().map(|layer| format!("Layer {layer}"));
        let (titles, rows, row_title) = if is_by_layer {
            (layer_titles.collect(), group_labels, group)
        } else {
            (group_labels, layer_labels, "Layer".to_owned())
        };
        let labels = RowLabels::new(&rows, 3.0, 0.2 * options.width_mm, false)?;
        let x0 = MARGIN + Face::LABEL.line_mm() + 0.8 + labels.width;
        // A column of at least a millimetre where experts are few; a panel of a third of a page where they are many.
        let least = (1.2 * count(experts)).clamp(24.0, 46.0);
        Ok(Self {
            grid: Grid::new(panels, options, x0, least),
            titles,
            rows,
            columns: slice.labels(2),
            values,
            signs: signs_of_scale(&scale, has_undefined, reference),
            scale,
            row_title,
            unit: page::unit(measurement),
            mark: reference,
        })
    }

    fn natural_height(&self) -> f64 {
        let are_numbers = self.rows.iter().all(|row| row.parse::<i64>().is_ok());
        let row = if are_numbers { 1.2 } else { 2.9 };
        self.grid
            .natural_height((row * count(self.rows.len())).max(8.0))
    }

    /// Whether rows are too thin for each of their names.
    fn are_rows_thinned(&self, height: f64) -> bool {
        let are_numbers = self.rows.iter().all(|row| row.parse::<i64>().is_ok());
        let pitch = self.grid.panel_height(height) / count(self.rows.len());
        !are_numbers && pitch < 0.95 * Face::SMALL.line_mm()
    }

    fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        options: &FigureOptions,
        top: f64,
        height: f64,
    ) -> Result<f64, FigureError> {
        let grid = &self.grid;
        let mut bottom = top;
        for (index, values) in self.values.iter().enumerate() {
            let panel = grid.panel(index, top, height);
            let cells = Cells {
                panel,
                rows: self.rows.len(),
                columns: self.columns.len(),
            };
            cells.paint(canvas, values, &self.scale)?;
            canvas.frame(panel, INK, THIN)?;
            grid.title(canvas, panel, &self.titles[index])?;
            if grid.is_first(index) {
                self.row_labels(canvas, &cells, options)?;
            }
            if grid.is_lowest(index) {
                bottom = bottom.max(panel.y1 + self.column_labels(canvas, &cells)?);
            }
        }
        let last = grid.panel(self.values.len() - 1, top, height);
        let y = axis_titles(
            canvas,
            grid,
            (&self.row_title, "Expert"),
            (top, last.y1, bottom.max(last.y1) + 0.8),
        )?;
        legend::draw(
            canvas,
            (grid.x0, y + 2.0),
            options.width_mm - MARGIN - grid.x0,
            &self.scale,
            &self.unit,
            self.mark,
            &self.signs,
        )
    }

    fn row_labels(
        &self,
        canvas: &mut Canvas<'_>,
        cells: &Cells,
        options: &FigureOptions,
    ) -> Result<(), FigureError> {
        RowLabels::new(&self.rows, cells.pitch_y(), 0.2 * options.width_mm, false)?.draw(
            canvas,
            cells.panel.x0,
            |i| cells.y(i) + 0.5 * cells.pitch_y(),
        )
    }

    /// Labels the columns under a panel; returns the height of the labels.
    fn column_labels(&self, canvas: &mut Canvas<'_>, cells: &Cells) -> Result<f64, FigureError> {
        let labels = ColumnLabels::new(&self.columns, cells.pitch_x(), true)?;
        let Area { y1, .. } = cells.panel;
        labels.draw(canvas, y1, |i| cells.x(i) + 0.5 * cells.pitch_x())?;
        Ok(labels.height)
    }
}
