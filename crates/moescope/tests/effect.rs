//! `moescope effect` on the embedded model, against traces that `capture` wrote of the same text.

use serde_json::Value;

use crate::support::{Scratch, documents, refuse, succeed};

const TEXT: &str = "The enzyme lowers the activation energy of the reaction.";
const SPEC: &str = "mask:2:0";

fn report(args: &[&str]) -> Value {
    let mut all = vec!["effect", "demo", "--json"];
    all.extend(args);
    serde_json::from_str(&succeed(&all).stdout).unwrap()
}

#[test]
fn the_effect_is_what_captures_with_and_without_the_intervention_differ_by() {
    let scratch = Scratch::new();
    let data = scratch.write("text.jsonl", format!("{{\"text\": \"{TEXT}\"}}\n"));
    let capture = |name: &str, specs: &[&str]| {
        let out = scratch.arg(name);
        let mut args = vec!["capture", "demo", "--data", &data, "--out", &out];
        args.push("--full-precision");
        args.extend(specs);
        succeed(&args);
        documents(out.as_ref()).remove(0)
    };
    let plain = capture("plain", &[]);
    let masked = capture("masked", &["--intervene", SPEC]);
    let effect = report(&["--text", TEXT, "--intervene", SPEC]);
    assert_eq!(effect["interventions"], serde_json::json!([SPEC]));
    let ids = effect["token_ids"].as_array().unwrap();
    let tokens = effect["tokens"].as_array().unwrap();
    assert_eq!((ids.len(), tokens.len()), (plain.tokens.len(), ids.len()));
    assert!(tokens[0]["surprisal_change"].is_null());
    let mut changes = Vec::new();
    for (place, (a, b)) in plain.tokens.iter().zip(&masked.tokens).enumerate() {
        assert_eq!(ids[place].as_u64(), a.token_id.map(u64::from));
        if let (Some(a), Some(b)) = (a.surprisal, b.surprisal) {
            let wanted = f64::from(b) - f64::from(a);
            let found = tokens[place]["surprisal_change"].as_f64().unwrap();
            // Captures have surprisals as f32 sums over the vocabulary.
            assert!((found - wanted).abs() < 1e-4, "{place}: {found} {wanted}");
            changes.push(found);
        }
    }
    assert_eq!(changes.len(), ids.len() - 1);
    assert!(changes.iter().any(|change| change.abs() > 1e-3));
    #[expect(clippy::cast_precision_loss, reason = "tokens of one text")]
    let mean = changes.iter().sum::<f64>() / changes.len() as f64;
    let told = effect["mean_surprisal_change"].as_f64().unwrap();
    assert!((told - mean).abs() < 1e-9, "{told} {mean}");
    assert_eq!(effect["layers"].as_array().unwrap().len(), 6);
    assert_eq!(effect["layers"][0]["changed_assignments"], 0.0);
}

#[test]
fn a_text_a_file_and_its_tokens_give_the_same_numbers() {
    let scratch = Scratch::new();
    let file = scratch.write("text.txt", TEXT);
    let by_text = report(&["--text", TEXT, "--intervene", SPEC]);
    assert_eq!(
        report(&["--text-file", &file, "--intervene", SPEC]),
        by_text
    );
    let ids = by_text["token_ids"].as_array().unwrap();
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let ids = ids.join(",");
    assert_eq!(report(&["--token-ids", &ids, "--intervene", SPEC]), by_text);
    // Without --json: all tokens, the largest change first.
    let ran = succeed(&["effect", "demo", "--text", TEXT, "--intervene", SPEC]);
    for words in [
        "change of surprisal",
        "nats per token",
        "changed assignments",
        "rerouted layers",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    let lines = ran.stdout.lines();
    let mut rows = lines.skip_while(|line| !line.contains("rerouted layers"));
    rows.next();
    let positions: Vec<usize> = rows
        .map(|row| row.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    let change = |place: &usize| by_text["tokens"][*place]["surprisal_change"].as_f64();
    let size = |place: &usize| change(place).map_or(-1.0, f64::abs);
    assert_eq!(positions.len(), by_text["tokens"].as_array().unwrap().len());
    assert!(positions.is_sorted_by(|a, b| size(a) >= size(b)));
    assert_eq!(positions.last(), Some(&0));
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_reason() {
    let text = ["effect", "demo", "--text", TEXT];
    refuse(&text, &["nothing to measure", "--intervene"]);
    refuse(
        &["effect", "demo", "--intervene", SPEC],
        &["--text", "--token-ids"],
    );
    refuse(
        &["effect", "demo", "--text", TEXT, "--intervene", "mask:2:99"],
        &["99"],
    );
    refuse(
        &[
            "effect",
            "demo",
            "--token-ids",
            "5,4000000000",
            "--intervene",
            SPEC,
        ],
        &["no token 4000000000"],
    );
    refuse(
        &[
            "effect",
            "demo",
            "--text",
            TEXT,
            "--token-ids",
            "5",
            "--intervene",
            SPEC,
        ],
        &["cannot be used with"],
    );
}
