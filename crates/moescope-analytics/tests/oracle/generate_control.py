"""Computes the values in control.json with numpy and scipy: what is left of a label when other variables are held constant.

Run: python generate_control.py > control.json
"""

import json
import sys
from collections import defaultdict

import numpy as np
import scipy
from scipy.stats import entropy

rng = np.random.default_rng(20260102)
EXPERTS, TOP_K, VOCABULARY = 4, 2, 9
LABELS = ["math", "physics", "law"]

# Documents of three labels and two genres; token ids and routing depend on both and on the position.
documents = []
for number in range(18):
    label, genre = number % 3, (number // 3) % 2
    length = int(rng.integers(9, 20)) * (1 + genre)
    tilt = rng.normal(scale=0.4, size=EXPERTS)
    tokens, experts = [], []
    for position in range(length):
        weights = np.ones(VOCABULARY)
        weights[label] += 2
        weights[3 + genre] += 2
        token = int(rng.choice(VOCABULARY, p=weights / weights.sum()))
        logits = rng.normal(size=EXPERTS) + tilt
        logits[token % EXPERTS] += 1.5
        logits[label] += 0.5
        logits[3] += 0.8 * genre + (0.6 if position < 16 else 0)
        tokens.append(token)
        experts.append([int(e) for e in np.argsort(-logits)[:TOP_K]])
    documents.append(
        {
            "label": LABELS[label],
            "genre": ["abstract", "textbook"][genre],
            "tokens": tokens,
            "experts": experts,
        }
    )

# One row per token.
rows = []
for place, document in enumerate(documents):
    n = len(document["tokens"])
    for position, (token, experts) in enumerate(zip(document["tokens"], document["experts"])):
        y = np.zeros(EXPERTS)
        y[experts] = 1
        rows.append(
            {
                "label": LABELS.index(document["label"]),
                "genre": document["genre"],
                "token": token,
                "position": int(position >= 16),
                "length": int(np.floor(2 * np.log2(n))),
                "document": place,
                "y": y,
            }
        )
Y = np.array([row["y"] for row in rows])


def factor(name):
    return np.array([row[name] for row in rows])


def bits(masses):
    return entropy(np.asarray(masses, dtype=float).ravel(), base=2)


def conditional_information(names, prior):
    """H(D, Z) + H(Z, e) - H(Z) - H(D, Z, e) of weighted assignments."""
    label = factor("label")
    tokens_of_label = np.bincount(label)
    weight = {"equal": 1 / (3 * tokens_of_label), "mass": np.full(3, 1 / len(rows))}[prior]
    joint = defaultdict(float)
    for row in rows:
        for expert in np.flatnonzero(row["y"]):
            z = tuple(row[name] for name in names)
            joint[(row["label"], z, int(expert))] += weight[row["label"]]

    def marginal(*places):
        sums = defaultdict(float)
        for key, mass in joint.items():
            sums[tuple(key[place] for place in places)] += mass
        return bits(list(sums.values()))

    return marginal(0, 1) + marginal(1, 2) - marginal(1) - marginal(0, 1, 2)


def dummies(name):
    values = factor(name)
    return np.array([[float(value == level) for level in np.unique(values)] for value in values])


total = ((Y - Y.mean(axis=0)) ** 2).sum()


def explained(names):
    if not names:
        return 0.0
    X = np.hstack([np.ones((len(rows), 1))] + [dummies(name) for name in names])
    fitted = X @ np.linalg.lstsq(X, Y, rcond=None)[0]
    return float(((fitted - Y.mean(axis=0)) ** 2).sum() / total)


def residuals(names):
    X = np.hstack([np.ones((len(rows), 1))] + [dummies(name) for name in names])
    return Y - X @ np.linalg.lstsq(X, Y, rcond=None)[0]


def share_of_means(values, name):
    groups = factor(name)
    sums = [values[groups == g].sum(axis=0) for g in np.unique(groups)]
    sizes = [(groups == g).sum() for g in np.unique(groups)]
    return float(sum((s @ s) / n for s, n in zip(sums, sizes)) / total)


order = ["token", "position", "length", "genre", "label"]
partition = {}
for place, name in enumerate(order):
    partition[f"{name}_alone"] = explained([name])
    partition[f"{name}_in_order"] = explained(order[: place + 1]) - explained(order[:place])
    partition[f"{name}_last"] = explained(order) - explained([o for o in order if o != name])
partition["document_alone"] = explained(["document"])
partition["document_in_order"] = share_of_means(residuals(order), "document")
partition["residual"] = 1 - explained(order) - partition["document_in_order"]
label_of_what_is_left = share_of_means(residuals(order[:-1]), "label")


def matched_shares(names):
    """Shares of assignments where every label has the same number of tokens in every stratum."""
    label = factor("label")
    strata = [tuple(row[name] for name in names) for row in rows]
    shares = np.zeros((3, EXPERTS))
    for stratum in set(strata):
        inside = np.array([s == stratum for s in strata])
        tokens = [(inside & (label == d)).sum() for d in range(3)]
        for d in range(3):
            if min(tokens) > 0:
                shares[d] += min(tokens) / tokens[d] * Y[inside & (label == d)].sum(axis=0)
    return shares / shares.sum(axis=1, keepdims=True)


def information(shares):
    return float(bits(shares.mean(axis=0)) - np.mean([bits(s) for s in shares]))


counts = np.array([Y[factor("label") == d].sum(axis=0) for d in range(3)])
# Miller and Madow for each label, and for their mixture by its variance with fixed numbers of assignments.
shares = counts / counts.sum(axis=1, keepdims=True)
mixture = shares.mean(axis=0)
within = np.mean([(np.count_nonzero(c) - 1) / (2 * c.sum()) for c in counts])
variance = sum(s * (1 - s) / c.sum() for s, c in zip(shares, counts)) / 9
bias = (within - (variance / (2 * mixture)).sum()) / np.log(2)

print(
    json.dumps(
        {
            "versions": {
                "python": sys.version.split()[0],
                "numpy": np.__version__,
                "scipy": scipy.__version__,
            },
            "experts": EXPERTS,
            "top_k": TOP_K,
            "documents": documents,
            "conditional": [
                {"given": given, "prior": prior, "bits": float(conditional_information(given, prior))}
                for given in [
                    ["token"],
                    ["position"],
                    ["genre"],
                    ["length"],
                    ["token", "genre", "position"],
                ]
                for prior in ["equal", "mass"]
            ],
            "partition": partition,
            "label_of_what_is_left": label_of_what_is_left,
            "matched": [
                {
                    "match": names,
                    "shares": matched_shares(names).ravel().tolist(),
                    "bits": information(matched_shares(names)),
                }
                for names in [["genre"], ["position"], ["genre", "position"], ["length"]]
            ],
            "bits": information(shares),
            "miller_madow_bias": float(bias),
        },
    )
)
