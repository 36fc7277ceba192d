import pandas as pd

profiles = pd.read_parquet("profiles", columns=["sample", "layer", "phase", "counts"])
samples = pd.read_parquet("samples", columns=["sample", "discipline"])
chosen = profiles[(profiles.layer == LAYER) & (profiles.phase == "prefill")].merge(samples, on="sample")
chosen["expert"] = [range(len(counts)) for counts in chosen.counts]
counts = chosen.explode(["expert", "counts"]).astype({"expert": int, "counts": int})
counts = counts.groupby(["discipline", "expert"], dropna=False).counts.sum()
shares = counts / counts.groupby("discipline", dropna=False).transform("sum")
print(shares)
