//! The questions people ask of two traces, answered with numbers and in plain words.

use moescope_analytics::{MeasureRequest, TraceSet};
use moescope_core::{AxisKind, Measurement};

use super::OriginDifference;
use crate::{
    command_words::Line,
    findings::{
        Finding,
        words::{bracket, interval, percent, sentence},
    },
};

/// All answers, in the order in which they should be read.
pub(super) fn all(
    traces: &TraceSet,
    request: &MeasureRequest,
    origins: &[OriginDifference],
    measurements: &[Measurement],
    refusals: &[String],
) -> Vec<Finding> {
    use AxisKind::{Group, Layer, Margin, Trace, Variant};
    let of = |metric: &str, axes: &[AxisKind]| {
        measurements.iter().find(|m| {
            m.metric == metric && m.axes.iter().map(|axis| axis.kind).eq(axes.iter().copied())
        })
    };
    let command = |words: &str| command(words, traces, request);
    let answers = [
        Some(made(traces, origins)),
        of("routing_agreement", &[Trace, Variant]).map(|found| {
            let by_margin = of("routing_agreement", &[Margin, Trace, Variant]);
            agreement(found, by_margin, command("routing_agreement"))
        }),
        of("router_saturation", &[Layer, Trace, Variant]).map(|found| {
            let expected = measurements.iter().find(|m| {
                m.metric == "router_saturation"
                    && m.axis(Variant)
                        .is_some_and(|(_, axis)| axis.labels == ["expected_from_loads"])
            });
            saturation(found, expected, command("router_saturation"))
        }),
        of("routing_drift", &[Layer, Trace]).map(|found| drift(found, command("routing_drift"))),
        of("routing_drift", &[Layer, Trace, Group])
            .and_then(|found| labels(found, command("routing_drift"))),
        Some(limits(measurements, refusals, command("--json"))),
    ];
    answers.into_iter().flatten().collect()
}

/// The command of these words that gives the numbers, without the traces' paths.
fn command(words: &str, traces: &TraceSet, request: &MeasureRequest) -> String {
    let mut line = Line::beginning(&format!("compare TRACE… {words}"));
    let reference = traces.reference_name();
    if traces.names().last().is_some_and(|last| last != reference) {
        line.option("reference", reference);
    }
    line.request_options(request);
    line.into_string()
}

fn made(traces: &TraceSet, origins: &[OriginDifference]) -> Finding {
    let reference = traces.reference_name();
    let others = traces.names().iter().filter(|name| *name != reference);
    let answers: Vec<String> = others
        .map(|name| {
            let own: Vec<&OriginDifference> = origins.iter().filter(|o| o.trace == *name).collect();
            if own.is_empty() {
                return format!("{name} and {reference} were made alike as far as they say.");
            }
            let mut abouts: Vec<&str> = Vec::new();
            for difference in &own {
                if !abouts.contains(&difference.about) {
                    abouts.push(difference.about);
                }
            }
            let fields = if own.len() == 1 { "field" } else { "fields" };
            format!(
                "{name} differs from {reference} in {} ({} {fields} of the manifest).",
                listed(&abouts),
                own.len()
            )
        })
        .collect();
    Finding {
        question: "How were the traces made?".to_owned(),
        answer: answers.join(" "),
        command: "info TRACE --json".to_owned(),
    }
}

fn agreement(pooled: &Measurement, by_margin: Option<&Measurement>, command: String) -> Finding {
    let names = labels_of(pooled, AxisKind::Trace);
    let mut parts = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let cell = |variant: usize| {
            let at = 2 * place + variant;
            format!(
                "{}{}",
                percent(pooled.values[at]),
                bracket(interval(pooled, at), percent)
            )
        };
        let mut part = format!(
            "{name} chooses the same set of experts in {} of decisions, and {} of the assignments",
            cell(0),
            cell(1)
        );
        if let Some(by_margin) = by_margin {
            part.push_str(&margins(by_margin, place, names.len()));
        }
        parts.push(ended(&part));
    }
    Finding {
        question: "How often are the same experts chosen for the same tokens?".to_owned(),
        answer: parts.join(" "),
        command,
    }
}

