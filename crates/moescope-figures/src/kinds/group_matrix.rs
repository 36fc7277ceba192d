//! Groups × groups: how far apart the routing of each two disciplines is.

use moescope_core::{AxisKind, Measurement, NullComparison};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    heatmap::Heatmap,
    legend::{Sign, SignKind, signs_of_scale},
    matrix::{self, Matrix},
    page::{self, Drawn, Words},
    scale::ValueScale,
    significance::Significance,
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
            summary: "Groups × groups at one layer, or the mean over layers, like groups together, with significance",
            axes: "group × group B [× layer] [× variant]",
            metrics: "pairwise divergences and overlaps such as jsd",
            options: &[
                (
                    "layer",
                    "the layer to draw; without one, the unweighted mean over layers",
                ),
                ("variant", "the variant to draw, where there are several"),
                (
                    "order",
                    "similarity puts like groups together, given keeps the measurement's order",
                ),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let mut pairs = pairs(measurement, options)?;
        let reference = measurement.reference;
        let is_centred = pairs.matrix.values.iter().any(|v| *v < 0.0);
        let scale = ValueScale::new(
            &pairs.matrix.values,
            options,
            reference.unwrap_or(0.0),
            is_centred,
        );
        let mut remarks = Vec::new();
        if let Some(order) = matrix::order(&pairs.matrix, options, &scale) {
            pairs.matrix = pairs.matrix.reordered(&order);
            remarks.push(matrix::ORDER_REMARK.to_owned());
        }
        let has_undefined = pairs.matrix.values.iter().any(|v| !v.is_finite());
        let mut signs = signs_of_scale(&scale, has_undefined, reference);
        let mut dots = Vec::new();
        if let Some(significance) = Significance::of(measurement) {
            if pairs.is_mean {
                remarks.push(
                    "Significance is known layer by layer: choose a layer to see it".to_owned(),
                );
            } else {
                dots = pairs
                    .matrix
                    .nulls
                    .iter()
                    .map(|null| significance.holds(*null))
                    .collect();
                let none = if dots.contains(&true) {
                    ""
                } else {
                    " (no pair)"
                };
                signs.insert(
                    0,
                    Sign {
                        kind: SignKind::Dot,
                        meaning: format!("{} against the null{none}", significance.words()),
                    },
                );
            }
        }
        let drawn = Drawn {
            intervals: false,
            nulls: !dots.is_empty(),
        };
        let title = page::group_title(measurement);
        Heatmap {
            words: Words::new(measurement, options, &pairs.subtitle, &remarks, drawn),
            row_title: title.clone(),
            column_title: title,
            rows: pairs.matrix.rows,
            columns: pairs.matrix.columns,
            values: pairs.matrix.values,
            dots,
            unit: page::unit(measurement),
            mark: reference,
            signs,
            scale,
            is_square: true,
            are_columns_experts: false,
        }
        .draw(options)
    }
}

/// The pairs to draw.
struct Pairs {
    matrix: Matrix,
    subtitle: Vec<String>,
    is_mean: bool,
}

/// The pairs of one layer, or their unweighted means over the layers.
fn pairs(measurement: &Measurement, options: &FigureOptions) -> Result<Pairs, FigureError> {
    let has_many_layers = measurement
        .axis(AxisKind::Layer)
        .is_some_and(|(_, layers)| layers.len() > 1);
    if !has_many_layers || options.layer.is_some() {
        let kinds = [AxisKind::Group, AxisKind::GroupB];
        let (matrix, subtitle) = Matrix::of(NEEDS, measurement, kinds, options)?;
        return Ok(Pairs {
            matrix,
            subtitle,
            is_mean: false,
        });
    }
    let pairs = slice(
        NEEDS,
        measurement,
        [AxisKind::Layer, AxisKind::Group, AxisKind::GroupB],
        options,
    )?;
    let [layers, rows, columns] = pairs.axes.map(moescope_core::Axis::len);
    // A pair that is undefined at one layer has no mean that could stand beside the others: NaN stays NaN.
    let values: Vec<f64> = (0..rows * columns)
        .map(|i| {
            let sum: f64 = (0..layers)
                .map(|layer| pairs.value([layer, i / columns, i % columns]))
                .sum();
            sum / f64::from(u32::try_from(layers).unwrap_or(u32::MAX))
        })
        .collect();
    let mut subtitle = vec![format!("unweighted mean over {layers} layers")];
    subtitle.extend(pairs.fixed.clone());
    let nulls: Vec<Option<NullComparison>> = vec![None; values.len()];
    Ok(Pairs {
        matrix: Matrix {
            rows: pairs.labels(1),
            columns: pairs.labels(2),
            values,
            nulls,
        },
        subtitle,
        is_mean: true,
    })
}
