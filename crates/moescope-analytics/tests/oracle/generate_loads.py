"""Computes the values in loads.json with numpy, scipy, scikit-learn and statsmodels.

Run: python generate_loads.py > loads.json
"""

import json
import sys

import numpy as np
import scipy
import sklearn
import statsmodels
from scipy.special import logsumexp, softmax
from scipy.stats import entropy, false_discovery_control, spearmanr, variation
from scipy.stats.contingency import association
from sklearn.metrics import jaccard_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

rng = np.random.default_rng(20260103)
K, E = 2, 6


def rounded(x, digits=10):
    return np.asarray(x, dtype=float).round(digits).tolist()


# --- Decisions: two labels of three documents of 20 tokens at one layer.
labels = [0, 0, 0, 1, 1, 1]
logits = (rng.normal(size=(6, 20, E)) + rng.normal(size=(2, 1, E))[labels]).round(3)
surprisal = rng.gamma(2.0, 1.5, size=(6, 20))
# Surprise follows the doubt of the token before.
doubt = entropy(softmax(logits, axis=2), axis=2)
surprisal[:, 1:] += 4 * doubt[:, :-1]
surprisal = surprisal.round(3)

p = softmax(logits, axis=2)
order = np.argsort(-logits, axis=2, kind="stable")
ranked = np.take_along_axis(logits, order, axis=2)
ranked_p = np.take_along_axis(p, order, axis=2)
weights = softmax(ranked[..., :K], axis=2)


def by_label(values):
    """One array of all tokens of each label."""
    return [np.concatenate([values[d].ravel() for d in range(6) if labels[d] == l]) for l in (0, 1)]


def distribution(values):
    parts = [0.05, 0.25, 0.5, 0.75, 0.95]
    return [
        rounded([v.mean(), *np.quantile(v, parts, method="inverted_cdf")]) for v in by_label(values)
    ]


def mixtral_loss(token_p, chosen):
    """load_balancing_loss_func of transformers in numpy: tokens x experts, tokens x k."""
    mask = np.eye(E)[chosen]
    return float((mask.mean(axis=0) * token_p.mean(axis=0)[None]).sum() * E)


loss = []
for label in (0, 1):
    documents = [d for d in range(6) if labels[d] == label]
    loss.append(mixtral_loss(np.concatenate(p[documents]), np.concatenate(order[documents, :, :K])))



def stored(x):
    """Eleven significant bits, as traces keep floats: ties are those of stored values."""
    bits = np.asarray(x, dtype=np.float32).view(np.uint32)
    return ((bits >> 13) << 13).view(np.float32)


correlation, exact = [], []
for label in (0, 1):
    documents = [d for d in range(6) if labels[d] == label]
    before, after = doubt[documents, :-1].ravel(), surprisal[documents, 1:].ravel()
    correlation.append(float(spearmanr(stored(before), stored(after)).statistic))
    exact.append(float(spearmanr(before, after).statistic))


last = np.array([p[[d for d in range(6) if labels[d] == l], -1].mean(axis=0) for l in (0, 1)])
in_top = np.zeros((2, E), dtype=int)
for label in (0, 1):
    in_top[label, np.argsort(-last[label])[:K]] = 1


def gini(x):
    """By the mean absolute difference of all pairs."""
    return float(np.abs(np.subtract.outer(x, x)).mean() / (2 * np.mean(x)))


# --- Counts of three labels over six experts at one layer; every token has two assignments.
counts = rng.integers(0, 300, size=(3, E))
counts[:, 4] //= 20
counts[0, 4] = 0
counts[:, 0] += counts.sum(axis=1) % 2
tokens = counts.sum(axis=1) // K
ascending = np.sort(counts, axis=1)
equal = counts * (1_000_000 / counts.sum(axis=1, keepdims=True))

joint = counts / counts.sum(axis=1, keepdims=True) / 3
expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
with np.errstate(divide="ignore", invalid="ignore"):
    npmi = np.where(joint > 0, np.log(joint / expected) / -np.log(joint), -1.0)

differences, intervals, tests = [], [], []
for label in range(3):
    others = counts.sum(axis=0) - counts[label]
    n, m = tokens[label], tokens.sum() - tokens[label]
    for e in range(E):
        a, b = int(counts[label, e]), int(others[e])
        differences.append(a / n - b / m)
        intervals.append(confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff"))
        tests.append(proportions_ztest([a, b], [n, m])[1])

print(
    json.dumps(
        {
            "versions": {
                "python": sys.version.split()[0],
                "numpy": np.__version__,
                "scipy": scipy.__version__,
                "scikit-learn": sklearn.__version__,
                "statsmodels": statsmodels.__version__,
            },
            "labels": labels,
            "logits": logits.tolist(),
            "surprisal": surprisal.tolist(),
            "margin": distribution(ranked_p[..., K - 1] - ranked_p[..., K]),
            "lead": distribution(ranked_p[..., 0] - ranked_p[..., 1]),
            "weight_ratio": distribution(weights[..., 1] / weights[..., 0]),
            "topk_mass": rounded([v.mean() for v in by_label(ranked_p[..., :K].sum(axis=2))]),
            "z_loss": rounded([v.mean() for v in by_label(logsumexp(logits, axis=2) ** 2)]),
            "aux_loss_sums_to_k": rounded(loss),
            "entropy_surprisal_correlation": rounded(correlation),
            "entropy_surprisal_correlation_exact": rounded(exact),
            "jaccard_last_token": float(jaccard_score(in_top[0], in_top[1])),
            "gini_last_token": [gini(last[label]) for label in (0, 1)],
            "counts": counts.tolist(),
            "gini": [gini(row) for row in counts],
            "cv": rounded(variation(counts, axis=1)),
            "maxvio": rounded(counts.max(axis=1) / counts.mean(axis=1) - 1),
            "lorenz": rounded(ascending.cumsum(axis=1) / counts.sum(axis=1, keepdims=True)),
            "coverage": [
                [
                    int(np.searchsorted(row[::-1].cumsum() / row.sum(), q) + 1)
                    for q in (0.5, 0.8, 0.9)
                ]
                for row in ascending
            ],
            "cramers_v_mass": float(association(counts, method="cramer", correction=False)),
            "cramers_v_equal": float(
                association(equal.round().astype(int), method="cramer", correction=False)
            ),
            "npmi": rounded(npmi),
            "risk_difference": rounded(differences),
            "newcombe": rounded(intervals),
            "z_test_p": [float(x) for x in tests],
            "z_test_q": [float(x) for x in false_discovery_control(tests)],
        },
        separators=(",", ":"),
    )
)
