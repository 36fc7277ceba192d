//! Experts × experts at one layer: which are chosen together, and which more often than chance has it.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    heatmap::Heatmap,
    legend::{Sign, SignKind, signs_of_scale},
    matrix::{self, Matrix},
    page::{self, Drawn, Words},
    scale::ValueScale,
    significance::Significance,
    slice::{Needs, index_of},
    ticks,
};

/// Draws pairs of experts at one layer, like experts together.
#[derive(Clone, Copy, Debug)]
pub struct CoActivationMatrix;

const NEEDS: Needs = Needs {
    figure: "co_activation_matrix",
    axes: "expert × expert B, and with a chosen layer also layer",
};

/// Experts that are shown unless more are asked for: beyond these, cells are thinner than a printer's dot.
const MOST_EXPERTS: usize = 128;

impl FigureKind for CoActivationMatrix {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "Experts × experts at one layer, experts with like partners together; ratios about 1 on a log scale",
            axes: "expert × expert B [× layer] [× group] [× variant]",
            metrics: "co_activation, and co_activation_lift, whose lifts are ratios to chance",
            options: &[
                (
                    "layer",
                    "the layer to draw; needed where the measurement has several",
                ),
                ("group", "the group to draw, where there are several"),
                ("variant", "the variant to draw, where there are several"),
                (
                    "order",
                    "similarity puts like experts together, given keeps the measurement's order",
                ),
                ("experts", "only these experts"),
                (
                    "top",
                    "only this many experts, those with the largest values; 128 by default",
                ),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let kinds = [AxisKind::Expert, AxisKind::ExpertB];
        let (matrix, subtitle) = Matrix::of(NEEDS, measurement, kinds, options)?;
        let mut remarks = Vec::new();
        let mut matrix = chosen(matrix, measurement, options, &mut remarks)?;
        let reference = measurement.reference;
        let scale = if is_ratio(measurement, options) && !matrix.values.iter().any(|v| *v < 0.0) {
            ValueScale::of_ratios(&matrix.values, options, 1.0)
        } else {
            let is_centred = matrix.values.iter().any(|v| *v < 0.0);
            ValueScale::new(
                &matrix.values,
                options,
                reference.unwrap_or(0.0),
                is_centred,
            )
        };
        if let Some(order) = matrix::order(&matrix, options, &scale) {
            matrix = matrix.reordered(&order);
            remarks.push(matrix::ORDER_REMARK.to_owned());
        }
        if let Some((count, low)) = scale.faded(&matrix.values) {
            remarks.push(format!(
                "{} below {} and have its colour",
                page::counted(count, "value lies", "values lie"),
                ticks::short(low)
            ));
        }
        let has_undefined = matrix.values.iter().any(|v| !v.is_finite());
        let mut signs = signs_of_scale(&scale, has_undefined, reference);
        let mut dots = Vec::new();
        if let Some(significance) = Significance::of(measurement) {
            dots = matrix
                .nulls
                .iter()
                .map(|null| significance.holds(*null))
                .collect();
            signs.insert(
                0,
                Sign {
                    kind: SignKind::Dot,
                    meaning: format!("{} against the null", significance.words()),
                },
            );
        }
        let drawn = Drawn {
            intervals: false,
            nulls: !dots.is_empty(),
        };
        Heatmap {
            words: Words::new(measurement, options, &subtitle, &remarks, drawn),
            row_title: "Expert".to_owned(),
            column_title: "Expert".to_owned(),
            rows: matrix.rows,
            columns: matrix.columns,
            values: matrix.values,
            dots,
            unit: page::unit(measurement),
            mark: reference,
            signs,
            scale,
            is_square: true,
            are_columns_experts: true,
        }
        .draw(options)
    }
}

/// Whether the values are ratios to chance, 1 for a pair that is indifferent: by their reference or their name.
fn is_ratio(measurement: &Measurement, options: &FigureOptions) -> bool {
    let variant = measurement.axis(AxisKind::Variant).and_then(|(_, axis)| {
        let only = (axis.len() == 1).then(|| &axis.labels[0]);
        options.variant.as_ref().or(only)
    });
    measurement.reference == Some(1.0)
        || match variant {
            Some(variant) => variant.starts_with("lift"),
            None => measurement.metric.ends_with("_lift"),
        }
}

/// The experts that were asked for, or those with the largest values where there are too many for a page.
fn chosen(
    matrix: Matrix,
    measurement: &Measurement,
    options: &FigureOptions,
    remarks: &mut Vec<String>,
) -> Result<Matrix, FigureError> {
    let n = matrix.rows.len();
    if matrix.rows != matrix.columns {
        return Ok(matrix);
    }
    if !options.experts.is_empty() {
        let (_, axis) = measurement
            .axis(AxisKind::Expert)
            .expect("the matrix was made of this axis");
        let wanted = options
            .experts
            .iter()
            .map(|expert| index_of("experts", axis, &expert.to_string()))
            .collect::<Result<Vec<usize>, _>>()?;
        return Ok(matrix.reordered(&wanted));
    }
    let most = options.top.map_or(MOST_EXPERTS, usize::from);
    if n <= most {
        return Ok(matrix);
    }
    // The largest value of an expert with any other; undefined ones are no reason to show it.
    let mut strongest: Vec<(f64, usize)> = (0..n)
        .map(|i| {
            let largest = (0..n)
                .filter(|j| *j != i)
                .flat_map(|j| [matrix.values[i * n + j], matrix.values[j * n + i]])
                .filter(|v| v.is_finite())
                .fold(f64::NEG_INFINITY, f64::max);
            (largest, i)
        })
        .collect();
    strongest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut kept: Vec<usize> = strongest.iter().take(most).map(|(_, i)| *i).collect();
    kept.sort_unstable();
    remarks.push(format!(
        "{most} of {n} experts are drawn, those with the largest values"
    ));
    Ok(matrix.reordered(&kept))
}
