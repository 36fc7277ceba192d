//! Where a document's routing changes.

use std::sync::Arc;

use moescope_core::{AxisKind, Measurement, Progress, Protocol, Weighting};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, Metric, TraceData,
    data::{DecisionNeeds, DocumentDecisions, DocumentTensor, Selection, Summary},
    inference::{Excess, measure_excess},
    stats::{
        change_points::{ChangeRule, change_points},
        number::as_f64,
        random::{self, Purpose},
    },
};

/// Change points of the distribution over experts within documents.
pub(super) struct RoutingChangePoints;

/// Tokens that stay together when the order is shuffled: neighbours resemble each other without any change.
const BLOCK: usize = 8;
const RULE: ChangeRule = ChangeRule {
    permutations: 99,
    level: 0.05,
};
/// Numbers of a half: changes, tokens, documents with a change, documents.
const HALF: usize = 4;
/// Larger tables of documents by layers are not made.
const MOST_CELLS: usize = 1_000_000;

impl Metric for RoutingChangePoints {
    fn about(&self) -> About {
        About {
            name: "routing_change_points",
            title: "Changes of routing within documents",
            formula: "A document's counted tokens are cut into blocks of 8. Binary segmentation: the sequence of blocks is cut where Σ_sides Σ_e n_e ln (n_e / N) exceeds that of the whole most (half the G statistic of both sides' assignments), if at most 5 % of 99 random orders of the blocks, and the observed one, have a cut as good; then both parts are treated alike. `changes` per 1,000 tokens, and `documents` = share of documents with a change. `shuffled` is the same of the document's blocks in one random order; `excess` is the difference. Second table: changes of every document",
            unit: "changes per 1,000 tokens; share of documents",
            range: "changes: 0 to 1000 / 8; documents: 0 to 1, about 0.05 or less for exchangeable blocks",
            edge_cases: "Documents, and parts of them, of fewer than five blocks (40 tokens) are not tested and do not count; NaN where none is long enough. A last block of fewer than 8 tokens joins the one before. Changes are found to the block, not to the token. Tokens around a special or template token count as neighbours here. Dependence longer than a block is taken for change.",
            uncertainty: "Percentile bootstrap over groups within label. Null of `observed` and `excess`: blocks of a document are exchangeable, observed and shuffled exchanged within groups, two-sided, q over the table. Under a contrast: labels permuted over groups.",
            citation: "Binary segmentation: Scott and Knott 1974, Biometrics 30, 507; likelihood ratio of multinomials (G test).",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Group, AxisKind::Variant],
        }
    }

    fn measure(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let about = self.about();
        let selection = Selection::new(data, request, about.name, progress)?;
        let counts = count(data, request, about.name, progress)?;
        let table = selection.unit_table(2 * HALF, |document, layer, row| {
            row.copy_from_slice(counts.row(document, layer));
            if request.scope.weighting == Weighting::Document {
                for half in row.chunks_exact_mut(HALF) {
                    if half[1] > 0.0 {
                        half[0] /= half[1];
                        half[1] = 1.0;
                    }
                }
            }
        });
        let by_label = measure_excess(
            &selection,
            request,
            &Excess {
                about: &about,
                table: &table,
                quantities: &["changes", "documents"],
                places: Vec::new(),
                evaluate: &|sums, out| {
                    out[0] = 1000.0 * sums[0] / sums[1];
                    out[1] = sums[2] / sums[3];
                },
                reference: Some(0.0),
                note: "observed: blocks of 8 tokens in the order of the text; shuffled: the document's blocks in random order",
                is_tested: None,
            },
            progress,
        )?;
        let protocol = Protocol {
            interval_method: "none: one document each".to_owned(),
            ..selection.protocol(request)
        };
        let mut found = vec![by_label];
        if selection.documents.len() * selection.layers.len() > MOST_CELLS {
            found[0].protocol.notes.push(format!(
                "no table of documents: {} documents at {} layers are too many to list",
                selection.documents.len(),
                selection.layers.len()
            ));
            return Ok(found);
        }
        let values = selection.documents.iter().flat_map(|document| {
            selection.layers.iter().map(|layer| {
                let numbers = counts.row(*document, *layer);
                if numbers[3] > 0.0 {
                    numbers[0]
                } else {
                    f64::NAN
                }
            })
        });
        found.push(Measurement {
            metric: about.name.to_owned(),
            title: "Changes of routing in every document".to_owned(),
            unit: "changes".to_owned(),
            values: values.collect(),
            axes: vec![selection.document_axis(data), selection.layer_axis()],
            intervals: None,
            nulls: None,
            reference: None,
            protocol,
        });
        found[1].check()?;
        Ok(found)
    }
}

/// Changes of every document, `[documents, layers, observed | shuffled]`.
fn count(
    data: &TraceData,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<Arc<DocumentTensor>, AnalyticsError> {
    let layers = data.layers().len();
    let experts = usize::from(data.model().num_experts);
    let add = |decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
        let rows_of_layers = decisions.counted_rows_of_layers(layers);
        for (layer, (rows, numbers)) in rows_of_layers
            .iter()
            .zip(numbers.chunks_exact_mut(2 * HALF))
            .enumerate()
        {
            let mut blocks = blocks(decisions, rows);
            if blocks.len() < ChangeRule::FEWEST_BLOCKS {
                continue;
            }
            let stream = (decisions.document as u64) << 16 | layer as u64;
            let mut rng = random::stream(request.seed, Purpose::Blocks, stream);
            for half in numbers.chunks_exact_mut(HALF) {
                let changes = change_points(&blocks, experts, RULE, &mut rng).len();
                half.copy_from_slice(&[
                    as_f64(changes),
                    as_f64(rows.len()),
                    f64::from(u8::from(changes > 0)),
                    1.0,
                ]);
                random::shuffle(&mut rng, &mut blocks);
            }
        }
    };
    let summary = Summary {
        name: format!("changes of routing, seed {}", request.seed),
        needs: DecisionNeeds::of(&request.scope),
        columns: 2 * HALF,
        add: &add,
    };
    data.summarize(&summary, metric, progress)
}

/// The experts chosen by every block of tokens.
fn blocks(decisions: &DocumentDecisions<'_>, rows: &[usize]) -> Vec<Vec<u16>> {
    let whole = rows.chunks_exact(BLOCK);
    let rest = whole.remainder();
    let chosen = |rows: &[usize]| -> Vec<u16> {
        let experts = rows.iter().flat_map(|row| decisions.experts(*row));
        experts.copied().collect()
    };
    let mut blocks: Vec<Vec<u16>> = whole.map(chosen).collect();
    if let Some(last) = blocks.last_mut() {
        last.extend(chosen(rest));
    }
    blocks
}
