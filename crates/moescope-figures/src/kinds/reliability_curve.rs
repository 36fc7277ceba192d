//! How often a probability is right, by how high it is: whether a claim of 80 % holds in four of five cases.

mod drawing;

use drawing::{Curve, Curves, Place};
use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    page::{self, Drawn, Words},
    palette,
    slice::{Needs, axes_in_words, slice},
    text::clean,
};

/// Draws the share of right answers against the mean probability of each tenth, beside the diagonal.
#[derive(Clone, Copy, Debug)]
pub struct ReliabilityCurve;

const NEEDS: Needs = Needs {
    figure: "reliability_curve",
    axes: "rank × variant, with pairs of variants such as probability and right",
};

impl FigureKind for ReliabilityCurve {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "The share of right answers against the probability that was given, beside the diagonal",
            axes: "rank × variant [× layer] [× group]",
            metrics: "tables of a probability and how often it was right, such as that of label_drift",
            options: &[
                ("layer", "the layer to draw, where there are several"),
                ("group", "the group to draw, where there are several"),
            ],
        }
    }

    fn draw_svg(
        &self,
        measurement: &Measurement,
        options: &FigureOptions,
    ) -> Result<String, FigureError> {
        let kinds = [AxisKind::Rank, AxisKind::Variant];
        let table = slice(NEEDS, measurement, kinds, options)?;
        let [ranks, variants] = table.axes;
        let pairs = pairs(&variants.labels);
        if pairs.is_empty() {
            return Err(FigureError::WrongAxes {
                figure: NEEDS.figure,
                needed: NEEDS.axes,
                metric: clean(&measurement.metric),
                found: format!(
                    "{} and the variants {}",
                    axes_in_words(measurement),
                    crate::slice::choices(variants)
                ),
            });
        }
        let curves: Vec<Curve> = pairs
            .iter()
            .enumerate()
            .map(|(i, [given, right])| Curve {
                name: clean(&variants.labels[*given]),
                look: palette::category(i),
                places: (0..ranks.len())
                    .map(|rank| {
                        let flat = table.flat([rank, *right]);
                        Place {
                            given: table.value([rank, *given]),
                            right: measurement.values[flat],
                            interval: measurement.intervals.as_ref().and_then(|all| all[flat]),
                        }
                    })
                    .collect(),
            })
            .collect();
        let places = || curves.iter().flat_map(|curve| &curve.places);
        let undefined = places().filter(|place| !place.is_drawn()).count();
        let mut remarks = Vec::new();
        if undefined > 0 {
            remarks.push(page::counted(
                undefined,
                "place is not defined as two probabilities and not drawn",
                "places are not defined as two probabilities and not drawn",
            ));
        }
        let drawn = Drawn {
            intervals: places().any(|place| place.interval.is_some()),
            nulls: false,
        };
        let words = Words::new(measurement, options, &table.fixed, &remarks, drawn);
        let drawing = Curves::new(measurement, curves);
        let natural = (options.width_mm - 20.0).clamp(30.0, 80.0);
        page::compose(&words, options, (natural, 25.0), |canvas, top, height| {
            drawing.paint(canvas, options, top, height)
        })
    }
}

/// Pairs of a probability and how often it was right: `X_probability` with `X_right`.
fn pairs(labels: &[String]) -> Vec<[usize; 2]> {
    labels
        .iter()
        .enumerate()
        .filter_map(|(i, label)| {
            let right = format!("{}right", label.strip_suffix("probability")?);
            let other = labels.iter().position(|l| *l == right)?;
            Some([i, other])
        })
        .collect()
}
