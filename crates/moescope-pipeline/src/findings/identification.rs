//! Whether a document's label can be told from its routing.

use moescope_core::{AxisKind, Interval, Measurement};

use super::{
    Finding,
    studies::Studies,
    words::{bracket, interval, percent},
};
use crate::error::PipelineError;

/// Can the label be told from the routing, and from more than the words?
pub(super) fn identification(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    let question = format!(
        "Can a document's {} be told from its routing, and from more than its words?",
        studies.by()
    );
    studies.answer(&question, "fingerprint_knn", words)
}

fn words(knn: &Measurement) -> Option<String> {
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
            "A bag of tokens does better: nothing here shows that routing knows more of the label than the words do."
        }
        Some(_) => {
            "A bag of tokens does as well within the uncertainty: nothing here shows that routing knows more than the words do."
        }
        None => "Without an interval on the difference, nothing can be said about which is better.",
    };
    Some(format!(
        "The five nearest documents in routing name it in {} of cases{chance}; the same classifier on bags of tokens in {}, on \
         length alone in {}. {verdict}",
        share("fingerprint")?,
        share("bag_of_tokens").unwrap_or_else(|| "(no tokens in the trace)".to_owned()),
        share("length_only")?
    ))
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, Protocol};

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
            words(&better)
                .unwrap()
                .contains("bag of tokens does better")
        );
        let tie = knn(
            [0.65, 0.7, 0.2, -0.05],
            Interval {
                low: -0.12,
                high: 0.03,
            },
        );
        assert!(words(&tie).unwrap().contains("does as well"));
        let worse = knn(
            [0.8, 0.6, 0.2, 0.2],
            Interval {
                low: 0.1,
                high: 0.3,
            },
        );
        assert!(words(&worse).unwrap().contains("tells more"));
    }
}
