//! Files of other programs' routing.

use std::fs;

use moescope_core::{LayerId, ModelSpec};
use moescope_testkit::{
    fuzz::{Reader, Shape, Target},
    repository_root,
};
use moescope_trace::import::{
    Container, CountTable, ScoreKind, TransformersBatch, parse_esft_line, parse_npy,
    parse_sglang_replies, parse_vllm_replies,
};

const ARRAY_WORDS: &[&str] = &[
    "router_logits",
    "router_logits.0",
    "selected_experts",
    "selected_experts.1",
    "routing_weights",
    "input_ids",
    "attention_mask",
    "special_tokens_mask",
    "ids",
    "__metadata__",
    "dtype",
    "shape",
    "data_offsets",
    "F32",
    "BF16",
    "F16",
    "I64",
    "U8",
    "BOOL",
    "descr",
    "fortran_order",
    "True",
    "'<i8'",
    "'>f4'",
    "'|u1'",
    "'<U9'",
    "\u{93}NUMPY",
];

const REPLY_WORDS: &[&str] = &[
    "routed_experts",
    "prompt_routed_experts",
    "choices",
    "token_ids",
    "prompt_token_ids",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "routed_experts_prompt_start",
    "routed_experts_start_len",
    "meta_info",
    "sglext",
    "output_ids",
    "id",
    "custom_id",
    "response",
    "body",
    "system_fingerprint",
    "text",
    "index",
    "AAAA",
    "k05VTVBZAQB2AHs",
    "====",
];

pub(super) const SAFETENSORS: Target = Target {
    name: "import_safetensors",
    shape: Shape::FramedJson,
    words: ARRAY_WORDS,
    corpus: || fixtures(&["transformers/deepseek_v2_lite.safetensors"]),
    open: |_| batch(Container::Safetensors),
};

pub(super) const NPZ: Target = Target {
    name: "import_npz",
    shape: Shape::Bytes,
    words: ARRAY_WORDS,
    corpus: || fixtures(&["transformers/deepseek_v2_lite-chosen.npz"]),
    open: |_| batch(Container::Npz),
};

pub(super) const NPY: Target = Target {
    name: "import_npy",
    shape: Shape::Bytes,
    words: ARRAY_WORDS,
    corpus: || fixtures(&["vllm/lone.npy"]),
    open: |_| {
        Box::new(|input| {
            let Ok(array) = parse_npy(input) else {
                return false;
            };
            for index in [0, array.len() / 2, array.len(), usize::MAX] {
                let _ = (array.integer(index), array.float(index));
            }
            let _ = array.texts();
            true
        })
    },
};

pub(super) const VLLM: Target = Target {
    name: "import_vllm",
    shape: Shape::Json,
    words: REPLY_WORDS,
    corpus: || lines(&["vllm/replies-0.21.jsonl", "vllm/replies-0.33.jsonl"]),
    open: |_| text(parse_vllm_replies),
};

pub(super) const SGLANG: Target = Target {
    name: "import_sglang",
    shape: Shape::Json,
    words: REPLY_WORDS,
    corpus: || lines(&["sglang/generate-0.5.23.jsonl", "sglang/openai-0.5.23.jsonl"]),
    open: |_| text(parse_sglang_replies),
};

pub(super) const ESFT: Target = Target {
    name: "import_esft",
    shape: Shape::Bytes,
    words: &[
        "\t\t", "\t", "63", "64", "-1", "65536", "0.1", "1e400", "NaN", "inf",
    ],
    corpus: || lines(&["esft/law/expert_weights_3.txt"]),
    open: |_| {
        let model = ModelSpec {
            num_experts: 64,
            top_k: 6,
            ..model("olmoe-counts/tiny.spec.json")
        };
        Box::new(move |input| {
            std::str::from_utf8(input).is_ok_and(|line| parse_esft_line(line, &model).is_ok())
        })
    },
};

pub(super) const COUNTS: Target = Target {
    name: "import_counts",
    shape: Shape::Json,
    words: &[
        "tiny",
        "expert_counts",
        "expert_counts_top1",
        "arxiv",
        "0",
        "4294967296",
    ],
    corpus: || fixtures(&["olmoe-counts/counts.json"]),
    open: |_| {
        let model = model("olmoe-counts/tiny.spec.json");
        let layers = [LayerId(0), LayerId(3)];
        Box::new(move |input| {
            CountTable::parse(input, Some("tiny/expert_counts"), Some(&layers), &model).is_ok()
        })
    },
};

fn fixture(name: &str) -> Vec<u8> {
    let path = repository_root().join("tests/fixtures/imports").join(name);
    fs::read(path).expect("the fixture is in the repository")
}

fn fixtures(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| fixture(name)).collect()
}

/// Every line of some files.
fn lines(names: &[&str]) -> Vec<Vec<u8>> {
    let files = fixtures(names);
    let lines = files
        .iter()
        .flat_map(|file| file.split(|byte| *byte == b'\n'));
    lines
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

fn model(name: &str) -> ModelSpec {
    serde_json::from_slice(&fixture(name)).expect("the fixture is a model's description")
}

/// The model of the fixtures of tensors and replies.
fn small() -> ModelSpec {
    model("transformers/deepseek_v2_lite.spec.json")
}

/// Reads the input as a batch and looks at every decision, under both kinds of scores.
fn batch(container: Container) -> Reader {
    let model = small();
    Box::new(move |input| {
        let read = |scores| {
            TransformersBatch::parse(input, container, "x", &model, scores)
                .and_then(|batch| batch.check())
                .is_ok()
        };
        let _ = read(ScoreKind::Probabilities);
        read(ScoreKind::Logits)
    })
}

/// Reads the input as a line.
fn text(parse: fn(&str, &ModelSpec) -> Result<usize, String>) -> Reader {
    let model = small();
    Box::new(move |input| std::str::from_utf8(input).is_ok_and(|line| parse(line, &model).is_ok()))
}
