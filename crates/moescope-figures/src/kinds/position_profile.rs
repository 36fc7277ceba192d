//! Experts × positions at one layer: which experts take the beginning of a text, and which its end.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    heatmap::Heatmap,
    legend::signs_of_scale,
    matrix::Matrix,
    page::{self, Drawn, Words},
    scale::ValueScale,
    slice::Needs,
};

/// Draws ranges of positions × experts at one layer, diverging around the reference where there is one.
#[derive(Clone, Copy, Debug)]
pub struct PositionProfile;

const NEEDS: Needs = Needs {
    figure: "position_profile",
    axes: "position × expert, and with a chosen layer also layer",
};

impl FigureKind for PositionProfile {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "Ranges of positions × experts at one layer, as colours",
            axes: "position × expert [× layer] [× group] [× variant]",
            metrics: "position_profile and others of one value per range of positions and expert",
            options: &[
                (
                    "layer",
                    "the layer to draw; needed where the measurement has several",
                ),
                ("group", "the group to draw, where there are several"),
                ("variant", "the variant to draw, where there are several"),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let kinds = [AxisKind::Position, AxisKind::Expert];
        let (matrix, subtitle) = Matrix::of(NEEDS, measurement, kinds, options)?;
        // The reference is that of a share; what a share exceeds its expectation by is centred at nothing.
        let is_excess = options
            .variant
            .as_ref()
            .is_some_and(|variant| variant.ends_with("excess"));
        let reference = measurement.reference.filter(|_| !is_excess);
        let is_centred = reference.is_some() || matrix.values.iter().any(|v| *v < 0.0);
        let scale = ValueScale::new(
            &matrix.values,
            options,
            reference.unwrap_or(0.0),
            is_centred,
        );
        let has_undefined = matrix.values.iter().any(|v| !v.is_finite());
        Heatmap {
            words: Words::new(measurement, options, &subtitle, &[], Drawn::default()),
            row_title: "Position in the text".to_owned(),
            column_title: "Expert".to_owned(),
            rows: matrix.rows,
            columns: matrix.columns,
            values: matrix.values,
            dots: Vec::new(),
            unit: page::unit(measurement),
            mark: reference,
            signs: signs_of_scale(&scale, has_undefined, reference),
            scale,
            is_square: false,
            are_columns_experts: true,
        }
        .draw(options)
    }
}
