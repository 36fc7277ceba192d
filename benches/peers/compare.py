#!/usr/bin/env python3
"""moescope beside another engine on the same weights, in turns, in one run.

usage: compare.py MOESCOPE MODEL [--peer transformers llama.cpp] [--types TYPE ...] [--rounds N] [--prefill N ...]
                  [--batches N ...] [--compute TYPE ...] [--scratch DIR] [--llama-cpp-amx] [--json FILE]

MOESCOPE is the built binary. MODEL is a checkpoint folder (OLMoE, Mixtral, SciDFM or Qwen3-MoE for llama.cpp, anything
that transformers loads for transformers) or one of moescope's geometries, olmoe-4l, scidfm-2l, qwen3-30b-2l, whose
random weights are then written into a temporary folder and removed at the end.

Both sides prefill one text and decode 32 tokens after a prompt of 16, with routing recorded: moescope with everything
its traces hold, the peers as their modules say. Rounds alternate: first moescope in a process of its own, then the
peer, which stays loaded and idle meanwhile. A round's number is the median of at least three repetitions after a
warm-up; the table shows medians of rounds, and medians of the rounds' ratios. Each peer in each type has a process of
its own, one at a time, so that memory and settings of one do not reach the next.
"""
import argparse
import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import statistics
import sys
import tempfile

import moescope

TYPES = {"transformers": ("bf16", "f32"), "llama.cpp": ("BF16", "Q8_0", "Q4_0")}
# How moescope keeps the weights that a peer keeps in a type.
WEIGHTS = {"bf16": "stored", "f32": "stored", "BF16": "stored", "Q8_0": "q8", "Q4_0": "q4"}


@contextlib.contextmanager
def opened(peer, folder, kind, cases, scratch, may_use_amx):
    """A peer with the model loaded; what it wrote is removed afterwards."""
    if peer == "transformers":
        from transformers_peer import TransformersPeer

        yield TransformersPeer(folder, kind, cases)
        return
    from gguf_checkpoint import write_gguf
    from llama_cpp_peer import LlamaCppPeer

    with tempfile.TemporaryDirectory(dir=scratch) as temporary:
        with LlamaCppPeer(write_gguf(folder, kind, temporary), cases, may_use_amx) as loaded:
            yield loaded


def compare(args, folder, peer, kind, cases):
    """One row per case: every side's median speed."""
    times = {}
    with opened(peer, folder, kind, cases, args.scratch, args.llama_cpp_amx) as loaded:
        print(f"{peer} {kind}: {loaded.description}", file=sys.stderr)
        for number in range(args.rounds):
            print(f"{peer} {kind}: round {number + 1} of {args.rounds}", file=sys.stderr)
            for compute in args.compute:
                speeds = moescope.measure(args.binary, folder, WEIGHTS[kind], compute, cases)
                for case, speed in speeds.items():
                    times.setdefault((case, compute), []).append(speed)
            for case in cases:
                for recording, speed in loaded.measure(case).items():
                    times.setdefault((case, recording), []).append(speed)
        description = loaded.description
    rows = []
    for case in cases:
        row = {"peer": peer, "type": kind, "phase": case[0], "size": case[1], "description": description}
        row["moescope"] = {c: statistics.median(times[case, c]) for c in args.compute}
        row["recorded"] = statistics.median(times[case, "recorded"])
        row["off"] = statistics.median(times[case, "off"])
        # Medians of paired ratios: both sides of a round met the same moment of the machine.
        row["ratio"] = {
            c: statistics.median(a / b for a, b in zip(times[case, c], times[case, "recorded"])) for c in args.compute
        }
        rows.append(row)
    return rows


def apart(function, *args):
    """Calls a function in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(function, *args).result()


def print_table(rows, computes):
    columns = ["peer", "case"] + [f"moescope, {c}" for c in computes]
    columns += ["peer, recording", "peer, off"] + [f"ratio, {c}" for c in computes]
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        case = f"prefill {row['size']}" if row["phase"] == "prefill" else f"decode, batch {row['size']}"
        cells = [f"{row['peer']} {row['type']}", case]
        cells += [f"{row['moescope'][c]:.1f}" for c in computes]
        cells += [f"{row['recorded']:.1f}", f"{row['off']:.1f}"]
        cells += [f"{row['ratio'][c]:.2f}×" for c in computes]
        print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n", 2)[2], formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("--peer", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--types", nargs="+", choices=WEIGHTS, help="default: all of each peer's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prefill", nargs="*", type=int, default=[512])
    parser.add_argument("--batches", nargs="*", type=int, default=[1])
    parser.add_argument("--compute", nargs="+", choices=("bf16", "f32"), default=["bf16", "f32"])
    parser.add_argument("--scratch", help="folder for temporary files, which are as large as the model")
    parser.add_argument("--llama-cpp-amx", action="store_true", help="let llama.cpp use AMX, where its build can")
    parser.add_argument("--json", help="also write every row and the versions here")
    args = parser.parse_args()
    cases = [("prefill", n) for n in args.prefill] + [("decode", n) for n in args.batches]
    if not cases or args.rounds < 1:
        parser.error("nothing to measure")
    runs = [(peer, kind) for peer in args.peer for kind in TYPES[peer] if not args.types or kind in args.types]
    if not runs:
        parser.error(f"none of the types {args.types} is one of {', '.join(args.peer)}")
    with contextlib.ExitStack() as stack:
        folder = args.model
        if not os.path.isdir(folder):
            scratch = stack.enter_context(tempfile.TemporaryDirectory(dir=args.scratch))
            folder = moescope.write(args.binary, args.model, os.path.join(scratch, args.model))
        rows, failed = [], []
        for peer, kind in runs:
            try:
                rows += apart(compare, args, folder, peer, kind, cases)
            except concurrent.futures.process.BrokenProcessPool:
                failed.append(f"{peer} {kind}")
    versions = moescope.versions(args.binary)
    print(f"{os.path.basename(os.path.normpath(args.model))}; {versions}; {moescope.threads()} threads")
    print(f"medians of {args.rounds} alternating rounds, tokens per second, routing recorded\n")
    print_table(rows, args.compute)
    print()
    for about in dict.fromkeys(f"{row['peer']} {row['type']}: {row['description']}" for row in rows):
        print(f"- {about}")
    for name in failed:
        print(f"- {name} crashed and has no row")
    if args.json:
        with open(args.json, "w") as file:
            report = {"model": args.model, "versions": versions, "rounds": args.rounds, "rows": rows, "crashed": failed}
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
