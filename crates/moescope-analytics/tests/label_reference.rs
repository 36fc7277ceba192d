//! Labels' profiles kept, on documents that they were not made from.

use moescope_analytics::{LabelReference, MeasureRequest, MemoryDocument, TextAssignments};
use moescope_core::NoProgress;

use crate::common::Synthetic;

const TOKENS: u32 = 24;

fn synthetic(seed: u64) -> Synthetic {
    Synthetic {
        groups_per_label: 20,
        tokens: TOKENS,
        effect: 0.5,
        between_groups: 0.3,
        seed,
        ..Synthetic::default()
    }
}

fn reference() -> LabelReference {
    let request = MeasureRequest {
        window: TOKENS,
        resamples: 100,
        ..MeasureRequest::default()
    };
    LabelReference::fit(&synthetic(1).data(), &request, &NoProgress).unwrap()
}

/// Assignments of a document, `[layers × experts]`.
fn counts(reference: &LabelReference, document: &MemoryDocument) -> Vec<u32> {
    let decisions = document.decisions.as_ref().unwrap();
    let mut counts = vec![0; reference.layers.len() * reference.num_experts];
    for row in 0..decisions.len() {
        for expert in decisions.experts(row) {
            let layer = usize::from(decisions.moe_layer[row]);
            counts[layer * reference.num_experts + usize::from(*expert)] += 1;
        }
    }
    counts
}

#[test]
fn probabilities_of_new_documents_are_as_often_right_as_they_say() {
    let reference = reference();
    let (mut sum, mut right, mut number) = (0.0, 0.0, 0.0);
    let mut nearest = 0.0;
    for document in (2..8).flat_map(|seed| synthetic(seed).documents()) {
        let label = document.sample.discipline.as_ref().unwrap().to_string();
        let look = reference.look(&counts(&reference, &document), TOKENS);
        let probability = look.probability.unwrap();
        assert!((probability.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let best = (0..probability.len())
            .max_by(|a, b| probability[*a].total_cmp(&probability[*b]))
            .unwrap();
        let least = (0..probability.len())
            .min_by(|a, b| look.divergence_bits[*a].total_cmp(&look.divergence_bits[*b]))
            .unwrap();
        sum += probability[best];
        right += f64::from(u8::from(reference.labels[best] == label));
        nearest += f64::from(u8::from(reference.labels[least] == label));
        number += 1.0;
    }
    let (sure, right, nearest) = (sum / number, right / number, nearest / number);
    println!("{number} documents: sure {sure:.3}, right {right:.3}, nearest {nearest:.3}");
    // Chance is 1/3. Of 360 documents a share of about 0.7 has a standard error of 0.024.
    assert!(right > 0.45 && nearest > 0.45, "{right} {nearest}");
    assert!((sure - right).abs() < 0.1, "sure {sure}, right {right}");
}

#[test]
fn other_lengths_than_the_calibrated_one_have_distances_alone() {
    let reference = reference();
    let document = &synthetic(3).documents()[0];
    let look = reference.look(&counts(&reference, document), TOKENS - 1);
    assert!(look.probability.is_none());
    assert!(look.divergence_bits.iter().all(|d| *d > 0.0 && *d < 1.0));
    let nothing = vec![0; reference.layers.len() * reference.num_experts];
    assert!(
        reference
            .look(&nothing, 0)
            .divergence_bits
            .iter()
            .all(|d| d.is_nan())
    );
}

#[test]
fn a_reference_is_kept_with_its_reliability_and_knows_its_shares() {
    let reference = reference();
    let text = serde_json::to_string(&reference).unwrap();
    let again: LabelReference = serde_json::from_str(&text).unwrap();
    assert_eq!(again.labels, reference.labels);
    let document = &synthetic(3).documents()[0];
    let counts = counts(&reference, document);
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(close(
        &again.look(&counts, TOKENS).divergence_bits,
        &reference.look(&counts, TOKENS).divergence_bits
    ));
    assert!(reference.reliability.title.contains("Reliability"));
    let shares = reference.shares(&reference.labels[1]).unwrap();
    for layer in shares.chunks_exact(reference.num_experts) {
        assert!((layer.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    assert!(reference.shares("astrology").is_none());
    // Half a count more or less of some hundred does not move a share by a tenth.
    let experts = f64::from(u16::try_from(reference.num_experts).unwrap());
    let preference = reference.preference(&reference.labels[1]).unwrap();
    for (cell, share) in shares.iter().enumerate() {
        let (layer, expert) = (cell / reference.num_experts, cell % reference.num_experts);
        let bits = preference.bits(layer, expert).unwrap();
        assert!(
            ((share * experts).log2() - bits).abs() < 0.1,
            "{share} {bits}"
        );
    }
    assert!(reference.preference("astrology").is_none());
    // A token whose experts are those that the label prefers most agrees with it, and more than with any other label.
    let best = |label: &str| -> Vec<u16> {
        let preference = reference.preference(label).unwrap();
        let bits = |layer, expert: u16| preference.bits(layer, usize::from(expert)).unwrap();
        (0..reference.layers.len())
            .map(|layer| {
                let experts = 0..u16::try_from(reference.num_experts).unwrap();
                experts
                    .max_by(|a, b| bits(layer, *a).total_cmp(&bits(layer, *b)))
                    .unwrap()
            })
            .collect()
    };
    let agreement = |label: &str, experts: &[u16]| {
        let preference = reference.preference(label).unwrap();
        preference.mean_bits(experts).unwrap()
    };
    let [first, second] = [&reference.labels[0], &reference.labels[1]];
    let experts = best(first);
    assert!(agreement(first, &experts) > 0.0);
    assert!(agreement(first, &experts) > agreement(second, &experts));
}

#[test]
fn another_checkpoint_has_the_same_distances_and_no_probabilities() {
    let reference = reference();
    let (layers, experts) = (&reference.layers, reference.num_experts);
    assert!(reference.has_routers(layers, experts));
    assert!(!reference.has_routers(&layers[1..], experts));
    assert!(!reference.has_routers(layers, experts + 1));
    let counts = counts(&reference, &synthetic(3).documents()[0]);
    let own = reference.look(&counts, TOKENS);
    let other = reference.distances(&counts);
    assert_eq!(own.divergence_bits, other.divergence_bits);
    assert!(own.probability.is_some() && other.probability.is_none());
}

#[test]
fn a_text_minus_a_label_is_the_difference_of_their_shares() {
    let reference = reference();
    let document = &synthetic(3).documents()[0];
    let text = TextAssignments {
        layers: reference.layers.clone(),
        num_experts: reference.num_experts,
        counts: counts(&reference, document),
        tokens: u64::from(TOKENS),
        scope: "the reply".into(),
    };
    let label = &reference.labels[1];
    let found = text.minus_label(&reference, label).unwrap();
    found.check().unwrap();
    let of_label = reference.shares(label).unwrap();
    for ((found, own), of_label) in found.values.iter().zip(text.shares()).zip(of_label) {
        assert!((found - (own - of_label)).abs() < 1e-12);
    }
    let error = text.minus_label(&reference, "astrology").unwrap_err();
    assert!(error.to_string().contains(label.as_str()), "{error}");
    let other = TextAssignments {
        layers: reference.layers[1..].to_vec(),
        ..text
    };
    let error = other.minus_label(&reference, label).unwrap_err();
    assert!(error.to_string().contains("other layers"), "{error}");
}
