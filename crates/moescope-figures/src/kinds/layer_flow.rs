//! How tokens move from the experts of one layer to those of the next, as bands between bars.

mod drawing;
mod flow;

use drawing::Drawing;
use flow::Flow;
use moescope_core::{AxisKind, Measurement};

use crate::{
    FigureAbout, FigureError, FigureKind, FigureOptions,
    page::{self, Drawn, Words},
    slice::{Needs, index_of, slice},
    text::clean,
};

/// Draws the strongest experts of each layer as bars and the tokens between them as bands.
#[derive(Clone, Copy, Debug)]
pub struct LayerFlow;

const NEEDS: Needs = Needs {
    figure: "layer_flow",
    axes: "layer × expert × expert B, where expert B is one of the layer after",
};

/// Experts shown of each layer unless another number is asked for.
const MOST_EXPERTS: usize = 6;

impl FigureKind for LayerFlow {
    fn about(&self) -> FigureAbout {
        FigureAbout {
            name: NEEDS.figure,
            summary: "Bands from the strongest experts of each layer to those of the next, the other experts in one",
            axes: "layer × expert × expert B [× group] [× variant]",
            metrics: "layer_transition and others of one value per pair of experts of neighbouring layers",
            options: &[
                ("top", "how many experts of each layer; 6 by default"),
                ("layer", "only the step from this layer"),
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
        let kinds = [AxisKind::Layer, AxisKind::Expert, AxisKind::ExpertB];
        let slice = slice(NEEDS, measurement, kinds, options)?;
        let [layers, from, to] = slice.axes;
        let steps: Vec<usize> = match options.layer {
            Some(layer) => vec![index_of("layer", layers, &layer.to_string())?],
            None => (0..layers.len()).collect(),
        };
        let mut undefined = 0;
        let mut matrices: Vec<Vec<f64>> = steps
            .iter()
            .map(|step| {
                (0..from.len() * to.len())
                    .map(|i| slice.value([*step, i / to.len(), i % to.len()]))
                    .map(|value| {
                        if value.is_finite() && value >= 0.0 {
                            value
                        } else {
                            undefined += 1;
                            0.0
                        }
                    })
                    .collect()
            })
            .collect();
        let is_conditional = flow::are_conditional(&matrices, to.len());
        if is_conditional {
            flow::follow(&mut matrices, to.len());
        }
        let labels: Vec<String> = steps.iter().map(|s| clean(&layers.labels[*s])).collect();
        let most = options.top.map_or(MOST_EXPERTS, usize::from);
        let flow = Flow::new(
            &labels,
            (&slice.labels(1), &slice.labels(2)),
            &matrices,
            most,
        );
        let mut remarks = vec![format!(
            "Bars: the {} of each layer that take most; darker bands hold more of what leaves their expert",
            page::counted(most.min(from.len()), "expert", "experts")
        )];
        if flow.has_others() {
            remarks.push(
                "Grey: all other experts together, not to scale, with their share; bands to and from them are left out"
                    .to_owned(),
            );
        }
        if is_conditional {
            remarks.push(format!(
                "Bars hold where tokens go that start evenly from the experts of layer {}: the measured shares are of \
                 each expert's own tokens and do not tell its load",
                labels[0]
            ));
        }
        if undefined > 0 {
            let count = page::counted(undefined, "pair is", "pairs are");
            remarks.push(format!("{count} not defined or negative and left out"));
        }
        let words = Words::new(
            measurement,
            options,
            &slice.fixed,
            &remarks,
            Drawn::default(),
        );
        let drawing = Drawing::new(flow, options);
        let (natural, least) = drawing.heights();
        page::compose(&words, options, (natural, least), |canvas, top, height| {
            drawing.paint(canvas, options, top, height)
        })
    }
}
