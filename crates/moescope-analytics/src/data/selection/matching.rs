//! Which documents have counterparts under every label, and the strata in which they are compared.

use std::collections::{BTreeMap, BTreeSet};

use moescope_core::{Progress, Weighting};

use super::{Row, Selection};
use crate::{
    AnalyticsError, Control, MeasureRequest, TraceData,
    control::{POSITION_RANGES, names, position_range},
    data::{DecisionNeeds, DocumentDecisions, Summary},
    stats::units::Strata,
};

/// Metrics of assignments per expert, which can be counted by position.
const BY_POSITION: [&str; 18] = [
    "assignment_share",
    "coverage_count",
    "cramers_v",
    "domain_specialization",
    "effective_experts",
    "gini",
    "jsd",
    "label_lift",
    "load_cv",
    "load_entropy",
    "lorenz_curve",
    "max_violation",
    "mutual_information",
    "nmi",
    "rare_experts",
    "relative_load",
    "risk_difference",
    "shared_top_experts",
];

/// Other metrics made of sums per unit, which obey weights.
const BY_DOCUMENT: [&str; 12] = [
    "any_overlap_repetition",
    "aux_loss",
    "esft_gate_experts",
    "esft_gate_score",
    "esft_token_experts",
    "first_choice_repetition",
    "routing_entropy",
    "selection_margin",
    "top_set_jaccard",
    "topk_mass",
    "weight_ratio",
    "z_loss",
];

/// The strata of the selected documents.
#[derive(Clone, Debug)]
pub(super) struct Matching {
    /// Of each selected document, without its positions.
    stratum: Vec<usize>,
    /// Number of ranges of positions; 1 where positions are not matched.
    pub(super) ranges: usize,
    /// `[documents × ranges]`: tokens, or the document's share under document weighting.
    mass: Vec<f64>,
}

/// Refuses what a metric cannot do.
pub(super) fn check(request: &MeasureRequest, metric: &str) -> Result<(), AnalyticsError> {
    let by_position = request.match_on.contains(&Control::Position);
    let is_able = request.match_on.is_empty()
        || BY_POSITION.contains(&metric)
        || (!by_position && BY_DOCUMENT.contains(&metric));
    if is_able {
        return Ok(());
    }
    let (what, able) = if by_position {
        ("by position", BY_POSITION.join(", "))
    } else {
        ("", [&BY_POSITION[..], &BY_DOCUMENT[..]].concat().join(", "))
    };
    Err(AnalyticsError::Request(format!(
        "{metric} does not compare matched labels{}{what}; these do: {able}",
        if what.is_empty() { "" } else { " " }
    )))
}

