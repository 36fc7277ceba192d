//! An expert's profile holds the numbers of the metrics it is named after, and is silent on what a trace lacks.

use moescope_analytics::{
    Control, ExpertConfig, ExpertProfile, ExpertsOrder, MeasureRequest, TraceData, expert_profile,
};
use moescope_core::{LayerId, NoProgress, Scope, Weighting};

use crate::common::{self, Synthetic, measure, sample};

const CONFIG: ExpertConfig = ExpertConfig {
    layer: LayerId(3),
    expert: 1,
    top: 5,
    contexts: 7,
    window: 2,
};

fn request() -> MeasureRequest {
    MeasureRequest {
        resamples: 200,
        permutations: 200,
        ..MeasureRequest::default()
    }
}

fn at_layer_3() -> MeasureRequest {
    MeasureRequest {
        scope: Scope {
            layers: "3".parse().unwrap(),
            ..Scope::default()
        },
        ..request()
    }
}

fn data() -> TraceData {
    let synthetic = Synthetic {
        tokens: 60,
        ..Synthetic::default()
    };
    let mut documents = synthetic.documents();
    for document in &mut documents {
        for token in &mut document.tokens {
            token.text = Some(format!(" w{}", token.token_id.unwrap()));
        }
    }
    TraceData::in_memory(synthetic.model(), ExpertsOrder::ByWeight, documents).unwrap()
}

fn profile(data: &TraceData, config: &ExpertConfig) -> ExpertProfile {
    expert_profile(data, &request(), config, &NoProgress).unwrap()
}

#[track_caller]
fn same(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} {b}");
}

#[test]
fn every_number_is_that_of_its_metric() {
    let data = data();
    let found = profile(&data, &CONFIG);
    let shares = measure(&data, "domain_specialization", &at_layer_3()).remove(0);
    assert_eq!(found.labels.len(), 3);
    for (place, label) in found.labels.iter().enumerate() {
        assert_eq!(label.label, shares.axes[1].labels[place]);
        let index = shares.flat_index(&[0, place, 1]);
        same(label.share, shares.values[index]);
        assert_eq!(label.interval, shares.intervals.as_ref().unwrap()[index]);
        let null = shares.nulls.as_ref().unwrap()[index].unwrap();
        assert_eq!((label.p, label.q), (Some(null.p), null.p_corrected));
        same(label.lift, label.share / found.share);
        let interval = label.lift_interval.unwrap();
        assert!(interval.low <= label.lift && label.lift <= interval.high);
    }
    let table = &found.label_shares;
    table.check().unwrap();
    assert_eq!(table.axes[1].labels, shares.axes[1].labels);
    for (place, label) in found.labels.iter().enumerate() {
        same(table.value(&[0, place, 0]), label.share);
        let flat = table.flat_index(&[0, place, 0]);
        assert_eq!(table.intervals.as_ref().unwrap()[flat], label.interval);
    }
    let all = MeasureRequest {
        by: "all".into(),
        ..at_layer_3()
    };
    let of_all = measure(&data, "domain_specialization", &all).remove(0);
    same(found.share, of_all.value(&[0, 0, 1]));
    let together = measure(&data, "co_activation", &at_layer_3()).remove(0);
    let lift = measure(&data, "co_activation_lift", &at_layer_3()).remove(0);
    assert_eq!(found.companions.len(), 5);
    for companion in &found.companions {
        let other = usize::from(companion.expert);
        same(companion.co_activation, together.value(&[0, 1, other]));
        same(companion.lift_given_k, lift.value(&[0, 1, 1, other]));
        same(companion.z, lift.value(&[0, 2, 1, other]));
        let null = lift.nulls.as_ref().unwrap()[lift.flat_index(&[0, 1, 1, other])];
        assert_eq!(companion.q, null.unwrap().p_corrected);
    }
    let tokens = measure(&data, "top_tokens", &at_layer_3());
    let own = tokens.iter().find(|t| t.axes[1].labels == ["1"]).unwrap();
    let input = &found.tokens[0];
    assert_eq!(input.class, "input");
    for (place, token) in input.by_lift.iter().enumerate() {
        assert_eq!(token.text, own.axes[2].labels[place]);
        same(token.share, own.value(&[0, 0, place, 0]));
        same(token.lift, own.value(&[0, 0, place, 1]));
    }
    let vocabulary = measure(&data, "vocabulary_specialization", &all).remove(0);
    assert_eq!(found.vocabulary.len(), vocabulary.values.len());
    for (value, expected) in found.vocabulary.iter().zip(&vocabulary.values) {
        same(value.value.unwrap(), *expected);
    }
}