/// Agreement in the lowest and in the highest range of margins.
fn margins(by_margin: &Measurement, place: usize, others: usize) -> String {
    let bins = labels_of(by_margin, AxisKind::Margin);
    let at = |bin: usize| 2 * (bin * others + place);
    let defined: Vec<usize> = (0..bins.len())
        .filter(|bin| by_margin.values[at(*bin)].is_finite())
        .collect();
    let (Some(first), Some(last)) = (defined.first(), defined.last()) else {
        return String::new();
    };
    let share = |bin: usize| {
        format!(
            "{}{}",
            percent(by_margin.values[at(bin)]),
            bracket(interval(by_margin, at(bin)), percent)
        )
    };
    format!(
        "; at the closest decisions of the reference (margin {}) the sets are equal in {}, at the clearest (margin {}) in {}",
        bins[*first],
        share(*first),
        bins[*last],
        share(*last)
    )
}

fn saturation(by_layer: &Measurement, expected: Option<&Measurement>, command: String) -> Finding {
    let (names, layers) = (
        labels_of(by_layer, AxisKind::Trace),
        labels_of(by_layer, AxisKind::Layer),
    );
    let mut parts = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let at = |layer: usize| layer * names.len() + place;
        let Some((low, high)) = extremes(by_layer, layers.len(), at) else {
            continue;
        };
        let cell = |layer: usize| {
            let chance = expected.map_or(String::new(), |expected| {
                format!(
                    "; unrelated choices: {}",
                    percent(expected.values[at(layer)])
                )
            });
            format!(
                "{}{} at layer {}{chance}",
                percent(by_layer.values[at(layer)]),
                bracket(interval(by_layer, at(layer)), percent),
                layers[layer]
            )
        };
        parts.push(ended(&format!(
            "{name} shares least of the reference's experts, {}, and most, {}",
            cell(low),
            cell(high)
        )));
    }
    Finding {
        question: "At which layers do the choices part?".to_owned(),
        answer: parts.join(" "),
        command,
    }
}

fn drift(by_layer: &Measurement, command: String) -> Finding {
    let (names, layers) = (
        labels_of(by_layer, AxisKind::Trace),
        labels_of(by_layer, AxisKind::Layer),
    );
    let mut parts = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let at = |layer: usize| layer * names.len() + place;
        let Some((_, most)) = extremes(by_layer, layers.len(), at) else {
            continue;
        };
        let q = |layer: usize| by_layer.nulls.as_ref()?[at(layer)]?.p_corrected;
        let tested = (0..layers.len())
            .filter(|layer| q(*layer).is_some())
            .count();
        let significant = (0..layers.len()).filter(|layer| q(*layer).is_some_and(|q| q < 0.05));
        let verdict = match (tested, significant.count()) {
            (0, _) => String::new(),
            (_, 0) => ", at no layer more than swapping the traces gives".to_owned(),
            (all, n) if n == all => {
                format!(", at all {all} layers more than swapping the traces gives")
            }
            (all, n) => format!(", at {n} of {all} layers more than swapping the traces gives"),
        };
        parts.push(sentence(&format!(
            "the load of the experts moved most in {name} at layer {}, by {:.4} bits{}{verdict}",
            layers[most],
            by_layer.values[at(most)],
            bracket(interval(by_layer, at(most)), |x| format!("{x:.4}"))
        )));
    }
    Finding {
        question: "How far did the load of the experts move?".to_owned(),
        answer: parts.join(" "),
        command,
    }
}

