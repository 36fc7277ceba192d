//! Layers × experts: where a model's router sends the tokens of one group, or of one group more than of another.

use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    heatmap::Heatmap,
    legend::signs_of_scale,
    page::{self, Drawn, Words},
    scale::ValueScale,
    slice::{Needs, Slice, slice},
    text::clean,
};

/// Draws layers × experts, for all groups together, one group, or the difference of two.
#[derive(Clone, Copy, Debug)]
pub struct LayerExpertHeatmap;

const NEEDS: Needs = Needs {
    figure: "layer_expert_heatmap",
    axes: "layer × expert, and with a chosen group also group",
};

impl FigureKind for LayerExpertHeatmap {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "Layers × experts for one group, or the difference of two groups, as colours",
            axes: "layer × expert [× group] [× variant]",
            metrics: "assignment_share, domain_specialization, relative_load and others of one value per expert",
            options: &[
                (
                    "group",
                    "the group to draw; needed where the measurement has several",
                ),
                (
                    "group_b",
                    "the group to subtract; the scale then diverges from zero",
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
        let first = slice(
            NEEDS,
            measurement,
            [AxisKind::Layer, AxisKind::Expert],
            &FigureOptions {
                layer: None,
                ..options.clone()
            },
        )?;
        let subtrahend = options.group_b.as_ref().map(|group_b| {
            slice(
                NEEDS,
                measurement,
                [AxisKind::Layer, AxisKind::Expert],
                &FigureOptions {
                    layer: None,
                    group: Some(group_b.clone()),
                    ..options.clone()
                },
            )
        });
        let (values, subtitle) = match (subtrahend.transpose()?, &options.group_b) {
            (Some(second), Some(group_b)) => {
                let Some(group) = &options.group else {
                    return Err(FigureError::MissingChoice {
                        figure: NEEDS.figure,
                        option: "group",
                        choices: measurement
                            .axis(AxisKind::Group)
                            .map(|(_, axis)| crate::slice::choices(axis))
                            .unwrap_or_default(),
                    });
                };
                let difference = values(&first)
                    .into_iter()
                    .zip(values(&second))
                    .map(|(a, b)| a - b)
                    .collect();
                (
                    difference,
                    vec![format!(
                        "{}: {} minus {}",
                        page::group_title(measurement),
                        clean(group),
                        clean(group_b)
                    )],
                )
            }
            _ => (values(&first), first.fixed.clone()),
        };
        let is_difference = options.group_b.is_some();
        let reference = measurement.reference.filter(|_| !is_difference);
        let is_centred = is_difference || values.iter().any(|v| *v < 0.0);
        let scale = ValueScale::new(&values, options, reference.unwrap_or(0.0), is_centred);
        let has_undefined = values.iter().any(|v| !v.is_finite());
        let unit = page::unit(measurement);
        Heatmap {
            words: Words::new(measurement, options, &subtitle, &[], Drawn::default()),
            row_title: "Layer".to_owned(),
            column_title: "Expert".to_owned(),
            rows: first.labels(0),
            columns: first.labels(1),
            dots: Vec::new(),
            unit: if is_difference {
                format!("difference in {unit}")
            } else {
                unit
            },
            mark: reference,
            signs: signs_of_scale(&scale, has_undefined, reference),
            is_square: false,
            are_columns_experts: true,
            values,
            scale,
        }
        .draw(options)
    }
}

fn values(slice: &Slice<'_, 2>) -> Vec<f64> {
    let [layers, experts] = slice.axes;
    (0..layers.len())
        .flat_map(|layer| (0..experts.len()).map(move |expert| [layer, expert]))
        .map(|index| slice.value(index))
        .collect()
}
