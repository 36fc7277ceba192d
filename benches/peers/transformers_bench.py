#!/usr/bin/env python3
"""moescope beside transformers on the same weights, in turns, in one run.

usage: transformers_bench.py MOESCOPE MODEL [--rounds N]

MOESCOPE is the built binary, MODEL a Mixtral or SciDFM checkpoint folder. Needs torch, transformers and safetensors.
Both sides prefill one text of 16, 128 and 512 tokens and decode 32 tokens at batch 1 and 8, with routing recorded:
moescope with everything its traces hold, transformers with output_router_logits=True (prefill) and with a forward hook
on every router (decode, where generation does not return router logits). Only the last token's logits are computed.
transformers runs in float32 and bfloat16, each with the fastest of its experts implementations.
Prints a Markdown table of medians and ratios, and the versions.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

import torch
import transformers
from transformers import MixtralConfig, MixtralForCausalLM

LENGTHS = (16, 128, 512)
BATCHES = (1, 8)
DECODED, PROMPT = 32, 16


def load(folder, dtype, experts):
    with open(os.path.join(folder, "config.json")) as file:
        keys = json.load(file)
    keys["model_type"] = "mixtral"
    keys.pop("architectures", None)
    config = MixtralConfig(**keys)
    model = MixtralForCausalLM.from_pretrained(
        folder, config=config, dtype=dtype, attn_implementation="sdpa", experts_implementation=experts
    )
    return model.eval()


def prefill(model, length):
    ids = torch.arange(length).mul(104729).remainder(model.config.vocab_size)[None]
    start = time.perf_counter()
    with torch.no_grad():
        out = model(ids, output_router_logits=True, use_cache=False, logits_to_keep=1)
    assert len(out.router_logits) == model.config.num_hidden_layers
    return length / (time.perf_counter() - start)


def decode(model, batch):
    ids = torch.arange(batch * PROMPT).mul(7919).remainder(model.config.vocab_size).reshape(batch, PROMPT)
    seen = []
    hooks = [
        layer.mlp.gate.register_forward_hook(lambda module, inputs, out: seen.append(out))
        for layer in model.model.layers
    ]
    with torch.no_grad():
        out = model(ids, use_cache=True, logits_to_keep=1)
        cache, token = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
        start = time.perf_counter()
        for _ in range(DECODED):
            out = model(token, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache, token = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
        seconds = time.perf_counter() - start
    for hook in hooks:
        hook.remove()
    assert len(seen) >= DECODED * model.config.num_hidden_layers
    return batch * DECODED / seconds


def fastest(folder, dtype):
    best = None
    for experts in ("eager", "batched_mm", "grouped_mm"):
        try:
            model = load(folder, dtype, experts)
            prefill(model, 128)
            speed = max(prefill(model, 128) for _ in range(3))
        except Exception as error:
            print(f"transformers {dtype} {experts}: not usable here ({type(error).__name__})")
            continue
        if best is None or speed > best[0]:
            best = (speed, experts, model)
    return best[1], best[2]


def ours(binary, folder):
    out = subprocess.run(
        [binary, "bench", folder, "--json", "--quiet", "--device", "cpu"], check=True, capture_output=True, text=True
    ).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    return {
        (row["phase"], row["tokens"] if row["phase"] == "prefill" else row["batch"]): row["tokens_per_s"]
        for row in rows
        if row["recording"] == "routing" and not row["surprisal"]
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    peers = {}
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        experts, model = fastest(args.model, dtype)
        peers[name] = model
        print(f"transformers {name}: experts implementation {experts}")
    cases = [("prefill", n) for n in LENGTHS] + [("decode", n) for n in BATCHES]
    times = {(side, case): [] for side in ("moescope", "f32", "bf16") for case in cases}
    for _ in range(args.rounds):
        for case, speed in ours(args.binary, args.model).items():
            times["moescope", case].append(speed)
        for name, model in peers.items():
            for case in cases:
                run = prefill if case[0] == "prefill" else decode
                run(model, case[1])
                times[name, case].append(statistics.median(run(model, case[1]) for _ in range(3)))
    print(f"\ntorch {torch.__version__}, transformers {transformers.__version__}, {os.cpu_count()} threads, ", end="")
    print(f"medians of {args.rounds} alternating rounds, tokens per second\n")
    print("| case | moescope (bf16 weights, f32 compute) | transformers f32 | ratio | transformers bf16 | ratio |")
    print("|---|---|---|---|---|---|")
    for case in cases:
        mine, f32, bf16 = (statistics.median(times[side, case]) for side in ("moescope", "f32", "bf16"))
        label = f"prefill {case[1]}" if case[0] == "prefill" else f"decode, batch {case[1]}"
        print(f"| {label} | {mine:.0f} | {f32:.0f} | {mine / f32:.1f}× | {bf16:.0f} | {mine / bf16:.1f}× |")


if __name__ == "__main__":
    main()
