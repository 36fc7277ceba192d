//! Whether the label explains routing beyond what else differs between documents.

use moescope_analytics::Control;
use moescope_core::{AxisKind, Measurement};

use super::{
    Finding,
    corrected::Corrected,
    studies::{Studies, Study},
    words::{bracket, interval, percent, sentence},
};
use crate::error::PipelineError;

const GENRE: &str = "genre";

/// Beyond token identity, length, position and genre?
pub(super) fn labels(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    let by = studies.by().to_owned();
    let genre = (by != GENRE && studies.varies(GENRE)).then(|| Control::Label(GENRE.to_owned()));
    let mut controls = vec![Control::Token, Control::Position, Control::Length];
    controls.extend(genre.clone());
    let mut together = vec![Control::Position, Control::Length];
    together.extend(genre);
    let mut parts = Vec::new();
    for control in &controls {
        let study = Study::given(vec![control.clone()]);
        let words = format!("Given the {control}");
        parts.push(one(studies, &study, &control.to_string(), &words)?);
    }
    let names: Vec<String> = together.iter().map(ToString::to_string).collect();
    let jointly = Study::given(together.clone());
    let together_words = names.join(", ");
    let words = format!("Given {together_words} together");
    let name = format!("{together_words} together");
    parts.push(one(studies, &jointly, &name, &words)?);
    let matched = Study::matched("mutual_information", together);
    let words = format!(
        "With documents weighted so that {} are distributed alike under every {by}",
        names.join(", ")
    );
    let name = format!("equal {together_words}");
    parts.push(one(studies, &matched, &name, &words)?);
    let all = Study::of("variance_partition");
    let (told, is_shown) = match studies.tables(&all)? {
        Ok(tables) => tables
            .first()
            .and_then(|table| of_the_rest(table, &by))
            .unwrap_or_else(|| {
                let told = "Its share of the variance is not defined here.".to_owned();
                (told, None)
            }),
        Err(reason) => {
            let told = sentence(&format!("The variance cannot be parted: {reason}"));
            (told, None)
        }
    };
    parts.push(Part {
        beyond: "all of them fitted together".to_owned(),
        told,
        is_shown,
    });
    let told: Vec<&str> = parts.iter().map(|part| part.told.as_str()).collect();
    let answer = format!("{} {}", verdict(&parts), told.join(" "));
    Ok(Finding {
        question: format!(
            "Does the {by} matter beyond token identity, length, position{}?",
            if controls.len() > 3 { " and genre" } else { "" }
        ),
        answer,
        command: studies.command(&Study::given(vec![Control::Token])),
    })
}

/// What is told under one control, and whether something was shown beyond it; `None` where it was not tested.
struct Part {
    beyond: String,
    told: String,
    is_shown: Option<bool>,
}

/// The answer in short.
fn verdict(parts: &[Part]) -> String {
    let names = |is_shown: Option<bool>| -> Vec<&str> {
        let parts = parts.iter().filter(|part| part.is_shown == is_shown);
        parts.map(|part| part.beyond.as_str()).collect()
    };
    let (shown, not_shown) = (names(Some(true)), names(Some(false)));
    match (shown.is_empty(), not_shown.is_empty()) {
        (true, true) => "Not tested.".to_owned(),
        (false, true) => {
            "Yes, beyond each that was tested; how much, these numbers say.".to_owned()
        }
        (true, false) => "Not shown: nothing is significant beyond any of them.".to_owned(),
        (false, false) => format!(
            "In part: something is left beyond {}, and nothing is shown beyond {}.",
            shown.join("; "),
            not_shown.join("; ")
        ),
    }
}

/// What is left of the information under one control.
fn one(
    studies: &mut Studies<'_>,
    study: &Study,
    beyond: &str,
    words: &str,
) -> Result<Part, PipelineError> {
    let (told, is_shown) = match studies.tables(study)? {
        Ok(tables) => tables
            .first()
            .and_then(left)
            .unwrap_or_else(|| ("not defined here".to_owned(), None)),
        Err(reason) => (format!("not answered ({reason})"), None),
    };
    Ok(Part {
        beyond: beyond.to_owned(),
        told: format!("{words}: {told}."),
        is_shown,
    })
}

