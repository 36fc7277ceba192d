//! Routers and experts read one by one are what the files hold, in every layout.

use std::fs;

use moescope_core::LayerId;
use moescope_engine::{Checkpoint, EngineError};
use safetensors::SafeTensors;

/// Router, gate, up and down of the last expert of a layer.
type Read = Result<[Vec<f32>; 4], EngineError>;

fn read(case: &str, layer: LayerId) -> Read {
    let folder = moescope_testkit::golden_case(case).unwrap();
    let checkpoint = Checkpoint::open(&folder)?;
    let last = usize::from(checkpoint.model_spec().num_experts) - 1;
    checkpoint.read_layer(layer, |reader| {
        Ok([
            reader.router()?,
            reader.expert(last, 0)?,
            reader.expert(last, 1)?,
            reader.expert(last, 2)?,
        ])
    })?
}

/// A tensor of f32 as the file holds it.
fn stored(case: &str, name: &str) -> Vec<f32> {
    let folder = moescope_testkit::golden_case(case).unwrap();
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor(name).unwrap();
    tensor
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

#[test]
fn separate_and_fused_experts_are_the_stored_ones() {
    let layer = "model.layers.1.block_sparse_moe";
    let [router, gate, up, down] = read("mixtral", LayerId(1)).unwrap();
    assert_eq!(router, stored("mixtral", &format!("{layer}.gate.weight")));
    for (found, name) in [(gate, "w1"), (up, "w3"), (down, "w2")] {
        let name = format!("{layer}.experts.3.{name}.weight");
        assert_eq!(found, stored("mixtral", &name), "{name}");
    }
    // [experts, gate rows then up rows, hidden]: the last expert's are at the end.
    let both = stored("mixtral_fused", "model.layers.1.mlp.experts.gate_up_proj");
    let [_, gate, up, _] = read("mixtral_fused", LayerId(1)).unwrap();
    assert_eq!([gate, up].concat(), both[both.len() - 2 * 24 * 32..]);
}

#[test]
fn transposed_experts_are_turned_round() {
    // [experts, intermediate, hidden] as stored, and [hidden, intermediate] as read.
    let whole = stored("gpt_oss", "model.layers.1.mlp.experts.down_proj");
    let own = &whole[whole.len() - 24 * 32..];
    let [_, _, _, down] = read("gpt_oss", LayerId(1)).unwrap();
    for row in 0..32 {
        for column in 0..24 {
            let (found, expected) = (down[row * 24 + column], own[column * 32 + row]);
            assert_eq!(found.to_bits(), expected.to_bits());
        }
    }
}

#[test]
fn every_oracle_case_can_be_read() {
    let mut compared = 0;
    for case in moescope_testkit::golden_cases() {
        let folder = moescope_testkit::golden_case(&case).unwrap();
        let Ok(checkpoint) = Checkpoint::open(&folder) else {
            // Families that are refused by name.
            continue;
        };
        let config = checkpoint.config();
        let (hidden, inner) = (config.hidden_size, config.experts.intermediate_size);
        for layer in checkpoint.model_spec().moe_layers {
            let [router, gate, up, down] = read(&case, layer).unwrap();
            assert_eq!(router.len(), config.router.num_experts * hidden, "{case}");
            for matrix in [gate, up, down] {
                assert_eq!(matrix.len(), inner * hidden, "{case}");
                assert!(matrix.iter().any(|x| *x != 0.0), "{case}");
            }
        }
        compared += 1;
    }
    assert!(compared >= 39, "only {compared} oracle cases");
}

#[test]
fn a_layer_or_expert_that_is_not_there_is_refused_in_words() {
    let error = read("mixtral", LayerId(99)).unwrap_err().to_string();
    assert!(
        error.contains("layer 99 of the model has no router"),
        "{error}"
    );
    let folder = moescope_testkit::golden_case("mixtral").unwrap();
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let error = checkpoint
        .read_layer(LayerId(0), |reader| reader.expert(4, 0))
        .unwrap()
        .unwrap_err();
    assert!(
        error.to_string().contains("there is no expert 4"),
        "{error}"
    );
}
