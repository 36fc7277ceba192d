//! Which experts of two models or checkpoints do the same work.

use moescope_core::{Axis, AxisKind, Measurement, Progress, Protocol};

use crate::{
    About, AnalyticsError, Input, MeasureRequest, TraceSet, TraceSetMetric,
    traces::expert_pairs::{CoSelection, LayerPairs, Mapping, ProfileMatching},
};

/// The best one-to-one matching of experts.
pub(super) struct ExpertMatching;

const NAME: &str = "expert_matching";
const METHODS: [&str; 2] = ["profiles", "co_selection"];

impl TraceSetMetric for ExpertMatching {
    fn about(&self) -> About {
        About {
            name: NAME,
            title: "Experts of the trace that correspond to those of the reference",
            formula: "the one-to-one mapping π of experts that maximises Σ_e S(e, π(e)); by `profiles` S(e, e') = Σ_d min(p(e, d), p'(e', d)) with p(e, d) the joint distribution of expert and label, every label the same weight; by `co_selection` S(e, e') is the share of matched tokens whose experts are e in the reference and e' in the trace, over k",
            unit: "expert id",
            range: "ids of the trace's experts; scores from 0 to 1, 1 where relabelled experts have the same profiles, or are chosen for the same tokens",
            edge_cases: "Works for models with other numbers of experts, of which some stay unmatched, and pairs layers by their order, or by relative depth where the numbers of layers differ. Profiles need two labels; of documents that both traces hold the labels and groups of the reference count, as its filters do. Co-selection needs documents whose texts are the same, of whatever tokenizer. Experts that no label prefers have profiles like any other of their load, and their match is arbitrary: see the share of each expert that its match explains. A mapping that maximises a score has a score above chance by itself.",
            uncertainty: "By profiles: null of labels permuted over the trace's groups, each permutation matched anew, at most 199, one-sided, q by max-T over layers. By co-selection: `held_out` maps the tokens of half of the groups by the other half's matching, which has no such excess, with an expanded percentile bootstrap over groups given the two mappings.",
            citation: "Hungarian method (Kuhn 1955). Matching of neurons and experts by linear assignment as in 'A Closer Look into Mixture-of-Experts' (arXiv 2406.18219).",
            inputs: &[Input::Profiles, Input::Routing, Input::Tokens],
            axes: &[
                AxisKind::Layer,
                AxisKind::Trace,
                AxisKind::Expert,
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
        if request.contrast.is_some() {
            return Err(AnalyticsError::Request(format!(
                "{NAME} compares traces, and takes no contrast of labels"
            )));
        }
        request.refuse_reference_scope(NAME)?;
        let mut found = Vec::new();
        for other in traces.others() {
            found.extend(compare(traces, other, request, progress)?);
        }
        Ok(found)
    }
}

/// The tables of one trace beside the reference.
fn compare(
    traces: &TraceSet,
    other: usize,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let layers = LayerPairs::new(traces, other, request)?;
    let profiles = ProfileMatching::of(traces, other, &layers, request, NAME, progress)?;
    let co_selection = CoSelection::of(traces, other, &layers, request, NAME, progress)?;
    let mut notes = layers.notes.clone();
    let mut mappings: Vec<(&str, &[Mapping])> = Vec::new();
    let mut protocol = None;
    match &profiles {
        Ok(found) => {
            mappings.push((METHODS[0], &found.mappings));
            protocol = Some(found.protocol.clone());
        }
        Err(why) => notes.push(why.clone()),
    }
    match &co_selection {
        Ok(found) => {
            mappings.push((METHODS[1], &found.mappings));
            protocol.get_or_insert_with(|| found.protocol.clone());
        }
        Err(why) => notes.push(why.clone()),
    }
    let Some(mut protocol) = protocol else {
        return Err(AnalyticsError::TooLittle {
            metric: NAME.to_owned(),
            found: notes.join("; "),
            help: "give the texts two labels (--by), or capture the same texts with both models"
                .to_owned(),
        });
    };
    protocol.notes.extend(notes);
    let table = Tables {
        layer_axis: layers.axis.clone(),
        trace_axis: Axis::new(AxisKind::Trace, vec![traces.name(other).to_owned()]),
        protocol,
    };
    let mut found = table.mappings(&mappings, traces)?;
    if let Ok(profiles) = &profiles {
        found.push(table.profile_scores(profiles)?);
    }
    if let Ok(co_selection) = &co_selection {
        found.extend(table.co_selection_scores(co_selection)?);
    }
    Ok(found)
}

/// What all tables of one trace share.
struct Tables {
    layer_axis: Axis,
    trace_axis: Axis,
    protocol: Protocol,
}

impl Tables {
    fn measurement(&self, title: &str, unit: &str, last: Vec<Axis>) -> Measurement {
        let mut axes = vec![self.layer_axis.clone(), self.trace_axis.clone()];
        axes.extend(last);
        Measurement {
            metric: NAME.to_owned(),
            title: title.to_owned(),
            unit: unit.to_owned(),
            axes,
            values: Vec::new(),
            intervals: None,
            nulls: None,
            reference: None,
            protocol: Protocol {
                interval_method: "none: a mapping is chosen, not estimated".to_owned(),
                ..self.protocol.clone()
            },
        }
    }

    /// The mapping, and how much of each expert it explains.
    fn mappings(
        &self,
        methods: &[(&str, &[Mapping])],
        traces: &TraceSet,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let experts = usize::from(traces.reference().model().num_experts);
        let ids = (0..experts).map(|e| e.to_string()).collect();
        let axes = || {
            let names = methods.iter().map(|(name, _)| (*name).to_owned());
            vec![
                Axis::new(AxisKind::Expert, Clone::clone(&ids)),
                Axis::new(AxisKind::Variant, names.collect()),
            ]
        };
        let title = format!(
            "Expert of {} for each expert of {}",
            self.trace_axis.labels[0],
            traces.reference_name()
        );
        let mut ids_of = self.measurement(&title, "expert id", axes());
        let title = "Part of each expert of the reference that its match explains";
        let mut explained = self.measurement(title, "share of the expert's assignments", axes());
        for layer in 0..self.layer_axis.len() {
            for expert in 0..experts {
                for (_, mappings) in methods {
                    let mapping = &mappings[layer];
                    let id = mapping.expert[expert].and_then(|e| u32::try_from(e).ok());
                    ids_of.values.push(id.map_or(f64::NAN, f64::from));
                    explained.values.push(mapping.explained[expert]);
                }
            }
        }
        ids_of.check()?;
        explained.check()?;
        Ok(vec![ids_of, explained])
    }

    fn profile_scores(&self, found: &ProfileMatching) -> Result<Measurement, AnalyticsError> {
        let title = "Overlap of the profiles of matched experts";
        let unit = "overlap of the distributions of expert and label";
        let variant = Axis::new(AxisKind::Variant, vec![METHODS[0].to_owned()]);
        let mut table = self.measurement(title, unit, vec![variant]);
        table.values = found.mappings.iter().map(|m| m.score).collect();
        table.nulls.clone_from(&found.nulls);
        table.protocol.null_method.clone_from(&found.null_method);
        "none: the mapping is chosen to maximise the score; compare it with its null"
            .clone_into(&mut table.protocol.interval_method);
        table.check()?;
        Ok(table)
    }

    fn co_selection_scores(&self, found: &CoSelection) -> Result<Vec<Measurement>, AnalyticsError> {
        let unit = "share of assignments";
        let axis = |name: &str| Axis::new(AxisKind::Variant, vec![name.to_owned()]);
        let title = "Assignments shared after relabelling experts";
        let mut best = self.measurement(title, unit, vec![axis("co_selection")]);
        best.values = found.mappings.iter().map(|m| m.score).collect();
        "none: the mapping is chosen to maximise the score; held_out is without that excess"
            .clone_into(&mut best.protocol.interval_method);
        let mut tables = vec![best];
        if let Some(held_out) = &found.held_out {
            let title = "Assignments shared after relabelling experts by other texts";
            let mut table = self.measurement(title, unit, vec![axis("held_out")]);
            table.values.clone_from(&held_out.values[0]);
            let intervals = held_out.intervals[0].clone();
            if intervals.iter().any(Option::is_some) {
                table.protocol.level = held_out.protocol.level;
                table.intervals = Some(intervals);
            }
            table
                .protocol
                .interval_method
                .clone_from(&held_out.protocol.interval_method);
            tables.push(table);
        }
        if let Some(by_id) = &found.by_id {
            let title = "Assignments shared by experts of the same number";
            let mut table = self.measurement(title, unit, vec![axis("by_id")]);
            table.values.clone_from(by_id);
            tables.push(table);
        }
        for table in &tables {
            table.check()?;
        }
        Ok(tables)
    }
}
