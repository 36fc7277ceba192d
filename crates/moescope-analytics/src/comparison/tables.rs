//! Every table of a comparison, over all documents and by label.

use moescope_core::{Axis, AxisKind, Measurement, Progress};

use super::{
    bins,
    measurements::{Words, counts_of, split},
    quantities::{OF_DECISIONS, OF_LAYERS, OF_MARGINS, OF_TOKENS, Quantity},
    ratios::{Ratio, ratios},
    sums::{DocumentSums, LayerSums},
};
use crate::{AnalyticsError, MeasureRequest, TraceData, data::Selection};

/// What the tables are made from.
pub(super) struct Tables<'a> {
    pub(super) data: &'a TraceData,
    pub(super) variants: &'a [String],
    /// `[variants][documents]`, in the data's order.
    pub(super) sums: &'a [Vec<&'a DocumentSums>],
    pub(super) margin_words: String,
    /// What is measured, as notes and errors call it.
    pub(super) name: &'a str,
    pub(super) progress: &'a dyn Progress,
}

impl Tables<'_> {
    /// Tables over all documents alike.
    pub(super) fn of_all(
        &self,
        request: &MeasureRequest,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let request = &request.divided_by("all");
        let selection = self.select(request)?;
        let mut found = self.pooled(&selection, request)?;
        found.extend(self.by_layer(&selection, request, OF_DECISIONS)?);
        found.extend(self.by_layer(&selection, request, OF_LAYERS)?);
        found.extend(self.by_margin(&selection, request, true)?);
        found.extend(self.by_changed_layers(&selection, request)?);
        Ok(found)
    }

    /// Tables by the label of the request.
    pub(super) fn of_labels(
        &self,
        request: &MeasureRequest,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let selection = self.select(request)?;
        let mut found = self.pooled(&selection, request)?;
        found.extend(self.by_layer(&selection, request, OF_DECISIONS)?);
        found.extend(self.by_margin(&selection, request, false)?);
        Ok(found)
    }

    pub(super) fn select(&self, request: &MeasureRequest) -> Result<Selection, AnalyticsError> {
        Selection::new(self.data, request, self.name, self.progress)
    }

    /// Quantities over all layers: of decisions, and of tokens.
    pub(super) fn pooled(
        &self,
        selection: &Selection,
        request: &MeasureRequest,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let (first, second) = (kinds(OF_DECISIONS), kinds(OF_TOKENS));
        let all: Vec<Ratio> = first.iter().chain(&second).copied().collect();
        let fill = |document: usize, variant: usize, out: &mut [[f64; 2]]| {
            let sums = self.sums[variant][document];
            for (quantity, out) in OF_DECISIONS.iter().zip(&mut *out) {
                for layer in &sums.layers {
                    add(out, (quantity.sums)(layer));
                }
            }
            for (quantity, out) in OF_TOKENS.iter().zip(&mut out[OF_DECISIONS.len()..]) {
                *out = (quantity.sums)(&sums.tokens);
            }
        };
        let rows = self.variants.len();
        let found = ratios(selection, request, &all, rows, fill, self.progress)?;
        let words = OF_DECISIONS
            .iter()
            .map(words)
            .chain(OF_TOKENS.iter().map(words));
        let axes = vec![self.variant_axis()];
        Ok(split(&found, selection, request, words, &axes))
    }

    /// Quantities of decisions layer by layer.
    fn by_layer(
        &self,
        selection: &Selection,
        request: &MeasureRequest,
        quantities: &[Quantity<LayerSums>],
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let variants = self.variants.len();
        let fill = |document: usize, row: usize, out: &mut [[f64; 2]]| {
            let layer = selection.layers[row / variants];
            let sums = &self.sums[row % variants][document].layers[layer];
            for (quantity, out) in quantities.iter().zip(out) {
                *out = (quantity.sums)(sums);
            }
        };
        let rows = selection.layers.len() * variants;
        let kinds = kinds(quantities);
        let found = ratios(selection, request, &kinds, rows, fill, self.progress)?;
        let axes = vec![selection.layer_axis(), self.variant_axis()];
        let words = quantities.iter().map(words);
        Ok(split(&found, selection, request, words, &axes))
    }

    /// How many decisions have which margin, how many of them chose otherwise, and how far weights and predictions moved; over
    /// all layers, and at each.
    fn by_margin(
        &self,
        selection: &Selection,
        request: &MeasureRequest,
        also_by_layer: bool,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let Some(reference) = self.sums.first() else {
            return Ok(Vec::new());
        };
        let counts = |keep: &dyn Fn(usize) -> bool| {
            let mut counts = vec![0.0; bins::MARGIN_BINS];
            for document in selection.documents.iter().filter(|d| keep(**d)) {
                for layer in &reference[*document].layers {
                    for (count, sums) in counts.iter_mut().zip(&layer.by_margin) {
                        *count += sums.decisions;
                    }
                }
            }
            counts
        };
        let all = counts(&|_| true);
        let used = bins::used(&all);
        if used.is_empty() {
            return Ok(Vec::new());
        }
        let counted = Words {
            name: "decisions",
            title: "Decisions of the reference by margin",
            unit: "decisions",
        };
        let kinds = kinds(OF_MARGINS);
        let words = || OF_MARGINS.iter().map(words);
        let (bins, variants) = (used.len(), self.variants.len());
        let mut found = Vec::new();
        if also_by_layer {
            let values = used.iter().map(|bin| all[*bin]).collect();
            let protocol = selection.protocol(request);
            let axes = vec![bins::margin_axis(&used)];
            found.push(counts_of(counted, axes, values, protocol));
        }
        let fill = |document: usize, row: usize, out: &mut [[f64; 2]]| {
            for layer in &self.sums[row % variants][document].layers {
                let sums = &layer.by_margin[used[row / variants]];
                for (quantity, out) in OF_MARGINS.iter().zip(&mut *out) {
                    add(out, (quantity.sums)(sums));
                }
            }
        };
        let rows = bins * variants;
        let pooled = ratios(selection, request, &kinds, rows, fill, self.progress)?;
        let axes = vec![bins::margin_axis(&used), self.variant_axis()];
        found.extend(split(&pooled, selection, request, words(), &axes));
        if also_by_layer {
            let fill = |document: usize, row: usize, out: &mut [[f64; 2]]| {
                let layer = selection.layers[row / (bins * variants)];
                let sums = &self.sums[row % variants][document].layers[layer];
                let sums = &sums.by_margin[used[row / variants % bins]];
                for (quantity, out) in OF_MARGINS.iter().zip(out) {
                    *out = (quantity.sums)(sums);
                }
            };
            let rows = selection.layers.len() * bins * variants;
            let each = ratios(selection, request, &kinds, rows, fill, self.progress)?;
            let axes = vec![
                selection.layer_axis(),
                bins::margin_axis(&used),
                self.variant_axis(),
            ];
            found.extend(split(&each, selection, request, words(), &axes));
        }
        for measurement in &mut found {
            measurement.protocol.notes.push(self.margin_words.clone());
        }
        Ok(found)
    }

    /// How many tokens changed their experts at how many layers, and how far their predictions moved.
    fn by_changed_layers(
        &self,
        selection: &Selection,
        request: &MeasureRequest,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let variants = self.variants.len();
        let mut counts = vec![vec![0.0; bins::CHANGED_BINS]; variants];
        for (counts, sums) in counts.iter_mut().zip(self.sums) {
            for document in &selection.documents {
                let by_bin = &sums[*document].tokens.by_changed_layers;
                for (count, (tokens, _)) in counts.iter_mut().zip(by_bin) {
                    *count += tokens;
                }
            }
        }
        let mut totals = vec![0.0; bins::CHANGED_BINS];
        for counts in &counts {
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count;
            }
        }
        let used = bins::used(&totals);
        if used.is_empty() {
            return Ok(Vec::new());
        }
        let axes = vec![bins::changed_axis(&used), self.variant_axis()];
        let counted = counts_of(
            Words {
                name: "tokens",
                title: "Tokens by the number of layers whose selection changed",
                unit: "tokens",
            },
            axes.clone(),
            used.iter()
                .flat_map(|bin| counts.iter().map(|counts| counts[*bin]))
                .collect(),
            selection.protocol(request),
        );
        let fill = |document: usize, row: usize, out: &mut [[f64; 2]]| {
            let sums = &self.sums[row % variants][document].tokens;
            out[0] = share(sums.by_changed_layers[used[row / variants]]);
        };
        let rows = used.len() * variants;
        let found = ratios(
            selection,
            request,
            &[Ratio::Mean],
            rows,
            fill,
            self.progress,
        )?;
        let words = Words {
            name: "next_token_kl",
            title: "Divergence of predictions by the number of layers whose selection changed",
            unit: "nats per token",
        };
        let mut tables = vec![counted];
        tables.extend(split(&found, selection, request, [words], &axes));
        Ok(tables)
    }

    fn variant_axis(&self) -> Axis {
        Axis::new(AxisKind::Variant, self.variants.to_vec())
    }
}

fn add(sum: &mut [f64; 2], more: [f64; 2]) {
    sum[0] += more[0];
    sum[1] += more[1];
}

/// A count and a part of it as numerator and denominator.
fn share((all, part): (f64, f64)) -> [f64; 2] {
    [part, all]
}

fn kinds<S>(quantities: &[Quantity<S>]) -> Vec<Ratio> {
    quantities.iter().map(|quantity| quantity.ratio).collect()
}

fn words<S>(quantity: &Quantity<S>) -> Words<'static> {
    Words {
        name: quantity.name,
        title: quantity.title,
        unit: quantity.unit,
    }
}