/// Keeps the documents whose stratum occurs under every label, and gives their strata and what to say of them.
pub(super) fn restrict(
    rows: &mut Vec<Row>,
    data: &TraceData,
    request: &MeasureRequest,
    labels: &[String],
    metric: &str,
) -> Result<(Vec<usize>, Vec<String>), AnalyticsError> {
    let mut labels_of: BTreeMap<Vec<String>, BTreeSet<usize>> = BTreeMap::new();
    let keys: Vec<Option<Vec<String>>> = rows.iter().map(|row| key(row, data, request)).collect();
    for (row, key) in rows.iter().zip(&keys) {
        if let Some(key) = key {
            labels_of.entry(key.clone()).or_default().insert(row.label);
        }
    }
    let used: BTreeSet<usize> = rows.iter().map(|row| row.label).collect();
    let support: BTreeMap<&Vec<String>, usize> = labels_of
        .iter()
        .filter(|(_, labels)| labels.len() == used.len())
        .map(|(key, _)| key)
        .zip(0..)
        .collect();
    let what = names(&request.match_on);
    if support.is_empty() || used.len() < 2 {
        return Err(no_support(&labels_of, labels, &used, request, metric));
    }
    let stratum: Vec<Option<usize>> = keys
        .iter()
        .map(|key| support.get(key.as_ref()?).copied())
        .collect();
    let mut left_out = vec![0; labels.len()];
    for (row, _) in rows.iter().zip(&stratum).filter(|(_, s)| s.is_none()) {
        left_out[row.label] += 1;
    }
    let left_out: Vec<String> = left_out
        .iter()
        .zip(labels)
        .filter(|(n, _)| **n > 0)
        .map(|(n, label)| format!("{n} {label}"))
        .collect();
    let mut notes = vec![format!(
        "matched by {what}: every label is weighted to the mass of the label that has least of each of {} strata, anew in every resample; labels are permuted within strata{}",
        support.len(),
        if request.match_on.contains(&Control::Length) {
            "; lengths are matched in bins of a factor of √2"
        } else {
            ""
        }
    )];
    if request.match_on.contains(&Control::Position) {
        notes.push(format!(
            "positions are matched within these strata, token by token, in {POSITION_RANGES} ranges: 0–15, 16–63, … by a factor of four"
        ));
    }
    let unknown = keys.iter().filter(|key| key.is_none()).count();
    if unknown > 0 {
        notes.push(format!("{unknown} documents lack a value of {what}"));
    }
    notes.push(if left_out.is_empty() {
        "every document has counterparts under all labels".to_owned()
    } else {
        format!(
            "left out, since some label has no counterpart: {} (documents)",
            left_out.join(", ")
        )
    });
    let mut kept = stratum.iter();
    rows.retain(|_| kept.next().is_some_and(Option::is_some));
    Ok((stratum.into_iter().flatten().collect(), notes))
}

/// The values of the matched variables of a document; `None` where one is unknown.
fn key(row: &Row, data: &TraceData, request: &MeasureRequest) -> Option<Vec<String>> {
    let document = &data.documents()[row.document];
    let values = request.match_on.iter();
    values
        .map(|control| control.of_document(document, row.tokens))
        .collect()
}

/// The refusal where no stratum occurs under every label, with labels that could be compared.
fn no_support(
    labels_of: &BTreeMap<Vec<String>, BTreeSet<usize>>,
    labels: &[String],
    used: &BTreeSet<usize>,
    request: &MeasureRequest,
    metric: &str,
) -> AnalyticsError {
    let most = labels_of.values().max_by_key(|labels| labels.len());
    let names_of = |set: &BTreeSet<usize>| {
        let names: Vec<&str> = set.iter().map(|label| labels[*label].as_str()).collect();
        names.join(",")
    };
    let help = match most {
        Some(most) if most.len() > 1 => {
            format!(
                "these have something in common: --labels {}",
                names_of(most)
            )
        }
        _ => "no two labels have anything in common: a difference between them is not identifiable"
            .to_owned(),
    };
    AnalyticsError::TooLittle {
        metric: metric.to_owned(),
        found: format!(
            "no value of {} occurs under every {} of {}, so what is due to which cannot be told",
            names(&request.match_on),
            request.by,
            names_of(used)
        ),
        help,
    }
}

impl Matching {
    /// The masses of documents with these strata.
    pub(super) fn new(
        stratum: Vec<usize>,
        selection: &Selection,
        data: &TraceData,
        request: &MeasureRequest,
        metric: &str,
        progress: &dyn Progress,
    ) -> Result<Self, AnalyticsError> {
        let is_document = request.scope.weighting == Weighting::Document;
        let (ranges, mut mass) = if request.match_on.contains(&Control::Position) {
            let tokens = tokens_by_position(selection, data, request, metric, progress)?;
            (POSITION_RANGES, tokens)
        } else {
            (1, selection.tokens.clone())
        };
        if is_document {
            for mass in mass.chunks_exact_mut(ranges) {
                let all: f64 = mass.iter().sum();
                mass.iter_mut().for_each(|mass| *mass /= all);
            }
        }
        Ok(Self {
            stratum,
            ranges,
            mass,
        })
    }

