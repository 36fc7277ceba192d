//! Published routing counts of two models give the published values, to the printed digit.
//!
//! The counts lie outside the repository; without them the tests say so and pass.

use std::{fs, path::Path};

use moescope_analytics::{ExpertsOrder, MeasureRequest, TraceData};
use moescope_core::LayerId;
use serde_json::Value;

use crate::common::{self, counted, measure, quick, sample};

const DOMAINS: [&str; 5] = ["arxiv", "book", "c4", "github", "wikipedia"];

fn reference(file: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/reference")
        .join(file);
    let text = fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// The counts of one layer, `[experts]`; experts that are not listed were not chosen.
fn expert_counts(cells: &Value, experts: u16) -> Vec<u32> {
    let count = |e: u16| cells[e.to_string()].as_u64().unwrap_or(0);
    (0..experts)
        .map(|e| u32::try_from(count(e)).unwrap())
        .collect()
}

/// One document per domain, layers 0, 7 and 15.
fn trace(counts: &Value, model: &str, table: &str) -> TraceData {
    let (experts, top_k) = match (model, table) {
        ("mistral", "expert_counts") => (8, 2),
        ("mistral", _) => (8, 1),
        (_, "expert_counts") => (64, 8),
        _ => (64, 1),
    };
    let mut spec = common::model(3, experts, top_k);
    spec.moe_layers = [0, 7, 15].map(LayerId).to_vec();
    spec.num_layers = 16;
    let documents = DOMAINS
        .iter()
        .map(|domain| {
            let layers: Vec<Vec<u32>> = (0..3)
                .map(|layer| expert_counts(&counts[model][table][domain][layer], experts))
                .collect();
            counted(&spec, sample(domain, domain, domain), &layers)
        })
        .collect();
    TraceData::in_memory(spec, ExpertsOrder::ByWeight, documents).unwrap()
}

fn request() -> MeasureRequest {
    MeasureRequest {
        permutations: 5,
        ..quick()
    }
}

#[track_caller]
fn close(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (found - expected).abs() <= tolerance,
        "found {found}, published {expected}"
    );
}

#[test]
fn counts_of_mixtral_and_olmoe_give_the_published_values() {
    let (Some(counts), Some(published)) = (
        reference("olmoe/expert_counts.json"),
        reference("published_values.json"),
    ) else {
        println!("skipped: not present");
        return;
    };
    let published = &published["olmoe_repo_counts"]["values"];
    for model in ["mistral", "olmoe"] {
        for table in ["expert_counts", "expert_counts_top1"] {
            let data = trace(&counts, model, table);
            let expected = &published[format!("{model}/{table}")];
            let entropy = measure(&data, "load_entropy", &request()).remove(0);
            let effective = measure(&data, "effective_experts", &request()).remove(0);
            let share = measure(&data, "assignment_share", &request()).remove(0);
            let specialization = measure(&data, "domain_specialization", &request()).remove(0);
            let load = measure(&data, "relative_load", &request()).remove(0);
            let top_k = f64::from(data.model().top_k);
            let information = measure(&data, "mutual_information", &request()).remove(0);
            let nmi = measure(&data, "nmi", &request()).remove(0);
            let jsd = measure(&data, "jsd", &request()).remove(0);
            let gini = measure(&data, "gini", &request()).remove(0);
            let cv = measure(&data, "load_cv", &request()).remove(0);
            let violation = measure(&data, "max_violation", &request()).remove(0);
            let place = |name: &str| jsd.axes[1].labels.iter().position(|l| l == name).unwrap();
            for (l, layer) in ["layer0", "layer7", "layer15"].into_iter().enumerate() {
                for domain in DOMAINS {
                    let own = &expected[layer][domain];
                    let d = place(domain);
                    close(entropy.value(&[l, d]), &own["entropy_norm"], 5.1e-7);
                    close(
                        effective.value(&[l, d]),
                        &own["effective_experts_expH"],
                        5.1e-5,
                    );
                    let experts = share.axes[2].len();
                    let bits = entropy.value(&[l, d]) * f64::from(data.model().num_experts).log2();
                    close(bits, &own["entropy_bits"], 5.1e-7);
                    let most = (0..experts)
                        .max_by(|a, b| {
                            share
                                .value(&[l, d, *a])
                                .total_cmp(&share.value(&[l, d, *b]))
                        })
                        .unwrap();
                    assert_eq!(most as u64, own["argmax"].as_u64().unwrap());
                    close(share.value(&[l, d, most]), &own["max_share"], 5.1e-7);
                    close(load.value(&[l, d, most]) - 1.0, &own["maxvio"], 5.1e-7);
                    close(violation.value(&[l, d, 0]), &own["maxvio"], 5.1e-7);
                    close(gini.value(&[l, d]), &own["gini"], 5.1e-7);
                    close(cv.value(&[l, d, 0]), &own["cv_population"], 5.1e-7);
                    // Of every domain and expert: tokens that choose it over tokens, from the counts as published.
                    let tokens = own["total_assignments"].as_f64().unwrap() / top_k;
                    for e in 0..experts {
                        let share = own["counts"][e].as_f64().unwrap() / tokens;
                        let found = specialization.value(&[l, d, e]);
                        assert!(
                            (found - share).abs() < 1e-12,
                            "found {found}, published {share}"
                        );
                    }
                }
                let across = &expected[layer]["_across_domains"];
                close(
                    information.value(&[l, 0]),
                    &across["MI_bits_uniform_prior"],
                    5.1e-7,
                );
                close(nmi.value(&[l, 0]), &across["NMI_arith"], 5.1e-7);
                let pairs = across["JSD_bits"].as_object().unwrap();
                assert_eq!(pairs.len(), 10);
                for (pair, expected) in pairs {
                    let (a, b) = pair.split_once('|').unwrap();
                    close(jsd.value(&[l, place(a), place(b)]), expected, 5.1e-7);
                }
            }
        }
    }
}

