use std::collections::BTreeSet;

use moescope_core::{Cancelled, NoProgress};
use moescope_engine::{
    BatchRun, Checkpoint, ComputeDevice, ConfigJson, DeviceChoice, Interventions, LoadOptions,
    MoeModel, RunConfig,
};
use moescope_testkit::{golden_case, golden_cases};

use super::*;

fn tiny() -> Geometry {
    let text = r#"{"model_type": "mixtral", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "vocab_size": 50,
        "quantization_config": {"quant_method": "somehow"}}"#;
    Geometry {
        name: "tiny".to_owned(),
        config: ConfigJson::parse(text).unwrap(),
    }
}

fn written(geometry: &Geometry, seed: u64, folder: &Path) -> Vec<u8> {
    let checkpoint = RandomCheckpoint::new(geometry, seed).unwrap();
    checkpoint.write(folder, &NoProgress).unwrap();
    let bytes = fs::read(folder.join(WEIGHTS)).unwrap();
    assert_eq!(bytes.len() as u64, checkpoint.bytes());
    bytes
}

/// Every entry of a router's logits and of the last token's logits.
fn compute(folder: &Path) -> Vec<f32> {
    let checkpoint = Checkpoint::open(folder).unwrap();
    let device = ComputeDevice::open(DeviceChoice::Cpu).unwrap();
    let options = LoadOptions::default();
    let model = MoeModel::load(&checkpoint, &device, options, &NoProgress).unwrap();
    let prompt = [(1..6).collect()];
    let config = RunConfig::default();
    let mut run = BatchRun::new(&model, &prompt, &[0], config, Interventions::default());
    run.prefill().unwrap();
    let record = run.finish().remove(0);
    let mut numbers = record.decisions.router_logits.unwrap();
    numbers.extend(record.tokens.iter().filter_map(|token| token.surprisal));
    numbers
}

#[test]
fn every_family_s_configuration_becomes_a_model_that_runs() {
    let scratch = tempfile::tempdir().unwrap();
    let mut families = BTreeSet::new();
    for case in golden_cases() {
        let config = golden_case(&case).unwrap().join("config.json");
        let Ok(geometry) = Geometry::like(&config, None) else {
            // A family that is refused by name.
            continue;
        };
        let folder = scratch.path().join(&case);
        written(&geometry, 1, &folder);
        // Loading compares every name and shape.
        let numbers = compute(&folder);
        assert!(numbers.iter().all(|x| x.is_finite()), "{case}");
        assert!(numbers.iter().any(|x| *x != 0.0), "{case}");
        families.insert(geometry.name);
    }
    assert!(families.len() >= 18, "{families:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_threads() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = |name: &str| scratch.path().join(name);
    let first = written(&tiny(), 1, &folder("first"));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let again = pool.install(|| written(&tiny(), 1, &folder("again")));
    assert!(first == again);
    let other = written(&tiny(), 2, &folder("other"));
    assert!(first != other && first.len() == other.len());
    // What is stored in bf16 must not claim to be quantised.
    let config = fs::read_to_string(folder("first").join("config.json")).unwrap();
    assert!(!config.contains("quantization_config"), "{config}");
}

#[test]
fn the_cache_keeps_what_is_whole_and_makes_the_rest_again() {
    let scratch = tempfile::tempdir().unwrap();
    let checkpoint = RandomCheckpoint::new(&tiny(), 1).unwrap();
    let cached = || checkpoint.cached_in(scratch.path(), &NoProgress).unwrap();
    let folder = cached();
    let weights = folder.join(WEIGHTS);
    let whole = fs::read(&weights).unwrap();
    let time = fs::metadata(&weights).unwrap().modified().unwrap();
    assert_eq!(cached(), folder);
    assert_eq!(fs::metadata(&weights).unwrap().modified().unwrap(), time);
    // Cut short, and with a draft of a process that was killed beside it.
    fs::write(&weights, &whole[..100]).unwrap();
    let draft = format!(".{}.draft", folder.file_name().unwrap().display());
    fs::create_dir(scratch.path().join(&draft)).unwrap();
    assert_eq!(cached(), folder);
    assert!(fs::read(&weights).unwrap() == whole);
    assert!(!scratch.path().join(draft).exists());
    // Another seed or another shape is another folder.
    let other = RandomCheckpoint::new(&tiny(), 2).unwrap();
    assert_ne!(
        other.cached_in(scratch.path(), &NoProgress).unwrap(),
        folder
    );
}

#[test]
fn what_is_interrupted_leaves_nothing() {
    struct Stop;
    impl Progress for Stop {
        fn report(&self, _: u64, total: u64, _: &str) -> Result<(), Cancelled> {
            if total > 0 { Err(Cancelled) } else { Ok(()) }
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let checkpoint = RandomCheckpoint::new(&tiny(), 1).unwrap();
    let error = checkpoint.cached_in(scratch.path(), &Stop).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    let left: Vec<_> = fs::read_dir(scratch.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, [".lock"]);
}

#[test]
fn what_the_disk_has_no_room_for_is_refused_before_a_byte_is_written() {
    let text = r#"{"model_type": "mixtral", "hidden_size": 1048576, "intermediate_size": 1048576,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_local_experts": 64, "num_experts_per_tok": 2,
        "vocab_size": 50}"#;
    let geometry = Geometry {
        name: "huge".to_owned(),
        config: ConfigJson::parse(text).unwrap(),
    };
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("huge");
    let checkpoint = RandomCheckpoint::new(&geometry, 1).unwrap();
    let error = checkpoint.write(&folder, &NoProgress).unwrap_err();
    assert!(error.to_string().contains("are free"), "{error}");
    assert!(!folder.exists());
}