    /// Everything a table needs to know of these units, and the part of each document and range, `[documents × ranges]`.
    ///
    /// A group whose documents lie in several strata exchanges its label within the stratum that holds most of it.
    pub(super) fn strata(
        &self,
        selection: &Selection,
    ) -> (Strata, Vec<Vec<usize>>, Vec<Option<usize>>) {
        let place = |document: usize, range: usize| {
            let unit = selection.unit[document];
            (unit, self.stratum[document] * self.ranges + range)
        };
        let mut masses: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for (i, mass) in self.mass.iter().enumerate().filter(|(_, m)| **m > 0.0) {
            *masses
                .entry(place(i / self.ranges, i % self.ranges))
                .or_default() += mass;
        }
        let strata = self.ranges * self.stratum.iter().max().map_or(0, |most| most + 1);
        let labels = selection.labels.len();
        let mut of_label = vec![0.0; strata * labels];
        let mut home: Vec<(f64, usize)> = vec![(0.0, 0); selection.unit_label.len()];
        for ((unit, stratum), mass) in &masses {
            of_label[stratum * labels + selection.unit_label[*unit]] += mass;
            if *mass > home[*unit].0 {
                home[*unit] = (*mass, stratum / self.ranges);
            }
        }
        let target = of_label
            .chunks_exact(labels)
            .map(|masses| masses.iter().copied().fold(f64::INFINITY, f64::min))
            .collect();
        let mut blocks = vec![Vec::new(); strata / self.ranges];
        for (unit, (_, stratum)) in home.iter().enumerate() {
            blocks[*stratum].push(unit);
        }
        let parts: BTreeMap<(usize, usize), usize> = masses.keys().copied().zip(0..).collect();
        let part = (0..self.mass.len())
            .map(|i| parts.get(&place(i / self.ranges, i % self.ranges)).copied())
            .collect();
        let strata = Strata {
            unit: masses.keys().map(|(unit, _)| *unit).collect(),
            stratum: masses.keys().map(|(_, stratum)| *stratum).collect(),
            mass: masses.values().copied().collect(),
            target,
        };
        (strata, blocks, part)
    }

    /// How much of the text counts after weighting.
    pub(super) fn note(&self, selection: &Selection, weighting: Weighting) -> Option<String> {
        let (strata, ..) = self.strata(selection);
        let all: f64 = strata.mass.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "a number of labels")]
        let counted = strata.target.iter().sum::<f64>() * selection.labels.len() as f64;
        (counted > 0.0).then(|| {
            format!(
                "after matching, {:.0} % of the {weighting}s of these documents count",
                100.0 * counted / all
            )
        })
    }
}

/// Counted tokens of every selected document in every range of positions, `[documents × ranges]`.
fn tokens_by_position(
    selection: &Selection,
    data: &TraceData,
    request: &MeasureRequest,
    metric: &str,
    progress: &dyn Progress,
) -> Result<Vec<f64>, AnalyticsError> {
    let summary = Summary {
        name: "tokens by position".to_owned(),
        needs: DecisionNeeds::of(&request.scope),
        columns: POSITION_RANGES,
        add: &|decisions: &DocumentDecisions<'_>, numbers: &mut [f64]| {
            for row in decisions.counted_rows() {
                let range = position_range(decisions.position[row]);
                numbers[decisions.layer(row) * POSITION_RANGES + range] += 1.0;
            }
        },
    };
    let tokens = data.summarize(&summary, metric, progress)?;
    let most = |document: &usize| {
        let mut most = [0.0_f64; POSITION_RANGES];
        for layer in &selection.layers {
            for (most, tokens) in most.iter_mut().zip(tokens.row(*document, *layer)) {
                *most = most.max(*tokens);
            }
        }
        most
    };
    Ok(selection.documents.iter().flat_map(most).collect())
}