#[test]
fn positions_are_those_of_the_profile_and_lists_add_up() {
    let data = data();
    let config = ExpertConfig {
        top: usize::MAX,
        ..CONFIG
    };
    let found = profile(&data, &config);
    let profile = measure(&data, "position_profile", &at_layer_3()).remove(0);
    assert_eq!(found.positions.len(), profile.axes[1].len());
    for (place, range) in found.positions.iter().enumerate() {
        assert_eq!(range.positions, profile.axes[1].labels[place]);
        same(range.share, profile.value(&[0, place, 1, 0]));
        same(range.excess, profile.value(&[0, place, 1, 2]));
        let index = profile.flat_index(&[0, place, 1, 2]);
        assert_eq!(
            range.excess_interval,
            profile.intervals.as_ref().unwrap()[index]
        );
    }
    let listed: u64 = found.tokens[0].by_count.iter().map(|t| t.count).sum();
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let (listed, expected) = (listed as f64, found.share * found.sizes[0] as f64);
    assert!((listed - expected).abs() < 1e-6);
    assert!(
        found.tokens[0]
            .by_count
            .is_sorted_by(|a, b| a.count >= b.count)
    );
}

#[test]
fn contexts_are_occurrences_drawn_by_the_seed_from_everywhere() {
    let data = data();
    let found = profile(&data, &CONFIG);
    assert_eq!(found.contexts.len(), 7);
    assert_eq!(found, profile(&data, &CONFIG), "the same on repeat");
    for context in &found.contexts {
        let whole = format!("{}{}{}", context.before, context.token, context.after);
        assert!(whole.matches(" w").count() <= 5, "{whole}");
        assert!(context.token.starts_with(" w"));
        if let Some(next) = &context.next {
            assert!(context.after.starts_with(next.as_str()));
        }
        assert!(matches!(context.rank, Some(1 | 2)));
    }
    // All occurrences: as many as the expert has tokens, each once.
    let everything = ExpertConfig {
        contexts: usize::MAX,
        ..CONFIG
    };
    let all = profile(&data, &everything).contexts;
    let mut places: Vec<(&str, u32)> = all
        .iter()
        .map(|c| (c.sample.as_str(), c.position))
        .collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), all.len());
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let expected = found.share * found.sizes[0] as f64;
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let listed = all.len() as f64;
    assert!((listed - expected).abs() < 1e-6);
    // Of 100 drawn, the mean position is that of all occurrences within 4 standard errors (17.3 / √100).
    let many = ExpertConfig {
        contexts: 100,
        ..CONFIG
    };
    let mean = |contexts: &[moescope_analytics::Context]| {
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let n = contexts.len() as f64;
        contexts.iter().map(|c| f64::from(c.position)).sum::<f64>() / n
    };
    let drawn = profile(&data, &many).contexts;
    assert!((mean(&drawn) - mean(&all)).abs() < 4.0 * 1.73);
    let other = MeasureRequest {
        seed: 9,
        ..request()
    };
    let reseeded = expert_profile(&data, &other, &CONFIG, &NoProgress).unwrap();
    assert_ne!(found.contexts, reseeded.contexts);
}

