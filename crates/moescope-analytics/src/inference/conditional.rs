//! How much experts depend on the label beyond other variables, from counts within each of their values.

use std::collections::BTreeMap;

use moescope_core::{Measurement, Progress, Weighting};

use super::{
    dependence::{BiasScale, DependenceOfLayers, dependent_selection},
    interval_words,
};
use crate::{
    About, AnalyticsError, Control, MeasureRequest, TraceData,
    control::{POSITION_RANGES, names, position_range},
    data::{DecisionNeeds, DocumentDecisions, Selection},
    stats::{
        bootstrap::{BootstrapConfig, bootstrap},
        contingency::{Contingency, CountRecord},
        interval::IntervalMethod,
        permutation::{NullFamily, Tail},
        statistic::{Sides, Statistic},
        units::UnitTable,
    },
};

/// Records held at a time: 1 GiB; more layers are read in several passes.
const MOST_RECORDS: f64 = 64.0 * 1024.0 * 1024.0;
/// Entries visited by all permutations of all layers: about half a minute on two cores.
const MOST_VISITS: usize = 6_000_000_000;
/// However large the trace, so many permutations are made if as many are asked for.
const FEWEST_PERMUTATIONS: usize = 199;

/// Measures the dependence within the values of what the request holds constant.
pub(crate) fn measure_conditional_dependence(
    data: &TraceData,
    request: &MeasureRequest,
    about: &About,
    progress: &dyn Progress,
) -> Result<Vec<Measurement>, AnalyticsError> {
    let selection = dependent_selection(data, request, about.name, progress)?;
    if request.scope.weighting == Weighting::Document || selection.labels.len() > 0xffff {
        return Err(AnalyticsError::Request(format!(
            "{} counts tokens, of at most 65,535 labels; leave out document weighting",
            about.name
        )));
    }
    let conditions = Conditions::new(data, &selection, &request.given);
    let top_k = f64::from(data.model().top_k);
    let records_of_layer = selection.tokens.iter().sum::<f64>() * top_k;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small number of layers"
    )]
    let layers_at_a_time = (MOST_RECORDS / records_of_layer.max(1.0)).max(1.0) as usize;
    let mut found = Found::new(&selection, request, data);
    for layers in selection.layers.chunks(layers_at_a_time) {
        let records = conditions.read(data, request, layers, about.name, progress)?;
        for records in records {
            found.add_layer(records, progress)?;
        }
    }
    let unknown = conditions.unknown;
    found.finish(about, unknown, progress)
}

/// Numbers for the values of what is held constant.
struct Conditions<'a> {
    given: &'a [Control],
    unit: &'a [usize],
    /// The place of each of the trace's documents among the selected, and the number of its own values.
    place: Vec<Option<(usize, u64)>>,
    /// Selected documents that lack a value.
    unknown: usize,
}

impl<'a> Conditions<'a> {
    fn new(data: &TraceData, selection: &'a Selection, given: &'a [Control]) -> Self {
        let mut conditions = Self {
            given,
            unit: &selection.unit,
            place: vec![None; data.documents().len()],
            unknown: 0,
        };
        let mut numbers: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for (place, document) in selection.documents.iter().enumerate() {
            let of = &data.documents()[*document];
            let tokens = selection.tokens[place];
            let values = given.iter().map(|control| control.of_document(of, tokens));
            let values: Option<Vec<String>> = values.collect();
            let Some(values) = values else {
                conditions.unknown += 1;
                continue;
            };
            let next = numbers.len() as u64;
            let number = *numbers.entry(values).or_insert(next);
            conditions.place[*document] = Some((place, number));
        }
        conditions
    }

