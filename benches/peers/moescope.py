"""The side that is ours: the binary in a process of its own, and what both sides share."""
import importlib.metadata
import json
import os
import subprocess

# What `moescope bench` decodes, and after what.
DECODED, PROMPT = 32, 16


def threads():
    """Threads of every side: the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def tokens(sequence, length, vocab):
    """The arbitrary tokens that `moescope bench` takes."""
    return [(sequence * 7919 + i * 104729) % vocab for i in range(length)]


def write(binary, geometry, folder):
    """Writes random weights of a geometry."""
    subprocess.run([binary, "bench", geometry, "--write", folder], check=True)
    return folder


def measure(binary, folder, weights, compute, cases):
    """Tokens per second of every case, routing recorded."""
    numbers = {phase: [str(size) for name, size in cases if name == phase] for phase in ("prefill", "decode")}
    command = [binary, "bench", folder, "--json", "--quiet", "--device", "cpu", "--threads", str(threads())]
    command += ["--weights", weights, "--compute", compute, "--recording", "routing"]
    command += ["--phases", ",".join(phase for phase, sizes in numbers.items() if sizes)]
    for option, phase in (("--prefill", "prefill"), ("--batches", "decode")):
        if numbers[phase]:
            command += [option, ",".join(numbers[phase])]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    found = {
        (row["phase"], row["tokens"] if row["phase"] == "prefill" else row["batch"]): row["tokens_per_s"] for row in rows
    }
    missing = [case for case in cases if case not in found]
    if missing:
        raise SystemExit(f"moescope did not measure {missing}: too slow, or beyond the model's context")
    return found


def versions(binary):
    """Everything whose version matters."""
    names = ["torch", "transformers", "llama-cpp-python", "gguf"]
    found = [subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout.strip()]
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            pass
    return ", ".join(found)
