//! How often two traces choose the same experts, by how close the reference's decision was.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, TraceSet, TraceSetMetric,
    comparison::{
        bins,
        measurements::{Words, counts_of},
        ratios::Ratio,
    },
    traces::AgreementTables,
};

/// Agreement by margin.
pub(super) struct RoutingAgreement;

const NAME: &str = "routing_agreement";
const VARIANTS: [&str; 2] = ["equal_sets", "mean_overlap"];

impl TraceSetMetric for RoutingAgreement {
    fn about(&self) -> About {
        About {
            name: NAME,
            title: "Agreement of selections, by the reference's margin",
            formula: "over tokens whose reference decision has a margin in the range: `equal_sets` is the share with A = B, `mean_overlap` the mean of |A ∩ B| / k, with A and B the sets of experts of the trace and of the reference",
            unit: "share of decisions",
            range: "0 to 1 (the same experts)",
            edge_cases: "The margin is the k-th minus the (k+1)-th selection score of the reference. Rounding flips decisions at small margins, so agreement there says little, and a disagreement at a large margin is a real difference. Ranges are the same for all models. Traces must be of models with the same experts; tokens are matched as in `router_saturation`. Refused where the reference does not hold margins.",
            uncertainty: "Expanded percentile bootstrap over groups; no interval where fewer than five groups have a decision in the range.",
            citation: "Agreement of computations by margin, as in compare-weights. Near-ties of router logits flip under another precision.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[
                AxisKind::Layer,
                AxisKind::Margin,
                AxisKind::Trace,
                AxisKind::Variant,
            ],
        }
    }

    fn compare(
        &self,
        traces: &TraceSet,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let all = AgreementTables::over_all(traces, request, NAME, progress)?;
        if !all.has_margins() {
            return Err(AnalyticsError::MissingInput {
                metric: NAME.to_owned(),
                missing: format!(
                    "margins of selections (column routing.margin of {})",
                    traces.reference_name()
                ),
                help:
                    "router_saturation compares without them; or make another trace the reference"
                        .to_owned(),
            });
        }
        let tables = Tables {
            used: all.used_bins(),
            tables: all,
        };
        let mut found = vec![tables.counts()?];
        found.push(tables.of(&[])?);
        found.push(tables.of(&[AxisKind::Margin])?);
        found.push(tables.of(&[AxisKind::Layer])?);
        found.push(tables.of(&[AxisKind::Layer, AxisKind::Margin])?);
        if request.by != "all" {
            let labelled = Tables {
                used: tables.used,
                tables: AgreementTables::by_label(traces, request, NAME, progress)?,
            };
            found.push(labelled.of(&[])?);
            found.push(labelled.of(&[AxisKind::Margin])?);
        }
        Ok(found)
    }
}

struct Tables<'a> {
    tables: AgreementTables<'a>,
    /// The ranges of margins that hold decisions.
    used: Vec<usize>,
}

impl Tables<'_> {
    /// Decisions of the reference in each range that were matched in the first trace.
    fn counts(&self) -> Result<Measurement, AnalyticsError> {
        let tables = &self.tables;
        let layers = &tables.selection.layers;
        let count = |bin: &usize| {
            let documents = tables.selection.documents.iter();
            let tokens = |document: &usize| tables.sums(0, *document, layers, Some(*bin)).tokens;
            documents.map(tokens).sum()
        };
        let words = Words {
            name: NAME,
            title: "Decisions of the reference, by margin",
            unit: "decisions",
        };
        let axes = vec![
            bins::margin_axis(&self.used),
            Axis::new(AxisKind::Variant, vec!["decisions".to_owned()]),
        ];
        let values = self.used.iter().map(count).collect();
        let measurement = counts_of(words, axes, values, tables.protocol());
        measurement.check()?;
        Ok(measurement)
    }

    /// Both variants along layers, margins, both or neither.
    fn of(&self, along: &[AxisKind]) -> Result<Measurement, AnalyticsError> {
        let tables = &self.tables;
        let all_layers = &tables.selection.layers;
        let has = |kind| along.contains(&kind);
        let bins = if has(AxisKind::Margin) {
            self.used.len()
        } else {
            1
        };
        let layers = if has(AxisKind::Layer) {
            all_layers.len()
        } else {
            1
        };
        let others = tables.others();
        let parts = |document: usize, row: usize, out: &mut [[f64; 2]]| {
            let (row, variant) = (row / VARIANTS.len(), row % VARIANTS.len());
            let (row, other) = (row / others, row % others);
            let (layer, bin) = (row / bins, row % bins);
            let own = if has(AxisKind::Layer) {
                &all_layers[layer..=layer]
            } else {
                &all_layers[..]
            };
            let bin = has(AxisKind::Margin).then(|| self.used[bin]);
            let sums = tables.sums(other, document, own, bin);
            out[0] = match variant {
                0 => [sums.equal, sums.tokens],
                _ => [sums.overlap, sums.tokens],
            };
        };
        let mut axes = Vec::new();
        if has(AxisKind::Layer) {
            axes.push(tables.selection.layer_axis());
        }
        if has(AxisKind::Margin) {
            axes.push(bins::margin_axis(&self.used));
        }
        axes.push(tables.trace_axis());
        axes.push(Axis::new(
            AxisKind::Variant,
            VARIANTS.map(str::to_owned).to_vec(),
        ));
        let rows = layers * bins * others * VARIANTS.len();
        let found = tables.ratios(&[Ratio::Mean], rows, parts)?;
        let title = match (has(AxisKind::Layer), has(AxisKind::Margin)) {
            (false, false) => "Agreement of selections",
            (true, false) => "Agreement of selections, by layer",
            (false, true) => "Agreement of selections, by the reference's margin",
            (true, true) => "Agreement of selections, by layer and the reference's margin",
        };
        let words = Words {
            name: NAME,
            title,
            unit: "share of decisions",
        };
        let mut split = tables.split(&found, [words], &axes);
        let measurement = split.remove(0);
        measurement.check()?;
        Ok(measurement)
    }
}