    /// The counts of some layers.
    fn read(
        &self,
        data: &TraceData,
        request: &MeasureRequest,
        layers: &[usize],
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<CountRecord>>, AnalyticsError> {
        let needs = DecisionNeeds {
            token_ids: self.given.contains(&Control::Token),
            ..DecisionNeeds::of(&request.scope)
        };
        let by_position = self.given.contains(&Control::Position);
        let mut place_of_layer = vec![None; data.layers().len()];
        for (place, layer) in layers.iter().enumerate() {
            place_of_layer[*layer] = Some(place);
        }
        let (place, unit) = (&self.place, self.unit);
        let mut records = vec![Vec::new(); layers.len()];
        data.map_documents(
            needs,
            metric,
            progress,
            &|decisions: &DocumentDecisions<'_>| {
                let mut counts = vec![Vec::new(); layers.len()];
                if let Some((_, own)) = place[decisions.document] {
                    for row in decisions.counted_rows() {
                        let Some(layer) = place_of_layer[decisions.layer(row)] else {
                            continue;
                        };
                        let range = if by_position {
                            position_range(decisions.position[row])
                        } else {
                            0
                        };
                        let ids = decisions.tokens.ids;
                        let token = ids.get(decisions.token(row)).copied().unwrap_or(0);
                        let values = own * POSITION_RANGES as u64 + range as u64;
                        let condition = u64::from(token) << 32 | values;
                        let experts = decisions.experts(row).iter();
                        counts[layer].extend(experts.map(|expert| (condition, *expert)));
                    }
                }
                Ok(counts.into_iter().map(merged).collect::<Vec<_>>())
            },
            &mut |document, counts| {
                let Some((place, _)) = place[document] else {
                    return Ok(());
                };
                let unit = u32::try_from(unit[place]).expect("samples are numbered in 32 bits");
                for (records, counts) in records.iter_mut().zip(counts) {
                    records.extend(counts.into_iter().map(|(condition, expert, count)| {
                        CountRecord {
                            condition,
                            unit,
                            expert,
                            count,
                        }
                    }));
                }
                Ok(())
            },
        )?;
        Ok(records)
    }
}

/// Sorts conditions with experts, and counts equal ones; more than 16 bits can count are counted in several parts.
fn merged(mut choices: Vec<(u64, u16)>) -> Vec<(u64, u16, u16)> {
    choices.sort_unstable();
    choices
        .chunk_by(|a, b| a == b)
        .flat_map(|run| run.chunks(usize::from(u16::MAX)))
        .map(|run| {
            (
                run[0].0,
                run[0].1,
                u16::try_from(run.len()).unwrap_or(u16::MAX),
            )
        })
        .collect()
}

/// What the layers so far have given.
struct Found<'a> {
    selection: &'a Selection,
    request: &'a MeasureRequest,
    experts: usize,
    plug_in: Vec<f64>,
    miller_madow: Vec<f64>,
    shared: Vec<f64>,
    pointwise: UnitTable,
    /// As many permutations as the first layer allows.
    family: Option<NullFamily>,
}

impl<'a> Found<'a> {
    fn new(selection: &'a Selection, request: &'a MeasureRequest, data: &TraceData) -> Self {
        let label = selection.unit_label.clone();
        Self {
            selection,
            request,
            experts: usize::from(data.model().num_experts),
            plug_in: Vec::new(),
            miller_madow: Vec::new(),
            shared: Vec::new(),
            pointwise: UnitTable::new(selection.labels.len(), label, selection.layers.len(), 2),
            family: None,
        }
    }

