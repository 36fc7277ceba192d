//! The questions people ask of a trace, answered with numbers and in plain words.

use moescope_analytics::{MeasureRequest, TraceData, find};
use moescope_core::{AxisKind, Interval, Measurement, Progress};
use serde::Serialize;

use crate::error::PipelineError;

/// One question and what the trace says to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The question.
    pub question: &'static str,
    /// The answer in a sentence or a few, with intervals.
    pub answer: String,
    /// The command whose table the numbers come from, without the trace's path.
    pub command: &'static str,
}

/// All findings, with the measurements that they rest on.
#[derive(Clone, Debug)]
pub struct Findings {
    /// In the order in which they should be read.
    pub findings: Vec<Finding>,
    /// Every table that was measured.
    pub measurements: Vec<Measurement>,
}

impl Findings {
    /// A measurement of this metric.
    #[must_use]
    pub fn of(&self, metric: &str) -> Option<&Measurement> {
        self.measurements
            .iter()
            .find(|measurement| measurement.metric == metric)
    }
}

/// Measures what is needed and answers.
///
/// # Errors
/// When a measurement fails or `progress` cancels.
pub fn findings(
    data: &TraceData,
    request: &MeasureRequest,
    progress: &dyn Progress,
) -> Result<Findings, PipelineError> {
    const METRICS: [&str; 7] = [
        "mutual_information",
        "fingerprint_knn",
        "domain_specialization",
        "effective_experts",
        "routing_entropy",
        "first_choice_repetition",
        "fingerprint_map",
    ];
    let mut measurements: Vec<Measurement> = Vec::new();
    for (done, metric) in METRICS.into_iter().enumerate() {
        progress.report(
            done as u64,
            METRICS.len() as u64,
            &format!("measuring {metric}"),
        )?;
        measurements.extend(find(metric)?.measure(data, request, progress)?);
    }
    let of = |metric: &str| measurements.iter().find(|m| m.metric == metric);
    let findings = [
        of("mutual_information").and_then(dependence),
        of("fingerprint_knn").and_then(beyond_tokens),
        of("domain_specialization").and_then(specialists),
        of("effective_experts").and_then(balance),
        of("routing_entropy").and_then(confidence),
        of("first_choice_repetition").and_then(locality),
        of("mutual_information").map(limits),
    ];
    Ok(Findings {
        findings: findings.into_iter().flatten().collect(),
        measurements,
    })
}

fn dependence(mi: &Measurement) -> Option<Finding> {
    let (_, layers) = mi.axis(AxisKind::Layer)?;
    let (_, variants) = mi.axis(AxisKind::Variant)?;
    let corrected = variants
        .labels
        .iter()
        .position(|v| v == "minus_permutation_mean")?;
    let cell = |layer: usize| layer * variants.len() + corrected;
    let strongest = (0..layers.len())
        .filter(|layer| mi.values[cell(*layer)].is_finite())
        .max_by(|a, b| mi.values[cell(*a)].total_cmp(&mi.values[cell(*b)]))?;
    let weakest = (0..layers.len())
        .filter(|layer| mi.values[cell(*layer)].is_finite())
        .min_by(|a, b| mi.values[cell(*a)].total_cmp(&mi.values[cell(*b)]))?;
    let q = |layer: usize| {
        mi.nulls
            .as_ref()
            .and_then(|n| n[cell(layer)])
            .map(|n| n.p_corrected.unwrap_or(n.p))
    };
    let significant = (0..layers.len())
        .filter(|layer| q(*layer).is_some_and(|q| q < 0.05))
        .count();
    let value = |layer: usize| {
        format!(
            "{:.3} bits{}",
            mi.values[cell(layer)],
            bracket(interval(mi, cell(layer)), |x| format!("{x:.3}"))
        )
    };
    let verdict = match (significant, layers.len()) {
        (0, _) => "Not that this data could show".to_owned(),
        (n, all) if n == all => format!("Yes, at all {all} MoE layers"),
        (n, all) => format!("Yes, at {n} of {all} MoE layers"),
    };
    let largest_q = q(strongest).map_or(String::new(), |q| {
        format!(", p = {q:.3} after correction over layers")
    });
    Some(Finding {
        question: "Do disciplines route differently?",
        answer: format!(
            "{verdict}. Knowing the discipline tells {} about the expert at layer {} (the most) and {} at layer {} (the \
             least), beyond what shuffled labels tell{largest_q}.",
            value(strongest),
            layers.labels[strongest],
            value(weakest),
            layers.labels[weakest]
        ),
        command: "measure TRACE mutual_information",
    })
}

