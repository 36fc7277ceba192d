"""llama.cpp through llama-cpp-python's low-level interface, on the CPU.

Recording is a callback on every node of the graph (`cb_eval`), which reads the routers' choices and weights
(`ffn_moe_topk`, `ffn_moe_weights`) of all layers into memory. The callback is Python's, as it would be for anybody who
records that way; "off" is the same without it.

llama.cpp's AMX kernels are kept from running unless they are asked for: in builds such as llama-cpp-python 0.3.36 they
load a tile configuration that the compiler has left out, and the process ends with a segmentation fault at the first
product with a quantised matrix (llama.cpp, pull request 26954). All its other kernels run.
"""
import collections
import ctypes
import os
import re
import statistics
import sys
import time

import llama_cpp
import numpy as np

from moescope import DECODED, PROMPT, threads, tokens

REPEATS = 3
MICRO_BATCH = 512
# Nodes of the graph that are read, one of each per MoE layer; views of them have longer names.
RECORDED = re.compile(rb"(ffn_moe_topk|ffn_moe_weights)-[0-9]+")


def ggml():
    """The tensor library's functions that llama-cpp-python does not name."""
    library = ctypes.CDLL(os.path.join(os.path.dirname(llama_cpp.__file__), "lib", "libggml-base.so"))
    library.ggml_get_name.restype = ctypes.c_char_p
    library.ggml_get_name.argtypes = [ctypes.c_void_p]
    library.ggml_nbytes.restype = ctypes.c_size_t
    library.ggml_nbytes.argtypes = [ctypes.c_void_p]
    library.ggml_backend_tensor_get.restype = None
    library.ggml_backend_tensor_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    return library


class AlternateStack(ctypes.Structure):
    """`stack_t` of sigaltstack(2)."""

    _fields_ = [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


# As long as the process, since the kernel keeps its address.
SIGNAL_STACK = ctypes.create_string_buffer(8192)


def forbid_amx():
    """Makes Linux refuse this process the tile registers, so that llama.cpp does without them.

    The kernel grants them only where every alternate signal stack has room for them, which 8 KiB are not. Elsewhere than
    on x86 this changes nothing. A process that has been granted them keeps them: call this first.
    """
    stack = AlternateStack(ctypes.addressof(SIGNAL_STACK), 0, len(SIGNAL_STACK))
    if sys.platform == "linux" and ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) != 0:
        raise SystemExit("the system refuses an alternate signal stack, so AMX cannot be kept from llama.cpp")


class Context:
    """A context of the model, with a recording callback or without."""

    def __init__(self, model, tokens, sequences, is_recorded):
        self.seen = []
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = tokens
        params.n_batch = tokens
        params.n_ubatch = min(MICRO_BATCH, tokens)
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads()
        params.no_perf = True
        if is_recorded:
            # Kept in the object: the library holds only its address.
            self.callback = llama_cpp.ggml_backend_sched_eval_callback(self.see())
            params.cb_eval = self.callback
        self.context = llama_cpp.llama_init_from_model(model, params)
        if not self.context:
            raise SystemExit("llama.cpp made no context; is there enough memory?")

    def see(self):
        library, seen = ggml(), self.seen

        def callback(tensor, is_question, _):
            name = library.ggml_get_name(tensor)
            if not RECORDED.fullmatch(name):
                return not is_question
            if not is_question:
                kept = bytearray(library.ggml_nbytes(tensor))
                library.ggml_backend_tensor_get(tensor, (ctypes.c_char * len(kept)).from_buffer(kept), 0, len(kept))
                seen.append((name, kept))
            return True

        return callback

    def feed(self, batch, entries):
        """Runs tokens `(token, position, sequence, wants logits)` through the model and waits."""
        batch.n_tokens = len(entries)
        for i, (token, position, sequence, wants_logits) in enumerate(entries):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = wants_logits
        status = llama_cpp.llama_decode(self.context, batch)
        if status != 0:
            raise SystemExit(f"llama.cpp could not decode {len(entries)} tokens: status {status}")
        llama_cpp.llama_synchronize(self.context)

    def clear(self):
        self.seen.clear()
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def free(self):
        llama_cpp.llama_free(self.context)


class LlamaCppPeer:
    def __init__(self, path, cases, may_use_amx=False):
        if not may_use_amx:
            forbid_amx()
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            raise SystemExit(f"llama.cpp could not load the file: {path}")
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.layers = llama_cpp.llama_model_n_layer(self.model)
        longest = max(size if phase == "prefill" else size * (PROMPT + DECODED + 1) for phase, size in cases)
        self.sequences = max([size for phase, size in cases if phase == "decode"], default=1)
        # Each sequence has its share of the cache.
        room = -(-longest // 256) * 256 * self.sequences
        self.batch = llama_cpp.llama_batch_init(room, 0, self.sequences)
        self.contexts = {
            recording: Context(self.model, room, self.sequences, recording == "recorded")
            for recording in ("recorded", "off")
        }
        system = llama_cpp.llama_print_system_info().decode().strip()
        self.description = system if may_use_amx else f"{system} AMX not used"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for context in self.contexts.values():
            context.free()
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_model_free(self.model)

    def measure(self, case):
        """Tokens per second, with recording and without, in turns."""
        phase, size = case
        run = self.prefill if phase == "prefill" else self.decode
        speeds = {recording: [] for recording in self.contexts}
        for repeat in range(REPEATS + 1):
            for recording, context in self.contexts.items():
                context.clear()
                speed, passes = run(context, size)
                if recording == "recorded":
                    self.check(context.seen, passes)
                if repeat > 0:
                    speeds[recording].append(speed)
        return {recording: statistics.median(found) for recording, found in speeds.items()}

    def check(self, seen, passes):
        found = collections.Counter(name.split(b"-")[0] for name, _ in seen)
        expected = passes * self.layers
        assert found == {b"ffn_moe_topk": expected, b"ffn_moe_weights": expected}, f"{found}, not {expected} of each"

    def prefill(self, context, length):
        ids = tokens(0, length, self.vocab)
        entries = [(token, i, 0, i + 1 == length) for i, token in enumerate(ids)]
        start = time.perf_counter()
        context.feed(self.batch, entries)
        return length / (time.perf_counter() - start), -(-length // MICRO_BATCH)

    def decode(self, context, batch):
        entries = [
            (token, i, sequence, i + 1 == PROMPT)
            for sequence in range(batch)
            for i, token in enumerate(tokens(sequence, PROMPT, self.vocab))
        ]
        context.feed(self.batch, entries)
        last = [(sequence + 1) * PROMPT - 1 for sequence in range(batch)]
        context.seen.clear()
        start = time.perf_counter()
        for step in range(DECODED):
            chosen = [self.arg_max(context, index) for index in last]
            context.feed(self.batch, [(token, PROMPT + step, sequence, True) for sequence, token in enumerate(chosen)])
            last = range(batch)
        return batch * DECODED / (time.perf_counter() - start), DECODED

    def arg_max(self, context, index):
        logits = llama_cpp.llama_get_logits_ith(context.context, index)
        return int(np.argmax(np.ctypeslib.as_array(logits, (self.vocab,))))
