//! Groups × groups: how far apart the routing of each two disciplines is.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    heatmap::Heatmap,
    legend::signs_of_scale,
    page::{self, Drawn, Words},
    scale::ValueScale,
    slice::{Needs, slice},
};

/// Draws a matrix of pairs of groups, at one layer or averaged over all.
#[derive(Clone, Copy, Debug)]
pub struct GroupMatrix;

const NEEDS: Needs = Needs {
    figure: "group_matrix",
    axes: "group × group B, or layer × group × group B",
};

impl FigureKind for GroupMatrix {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "Groups × groups at one layer, or the mean over layers, as colours",
            axes: "group × group B [× layer] [× variant]",
            metrics: "pairwise divergences and overlaps such as jsd",
            options: &[
                (
                    "layer",
                    "the layer to draw; without one, the unweighted mean over layers",
                ),
                ("variant", "the variant to draw, where there are several"),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let has_many_layers = measurement
            .axis(AxisKind::Layer)
            .is_some_and(|(_, layers)| layers.len() > 1);
        let (rows, columns, values, subtitle) = if has_many_layers && options.layer.is_none() {
            let pairs = slice(
                NEEDS,
                measurement,
                [AxisKind::Layer, AxisKind::Group, AxisKind::GroupB],
                options,
            )?;
            let layers = pairs.axes[0].len();
            // A pair that is undefined at one layer has no mean that could stand beside the others: NaN stays NaN.
            let values = indices(pairs.axes[1].len(), pairs.axes[2].len())
                .map(|[a, b]| {
                    let sum: f64 = (0..layers).map(|layer| pairs.value([layer, a, b])).sum();
                    sum / f64::from(u32::try_from(layers).unwrap_or(u32::MAX))
                })
                .collect();
            let mut subtitle = vec![format!("unweighted mean over {layers} layers")];
            subtitle.extend(pairs.fixed.clone());
            (pairs.labels(1), pairs.labels(2), values, subtitle)
        } else {
            let pairs = slice(
                NEEDS,
                measurement,
                [AxisKind::Group, AxisKind::GroupB],
                options,
            )?;
            let values: Vec<f64> = indices(pairs.axes[0].len(), pairs.axes[1].len())
                .map(|index| pairs.value(index))
                .collect();
            (pairs.labels(0), pairs.labels(1), values, pairs.fixed)
        };
        let reference = measurement.reference;
        let is_centred = values.iter().any(|v: &f64| *v < 0.0);
        let scale = ValueScale::new(&values, options, reference.unwrap_or(0.0), is_centred);
        let has_undefined = values.iter().any(|v| !v.is_finite());
        let title = page::group_title(measurement);
        Heatmap {
            words: Words::new(measurement, options, &subtitle, &[], Drawn::default()),
            row_title: title.clone(),
            column_title: title,
            rows,
            columns,
            values,
            dots: Vec::new(),
            unit: page::unit(measurement),
            mark: reference,
            signs: signs_of_scale(&scale, has_undefined, reference),
            scale,
            is_square: true,
            are_columns_experts: false,
        }
        .draw(options)
    }
}

fn indices(rows: usize, columns: usize) -> impl Iterator<Item = [usize; 2]> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| [row, column]))
}