fn beyond_tokens(knn: &Measurement) -> Option<Finding> {
    let (_, variants) = knn.axis(AxisKind::Variant)?;
    let at = |name: &str| variants.labels.iter().position(|v| v == name);
    let share = |name: &str| -> Option<String> {
        let i = at(name)?;
        knn.values[i].is_finite().then(|| {
            format!(
                "{}{}",
                percent(knn.values[i]),
                bracket(interval(knn, i), percent)
            )
        })
    };
    let chance = knn
        .reference
        .map_or(String::new(), |r| format!(" (guessing: {})", percent(r)));
    let difference = at("fingerprint_minus_bag_of_tokens");
    let verdict = match difference.and_then(|i| interval(knn, i)) {
        Some(Interval { low, .. }) if low > 0.0 => {
            "Routing tells more than the bag of tokens does."
        }
        Some(Interval { high, .. }) if high < 0.0 => {
            "A bag of tokens does better: nothing here shows that routing knows more of the discipline than the words do."
        }
        Some(_) => {
            "A bag of tokens does as well within the uncertainty: nothing here shows that routing knows more than the words do."
        }
        None => "Without an interval on the difference, nothing can be said about which is better.",
    };
    Some(Finding {
        question: "Can a document's discipline be told from its routing, and from more than its words?",
        answer: format!(
            "The five nearest documents in routing name the discipline in {} of cases{chance}; the same classifier on \
             bags of tokens in {}, on length alone in {}. {verdict}",
            share("fingerprint")?,
            share("bag_of_tokens").unwrap_or_else(|| "(no tokens in the trace)".to_owned()),
            share("length_only")?
        ),
        command: "measure TRACE fingerprint_knn",
    })
}

fn specialists(shares: &Measurement) -> Option<Finding> {
    let (layer_axis, layers) = shares.axis(AxisKind::Layer)?;
    let (group_axis, groups) = shares.axis(AxisKind::Group)?;
    let (expert_axis, experts) = shares.axis(AxisKind::Expert)?;
    let uniform = shares.reference?;
    if (layer_axis, group_axis, expert_axis) != (0, 1, 2) {
        return None;
    }
    let mut cells: Vec<usize> = (0..shares.values.len())
        .filter(|i| shares.values[*i].is_finite())
        .filter(|i| interval(shares, *i).is_none_or(|Interval { low, .. }| low > uniform))
        .collect();
    cells.sort_by(|a, b| shares.values[*b].total_cmp(&shares.values[*a]));
    // One line per expert and discipline, so that three lines are three experts of three disciplines.
    let mut seen = Vec::new();
    let mut lines = Vec::new();
    for cell in cells {
        let expert = cell % experts.len();
        let group = cell / experts.len() % groups.len();
        let layer = cell / experts.len() / groups.len();
        if seen
            .iter()
            .any(|(l, e, g)| (*l, *e) == (layer, expert) || *g == group)
        {
            continue;
        }
        seen.push((layer, expert, group));
        lines.push(format!(
            "expert {} of layer {} takes {}{} of {} tokens",
            experts.labels[expert],
            layers.labels[layer],
            percent(shares.values[cell]),
            bracket(interval(shares, cell), percent),
            groups.labels[group]
        ));
        if lines.len() == 3 {
            break;
        }
    }
    (!lines.is_empty()).then(|| Finding {
        question: "Which experts stand out, and for what?",
        answer: format!(
            "{}. An even router would give each expert {}. These were picked as the largest of {} shares, so new data will show them somewhat smaller.",
            capitalized(&lines.join("; ")),
            percent(uniform),
            shares.values.len()
        ),
        command: "measure TRACE domain_specialization",
    })
}