/// The labels whose load moved most, by the mean over layers.
fn labels(by_label: &Measurement, command: String) -> Option<Finding> {
    const SHOWN: usize = 3;
    let [layers, names, labels] =
        [AxisKind::Layer, AxisKind::Trace, AxisKind::Group].map(|kind| labels_of(by_label, kind));
    let mut parts = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let at = |layer: usize, label: usize| (layer * names.len() + place) * labels.len() + label;
        let mean = |label: usize| {
            let values = (0..layers.len()).map(|layer| by_label.values[at(layer, label)]);
            let sum: f64 = values.sum();
            #[expect(clippy::cast_precision_loss, reason = "a number of layers")]
            let mean = sum / layers.len() as f64;
            mean
        };
        let mut ranked: Vec<(usize, f64)> = (0..labels.len())
            .map(|label| (label, mean(label)))
            .filter(|(_, mean)| mean.is_finite())
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let shown = ranked.iter().take(SHOWN).map(|(label, mean)| {
            let of_label = |layer: usize| at(layer, *label);
            let (_, most) = extremes(by_label, layers.len(), of_label)?;
            let cell = of_label(most);
            Some(format!(
                "{} ({mean:.4} bits over layers; most at layer {}, {:.4}{})",
                labels[*label],
                layers[most],
                by_label.values[cell],
                bracket(interval(by_label, cell), |x| format!("{x:.4}"))
            ))
        });
        let shown: Vec<String> = shown.collect::<Option<_>>()?;
        if let Some((last, mean)) = ranked.last().filter(|_| ranked.len() > SHOWN) {
            parts.push(sentence(&format!(
                "in {name} most for {}; least for {} ({mean:.4} bits)",
                shown.join(", "),
                labels[*last]
            )));
        } else if !shown.is_empty() {
            parts.push(sentence(&format!(
                "in {name} most for {}",
                shown.join(", ")
            )));
        }
    }
    (!parts.is_empty()).then(|| Finding {
        question: "For which labels did it move most?".to_owned(),
        answer: format!(
            "{} Divergence is larger where there is less text, so compare labels by their intervals.",
            parts.join(" ")
        ),
        command,
    })
}

fn limits(measurements: &[Measurement], refusals: &[String], command: String) -> Finding {
    let protocol = &measurements[0].protocol;
    let mut parts = vec![format!(
        "These numbers count {} tokens per layer in {} documents of {} groups ({}).",
        protocol.n_tokens, protocol.n_documents, protocol.n_groups, protocol.scope
    )];
    let mut told: Vec<&str> = Vec::new();
    for note in measurements.iter().flat_map(|m| &m.protocol.notes) {
        let is_of_matching = [
            "left out",
            "matched",
            "another",
            "in common",
            "did not record",
        ];
        if is_of_matching.iter().any(|words| note.contains(words)) && !told.contains(&note.as_str())
        {
            told.push(note);
        }
    }
    parts.extend(told.into_iter().map(ended));
    parts.extend(refusals.iter().map(|refusal| sentence(refusal)));
    parts.push(
        "Every layer reads what the layers before it made, so differences compound with depth."
            .to_owned(),
    );
    Finding {
        question: "What was compared, and what can this not say?".to_owned(),
        answer: parts.join(" "),
        command,
    }
}

fn labels_of(measurement: &Measurement, kind: AxisKind) -> &[String] {
    measurement.axis(kind).map_or(&[], |(_, axis)| &axis.labels)
}

/// The layers of the smallest and the largest finite value.
fn extremes(
    measurement: &Measurement,
    layers: usize,
    at: impl Fn(usize) -> usize,
) -> Option<(usize, usize)> {
    let value = |layer: usize| measurement.values[at(layer)];
    let finite = || (0..layers).filter(|layer| value(*layer).is_finite());
    let by_value = |a: &usize, b: &usize| value(*a).total_cmp(&value(*b));
    Some((finite().min_by(by_value)?, finite().max_by(by_value)?))
}

/// A full stop at the end; a trace's name at the beginning stays as it is.
fn ended(text: &str) -> String {
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{text}{stop}")
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_listed_as_people_do() {
        assert_eq!(listed(&["model"]), "model");
        assert_eq!(listed(&["model", "prompt"]), "model and prompt");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }
}