#[test]
fn what_an_import_lacks_is_named_and_the_rest_is_shown() {
    let synthetic = Synthetic::default();
    let mut documents = synthetic.documents();
    for token in documents.iter_mut().flat_map(|d| &mut d.tokens) {
        token.token_id = None;
        token.text = None;
    }
    let data = TraceData::in_memory(synthetic.model(), ExpertsOrder::ByWeight, documents).unwrap();
    let found = profile(&data, &CONFIG);
    let missing = found.missing.join("\n");
    for what in ["token ids", "predicted tokens", "the text of tokens"] {
        assert!(missing.contains(what), "'{what}' is not in {missing}");
    }
    assert!(found.tokens.is_empty() && found.contexts.is_empty());
    assert!(!found.companions.is_empty() && !found.positions.is_empty());
    let model = synthetic.model();
    let counts = vec![vec![3, 1, 0, 0, 0, 2, 1, 1]; 2];
    let summed = vec![common::counted(&model, sample("a", "law", "a"), &counts)];
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, summed).unwrap();
    let found = profile(&data, &CONFIG);
    // 1 of 8 assignments, 4 tokens.
    same(found.labels[0].share, 0.25);
    assert!(
        found.missing.iter().any(|m| m.contains("sums only")),
        "{found:?}"
    );
    assert!(found.companions.is_empty() && found.positions.is_empty());
}

#[test]
fn documents_of_one_weight_have_it_in_every_share() {
    // Law chooses the expert with 4 of 4 tokens of one document and none of 1 of the other, math with 1 of 1.
    let model = common::model(1, 4, 2);
    let documents = [
        ("a", "law", vec![4, 2, 1, 1]),
        ("b", "law", vec![0, 1, 1, 0]),
        ("c", "math", vec![1, 1, 0, 0]),
    ];
    let documents = documents
        .map(|(id, label, counts)| common::counted(&model, sample(id, label, id), &[counts]))
        .to_vec();
    let data = TraceData::in_memory(model, ExpertsOrder::ByWeight, documents).unwrap();
    let config = ExpertConfig {
        layer: LayerId(1),
        expert: 0,
        ..CONFIG
    };
    let shares = |weighting| {
        let mut request = request();
        request.scope.weighting = weighting;
        let found = expert_profile(&data, &request, &config, &NoProgress).unwrap();
        (found.labels[1].share, found.share, found.notes)
    };
    let (law, all, notes) = shares(Weighting::Token);
    same(law, 0.8);
    same(all, 5.0 / 6.0);
    assert!(!notes.iter().any(|note| note.contains("weight of one")));
    let (law, all, notes) = shares(Weighting::Document);
    same(law, 0.5);
    same(all, 2.0 / 3.0);
    assert!(notes.iter().any(|note| note.contains("weight of one")));
}

#[test]
fn weights_are_those_of_measure_and_lists_count_occurrences() {
    let data = data();
    let plain = profile(&data, &CONFIG);
    let mut weighted = at_layer_3();
    weighted.scope.weighting = Weighting::Document;
    weighted.match_on = vec![Control::Label("genre".into())];
    let found = expert_profile(&data, &weighted, &CONFIG, &NoProgress).unwrap();
    let shares = measure(&data, "domain_specialization", &weighted).remove(0);
    for (place, label) in found.labels.iter().enumerate() {
        let index = shares.flat_index(&[0, place, 1]);
        same(label.share, shares.values[index]);
        assert_eq!(label.interval, shares.intervals.as_ref().unwrap()[index]);
        same(label.lift, label.share / found.share);
    }
    weighted.match_on.clear();
    let together = measure(&data, "co_activation", &weighted).remove(0);
    for companion in &found.companions {
        let other = usize::from(companion.expert);
        same(companion.co_activation, together.value(&[0, 1, other]));
    }
    assert_eq!(found.tokens, plain.tokens);
    assert_eq!(found.vocabulary, plain.vocabulary);
    assert_eq!(found.contexts, plain.contexts);
    for words in ["matched by genre", "weight of one", "matched labels"] {
        assert!(
            found.notes.iter().any(|note| note.contains(words)),
            "'{words}' is not in {:?}",
            found.notes
        );
    }
}

#[test]
fn unknown_places_are_refused_in_words() {
    let data = data();
    let fails = |layer: u16, expert: u16| {
        let config = ExpertConfig {
            layer: LayerId(layer),
            expert,
            ..CONFIG
        };
        let found = expert_profile(&data, &request(), &config, &NoProgress);
        found.unwrap_err().to_string()
    };
    assert!(fails(2, 0).contains("the trace has: 1,3"));
    assert!(fails(3, 8).contains("experts 0 to 7"));
}
