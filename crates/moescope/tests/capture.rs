//! What a capture keeps, and that it does not depend on company.

use moescope_core::{LayerId, Phase};
use moescope_trace::{Document, RoutingTrace};
use serde_json::Value;

use crate::support::{Scratch, discipline_files, documents, refuse, succeed};

const TEXTS: &str = "{\"id\": \"a\", \"text\": \"the enzyme lowers the energy\", \"discipline\": \"biology\"}\n\
                     {\"id\": \"b\", \"text\": \"a court held that the law of the price binds\", \"discipline\": \"law\"}\n\
                     {\"id\": \"c\", \"text\": \"light\", \"discipline\": \"physics\"}\n\
                     {\"id\": \"d\", \"text\": \"the court held that\", \"discipline\": \"law\"}\n";

fn capture(scratch: &Scratch, content: &str, out: &str, options: &[&str]) -> Vec<Document> {
    let data = scratch.write("texts.jsonl", content);
    let (model, out) = (scratch.arg("model"), scratch.arg(out));
    let mut args = vec!["capture", &model, "--data", &data, "--out", &out];
    args.extend(options);
    succeed(&args);
    succeed(&["validate", &out]);
    documents(out.as_ref())
}

/// The tokens and decisions of the given text, without what came after it.
fn prefill(document: &Document) -> (Vec<moescope_core::TokenRow>, Vec<Vec<u32>>) {
    let decisions = &document.decisions;
    let len = document.sample.num_prompt_tokens.unwrap();
    let tokens = document
        .tokens
        .iter()
        .filter(|token| token.position < len)
        .cloned()
        .collect();
    let bits = |values: &[f32]| {
        values
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<u32>>()
    };
    let rows = (0..decisions.len())
        .filter(|row| decisions.position[*row] < len)
        .map(|row| {
            let mut all: Vec<u32> = decisions
                .experts(row)
                .iter()
                .map(|id| u32::from(*id))
                .collect();
            all.extend(bits(decisions.weights(row).unwrap()));
            all.extend(bits(decisions.logits(row).unwrap()));
            all.push(decisions.entropy.as_ref().unwrap()[row].to_bits());
            all
        })
        .collect();
    (tokens, rows)
}

#[test]
fn prefill_routing_is_the_same_alone_among_others_and_with_generation() {
    let exact = ["--full-precision", "--logits"];
    let files = discipline_files();
    let among = tempfile::tempdir().unwrap();
    let path = |name: &str| among.path().join(name).to_str().unwrap().to_owned();
    let law = files
        .iter()
        .find(|file| file.ends_with("law.jsonl"))
        .unwrap();
    let run = |out: &str, data: &[&str], more: &[&str]| {
        let out = path(out);
        let mut args = vec!["capture", "demo", "--out", &out, "--limit", "3", "--data"];
        args.extend(data);
        args.extend(exact);
        args.extend(more);
        succeed(&args);
        documents(out.as_ref())
    };
    let first_line = std::fs::read_to_string(law)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let one = path("one.jsonl");
    std::fs::write(&one, first_line).unwrap();
    let alone = &run("alone", &[&one], &[])[0];
    let others: Vec<&str> = files
        .iter()
        .take(3)
        .map(String::as_str)
        .chain([law.as_str()])
        .collect();
    let find = |documents: Vec<Document>| {
        documents
            .into_iter()
            .find(|d| d.sample.meta.id == alone.sample.meta.id)
            .unwrap()
    };
    let together = find(run("together", &others, &[]));
    let small_batches = find(run("small", &others, &["--batch-tokens", "100"]));
    let one_thread = find(run("thread", &others, &["--threads", "1"]));
    let generating = find(run("generating", &[law], &["--generate", "5"]));
    assert!(prefill(alone).1.len() > 500);
    for other in [&together, &small_batches, &one_thread] {
        assert_eq!(prefill(alone), prefill(other));
    }
    // What comes next is not part of the given text; everything else is the same.
    let (tokens, rows) = prefill(&generating);
    assert_eq!(prefill(alone).1, rows);
    assert_eq!(prefill(alone).0, tokens);
    assert_eq!(generating.tokens.len(), alone.tokens.len() + 5);
}

