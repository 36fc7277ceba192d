"""A checkpoint in Hugging Face layout as a GGUF file for llama.cpp, one tensor in memory at a time.

Written are OLMoE (`olmoe`), Mixtral and SciDFM (`llama` with experts) and Qwen3-MoE (`qwen3moe`), as llama.cpp's own
converter lays them out: experts stacked, routers and norms in f32, rows of queries and keys of `llama` permuted. There
is no vocabulary in the file; token ids are fed directly. Embeddings stay in bf16, whatever the type of the rest, as
moescope keeps them.
"""
import ctypes
import json
import os
import re

import gguf
import llama_cpp
import numpy as np
from gguf import GGMLQuantizationType as Type

from moescope import threads

ARCHITECTURES = {
    "olmoe": gguf.MODEL_ARCH.OLMOE,
    "mixtral": gguf.MODEL_ARCH.LLAMA,
    "scidfm": gguf.MODEL_ARCH.LLAMA,
    "qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE,
}
FILE_TYPES = {"Q8_0": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, Type.Q8_0), "Q4_0": (llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, Type.Q4_0)}
# The library keeps its address for good, so it lives as long as the process.
SILENCE = llama_cpp.llama_log_callback(lambda level, text, data: None)
EXPERT = re.compile(r"(.*\.experts)\.(\d+)(\..*)")


class Tensors:
    """Tensors of safetensors files by name, mapped and not read."""

    def __init__(self, folder):
        index = os.path.join(folder, "model.safetensors.index.json")
        names = ["model.safetensors"]
        if os.path.exists(index):
            with open(index) as file:
                names = sorted(set(json.load(file)["weight_map"].values()))
        self.entries = {}
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(size))
            header.pop("__metadata__", None)
            data = np.memmap(path, np.uint8, "r", offset=8 + size)
            self.entries.update({tensor: (data, entry) for tensor, entry in header.items()})

    def shape(self, name):
        return tuple(self.entries[name][1]["shape"])

    def bits(self, name):
        """A bf16 tensor's bits."""
        data, entry = self.entries[name]
        if entry["dtype"] != "BF16":
            raise SystemExit(f"only bf16 checkpoints are converted; {name} is {entry['dtype']}")
        start, end = entry["data_offsets"]
        return data[start:end].view(np.uint16).reshape(entry["shape"])

    def f32(self, name):
        return (self.bits(name).astype(np.uint32) << 16).view(np.float32)


def write_gguf(folder, kind, target):
    """Writes the checkpoint in a type; returns the file's path."""
    llama_cpp.llama_log_set(SILENCE, ctypes.c_void_p(0))
    plain = os.path.join(target, "model-BF16.gguf")
    write_bf16(folder, plain)
    if kind == "BF16":
        return plain
    path = os.path.join(target, f"model-{kind}.gguf")
    file_type, tensor_type = FILE_TYPES[kind]
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = file_type
    params.nthread = threads()
    params.pure = True
    params.output_tensor_type = tensor_type
    params.token_embedding_type = Type.BF16
    if llama_cpp.llama_model_quantize(plain.encode(), path.encode(), ctypes.byref(params)) != 0:
        raise SystemExit(f"llama.cpp could not quantise {plain} to {kind}")
    os.remove(plain)
    return path


def write_bf16(folder, path):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    family = config["model_type"].lower()
    if family not in ARCHITECTURES:
        raise SystemExit(f"only {', '.join(ARCHITECTURES)} are written as GGUF, not {family}")
    arch = ARCHITECTURES[family]
    layers = config["num_hidden_layers"]
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    describe(writer, config, family, folder)
    tensors = Tensors(folder)
    names = gguf.get_tensor_name_map(arch, layers)
    planned = []
    for name, parts in grouped(tensors):
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise SystemExit(f"llama.cpp has no tensor for {name}")
        shape = tensors.shape(parts[0])
        if len(parts) > 1:
            shape = (len(parts), *shape)
        # Norms and routers are f32 in every file of llama.cpp.
        is_f32 = len(shape) == 1 or target.endswith("ffn_gate_inp.weight")
        size = int(np.prod(shape)) * (4 if is_f32 else 2)
        kind = Type.F32 if is_f32 else Type.BF16
        writer.add_tensor_info(target, shape, np.dtype(np.float32 if is_f32 else np.uint16), size, kind)
        planned.append((parts, is_f32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for parts, is_f32 in planned:
        read = tensors.f32 if is_f32 else tensors.bits
        values = read(parts[0]) if len(parts) == 1 else np.stack([read(part) for part in parts])
        if arch == gguf.MODEL_ARCH.LLAMA:
            values = permuted(parts[0], values, config)
        writer.write_tensor_data(np.ascontiguousarray(values))
    writer.close()


def grouped(tensors):
    """Names with the tensors behind them: all experts of a layer under the name without a number."""
    groups = {}
    for name in tensors.entries:
        match = EXPERT.fullmatch(name)
        if match is None:
            groups[name] = [name]
        else:
            start, number, end = match.groups()
            groups.setdefault(start + end, {})[int(number)] = name
    for name, parts in groups.items():
        yield name, [parts[number] for number in sorted(parts)] if isinstance(parts, dict) else parts


def permuted(name, values, config):
    """Rows of queries and keys in pairs: `llama` rotates neighbours, Hugging Face's layout halves."""
    if name.endswith("q_proj.weight"):
        heads = config["num_attention_heads"]
    elif name.endswith("k_proj.weight"):
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    else:
        return values
    rows, columns = values.shape
    return values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def describe(writer, config, family, folder):
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    writer.add_name(os.path.basename(os.path.normpath(folder)))
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(float(config.get("rope_theta") or rope.get("rope_theta") or 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_expert_count(config.get("num_experts") or config["num_local_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    if family == "qwen3_moe":
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
