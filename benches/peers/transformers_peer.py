"""transformers: eager modules, router logits recorded, each case with the fastest of its experts implementations.

Recording is `output_router_logits=True` for prefill, and a forward hook on every router for decoding, where generation
does not return router logits. Only the last token's logits are computed. "off" is the same without them.
"""
import json
import os
import statistics
import sys
import time

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

from moescope import DECODED, PROMPT, threads, tokens

IMPLEMENTATIONS = ("eager", "batched_mm", "grouped_mm")
REPEATS = 3


def read_config(folder):
    """The configuration; SciDFM's is Mixtral's under another name."""
    with open(os.path.join(folder, "config.json")) as file:
        keys = json.load(file)
    if keys["model_type"].lower() == "scidfm":
        keys.update(model_type="mixtral", architectures=["MixtralForCausalLM"])
        keys.pop("auto_map", None)
        return transformers.MixtralConfig(**keys)
    return AutoConfig.from_pretrained(folder)


class TransformersPeer:
    def __init__(self, folder, kind, cases):
        torch.set_num_threads(threads())
        dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[kind]
        self.model = AutoModelForCausalLM.from_pretrained(
            folder, config=read_config(folder), dtype=dtype, attn_implementation="sdpa"
        ).eval()
        self.vocab = self.model.config.vocab_size
        self.routers = self.find_routers()
        self.best = {case: self.fastest(case) for case in cases}
        chosen = ", ".join(f"{phase} {size} {self.best[phase, size]}" for phase, size in cases)
        self.description = f"experts implementation: {chosen}"

    def find_routers(self):
        """The modules whose weight is a router's, one per MoE layer."""
        config = self.model.config
        self.experts = getattr(config, "num_experts", None) or getattr(config, "num_local_experts")
        shape = (self.experts, config.hidden_size)
        names = ("gate", "router")
        found = [
            module
            for name, module in self.model.named_modules()
            if name.rsplit(".", 1)[-1] in names and getattr(getattr(module, "weight", None), "shape", None) == shape
        ]
        with torch.no_grad():
            out = self.model(torch.tensor([[1, 2]]), output_router_logits=True, use_cache=False)
        assert len(found) == len(out.router_logits) > 0, f"{len(found)} routers, {len(out.router_logits)} router logits"
        return found

    def fastest(self, case):
        """The fastest experts implementation that works for a case here."""
        speeds = {}
        config, size = self.model.config, case[1]
        for name in IMPLEMENTATIONS:
            # It copies the weights of every choice of every token: beyond this more than two layers hold.
            if name == "batched_mm" and size * config.num_experts_per_tok > 2 * self.experts:
                continue
            try:
                self.model.set_experts_implementation(name)
                self.run(case, True)
                speeds[name] = max(self.run(case, True) for _ in range(2))
            except (ImportError, NotImplementedError, RuntimeError, ValueError) as error:
                print(f"transformers {name}: not usable here: {type(error).__name__}: {error}", file=sys.stderr)
        return max(speeds, key=speeds.get)

    def measure(self, case):
        """Tokens per second, with recording and without, in turns."""
        self.model.set_experts_implementation(self.best[case])
        speeds = {"recorded": [], "off": []}
        self.run(case, True)
        for _ in range(REPEATS):
            for recording, found in speeds.items():
                found.append(self.run(case, recording == "recorded"))
        return {recording: statistics.median(found) for recording, found in speeds.items()}

    def run(self, case, is_recorded):
        phase, size = case
        return (self.prefill if phase == "prefill" else self.decode)(size, is_recorded)

    @torch.no_grad()
    def prefill(self, length, is_recorded):
        ids = torch.tensor([tokens(0, length, self.vocab)])
        start = time.perf_counter()
        out = self.model(ids, output_router_logits=is_recorded, use_cache=False, logits_to_keep=1)
        seconds = time.perf_counter() - start
        assert not is_recorded or len(out.router_logits) == len(self.routers)
        return length / seconds

    @torch.no_grad()
    def decode(self, batch, is_recorded):
        ids = torch.tensor([tokens(sequence, PROMPT, self.vocab) for sequence in range(batch)])
        out = self.model(ids, use_cache=True, logits_to_keep=1)
        cache, token = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
        seen = []
        hooks = []
        if is_recorded:
            hooks = [r.register_forward_hook(lambda module, inputs, out: seen.append(out)) for r in self.routers]
        try:
            start = time.perf_counter()
            for _ in range(DECODED):
                out = self.model(token, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, token = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
            seconds = time.perf_counter() - start
        finally:
            for hook in hooks:
                hook.remove()
        assert len(seen) == (DECODED * len(self.routers) if is_recorded else 0)
        return batch * DECODED / seconds
