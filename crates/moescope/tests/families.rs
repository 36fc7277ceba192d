//! Every family from checkpoint to a valid trace: captured, generated, intervened in, and each margin recomputed to be
//! what the device's choice implies.

use std::{fs, path::Path};

use moescope_testkit::{repository_root, write_word_tokenizer};
use moescope_trace::RoutingTrace;

use crate::support::{documents, succeed};

const TEXTS: &str = r#"{"id": "a", "text": "w1 w2 w3 w4 w5 w6 w7"}
{"id": "b", "text": "w60 w50 w40"}
{"id": "c", "text": "w11 w12 w13 w14 w15"}
"#;

/// A model folder of an oracle case, with a tokenizer.
fn model(case: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    for entry in fs::read_dir(case).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name == "config.json" || name.starts_with("model") {
            fs::copy(entry.path(), folder.join(name)).unwrap();
        }
    }
    write_word_tokenizer(folder, 64).unwrap();
}

#[test]
fn every_family_gives_valid_traces() {
    let cases = repository_root().join("tests/fixtures/golden");
    let mut seen = 0;
    for case in fs::read_dir(&cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if !case.join("config.json").is_file() {
            continue;
        }
        seen += 1;
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
        model(&case, &scratch.path().join("model"));
        fs::write(path("texts.jsonl"), TEXTS).unwrap();
        let (model, texts, trace) = (path("model"), path("texts.jsonl"), path("trace"));
        let base = ["capture", &model, "--data", &texts, "--quiet"];
        succeed(&[&base[..], &["--out", &trace, "--generate", "2"]].concat());
        succeed(&["validate", &trace]);
        choices_agree_with_scores(scratch.path().join("trace").as_path(), &case);

        let spec = RoutingTrace::open(Path::new(&trace)).unwrap();
        let layer = spec.manifest().model.moe_layers[0].0;
        for (number, intervention) in [
            "mask:all:0".to_owned(),
            format!("boost=0.5:{layer}:1"),
            format!("force:{layer}:0"),
            format!("swap:{layer}:0=1"),
        ]
        .iter()
        .enumerate()
        {
            let trace = path(&format!("trace-{number}"));
            succeed(&[&base[..], &["--out", &trace, "--intervene", intervention]].concat());
            succeed(&["validate", &trace]);
            if intervention.starts_with("mask") {
                let chosen = documents(Path::new(&trace));
                let chosen = chosen.iter().flat_map(|d| &d.decisions.selected_experts);
                assert!(chosen.into_iter().all(|e| *e != 0), "{}", case.display());
            }
        }
    }
    assert!(seen >= 39, "only {seen} oracle cases");
}

/// The margin is computed on the host from the recorded logits, the bias and the groups; the choice was made on the
/// device. No margin below zero means that the two agree about every choice.
fn choices_agree_with_scores(trace: &Path, case: &Path) {
    for document in documents(trace) {
        let margins = document.decisions.margin.expect("captures have margins");
        for margin in &margins {
            assert!(
                margin.is_nan() || *margin >= 0.0,
                "{}: margin {margin}",
                case.display()
            );
        }
        assert!(
            margins.iter().any(|margin| *margin > 0.0),
            "{}",
            case.display()
        );
    }
}