fn balance(effective: &Measurement) -> Option<Finding> {
    let (low, high) = extremes(effective)?;
    let (_, groups) = effective.axis(AxisKind::Group)?;
    let (_, layers) = effective.axis(AxisKind::Layer)?;
    let name = |cell: usize| {
        format!(
            "{:.1}{} ({} at layer {})",
            effective.values[cell],
            bracket(interval(effective, cell), |x| format!("{x:.1}")),
            groups.labels[cell % groups.len()],
            layers.labels[cell / groups.len()]
        )
    };
    let all = effective
        .reference
        .map_or(String::new(), |r| format!(" of {r:.0}"));
    Some(Finding {
        question: "How evenly are the experts used?",
        answer: format!(
            "A discipline spreads its tokens as evenly as over between {} and {} equally used experts{all}.",
            name(low),
            name(high)
        ),
        command: "measure TRACE effective_experts",
    })
}

fn confidence(entropy: &Measurement) -> Option<Finding> {
    let (low, high) = extremes(entropy)?;
    let (_, groups) = entropy.axis(AxisKind::Group)?;
    let (_, layers) = entropy.axis(AxisKind::Layer)?;
    let name = |cell: usize| {
        format!(
            "{}{} ({} at layer {})",
            percent(entropy.values[cell]),
            bracket(interval(entropy, cell), percent),
            groups.labels[cell % groups.len()],
            layers.labels[cell / groups.len()]
        )
    };
    Some(Finding {
        question: "How sure is the router of a token?",
        answer: format!(
            "The entropy of a token's distribution over experts is between {} and {} of the largest possible; 100 % would \
             be complete indifference.",
            name(low),
            name(high)
        ),
        command: "measure TRACE routing_entropy",
    })
}

fn locality(repetition: &Measurement) -> Option<Finding> {
    let (_, variants) = repetition.axis(AxisKind::Variant)?;
    let observed = variants.labels.iter().position(|v| v == "observed")?;
    let shuffled = variants.labels.iter().position(|v| v == "shuffled")?;
    let (_, groups) = repetition.axis(AxisKind::Group)?;
    let (_, layers) = repetition.axis(AxisKind::Layer)?;
    let cells = (0..repetition.values.len() / variants.len())
        .filter(|cell| repetition.values[cell * variants.len() + observed].is_finite());
    let value = |cell: usize, variant: usize| repetition.values[cell * variants.len() + variant];
    let by_value = |a: &usize, b: &usize| value(*a, observed).total_cmp(&value(*b, observed));
    let (low, high) = (cells.clone().min_by(by_value)?, cells.max_by(by_value)?);
    let name = |cell: usize| {
        format!(
            "{}{} of cases for {} at layer {} (tokens in shuffled order: {})",
            percent(value(cell, observed)),
            bracket(
                interval(repetition, cell * variants.len() + observed),
                percent
            ),
            groups.labels[cell % groups.len()],
            layers.labels[cell / groups.len()],
            percent(value(cell, shuffled))
        )
    };
    let chance = repetition.reference.map_or(String::new(), |r| {
        format!("; an even router without memory: {}", percent(r))
    });
    Some(Finding {
        question: "Do neighbouring tokens go to the same expert?",
        answer: format!(
            "The first choice repeats on the next token in {} to {}{chance}.",
            name(low),
            name(high)
        ),
        command: "measure TRACE first_choice_repetition",
    })
}

