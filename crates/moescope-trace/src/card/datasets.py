import os
from collections import defaultdict

from datasets import load_dataset

samples = load_dataset(os.getcwd(), "samples", split="train")
profiles = load_dataset(os.getcwd(), "profiles", split="train")
discipline_of = dict(zip(samples["sample"], samples["discipline"]))
totals = defaultdict(lambda: [0] * NUM_EXPERTS)
for row in profiles:
    if row["layer"] == LAYER and row["phase"] == "prefill":
        total = totals[discipline_of[row["sample"]]]
        for expert, count in enumerate(row["counts"]):
            total[expert] += count
shares = {name: [n / sum(total) for n in total] for name, total in totals.items()}
print(shares)