/// Samples of unequal length are decoded together, end at different steps, and leave the batch when they end.
#[test]
fn generated_rows_do_not_depend_on_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let files = discipline_files();
    let run = |out: &str, batch: &str, more: &[&str]| {
        let (out, mut args) = (path(out), vec!["capture", "demo", "--limit", "2", "--data"]);
        args.extend(files.iter().take(3).map(String::as_str));
        args.extend(["--out", &out, "--batch-tokens", batch, "--max-tokens", "40"]);
        args.extend([
            "--overlong",
            "truncate",
            "--generate",
            "24",
            "--temperature",
            "1.5",
        ]);
        args.extend(["--full-precision", "--logits"]);
        args.extend(more);
        succeed(&args);
        documents(out.as_ref())
    };
    for (number, more) in [&[][..], &["--compute", "bf16"]].into_iter().enumerate() {
        let alone = run(&format!("{number}-1"), "1", more);
        assert_eq!(alone.len(), 6);
        for batch in ["100", "130", "2048"] {
            let together = run(&format!("{number}-{batch}"), batch, more);
            for (a, b) in alone.iter().zip(&together) {
                assert_eq!(a.tokens, b.tokens, "{more:?}, {batch}");
                assert_eq!(a.decisions, b.decisions, "{more:?}, {batch}");
                assert!(a.tokens.len() > 40, "something was generated");
            }
        }
    }
}

#[test]
fn every_table_holds_what_was_run() {
    let scratch = Scratch::new();
    let found = capture(&scratch, TEXTS, "trace", &["--full-precision"]);
    let document = &found[0];
    // <s> the enzyme lowers the energy
    let pieces: Vec<&str> = document
        .tokens
        .iter()
        .map(|token| token.text.as_deref().unwrap())
        .collect();
    assert_eq!(pieces, ["<s>", "the", "enzyme", "lowers", "the", "energy"]);
    let ids: Vec<u32> = document
        .tokens
        .iter()
        .map(|token| token.token_id.unwrap())
        .collect();
    assert_eq!(ids, [1, 3, 4, 5, 3, 6]);
    assert_eq!(
        (document.tokens[2].byte_start, document.tokens[2].byte_end),
        (Some(4), Some(10))
    );
    assert_eq!(
        (document.tokens[0].byte_start, document.tokens[0].is_special),
        (None, Some(true))
    );
    assert!(
        document
            .tokens
            .iter()
            .all(|token| token.phase == Some(Phase::Prefill) && token.is_routed)
    );
    assert!(document.tokens[0].surprisal.is_none());
    assert!(
        document.tokens[1..]
            .iter()
            .all(|token| token.surprisal.unwrap() > 0.0)
    );
    assert_eq!(document.decisions.len(), 6 * 2);
    let manifest = RoutingTrace::open(&scratch.path("trace"))
        .unwrap()
        .manifest()
        .clone();
    assert!(manifest.complete);
    assert_eq!(manifest.counts.by_discipline["law"], 2);
    assert_eq!(
        manifest.bos_policy.as_deref(),
        Some("tokenizer.json puts '<s>' (id 1) first")
    );
    assert_eq!(manifest.checkpoint.unwrap().id.as_deref(), Some("model"));
    assert_eq!(manifest.inputs[0].name, "texts.jsonl");
    assert_eq!(manifest.inputs[0].rows, 4);
    let text = std::fs::read_to_string(scratch.path("trace/manifest.json")).unwrap();
    assert!(
        !text.contains(scratch.path("").to_str().unwrap()),
        "no path of this machine is kept"
    );
}

#[test]
fn generated_tokens_are_marked_as_such() {
    let scratch = Scratch::new();
    let found = capture(
        &scratch,
        TEXTS,
        "trace",
        &["--generate", "4", "--temperature", "1.5", "--seed", "7"],
    );
    for document in &found {
        let prompt = document.sample.num_prompt_tokens.unwrap() as usize;
        let generated = &document.tokens[prompt..];
        assert!((1..=4).contains(&generated.len()));
        let (last, fed) = generated.split_last().unwrap();
        assert!(
            fed.iter()
                .all(|token| token.phase == Some(Phase::Decode) && token.is_routed)
        );
        assert_eq!((last.phase, last.is_routed), (None, false));
        assert!(
            generated
                .iter()
                .all(|token| token.surprisal.is_some() && token.byte_start.is_none())
        );
        assert_eq!(document.sample.seed, Some(7));
        assert_eq!(document.decisions.len(), 2 * (document.tokens.len() - 1));
    }
    // The random stream of a sample depends on the seed and its number, not on its batch.
    let again = capture(
        &scratch,
        TEXTS,
        "again",
        &[
            "--generate",
            "4",
            "--temperature",
            "1.5",
            "--seed",
            "7",
            "--batch-tokens",
            "1",
        ],
    );
    assert_eq!(found, again);
}

