//! Model folders: configuration, weights, index of shards.

use std::{
    fs,
    path::{Path, PathBuf},
};

use moescope_core::NoProgress;
use moescope_engine::{
    Checkpoint, ComputeDevice, DeviceChoice, LoadOptions, MoeModel, TensorFiles, parse_shard_names,
};
use moescope_testkit::{
    TinyModel,
    fuzz::{Reader, Shape, Target},
    golden_case, golden_cases,
};

/// Keys and values of `config.json`.
pub(super) const CONFIG_WORDS: &[&str] = &[
    "model_type",
    "mixtral",
    "scidfm",
    "olmoe",
    "qwen3_moe",
    "deepseek_v3",
    "gpt_oss",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "num_local_experts",
    "num_experts_per_tok",
    "num_experts",
    "n_routed_experts",
    "moe_intermediate_size",
    "first_k_dense_replace",
    "n_group",
    "topk_group",
    "norm_topk_prob",
    "scoring_func",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rope_type",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "linear",
    "dynamic",
    "llama3",
    "yarn",
    "sliding_window",
    "layer_types",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "hidden_act",
    "silu",
    "gelu",
    "quantization_config",
    "architectures",
];

pub(super) const CONFIG: Target = Target {
    name: "config",
    shape: Shape::Json,
    words: CONFIG_WORDS,
    corpus: || configs("config.json"),
    open: |folder| {
        write_tiny(folder);
        opener(folder, "config.json")
    },
};

pub(super) const GENERATION_CONFIG: Target = Target {
    name: "generation_config",
    shape: Shape::Json,
    words: &["eos_token_id", "bos_token_id", "temperature", "top_p"],
    corpus: || {
        vec![
            br#"{"bos_token_id": 1, "eos_token_id": [2, 0], "temperature": 0.7}"#.to_vec(),
            br#"{"eos_token_id": 2}"#.to_vec(),
        ]
    },
    open: |folder| {
        write_tiny(folder);
        opener(folder, "generation_config.json")
    },
};

/// Keys, types and names of a safetensors header.
const TENSOR_WORDS: &[&str] = &[
    "__metadata__",
    "dtype",
    "shape",
    "data_offsets",
    "F32",
    "BF16",
    "F16",
    "F64",
    "I64",
    "I8",
    "U8",
    "BOOL",
    "F8_E4M3",
    "F4",
    "C64",
    "lm_head.weight",
    "model.norm.weight",
    "model.embed_tokens.weight",
    "model.layers.0.block_sparse_moe.gate.weight",
    "model.layers.0.mlp.experts.gate_up_proj",
];

pub(super) const SAFETENSORS: Target = Target {
    name: "safetensors",
    shape: Shape::FramedJson,
    words: TENSOR_WORDS,
    corpus: || vec![tiny().weights().bytes()],
    open: |folder| {
        write_tiny(folder);
        loader(folder)
    },
};

pub(super) const SAFETENSORS_HEADER: Target = Target {
    name: "safetensors_header",
    shape: Shape::FramedJson,
    words: TENSOR_WORDS,
    corpus: || vec![tiny().weights().bytes()],
    open: |_| {
        Box::new(|input| {
            let bytes = bytes::Bytes::copy_from_slice(input);
            TensorFiles::from_bytes("model.safetensors", bytes).is_ok_and(|files| {
                look_at(&files);
                true
            })
        })
    },
};

pub(super) const WEIGHTS_FP8: Target = weights(
    "weights_fp8",
    || weights_of("deepseek_v3_fp8"),
    |folder| case_loader(folder, "deepseek_v3_fp8"),
);
pub(super) const WEIGHTS_FUSED: Target = weights(
    "weights_fused",
    || weights_of("qwen3_moe_fused"),
    |folder| case_loader(folder, "qwen3_moe_fused"),
);
pub(super) const WEIGHTS_MXFP4: Target = weights(
    "weights_mxfp4",
    || weights_of("gpt_oss_mxfp4"),
    |folder| case_loader(folder, "gpt_oss_mxfp4"),
);

/// The weights of an oracle case, in another form than one bf16 or f32 tensor for each matrix.
const fn weights(
    name: &'static str,
    corpus: fn() -> Vec<Vec<u8>>,
    open: fn(&Path) -> Reader,
) -> Target {
    Target {
        name,
        shape: Shape::FramedJson,
        words: TENSOR_WORDS,
        corpus,
        open,
    }
}

