#!/usr/bin/env python3
"""moescope beside DuckDB and polars on the same Parquet, in turns, in one run.

usage: compare.py BENCH TRACE [--rounds N] [--only NAME ...] [--json FILE]

BENCH is the built example `analytics_bench`, TRACE a trace that it generated. All sides count, for each layer,
discipline and expert, how often content tokens of given text chose the expert: `routing` joined with `tokens` (which
tokens count) and `samples` (which discipline). Each measurement is a process of its own with as many threads as it may
use cores; its time starts when its libraries are loaded and the trace is still closed, and its peak memory is the
process's. A round measures every side once. The table shows medians of rounds and medians of the rounds' own ratios,
and fails where two sides count differently.

moescope compares the checksums of the files first, which no other side does.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

DUCKDB_SELECT = """
SELECT layer, label, expert, count(*) AS count
  FROM (SELECT r.layer, s.label, unnest(r.experts) AS expert
          FROM read_parquet('{trace}/routing/*.parquet') r
          JOIN read_parquet('{trace}/tokens/*.parquet') t USING (sample, position)
          JOIN labelled s USING (sample)
         WHERE t.is_routed AND t.phase = 'prefill' AND NOT t.is_special AND NOT t.is_template)
 GROUP BY ALL"""


def duckdb_plain(trace):
    """The question as one writes it down."""
    return f"""
WITH labelled AS (SELECT sample, discipline AS label FROM read_parquet('{trace}/samples/*.parquet'))
{DUCKDB_SELECT.format(trace=trace)} ORDER BY ALL"""


def duckdb_numbered(trace):
    """Disciplines as small numbers until the end: the fastest of five ways that were tried."""
    return f"""
WITH labelled AS (SELECT sample, discipline, dense_rank() OVER (ORDER BY discipline)::UTINYINT AS label
                    FROM read_parquet('{trace}/samples/*.parquet')),
     counts AS ({DUCKDB_SELECT.format(trace=trace)})
SELECT layer, discipline, expert, count
  FROM counts JOIN (SELECT DISTINCT label, discipline FROM labelled) USING (label) ORDER BY ALL"""


def run_duckdb(sql, out):
    """Runs a query of the functions above."""
    import duckdb

    connection = duckdb.connect()
    start = time.perf_counter()
    found = connection.sql(sql).fetchall()
    seconds = time.perf_counter() - start
    with open(out, "w", encoding="utf-8") as file:
        file.write("layer,discipline,expert,count\n")
        file.writelines(",".join(map(str, row)) + "\n" for row in found)
    return seconds


def run_polars(trace, out):
    """The same with polars' streaming engine, which does not hold all rows at once."""
    import polars as pl

    start = time.perf_counter()
    tokens = pl.scan_parquet(f"{trace}/tokens/*.parquet").filter(
        pl.col("is_routed") & (pl.col("phase") == "prefill") & ~pl.col("is_special") & ~pl.col("is_template")
    )
    samples = pl.scan_parquet(f"{trace}/samples/*.parquet").select("sample", "discipline")
    found = (
        pl.scan_parquet(f"{trace}/routing/*.parquet")
        .select("sample", "position", "layer", "experts")
        .join(tokens.select("sample", "position"), on=["sample", "position"])
        .join(samples, on="sample")
        .select("layer", "discipline", pl.col("experts").alias("expert"))
        .explode("expert")
        .group_by("layer", "discipline", "expert")
        .agg(pl.len().alias("count"))
        .sort("layer", "discipline", "expert")
        .collect(engine="streaming")
    )
    seconds = time.perf_counter() - start
    found.write_csv(out)
    return seconds


SIDES = ("moescope", "moescope profiles", "duckdb", "duckdb numbered", "polars")
INNER = {
    "duckdb": lambda trace, out: run_duckdb(duckdb_plain(trace), out),
    "duckdb numbered": lambda trace, out: run_duckdb(duckdb_numbered(trace), out),
    "polars": run_polars,
}


def measure(side, bench, trace, out):
    """Seconds, processor seconds and peak MiB of one process."""
    if side.startswith("moescope"):
        command = [bench, "counts", trace, "profiles" if side.endswith("profiles") else "routing", out]
    else:
        command = [sys.executable, __file__, "--inner", side, trace, out]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            raise SystemExit(f"{side} failed with status {status}")
        output.seek(0)
        seconds = json.loads(output.read().splitlines()[-1])["seconds"]
    return {
        "seconds": seconds,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
    }


def sorted_counts(path):
    """The counts as a set of lines that does not depend on order."""
    with open(path, encoding="utf-8") as file:
        return sorted(line.strip() for line in file)


def main():
    """Alternates the sides and prints the table."""
    if sys.argv[1:2] == ["--inner"]:
        side, trace, out = sys.argv[2:]
        print(json.dumps({"seconds": INNER[side](trace, out)}))
        return
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("bench")
    parser.add_argument("trace")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--json")
    args = parser.parse_args()
    found = {side: [] for side in args.only}
    with tempfile.TemporaryDirectory() as folder:
        expected = None
        for number in range(args.rounds):
            for side in args.only:
                out = os.path.join(folder, "counts.csv")
                found[side].append(measure(side, args.bench, args.trace, out))
                print(f"round {number + 1}: {side}: {found[side][-1]}", file=sys.stderr)
                counts = sorted_counts(out)
                if expected not in (None, counts):
                    raise SystemExit(f"{side} counts differently from the side before it")
                expected = counts
    print("| side | seconds | processor seconds | peak MiB | times moescope's |")
    print("|---|---|---|---|---|")
    for side, rounds in found.items():
        median = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        ratios = [r["seconds"] / ours["seconds"] for r, ours in zip(rounds, found.get("moescope", rounds))]
        print(
            f"| {side} | {median['seconds']:.2f} | {median['processor_seconds']:.2f} "
            f"| {median['peak_mib']:.0f} | {statistics.median(ratios):.2f} |"
        )
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
