//! The tokens that choose each expert most faithfully.

use std::collections::BTreeSet;

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{Selection, piece_label},
    inference::{
        Blocks, CellSource, TokenClass, TokenUse, by_share, expert_axis, for_vocabulary_tables,
        needs_token_weighting, refuse_contrast, tokens_of_experts, variant_axis,
    },
};

/// The vocabulary specialization of single tokens.
pub(super) struct TopTokens;

/// Tokens listed of each expert.
const LISTED: usize = 10;
const VARIANTS: [&str; 4] = ["share", "lift", "count", "occurrences"];

impl Metric for TopTokens {
    fn about(&self) -> About {
        About {
            name: "top_tokens",
            title: "Tokens of each expert",
            formula: "for the ten ids x with the largest N(x, e) / N(x): that `share`, its `lift` N(x, e) N / (N(x) N(e)) over the expert's share of all tokens, the `count` N(x, e), and the `occurrences` N(x), over the tokens' own ids",
            unit: "share of the id's tokens; lift as a ratio; counts in tokens",
            range: "share 0 to 1, an indifferent router gives k/E; lift 0 upward, 1 where the id says nothing",
            edge_cases: "One table per layer and expert, most faithful token first, equal shares by count; an expert without a listed token has no table. Only ids that occur ten times or more in the scope. All labels together; --labels chooses some. A token is named by its piece of text, or by its id after a # where the trace does not know the text.",
            uncertainty: "None: a list of the largest of many shares overstates them, the more so the fewer the occurrences. `vocabulary_specialization` has intervals and a null.",
            citation: "Muennighoff et al., OLMoE, arXiv 2409.02060, equation 8 and table of tokens per expert.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[
                AxisKind::Layer,
                AxisKind::Expert,
                AxisKind::Token,
                AxisKind::Variant,
            ],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        refuse_contrast(
            request,
            about.name,
            "lists have no difference, and --labels chooses documents",
        )?;
        needs_token_weighting(request, about.name)?;
        let selection =
            Selection::new(data, request, about.name, progress)?.under_one_label(request);
        let blocks = Blocks::new(&selection, 1, request.seed);
        let source = CellSource {
            data,
            selection: &selection,
            blocks: &blocks,
            request,
            metric: about.name,
            progress,
        };
        let model = data.model();
        let (experts, top_k) = (usize::from(model.num_experts), f64::from(model.top_k));
        // Tables may come in several passes, layers out of order.
        let mut listed = vec![Vec::new(); selection.layers.len()];
        for_vocabulary_tables(source, &[TokenClass::Input], &mut |cells| {
            let tokens = tokens_of_experts(&cells, experts, top_k);
            let count = |tokens: &[TokenUse]| tokens.iter().map(|t| t.count).sum::<f64>();
            let all: f64 = tokens.iter().map(|tokens| count(tokens)).sum::<f64>() / top_k;
            listed[cells.table] = tokens
                .iter()
                .map(|tokens| (count(tokens) / all, by_share(tokens, LISTED)))
                .collect();
            Ok(())
        })?;
        let ids: BTreeSet<u32> = listed
            .iter()
            .flatten()
            .flat_map(|(_, tokens): &(f64, Vec<TokenUse>)| tokens.iter().map(|token| token.id))
            .collect();
        let pieces = data.pieces(&ids, progress)?;
        let mut protocol = selection.protocol(request);
        "none: a list of the largest shares".clone_into(&mut protocol.interval_method);
        let layers = selection.layer_axis().labels;
        let expert_names = expert_axis(AxisKind::Expert, experts).labels;
        let mut found = Vec::new();
        for (layer, of_layer) in layers.iter().zip(listed) {
            for (expert, (share, tokens)) in expert_names.iter().zip(of_layer) {
                if tokens.is_empty() {
                    continue;
                }
                let measurement = Measurement {
                    metric: about.name.to_owned(),
                    title: format!("{}: layer {layer}, expert {expert}", about.title),
                    unit: about.unit.to_owned(),
                    axes: vec![
                        Axis::new(AxisKind::Layer, vec![layer.clone()]),
                        Axis::new(AxisKind::Expert, vec![expert.clone()]),
                        Axis::new(
                            AxisKind::Token,
                            tokens.iter().map(|t| piece_label(&pieces, t.id)).collect(),
                        ),
                        variant_axis(&VARIANTS),
                    ],
                    values: tokens
                        .iter()
                        .flat_map(|t| [t.share(), t.share() / share, t.count, t.occurrences])
                        .collect(),
                    intervals: None,
                    nulls: None,
                    reference: None,
                    protocol: protocol.clone(),
                };
                measurement.check()?;
                found.push(measurement);
            }
        }
        if found.is_empty() {
            return Err(AnalyticsError::TooLittle {
                metric: about.name.to_owned(),
                found: "no token id occurs ten times".to_owned(),
                help: "widen the scope, e.g. with fewer --labels restrictions or --phase all"
                    .to_owned(),
            });
        }
        Ok(found)
    }
}
