//! Groups × experts at one layer: which experts a discipline uses more than an indifferent router would.

use moescope_core::{AxisKind, Interval, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    heatmap::Heatmap,
    legend::{Sign, SignKind, signs_of_scale},
    page::{self, Drawn, Words},
    scale::ValueScale,
    slice::{Needs, slice},
    ticks,
};

/// Draws groups × experts at one layer, diverging around the reference where there is one.
#[derive(Clone, Copy, Debug)]
pub struct GroupExpertHeatmap;

const NEEDS: Needs = Needs {
    figure: "group_expert_heatmap",
    axes: "group × expert, and with a chosen layer also layer",
};

impl FigureKind for GroupExpertHeatmap {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "Groups × experts at one layer, with a dot where the interval excludes the reference",
            axes: "group × expert [× layer] [× variant]",
            metrics: "assignment_share, domain_specialization, relative_load and others of one value per group and expert",
            options: &[
                (
                    "layer",
                    "the layer to draw; needed where the measurement has several",
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
        let slice = slice(
            NEEDS,
            measurement,
            [AxisKind::Group, AxisKind::Expert],
            options,
        )?;
        let [groups, experts] = slice.axes;
        let flat: Vec<usize> = (0..groups.len())
            .flat_map(|group| (0..experts.len()).map(move |expert| [group, expert]))
            .map(|index| slice.flat(index))
            .collect();
        let values: Vec<f64> = flat.iter().map(|i| measurement.values[*i]).collect();
        let reference = measurement.reference;
        let is_centred = reference.is_some() || values.iter().any(|v| *v < 0.0);
        let scale = ValueScale::new(&values, options, reference.unwrap_or(0.0), is_centred);

        let has_undefined = values.iter().any(|v| !v.is_finite());
        let mut signs = signs_of_scale(&scale, has_undefined, reference);
        let mut remarks = Vec::new();
        let mut dots = Vec::new();
        if let (Some(reference), Some(intervals)) = (reference, &measurement.intervals) {
            let intervals: Vec<Option<Interval>> = flat.iter().map(|i| intervals[*i]).collect();
            dots = intervals
                .iter()
                .map(|interval| interval.is_some_and(|i| i.low > reference || i.high < reference))
                .collect();
            let none = if dots.contains(&true) {
                ""
            } else {
                " (no cell)"
            };
            signs.insert(
                0,
                Sign {
                    kind: SignKind::Dot,
                    meaning: format!(
                        "{} excludes the reference {}{none}",
                        page::interval_in_words(measurement),
                        ticks::short(reference),
                    ),
                },
            );
            let missing = intervals.iter().filter(|i| i.is_none()).count();
            if missing > 0 {
                remarks.push(format!(
                    "Without an interval: {missing} of {} cells",
                    intervals.len()
                ));
            }
        }
        let drawn = Drawn {
            intervals: !dots.is_empty(),
            nulls: false,
        };
        Heatmap {
            words: Words::new(measurement, options, &slice.fixed, &remarks, drawn),
            row_title: page::group_title(measurement),
            column_title: "Expert".to_owned(),
            rows: slice.labels(0),
            columns: slice.labels(1),
            values,
            dots,
            scale,
            unit: page::unit(measurement),
            mark: reference,
            signs,
            is_square: false,
            are_columns_experts: true,
        }
        .draw(options)
    }
}