#[test]
fn gini_of_olmoe_and_mixtral_is_that_of_the_counts_and_of_no_other_protocol() {
    let Some(counts) = reference("olmoe/expert_counts.json") else {
        println!("skipped: not present");
        return;
    };
    let check = |model: &str, domain: &str, printed: [f64; 3], digit: f64| {
        let data = trace(&counts, model, "expert_counts");
        let found = measure(&data, "gini", &request()).remove(0);
        let labels = &found.axes[1].labels;
        let place = labels.iter().position(|label| label == domain).unwrap();
        for (layer, printed) in printed.into_iter().enumerate() {
            let value = found.value(&[layer, place]);
            assert!((value - printed).abs() < 0.51 * digit, "{domain}: {value}");
        }
        assert!(
            found
                .protocol
                .notes
                .iter()
                .any(|n| n.contains("same protocol"))
        );
    };
    // Layers 0, 7 and 15. Router probabilities at the last prompt token of the same family give about 0.9.
    check("olmoe", "c4", [0.137, 0.212, 0.288], 1e-3);
    check("olmoe", "arxiv", [0.3173, 0.5517, 0.5618], 1e-4);
    check("mistral", "arxiv", [0.0643, 0.0462, 0.1149], 1e-4);
}

#[test]
fn olmoe_specializes_on_arxiv_as_its_paper_says() {
    let Some(counts) = reference("olmoe/expert_counts.json") else {
        println!("skipped: not present");
        return;
    };
    let found = measure(
        &trace(&counts, "olmoe", "expert_counts"),
        "domain_specialization",
        &request(),
    )
    .remove(0);
    let place = |name: &str| found.axes[1].labels.iter().position(|l| l == name).unwrap();
    // Percent, two digits: arXiv layer 0 expert 0 and layer 15 expert 17, Wikipedia layer 7 expert 27, GitHub layer 0 expert 21.
    for (layer, domain, expert, percent) in [
        (0, "arxiv", 0, 97.66),
        (2, "arxiv", 17, 93.69),
        (1, "wikipedia", 27, 84.76),
        (0, "github", 21, 62.58),
    ] {
        let value = 100.0 * found.value(&[layer, place(domain), expert]);
        assert!((value - percent).abs() < 0.005_1, "{domain}: {value}");
    }
    // Mixtral stays within 10.1 and 33.2 %, around 25 %.
    let found = measure(
        &trace(&counts, "mistral", "expert_counts"),
        "domain_specialization",
        &request(),
    )
    .remove(0);
    let (least, most) = found
        .values
        .iter()
        .fold((1.0f64, 0.0f64), |(low, high), v| {
            (low.min(*v), high.max(*v))
        });
    assert!(
        (100.0 * least - 10.1).abs() < 0.051 && (100.0 * most - 33.2).abs() < 0.051,
        "{least} {most}"
    );
}

#[test]
fn fine_tuning_moved_the_experts_of_olmoe_as_far_as_known() {
    let Some(counts) = reference("olmoe/expert_counts.json") else {
        println!("skipped: not present");
        return;
    };
    // One document per checkpoint: what each did with the same texts (Tulu).
    let mut spec = common::model(3, 64, 8);
    spec.moe_layers = [0, 7, 15].map(LayerId).to_vec();
    spec.num_layers = 16;
    let documents = ["olmoe", "olmoe-sft", "olmoe-dpo"]
        .map(|model| {
            let layers: Vec<Vec<u32>> = (0..3)
                .map(|layer| expert_counts(&counts[model]["expert_counts"]["tulu"][layer], 64))
                .collect();
            counted(&spec, sample(model, model, model), &layers)
        })
        .to_vec();
    let data = TraceData::in_memory(spec, ExpertsOrder::ByWeight, documents).unwrap();
    let jsd = measure(&data, "jsd", &request()).remove(0);
    let place = |name: &str| jsd.axes[1].labels.iter().position(|l| l == name).unwrap();
    let check = |a: &str, b: &str, expected: [f64; 3], tolerance: f64| {
        for (layer, expected) in expected.into_iter().enumerate() {
            let found = jsd.value(&[layer, place(a), place(b)]);
            assert!((found - expected).abs() < tolerance, "{a} {b}: {found}");
        }
    };
    check("olmoe", "olmoe-sft", [0.0061, 0.0056, 0.0091], 5.1e-5);
    check(
        "olmoe-sft",
        "olmoe-dpo",
        [0.00005, 0.00014, 0.00018],
        5.1e-6,
    );
}
