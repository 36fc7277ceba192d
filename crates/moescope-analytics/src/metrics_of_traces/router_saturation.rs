//! How far an earlier checkpoint already chooses the experts of the last one.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Weighting};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, TraceSet, TraceSetMetric,
    comparison::{
        measurements::{Words, counts_of},
        ratios::Ratio,
    },
    data::ProfileColumn,
    traces::AgreementTables,
};

/// OLMoE's router saturation.
pub(super) struct RouterSaturation;

const NAME: &str = "router_saturation";
const TITLE: &str = "Share of the reference's experts that are chosen already";
const UNIT: &str = "share of assignments";

impl TraceSetMetric for RouterSaturation {
    fn about(&self) -> About {
        About {
            name: NAME,
            title: TITLE,
            formula: "mean over tokens i of |E_i^(t) ∩ E_i^(T)| / k, with E_i^(t) the experts that trace t chooses for token i and T the reference; variant `top_1` is the same of the heaviest expert alone, `expected_from_loads` is Σ_e f_e^(t) f_e^(T) / k with f_e the share of tokens that choose e",
            unit: UNIT,
            range: "0 (no expert in common) to 1 (the same experts); two unrelated routers give k/E, 1/E for the heaviest expert, or `expected_from_loads` where their loads are uneven",
            edge_cases: "The traces must be of models with the same experts, such as checkpoints of one training: experts of unrelated models have the same numbers by accident only (`expert_matching`). Tokens are matched by their order where both traces counted the same ones, otherwise by the bytes they share, each pair weighted by the share of the reference's token. Documents whose texts differ are left out. The variant of the heaviest expert is left out where a source does not know ranks.",
            uncertainty: "Expanded percentile bootstrap over groups. No permutation null: `expected_from_loads` is what unrelated choices with these loads would share.",
            citation: "Router saturation of OLMoE (arXiv 2409.02060, eq. 5). Its figure is over checkpoints of one training, the last of which is T.",
            inputs: &[Input::Routing, Input::Tokens],
            axes: &[AxisKind::Layer, AxisKind::Trace, AxisKind::Variant],
        }
    }

    fn compare(
        &self,
        traces: &TraceSet,
        request: &MeasureRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let all = AgreementTables::over_all(traces, request, NAME, progress)?;
        let mut found = tables(&all, traces, Layers::Together)?;
        found.extend(tables(&all, traces, Layers::Apart)?);
        found.push(expected(&all, traces, request, progress)?);
        if request.by != "all" {
            let labelled = AgreementTables::by_label(traces, request, NAME, progress)?;
            found.extend(tables(&labelled, traces, Layers::Apart)?);
        }
        Ok(found)
    }
}

/// Whether layers are put together or have a value each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layers {
    Together,
    Apart,
}

/// One table per variant.
fn tables(
    tables: &AgreementTables<'_>,
    traces: &TraceSet,
    kind: Layers,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let layers = &tables.selection.layers;
    let others = tables.others();
    let parts = |document: usize, row: usize, out: &mut [[f64; 2]]| {
        let own = match kind {
            Layers::Together => &layers[..],
            Layers::Apart => &layers[row / others..=row / others],
        };
        let sums = tables.sums(row % others, document, own, None);
        out[0] = [sums.overlap, sums.tokens];
        if let Some(first) = out.get_mut(1) {
            *first = [sums.first, sums.tokens];
        }
    };
    let variants = if tables.has_ranks() { 2 } else { 1 };
    let (rows, mut axes) = match kind {
        Layers::Together => (others, Vec::new()),
        Layers::Apart => (layers.len() * others, vec![tables.selection.layer_axis()]),
    };
    axes.push(tables.trace_axis());
    axes.push(variant("top_k"));
    let found = tables.ratios(&[Ratio::Mean; 2][..variants], rows, parts)?;
    let words = [
        words(TITLE),
        words("Tokens whose heaviest expert is the reference's"),
    ];
    let mut split = tables.split(&found, words.into_iter().take(variants), &axes);
    let model = traces.reference().model();
    let (experts, top_k) = (f64::from(model.num_experts), f64::from(model.top_k));
    for (measurement, (name, chance)) in split
        .iter_mut()
        .zip([("top_k", top_k / experts), ("top_1", 1.0 / experts)])
    {
        let last = measurement.axes.len() - 1;
        measurement.axes[last] = variant(name);
        measurement.reference = Some(chance);
        measurement.check()?;
    }
    Ok(split)
}

/// What two routers with these loads would share if their choices had nothing to do with each other.
fn expected(
    tables: &AgreementTables<'_>,
    traces: &TraceSet,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Measurement, AnalyticsError> {
    let common = traces.common_documents();
    let reference = traces.reference_index();
    let places = common.places(reference);
    // Shares of tokens that choose each expert, `[layers of the reference][experts]`.
    let loads = |trace: usize| -> Result<Vec<Vec<f64>>, AnalyticsError> {
        let data = traces.trace(trace);
        let scope = &request.scope;
        let tensor = |column| data.tensor_in(column, scope, NAME, progress);
        let (counts, tokens) = (
            tensor(ProfileColumn::Counts)?,
            tensor(ProfileColumn::Tokens)?,
        );
        let layers = tables.selection.layers.iter().map(|layer| {
            let own = data.layer_index(traces.reference().layers()[*layer]);
            let mut sums = vec![0.0; counts.columns()];
            let mut total = 0.0;
            for document in &tables.selection.documents {
                let document = common.of_trace[trace][places[document]];
                let Some(layer) = own else { continue };
                let n = tokens.row(document, layer)[0];
                let weight = match scope.weighting {
                    Weighting::Token => 1.0,
                    Weighting::Document if n > 0.0 => 1.0 / n,
                    Weighting::Document => 0.0,
                };
                total += weight * n;
                for (sum, count) in sums.iter_mut().zip(counts.row(document, layer)) {
                    *sum += weight * count;
                }
            }
            sums.into_iter().map(|sum| sum / total).collect()
        });
        Ok(layers.collect())
    };
    let of_reference = loads(reference)?;
    let top_k = f64::from(traces.reference().model().top_k);
    let of_others = traces.others().map(loads).collect::<Result<Vec<_>, _>>()?;
    let values = of_reference
        .iter()
        .enumerate()
        .flat_map(|(layer, own)| {
            of_others.iter().map(move |others| {
                let products = own.iter().zip(&others[layer]).map(|(a, b)| a * b);
                products.sum::<f64>() / top_k
            })
        })
        .collect();
    let axes = vec![
        tables.selection.layer_axis(),
        tables.trace_axis(),
        variant("expected_from_loads"),
    ];
    let title = words("What unrelated choices with the same loads would share");
    let mut measurement = counts_of(title, axes, values, tables.protocol());
    "none: what the loads come to".clone_into(&mut measurement.protocol.interval_method);
    measurement.check()?;
    Ok(measurement)
}

fn variant(name: &str) -> Axis {
    Axis::new(AxisKind::Variant, vec![name.to_owned()])
}

fn words(title: &str) -> Words<'_> {
    Words {
        name: NAME,
        title,
        unit: UNIT,
    }
}
