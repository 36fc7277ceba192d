//! What a configuration alone says is needed, beside what checkpoints that another program wrote hold.

use moescope_engine::{Checkpoint, ConfigJson, NeededTensor};

/// Cases in other layouts than the one their family published: experts fused, scales of FP8 beside the weights. They hold other tensors of as many weights.
const OTHER_LAYOUTS: [&str; 3] = ["deepseek_v3_fp8", "mixtral_fused", "qwen3_moe_fused"];

fn names(tensors: &[NeededTensor]) -> Vec<&str> {
    tensors.iter().map(|tensor| tensor.name.as_str()).collect()
}

/// Sizes above one: a vector of one expert each may be stored as a matrix of one row.
fn sizes(tensor: &NeededTensor) -> Vec<usize> {
    let is_large = |size: &usize| *size > 1;
    tensor.shape.iter().copied().filter(is_large).collect()
}

#[test]
fn a_configuration_alone_names_what_its_checkpoint_holds() {
    let mut compared = 0;
    for name in moescope_testkit::golden_cases() {
        let case = moescope_testkit::golden_case(&name).unwrap();
        let Ok(checkpoint) = Checkpoint::open(&case) else {
            // Families that are refused by name.
            continue;
        };
        let found = checkpoint.needed_tensors().unwrap();
        let text = std::fs::read_to_string(case.join("config.json")).unwrap();
        let required = ConfigJson::parse(&text)
            .unwrap()
            .required_tensors()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let weights =
            |tensors: &[NeededTensor]| tensors.iter().map(NeededTensor::weights).sum::<u64>();
        assert_eq!(weights(&found), weights(&required), "{name}");
        compared += 1;
        if OTHER_LAYOUTS.contains(&name.as_str()) {
            continue;
        }
        assert_eq!(names(&found), names(&required), "{name}");
        for (found, required) in found.iter().zip(&required) {
            assert_eq!(sizes(found), sizes(required), "{name}: {}", found.name);
            assert_eq!(found.class, required.class, "{name}: {}", found.name);
        }
    }
    assert!(compared >= 39, "only {compared} oracle cases");
}

#[test]
fn more_tensors_than_any_model_has_are_refused() {
    let text = r#"{"model_type": "mixtral", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1024,
        "num_attention_heads": 2, "num_local_experts": 4096, "num_experts_per_tok": 2, "vocab_size": 9}"#;
    let error = ConfigJson::parse(text)
        .unwrap()
        .required_tensors()
        .unwrap_err();
    assert!(error.to_string().contains("1048576 tensors"), "{error}");
}
