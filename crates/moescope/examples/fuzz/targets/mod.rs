//! Every reader of files from strangers, with good files to start from.

mod chat;
mod checkpoint;
mod imports;
mod measurements;
mod model;
mod texts;
mod tokenizer;
mod trace;

use moescope_testkit::fuzz::Target;

/// All targets, by the kind of file.
pub(crate) const TARGETS: &[Target] = &[
    checkpoint::CONFIG,
    checkpoint::GENERATION_CONFIG,
    checkpoint::SAFETENSORS,
    checkpoint::SAFETENSORS_HEADER,
    checkpoint::WEIGHTS_FP8,
    checkpoint::WEIGHTS_FUSED,
    checkpoint::WEIGHTS_MXFP4,
    checkpoint::SHARD_INDEX,
    checkpoint::SHARD_NAMES,
    tokenizer::TOKENIZER_JSON,
    tokenizer::TOKENIZER_MODEL,
    tokenizer::TOKENIZER_CONFIG,
    chat::TEMPLATE,
    model::RUN,
    imports::SAFETENSORS,
    imports::NPZ,
    imports::NPY,
    imports::VLLM,
    imports::SGLANG,
    imports::ESFT,
    imports::COUNTS,
    measurements::JSON,
    texts::JSON_LINES,
    texts::JSON_LIST,
    texts::CSV,
    texts::PLAIN,
    texts::ZSTD,
    trace::MANIFEST,
    trace::SAMPLES,
    trace::TOKENS,
    trace::ROUTING,
    trace::PROFILES,
];