fn limits(mi: &Measurement) -> Finding {
    let protocol = &mi.protocol;
    let mut parts = vec![format!(
        "These numbers count {} tokens per layer in {} documents of {} groups ({}).",
        protocol.n_tokens, protocol.n_documents, protocol.n_groups, protocol.scope
    )];
    parts.extend(
        protocol
            .notes
            .iter()
            .filter(|note| note.contains("identifiable") || note.starts_with("power"))
            .map(|note| sentence(note)),
    );
    Finding {
        question: "What can this data not say?",
        answer: parts.join(" "),
        command: "measure TRACE mutual_information --by genre",
    }
}

/// The cells of the smallest and the largest finite value.
fn extremes(measurement: &Measurement) -> Option<(usize, usize)> {
    let finite = || (0..measurement.values.len()).filter(|i| measurement.values[*i].is_finite());
    let by_value = |a: &usize, b: &usize| measurement.values[*a].total_cmp(&measurement.values[*b]);
    Some((finite().min_by(by_value)?, finite().max_by(by_value)?))
}

pub(crate) fn interval(measurement: &Measurement, cell: usize) -> Option<Interval> {
    measurement.intervals.as_ref().and_then(|all| all[cell])
}

pub(crate) fn bracket(interval: Option<Interval>, number: impl Fn(f64) -> String) -> String {
    interval.map_or_else(
        || " (no interval)".to_owned(),
        |i| format!(" [{}, {}]", number(i.low), number(i.high)),
    )
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The first letter large, a full stop at the end.
pub(crate) fn sentence(text: &str) -> String {
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{}{stop}", capitalized(text))
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, NullComparison, Protocol};

    use super::*;

    fn knn(values: [f64; 4], difference: Interval) -> Measurement {
        let names = [
            "fingerprint",
            "bag_of_tokens",
            "length_only",
            "fingerprint_minus_bag_of_tokens",
        ];
        Measurement {
            metric: "fingerprint_knn".into(),
            title: String::new(),
            unit: "share of documents".into(),
            axes: vec![Axis::new(
                AxisKind::Variant,
                names.map(str::to_owned).to_vec(),
            )],
            values: values.to_vec(),
            intervals: Some(vec![None, None, None, Some(difference)]),
            nulls: None,
            reference: Some(0.1),
            protocol: Protocol::default(),
        }
    }

    #[test]
    fn the_bag_of_tokens_is_named_the_winner_when_it_wins_and_a_tie_is_called_a_tie() {
        let better = knn(
            [0.5, 0.7, 0.2, -0.2],
            Interval {
                low: -0.3,
                high: -0.1,
            },
        );
        assert!(
            beyond_tokens(&better)
                .unwrap()
                .answer
                .contains("bag of tokens does better")
        );
        let tie = knn(
            [0.65, 0.7, 0.2, -0.05],
            Interval {
                low: -0.12,
                high: 0.03,
            },
        );
        assert!(beyond_tokens(&tie).unwrap().answer.contains("does as well"));
        let worse = knn(
            [0.8, 0.6, 0.2, 0.2],
            Interval {
                low: 0.1,
                high: 0.3,
            },
        );
        assert!(beyond_tokens(&worse).unwrap().answer.contains("tells more"));
    }

    #[test]
    fn no_significant_layer_is_not_called_a_difference() {
        let null = NullComparison {
            null_mean: 0.0,
            p: 0.4,
            p_corrected: Some(0.6),
        };
        let mi = Measurement {
            metric: "mutual_information".into(),
            title: String::new(),
            unit: "bits".into(),
            axes: vec![
                Axis::new(AxisKind::Layer, vec!["0".into()]),
                Axis::new(
                    AxisKind::Variant,
                    vec!["plug_in".into(), "minus_permutation_mean".into()],
                ),
            ],
            values: vec![0.02, 0.001],
            intervals: None,
            nulls: Some(vec![Some(null), Some(null)]),
            reference: Some(0.0),
            protocol: Protocol::default(),
        };
        assert!(
            dependence(&mi)
                .unwrap()
                .answer
                .starts_with("Not that this data could show")
        );
    }
}
