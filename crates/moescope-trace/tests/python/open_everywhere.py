"""Opens a routing trace with DuckDB, pandas, polars and Hugging Face datasets and compares what they read.

Usage: python open_everywhere.py TRACE

It parses the dataset card's front matter, runs the card's own snippets from within the folder, and compares the
shares that each of them computes with shares counted from `routing` and `tokens` by pyarrow alone.
It also reads every column of every table with every library that is there and compares them.

Needs pyarrow, and any of duckdb, pandas, polars, datasets; pyyaml if it is there.
Written with pyarrow 26.0.1, duckdb 2.0.0, pandas 3.1.1, polars 2.1.0, datasets 5.2.0.
"""

import importlib.util
import math
import os
import re
import sys
from collections import Counter, defaultdict

TABLES = ["samples", "tokens", "routing", "profiles"]


def has(package):
    return importlib.util.find_spec(package) is not None


def front_matter(card):
    match = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert match, "the card has no front matter"
    if has("yaml"):
        import yaml

        return yaml.safe_load(match.group(1))
    return None


def check_front_matter(card):
    matter = front_matter(card)
    if matter is None:
        return print("front matter: pyyaml is not installed, not parsed")
    assert matter["pretty_name"] and matter["license"] and "mixture-of-experts" in matter["tags"]
    configs = {config["config_name"]: config for config in matter["configs"]}
    assert sorted(configs) == sorted(TABLES), configs
    for name, config in configs.items():
        assert config["data_files"] == [{"split": "train", "path": f"{name}/*.parquet"}], config
    print("front matter: parses, four configurations")


def snippets(card):
    """The library's name and the code of each snippet."""
    found = re.findall(r"\n([^\n]+):\n\n```python\n(.*?)```", card, re.DOTALL)
    assert len(found) == 4, [name for name, _ in found]
    return found


def layer_of(card):
    return int(re.search(r"expert of layer (\d+) received", card).group(1))


def table(name):
    import pyarrow.dataset

    return pyarrow.dataset.dataset(f"{name}/", format="parquet").to_table()


def expected_shares(layer):
    """Shares of assignments by discipline, counted decision by decision."""
    discipline = {row["sample"]: row["discipline"] for row in table("samples").to_pylist()}
    content = {
        (row["sample"], row["position"])
        for row in table("tokens").to_pylist()
        if row["phase"] == "prefill" and row["is_routed"] and not row["is_special"] and not row["is_template"]
    }
    counts = defaultdict(Counter)
    columns = ["sample", "position", "layer", "experts"]
    for row in table("routing").select(columns).to_pylist():
        if row["layer"] == layer and (row["sample"], row["position"]) in content:
            counts[discipline[row["sample"]]].update(row["experts"])
    return {
        (name, expert): n / sum(counter.values())
        for name, counter in counts.items()
        for expert, n in counter.items()
    }


def as_shares(name, shares):
    """What a snippet left in `shares`, as a dictionary; experts that nobody chose are left out."""
    if name == "DuckDB":
        pairs = {(row[0], row[1]): row[2] for row in shares.fetchall()}
    elif name == "pandas":
        pairs = {
            (None if isinstance(label, float) and math.isnan(label) else label, expert): share
            for (label, expert), share in shares.items()
        }
    elif name == "polars":
        pairs = {(row["discipline"], row["expert"]): row["share"] for row in shares.to_dicts()}
    else:
        pairs = {(label, expert): share for label, list_ in shares.items() for expert, share in enumerate(list_)}
    return {key: share for key, share in pairs.items() if share > 0}


def check_snippets(card):
    expected = expected_shares(layer_of(card))
    for name, code in snippets(card):
        package = "datasets" if "datasets" in name else name.lower()
        if not has(package):
            print(f"{name}: not installed, its snippet was not run")
            continue
        namespace = {}
        exec(compile(code, f"README.md ({name})", "exec"), namespace)
        found = as_shares(name, namespace["shares"])
        assert found.keys() == expected.keys(), (name, found.keys() ^ expected.keys())
        for key, share in expected.items():
            assert math.isclose(found[key], share, rel_tol=1e-12), (name, key, found[key], share)
        print(f"{name}: the card's snippet agrees with a count of {len(expected)} shares")


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def check_values():
    readers = {}
    if has("duckdb"):
        import duckdb

        def with_duckdb(name):
            rows = duckdb.sql(f"SELECT * FROM '{name}/*.parquet'")
            return [dict(zip(rows.columns, row)) for row in rows.fetchall()]

        readers["DuckDB"] = with_duckdb
    if has("polars"):
        import polars

        readers["polars"] = lambda name: polars.read_parquet(f"{name}/*.parquet").to_dicts()
    if has("datasets"):
        from datasets import load_dataset

        readers["datasets"] = lambda name: load_dataset(os.getcwd(), name, split="train").to_list()
    for name in TABLES:
        rows = table(name).to_pylist()
        for library, read in readers.items():
            others = read(name)
            assert len(rows) == len(others), (library, name, len(rows), len(others))
            for index, (row, other) in enumerate(zip(rows, others)):
                assert row.keys() == other.keys(), (library, name)
                for column in row:
                    assert same(row[column], other[column]), (library, name, index, column, row[column], other[column])
        print(f"{name}: {len(rows)} rows, the same for pyarrow, {', '.join(readers)}")


def main():
    os.chdir(sys.argv[1])
    with open("README.md", encoding="utf-8") as file:
        card = file.read()
    check_front_matter(card)
    check_snippets(card)
    check_values()
    print("all agree")


if __name__ == "__main__":
    main()