#[test]
fn overlong_texts_are_cut_chunked_or_left_out() {
    let scratch = Scratch::new();
    // b has 1 + 9 words; with a limit of 5 that is <s> + 4 words a piece.
    let ids = |documents: &[Document]| {
        documents
            .iter()
            .map(|d| d.sample.meta.id.clone())
            .collect::<Vec<_>>()
    };
    let text = |document: &Document| document.sample.meta.text.clone();
    let limit = ["--max-tokens", "5", "--overlong"];
    let with = |policy| [limit[0], limit[1], limit[2], policy];
    let cut = capture(&scratch, TEXTS, "cut", &with("truncate"));
    assert_eq!(ids(&cut), ["a", "b", "c", "d"]);
    assert_eq!(text(&cut[1]), "a court held that");
    let skipped = capture(&scratch, TEXTS, "skip", &with("skip"));
    assert_eq!(ids(&skipped), ["c", "d"]);
    let chunked = capture(&scratch, TEXTS, "chunk", &with("chunk"));
    assert_eq!(ids(&chunked), ["a#0", "a#1", "b#0", "b#1", "b#2", "c", "d"]);
    let pieces: Vec<String> = chunked[2..5].iter().map(text).collect();
    assert_eq!(
        pieces,
        ["a court held that", "the law of the", "price binds"]
    );
    assert!(
        chunked[2..5]
            .iter()
            .all(|d| d.sample.meta.group.as_deref() == Some("b"))
    );
    let second = &chunked[3];
    assert_eq!(second.tokens[0].text.as_deref(), Some("<s>"));
    assert_eq!(
        (second.tokens[2].byte_start, second.tokens[2].byte_end),
        (Some(4), Some(7))
    );
    let manifest = RoutingTrace::open(&scratch.path("chunk"))
        .unwrap()
        .manifest()
        .clone();
    let overlong = manifest.overlong.unwrap();
    assert_eq!(
        (overlong.max_tokens, overlong.touched),
        (5, vec!["a".to_owned(), "b".to_owned()])
    );
}

#[test]
fn only_the_asked_layers_are_kept() {
    let scratch = Scratch::new();
    let all = capture(&scratch, TEXTS, "all", &[]);
    let one = capture(&scratch, TEXTS, "one", &["--layers", "1"]);
    for (all, one) in all.iter().zip(&one) {
        assert_eq!(one.decisions.len() * 2, all.decisions.len());
        for row in 0..one.decisions.len() {
            assert_eq!(one.decisions.layer[row], LayerId(1));
            assert_eq!(
                one.decisions.experts(row),
                all.decisions.experts(2 * row + 1)
            );
        }
    }
}

#[test]
fn masked_experts_are_never_chosen_and_the_manifest_says_so() {
    let scratch = Scratch::new();
    let found = capture(
        &scratch,
        TEXTS,
        "trace",
        &["--intervene", "mask:1:0", "--intervene", "force:0:3"],
    );
    for decisions in found.iter().map(|document| &document.decisions) {
        for row in 0..decisions.len() {
            let experts = decisions.experts(row);
            match decisions.layer[row].0 {
                0 => assert!(experts.contains(&3)),
                _ => assert!(!experts.contains(&0)),
            }
        }
    }
    let manifest = RoutingTrace::open(&scratch.path("trace"))
        .unwrap()
        .manifest()
        .clone();
    assert_eq!(manifest.interventions, ["mask:1:0", "force:0:3"]);
}

#[test]
fn the_limit_counts_each_discipline() {
    let scratch = Scratch::new();
    let found = capture(&scratch, TEXTS, "trace", &["--limit", "1"]);
    assert_eq!(found.len(), 3);
}

