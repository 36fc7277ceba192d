//! Every oracle case against what transformers computed, on every device of this machine.
//!
//! Cases are folders with `config.json`, weights and `expected.safetensors`. They come from `tests/fixtures/golden`, or
//! from the folder that `MOESCOPE_GOLDEN` names, so that others can be added without touching the code.

use std::path::Path;

use moescope_core::NoProgress;
use moescope_engine::{
    Checkpoint, ComputeDevice, DeviceChoice, EngineError, InstructionSet, LoadOptions, MoeModel,
    Tolerances, verify,
};

use crate::support::{cases, expected, gpu, repository};

fn check(case: &Path, device: &ComputeDevice, tolerances: Tolerances) {
    let checkpoint =
        Checkpoint::open(case).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let model = MoeModel::load(&checkpoint, device, LoadOptions::default(), &NoProgress)
        .unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let report = verify(&model, &expected(case), tolerances, &NoProgress).unwrap();
    println!(
        "{} on {} ({}): logits {:.1e}, router logits {:.1e}, weights {:.1e}, {} selections, {} greedy tokens",
        case.file_name().unwrap().display(),
        device.name,
        model.kernels().name(),
        report.logits.largest,
        report.router_logits.largest,
        report.weights.largest,
        report.selections,
        report.greedy_tokens,
    );
    assert!(
        report.passes(),
        "{}: {:?}\n{:?}",
        case.display(),
        report.failures,
        report.examples
    );
    assert!(report.selections > 0 && report.greedy_tokens == 8);
}

#[test]
fn every_case_passes_on_the_cpu() {
    for set in InstructionSet::available() {
        let device = ComputeDevice::cpu_with(set);
        cases()
            .iter()
            .for_each(|case| check(case, &device, Tolerances::default()));
    }
}

#[test]
fn every_case_passes_with_burn_operators_alone() {
    let device = ComputeDevice::plain_cpu();
    cases()
        .iter()
        .for_each(|case| check(case, &device, Tolerances::default()));
}

#[test]
fn every_case_passes_on_the_gpu() {
    let Some(device) = gpu() else { return };
    cases()
        .iter()
        .for_each(|case| check(case, &device, Tolerances::default()));
}

/// Published checkpoints describe themselves in the keys of transformers 4; both styles must mean the same.
#[test]
fn both_config_styles_describe_the_same_model() {
    for case in cases() {
        let legacy = case.join("config.legacy.json");
        if !legacy.is_file() {
            continue;
        }
        let scratch = std::env::temp_dir().join(format!("moescope-legacy-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).unwrap();
        for entry in std::fs::read_dir(&case).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("model") {
                std::fs::copy(entry.path(), scratch.join(entry.file_name())).unwrap();
            }
        }
        std::fs::copy(&legacy, scratch.join("config.json")).unwrap();
        let old = Checkpoint::open(&scratch).unwrap().config().clone();
        std::fs::remove_dir_all(&scratch).unwrap();
        assert_eq!(
            &old,
            Checkpoint::open(&case).unwrap().config(),
            "{}",
            case.display()
        );
    }
}

/// Families with recurrent layers are known, and refused with what is missing.
#[test]
fn recurrent_families_are_refused_by_name() {
    for (name, missing) in [
        ("jamba", "Mamba"),
        ("lfm2_moe", "short convolutions"),
        ("minimax", "lightning"),
        ("qwen3_next", "delta-rule"),
        ("qwen3_5_moe_text", "delta-rule"),
    ] {
        let folder = repository().join("tests/fixtures/refused").join(name);
        let error = Checkpoint::open(&folder).unwrap_err();
        assert!(matches!(&error, EngineError::UnsupportedFamily { found, .. } if found == name));
        let message = error.to_string();
        assert!(
            message.contains(name) && message.contains(missing),
            "{message}"
        );
    }
}

/// The trained model of the demo, whose decisions include close ones: logits within 1e-3.
fn scidfm_mini(device: &ComputeDevice) {
    let model = repository().join("assets/models/scidfm-mini");
    let checkpoint = Checkpoint::open(&model).unwrap();
    let model = MoeModel::load(&checkpoint, device, LoadOptions::default(), &NoProgress).unwrap();
    let expected = repository().join("tests/fixtures/scidfm-mini/expected.safetensors");
    let tolerances = Tolerances {
        logits: 1e-3,
        ..Tolerances::default()
    };
    let report = verify(&model, &expected, tolerances, &NoProgress).unwrap();
    println!(
        "scidfm-mini on {}: logits {:.1e}, router logits {:.1e}, weights {:.1e}",
        device.name, report.logits.largest, report.router_logits.largest, report.weights.largest
    );
    assert!(
        report.passes(),
        "{:?}\n{:?}",
        report.failures,
        report.examples
    );
    assert_eq!(report.selections, (7 + 33 + 64 + 512) * 6);
}

#[test]
fn scidfm_mini_passes_on_the_cpu() {
    scidfm_mini(&ComputeDevice::open(DeviceChoice::Cpu).unwrap());
}

#[test]
fn scidfm_mini_passes_on_the_gpu() {
    if let Some(device) = gpu() {
        scidfm_mini(&device);
    }
}