fn case(name: &str) -> PathBuf {
    golden_case(name).expect("the case is in the repository")
}

fn weights_of(name: &str) -> Vec<Vec<u8>> {
    vec![fs::read(case(name).join("model.safetensors")).expect("a case has weights")]
}

fn case_loader(folder: &Path, name: &str) -> Reader {
    fs::copy(case(name).join("config.json"), folder.join("config.json"))
        .expect("the folder can be written to");
    loader(folder)
}

pub(super) const SHARD_INDEX: Target = Target {
    name: "shard_index",
    shape: Shape::Json,
    words: &[
        "weight_map",
        "metadata",
        "total_size",
        "model-00001-of-00001.safetensors",
        "../model.safetensors",
        "/etc/passwd",
        "C:\\\\model.safetensors",
        "config.json",
        ".",
        "a/b.safetensors",
        "lm_head.weight",
    ],
    corpus: || {
        let names = [
            "lm_head.weight",
            "model.norm.weight",
            "model.embed_tokens.weight",
        ];
        let entries = names.map(|name| format!("\"{name}\": \"model-00001-of-00001.safetensors\""));
        vec![
            format!(
                "{{\"metadata\": {{\"total_size\": 1000}}, \"weight_map\": {{{}}}}}",
                entries.join(", ")
            )
            .into_bytes(),
        ]
    },
    open: |folder| {
        write_tiny(folder);
        fs::rename(
            folder.join("model.safetensors"),
            folder.join("model-00001-of-00001.safetensors"),
        )
        .expect("the folder can be written to");
        opener(folder, "model.safetensors.index.json")
    },
};

pub(super) const SHARD_NAMES: Target = Target {
    name: "shard_names",
    shape: Shape::Json,
    words: SHARD_INDEX.words,
    corpus: SHARD_INDEX.corpus,
    open: |_| {
        Box::new(|input| {
            std::str::from_utf8(input).is_ok_and(|text| {
                let names = parse_shard_names(text);
                for name in names.iter().flatten() {
                    assert!(
                        !name.contains(['/', '\\']),
                        "a shard leaves its folder: {name}"
                    );
                }
                names.is_ok()
            })
        })
    },
};

/// A model of a few kilobytes.
fn tiny() -> TinyModel {
    TinyModel {
        layers: 1,
        experts: 2,
        top_k: 1,
        hidden: 4,
        vocab: 5,
        ..TinyModel::default()
    }
}

fn write_tiny(folder: &Path) {
    tiny().write(folder).expect("the folder can be written to");
}

/// The configurations of the oracle cases and of the tiny model.
fn configs(file: &str) -> Vec<Vec<u8>> {
    let mut all = vec![tiny().config().to_string().into_bytes()];
    all.extend(
        golden_cases()
            .iter()
            .filter_map(|name| fs::read(golden_case(name)?.join(file)).ok()),
    );
    all
}

/// Loads the folder's model onto the CPU, with the input as its weights.
fn loader(folder: &Path) -> Reader {
    let folder = folder.to_owned();
    let device = ComputeDevice::open(DeviceChoice::Cpu).expect("there is a CPU");
    Box::new(move |input| {
        fs::write(folder.join("model.safetensors"), input).expect("the folder can be written to");
        let Ok(checkpoint) = Checkpoint::open(&folder) else {
            return false;
        };
        look_at(checkpoint.files());
        MoeModel::load(&checkpoint, &device, LoadOptions::default(), &NoProgress).is_ok()
    })
}

/// Opens the folder as a checkpoint, with the input as one of its files.
fn opener(folder: &Path, file: &'static str) -> Reader {
    let folder = folder.to_owned();
    Box::new(move |input| {
        fs::write(folder.join(file), input).expect("the folder can be written to");
        let Ok(checkpoint) = Checkpoint::open(&folder) else {
            return false;
        };
        let _ = checkpoint.model_spec();
        look_at(checkpoint.files());
        true
    })
}

/// Asks for everything that is known of weights without loading them.
fn look_at(files: &TensorFiles) {
    let _ = files.names().count();
}