#[test]
fn a_dry_run_writes_nothing_and_counts_everything() {
    let scratch = Scratch::new();
    let data = scratch.write("texts.jsonl", TEXTS);
    let (model, out) = (scratch.arg("model"), scratch.arg("trace"));
    let ran = succeed(&[
        "capture",
        &model,
        "--data",
        &data,
        "--out",
        &out,
        "--dry-run",
        "--json",
        "--generate",
        "2",
    ]);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    // 6 + 11 + 2 + 5 tokens, and at most 2 more for each of 4.
    assert_eq!(
        (&found["samples"], &found["tokens"]),
        (&4.into(), &24.into())
    );
    assert_eq!(found["decisions"], (24 + 8) * 2);
    assert!(found["trace_bytes"].as_u64().unwrap() > 0 && found["secs"].as_f64().unwrap() > 0.0);
    assert!(found["free_disk_bytes"].as_u64().unwrap() > 0, "{found}");
    assert!(found["memory"]["pass"].as_u64().unwrap() > 0, "{found}");
    assert!(!scratch.path("trace").exists());
}

#[test]
fn resuming_needs_the_same_settings_and_a_finished_trace_stays_as_it_is() {
    let scratch = Scratch::new();
    capture(&scratch, TEXTS, "trace", &[]);
    let before = std::fs::read(scratch.path("trace/manifest.json")).unwrap();
    let (model, data, out) = (
        scratch.arg("model"),
        scratch.arg("texts.jsonl"),
        scratch.arg("trace"),
    );
    succeed(&[
        "capture", &model, "--data", &data, "--out", &out, "--resume",
    ]);
    assert_eq!(
        std::fs::read(scratch.path("trace/manifest.json")).unwrap(),
        before
    );
    refuse(
        &[
            "capture", &model, "--data", &data, "--out", &out, "--resume", "--logits",
        ],
        &["cannot resume", "keeps_logits"],
    );
    scratch.write("texts.jsonl", TEXTS.replace("enzyme", "light"));
    refuse(
        &[
            "capture", &model, "--data", &data, "--out", &out, "--resume",
        ],
        &["cannot resume", "inputs"],
    );
}

#[test]
fn untrained_routers_are_drawn_by_seed_and_named_in_the_manifest() {
    let scratch = Scratch::new();
    let data = scratch.write("texts.jsonl", TEXTS);
    let run = |out: &str, seed: Option<&str>| {
        let out = scratch.arg(out);
        let mut args = vec!["capture", "demo", "--data", &data, "--out", &out];
        args.extend(seed.iter().flat_map(|seed| ["--untrained-routers", seed]));
        succeed(&args);
        succeed(&["validate", &out]);
        let experts: Vec<Vec<u16>> = documents(out.as_ref())
            .iter()
            .map(|document| document.decisions.selected_experts.clone())
            .collect();
        let trace = RoutingTrace::open(out.as_ref()).unwrap();
        (experts, trace.manifest().interventions.clone())
    };
    let (trained, nothing) = run("trained", None);
    let (first, named) = run("first", Some("7"));
    let (again, _) = run("again", Some("7"));
    let (other, _) = run("other", Some("8"));
    assert!(nothing.is_empty());
    assert_eq!(named, ["untrained-routers=7"]);
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_ne!(first, trained);
}

#[test]
fn pieces_of_one_document_are_grouped_by_what_stands_before_a_sign() {
    let scratch = Scratch::new();
    let texts = "{\"id\": \"book#p0\", \"text\": \"light\"}\n\
                 {\"id\": \"book#p1\", \"text\": \"energy\"}\n\
                 {\"id\": \"#p1\", \"text\": \"court\"}\n\
                 {\"id\": \"other#p1\", \"group\": \"own\", \"text\": \"law\"}\n";
    let documents = capture(&scratch, texts, "trace", &["--group-before", "#"]);
    let groups: Vec<Option<&str>> = documents
        .iter()
        .map(|d| d.sample.meta.group.as_deref())
        .collect();
    // An id that begins with the sign names no parent; a group that was given stands.
    assert_eq!(groups, [Some("book"), Some("book"), None, Some("own")]);
}