    fn add_layer(
        &mut self,
        records: Vec<CountRecord>,
        progress: &dyn Progress,
    ) -> Result<(), AnalyticsError> {
        let (prior, seed) = (self.request.prior, self.request.seed);
        let layers = self.selection.layers.len();
        let layer = self.plug_in.len();
        let labels = self.selection.labels.len();
        let table = Contingency::new(records, &self.selection.unit_label, labels, self.experts);
        let observed = table.information_bits(prior);
        let permutations = self.family.as_ref().map_or_else(
            || {
                let affordable = MOST_VISITS / (table.entries() * layers).max(1);
                let affordable = affordable.max(FEWEST_PERMUTATIONS);
                self.request
                    .permutations
                    .min(u32::try_from(affordable).unwrap_or(u32::MAX))
            },
            |family| u32::try_from(family.permutations()).expect("made from 32 bits"),
        );
        let step = 2 * rayon::current_num_threads() as u64;
        let mut permuted = Vec::with_capacity(permutations as usize);
        let all = u64::from(permutations);
        while (permuted.len() as u64) < all {
            let done = permuted.len() as u64;
            let message = "permutations of labels within conditions";
            progress.report(layer as u64 * all + done, layers as u64 * all, message)?;
            permuted.extend(table.permuted_bits(prior, seed, done..all.min(done + step)));
        }
        for (unit, (sum, n)) in table.pointwise_bits(prior).into_iter().enumerate() {
            self.pointwise
                .row_mut(layer, unit)
                .copy_from_slice(&[sum, n]);
        }
        self.family
            .get_or_insert_with(|| NullFamily::new(Tail::Greater, permutations, seed))
            .enter_all(&[observed], &permuted);
        self.plug_in.push(observed);
        self.miller_madow
            .push(observed - table.miller_madow_bias_bits(prior));
        self.shared.push(table.shared());
        Ok(())
    }

    fn finish(
        self,
        about: &About,
        unknown: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<Measurement>, AnalyticsError> {
        let (selection, request) = (self.selection, self.request);
        let labels = selection.labels.len();
        let evaluate = |sums: &[f64], out: &mut [f64]| {
            let all: f64 = sums.iter().skip(1).step_by(2).sum();
            let of_label =
                |sums: &[f64]| request.prior.weight(sums[1], all, labels) * sums[0] / sums[1];
            out[0] = sums.chunks_exact(2).map(of_label).sum();
        };
        let statistic = Statistic {
            len: 1,
            evaluate: &evaluate,
            sides: &|_| Sides::All,
        };
        let method = IntervalMethod::Percentile;
        let config = BootstrapConfig {
            resamples: request.resamples,
            seed: request.seed,
            level: request.level,
            method,
        };
        let mut resampled = bootstrap(&self.pointwise, &statistic, config, progress)?;
        let mut family = self
            .family
            .unwrap_or_else(|| NullFamily::new(Tail::Greater, 0, request.seed));
        family.arrange(&self.pointwise);
        let mut protocol = selection.protocol(request);
        let mut words = interval_words(selection, request, method, &resampled);
        if resampled.intervals.iter().any(Option::is_some) {
            words.push_str(
                "; of each token's pointwise information, centred on the corrected value; none for plug_in",
            );
        }
        // The plug-in is too biased for an interval around it to mean anything.
        resampled.intervals.fill(None);
        protocol.interval_method = words;
        let given = names(&request.given);
        if family.permutations() > 0 {
            protocol.null_method = format!(
                "labels permuted over groups within each {given}, groups in one random order for all, {} permutations, one-sided; q corrects for all layers (max-T)",
                family.permutations()
            );
        }
        if family.permutations() < request.permutations as usize {
            protocol.notes.push(format!(
                "{} instead of {} permutations, since each counts the whole trace",
                family.permutations(),
                request.permutations
            ));
        }
        if unknown > 0 {
            protocol
                .notes
                .push(format!("{unknown} documents without {given} are left out"));
        }
        let shared = self.shared.iter().copied().fold(f64::INFINITY, f64::min);
        protocol.notes.push(format!(
            "given {given}: {:.0} % of assignments have a value of it that occurs under two labels or more; the rest cannot speak and count as 0",
            100.0 * shared
        ));
        let found = DependenceOfLayers {
            plug_in: self.plug_in,
            miller_madow: self.miller_madow,
            scale: BiasScale::Value,
            resampled,
            family,
            protocol,
        };
        Ok(vec![found.measurement(about, selection, request)?])
    }
}
