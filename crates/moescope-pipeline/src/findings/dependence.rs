//! Whether labels route differently, and where.

use moescope_core::Measurement;

use super::{Finding, corrected::Corrected, studies::Studies};
use crate::error::PipelineError;

/// Do labels route differently?
pub(super) fn whether(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    let by = studies.by().to_owned();
    let question = format!("Do documents of different {by} route differently?");
    studies.answer(&question, "mutual_information", |mi| whether_words(mi, &by))
}

fn whether_words(mi: &Measurement, by: &str) -> Option<String> {
    let information = Corrected::of(mi)?;
    let strongest = information.strongest()?;
    let p = information.q(strongest).map_or(String::new(), |q| {
        format!(", p = {q:.3} after correction over layers")
    });
    Some(format!(
        "{}. At layer {}, where it tells most, the {by} tells {} about the expert beyond what shuffled labels tell{p}. \
         This counts everything that differs between them: words, length, genre and position too.",
        information.verdict(),
        information.layer(strongest),
        information.value(strongest),
    ))
}

/// At which layers?
pub(super) fn where_(studies: &mut Studies<'_>) -> Result<Finding, PipelineError> {
    studies.answer("At which layers?", "mutual_information", where_words)
}

fn where_words(mi: &Measurement) -> Option<String> {
    let information = Corrected::of(mi)?;
    let (strongest, weakest) = (information.strongest()?, information.weakest()?);
    if strongest == weakest {
        return Some("There is one MoE layer in this scope.".to_owned());
    }
    let names: Vec<&str> = information
        .significant()
        .into_iter()
        .map(|layer| information.layer(layer))
        .collect();
    let significant = if names.is_empty() {
        "No layer stands out from shuffled labels".to_owned()
    } else if names.len() == information.num_layers() {
        "All of them".to_owned()
    } else {
        format!("Layers {}", names.join(", "))
    };
    let order = match information.lies_above(strongest, weakest) {
        Some(true) => "Their intervals do not overlap.",
        Some(false) => "Their intervals overlap: which layer is first may change with new data.",
        None => "Without intervals, their order says little.",
    };
    Some(format!(
        "{significant}. It is most at layer {}, {}, and least at layer {}, {}. {order}",
        information.layer(strongest),
        information.value(strongest),
        information.layer(weakest),
        information.value(weakest),
    ))
}

#[cfg(test)]
mod tests {
    use moescope_core::{Axis, AxisKind, Interval, NullComparison, Protocol};

    use super::*;

    /// Two layers with corrected values and q.
    fn information(cells: [(f64, f64, [f64; 2]); 2]) -> Measurement {
        let null = |q| {
            Some(NullComparison {
                null_mean: 0.0,
                p: q,
                p_corrected: Some(q),
            })
        };
        let interval = |[low, high]: [f64; 2]| Some(Interval { low, high });
        Measurement {
            metric: "mutual_information".into(),
            title: String::new(),
            unit: "bits".into(),
            axes: vec![
                Axis::new(AxisKind::Layer, vec!["3".into(), "9".into()]),
                Axis::new(
                    AxisKind::Variant,
                    vec!["plug_in".into(), "minus_permutation_mean".into()],
                ),
            ],
            values: cells.iter().flat_map(|(x, ..)| [x + 1.0, *x]).collect(),
            intervals: Some(cells.iter().flat_map(|c| [None, interval(c.2)]).collect()),
            nulls: Some(cells.iter().flat_map(|c| [null(1.0), null(c.1)]).collect()),
            reference: Some(0.0),
            protocol: Protocol::default(),
        }
    }

    #[test]
    fn no_significant_layer_is_not_called_a_difference() {
        let mi = information([(0.02, 0.6, [0.0, 0.1]), (0.01, 0.7, [0.0, 0.1])]);
        let words = whether_words(&mi, "genre").unwrap();
        assert!(
            words.starts_with("Not that this data could show"),
            "{words}"
        );
        assert!(where_words(&mi).unwrap().starts_with("No layer stands out"));
    }

    #[test]
    fn layers_are_ordered_only_where_intervals_part_them() {
        let apart = information([(0.1, 0.001, [0.09, 0.11]), (0.5, 0.001, [0.4, 0.6])]);
        let words = where_words(&apart).unwrap();
        assert!(
            words.starts_with("All of them. It is most at layer 9"),
            "{words}"
        );
        assert!(words.ends_with("do not overlap."), "{words}");
        let alike = information([(0.1, 0.2, [0.0, 0.5]), (0.5, 0.001, [0.4, 0.6])]);
        let words = where_words(&alike).unwrap();
        assert!(words.starts_with("Layers 9."), "{words}");
        assert!(words.contains("may change with new data"), "{words}");
    }
}