fn left(measurement: &Measurement) -> Option<(String, Option<bool>)> {
    let information = Corrected::of(measurement)?;
    let strongest = information.strongest()?;
    let significant = information.significant().len();
    let layers = information.num_layers();
    let tested = match (significant, information.q(strongest)) {
        (_, None) => "not tested".to_owned(),
        (0, Some(q)) => format!("no layer significant, smallest corrected p {q:.3}"),
        (n, Some(_)) => format!("significant at {n} of {layers} layers"),
    };
    let told = format!(
        "at most {} (layer {}), {tested}",
        information.value(strongest),
        information.layer(strongest)
    );
    let is_shown = information.q(strongest).map(|_| significant > 0);
    Some((told, is_shown))
}

/// The label's share of what tokens, positions, lengths and genres leave.
fn of_the_rest(partition: &Measurement, by: &str) -> Option<(String, Option<bool>)> {
    let (_, layers) = partition.axis(AxisKind::Layer)?;
    let (_, variants) = partition.axis(AxisKind::Variant)?;
    let place = |name: &str| variants.labels.iter().position(|v| v == name);
    let rest = place(&format!("{by}_beyond_the_rest"))?;
    let cell = |layer: usize, variant: usize| layer * variants.len() + variant;
    let strongest = (0..layers.len())
        .filter(|layer| partition.values[cell(*layer, rest)].is_finite())
        .max_by(|a, b| {
            partition.values[cell(*a, rest)].total_cmp(&partition.values[cell(*b, rest)])
        })?;
    let share =
        |name: &str| place(name).map(|place| percent(partition.values[cell(strongest, place)]));
    let null = partition
        .nulls
        .as_ref()
        .and_then(|nulls| nulls[cell(strongest, rest)]);
    let q = null.map(|null| null.p_corrected.unwrap_or(null.p));
    let p = q.map_or(String::new(), |q| format!(", corrected p {q:.3}"));
    let alone = match (share(&format!("{by}_alone")), share("token_alone")) {
        (Some(label), Some(token)) => format!(
            " Alone it goes with {label} of the variance of single choices there, the token id with {token}."
        ),
        _ => String::new(),
    };
    let told = format!(
        "All of these fitted together, the {by} explains {}{} of the variance that they leave at layer {}, where it explains \
         most{p}.{alone}",
        percent(partition.values[cell(strongest, rest)]),
        bracket(interval(partition, cell(strongest, rest)), percent),
        layers.labels[strongest],
    );
    Some((told, q.map(|q| q <= 0.05)))
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, Interval, NullComparison, Protocol};

    use super::*;

    #[test]
    fn the_share_beyond_the_rest_is_told_with_its_interval_and_test() {
        let names = ["token_alone", "genre_alone", "genre_beyond_the_rest"];
        let null = NullComparison {
            null_mean: 0.0,
            p: 0.01,
            p_corrected: Some(0.04),
        };
        let partition = Measurement {
            metric: "variance_partition".into(),
            title: String::new(),
            unit: "share of variance".into(),
            axes: vec![
                Axis::new(AxisKind::Layer, vec!["2".into()]),
                Axis::new(AxisKind::Variant, names.map(str::to_owned).to_vec()),
            ],
            values: vec![0.4, 0.1, 0.02],
            intervals: Some(vec![
                None,
                None,
                Some(Interval {
                    low: 0.01,
                    high: 0.03,
                }),
            ]),
            nulls: Some(vec![None, None, Some(null)]),
            reference: None,
            protocol: Protocol::default(),
        };
        let (words, is_shown) = of_the_rest(&partition, "genre").unwrap();
        assert_eq!(is_shown, Some(true));
        assert!(words.contains("explains 2.0 % [1.0 %, 3.0 %]"), "{words}");
        assert!(words.contains("corrected p 0.040"), "{words}");
        assert!(words.contains("with 10.0 % of the variance"), "{words}");
        assert!(words.contains("token id with 40.0 %"), "{words}");
        assert_eq!(of_the_rest(&partition, "discipline"), None);
    }

    #[test]
    fn the_short_answer_says_beyond_what_something_is_left() {
        let part = |beyond: &str, is_shown| Part {
            beyond: beyond.to_owned(),
            told: String::new(),
            is_shown,
        };
        let (token, length) = (part("token", Some(true)), part("length", Some(false)));
        assert!(verdict(&[part("token", None)]).starts_with("Not tested"));
        assert_eq!(
            verdict(&[token, length]),
            "In part: something is left beyond token, and nothing is shown beyond length."
        );
        assert!(verdict(&[part("token", Some(true)), part("genre", None)]).starts_with("Yes"));
        assert!(verdict(&[part("token", Some(false))]).starts_with("Not shown"));
    }
}
