"""Computes the values in sequence.json with numpy, scipy and scikit-learn, by other ways than ours where there are some.

Run: python generate_sequence.py > sequence.json
"""

import itertools
import json
import sys

import numpy as np
import scipy
import sklearn
from scipy.special import log_softmax
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, silhouette_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

E, K, T = 6, 2, 48
LABELS = ["math", "physics", "law"]
rng = np.random.default_rng(20260201)


def rounded(x):
    return np.asarray(x, dtype=float).round(12).tolist()


# Twelve documents, four of each label; the first two of a label are of one group. Experts stick for some tokens.
documents = []
for label in range(3):
    for number in range(4):
        preference = rng.normal(size=E) * 0.5 + 1.2 * (np.arange(E) // 2 == label)
        score, experts = np.zeros(E), []
        for t in range(T):
            score = 0.7 * score + rng.normal(size=E)
            drift = preference if number % 2 == 0 or t < T // 2 else preference[::-1]
            experts.append(np.argsort(-(score + drift))[:K].tolist())
        documents.append(
            {
                "id": f"{LABELS[label]}-{number}",
                "label": label,
                "group": f"{LABELS[label]}-{max(number, 1)}",
                "experts": experts,
            }
        )
experts = np.array([d["experts"] for d in documents])  # [documents, T, K]
chosen = np.zeros((len(documents), T, E), dtype=int)
np.put_along_axis(chosen, experts, 1, axis=2)
label = np.array([d["label"] for d in documents])
group = np.array([d["group"] for d in documents])
counts = chosen.sum(axis=1)

# Overlap and first choices by lag: mean over pairs; chance: mean over all ordered pairs of different tokens of each document.
different = ~np.eye(T, dtype=bool)
lags = []
for own in range(3):
    of_label = []
    for lag in range(1, 5):
        pairs = chosen[label == own]
        overlap = (pairs[:, :-lag] * pairs[:, lag:]).sum(axis=2).mean() / K
        first = experts[label == own][:, :, 0]
        same = (first[:, :-lag] == first[:, lag:]).mean()
        chance_overlap = np.mean([((c @ c.T) / K)[different].mean() for c in pairs])
        chance_same = np.mean([(f[:, None] == f[None, :])[different].mean() for f in first])
        of_label.append([overlap, chance_overlap, same, chance_same])
    lags.append(of_label)
runs = [
    [
        T * len(first) / sum(1 + (f[1:] != f[:-1]).sum() for f in first)
        for first in [experts[label == own][:, :, 0]]
    ][0]
    for own in range(3)
]

# Segments of M tokens at all positions.
M = 8
segments = []
for own in range(3):
    windows = np.concatenate(
        [[c[s : s + M] for s in range(T - M + 1)] for c in chosen[label == own]]
    )  # [segments, M, E]
    frequency = windows.sum(axis=1)
    truth = windows.ravel()
    best = max(
        (
            f1_score(truth, np.repeat((frequency >= a)[:, None, :], M, axis=1).ravel()),
            (frequency >= a).sum(axis=1).mean() / K,
        )
        for a in range(1, M + 1)
    )
    shares = [
        np.mean(
            [
                max(f[list(s)].sum() for s in itertools.combinations(range(E), size)) / (M * K)
                for f in frequency
            ]
        )
        for size in (2, 3, 4)
    ]
    segments.append([best[0], best[1], *shares])

# Drops at capacity factors 1 and 2 by tenth of the document.
drops = []
for own in range(3):
    table = np.zeros((10, 3))
    for e in experts[label == own]:
        for column, factor in enumerate((1, 2)):
            load = {}
            for t in range(T):
                for x in e[t]:
                    load[x] = load.get(x, 0) + 1
                    table[t * 10 // T, column] += load[x] > int(factor * K * T / E)
        for t in range(T):
            table[t * 10 // T, 2] += K
    drops.append((table[:, :2] / table[:, 2:]).tolist())

# The best cut of each document's blocks of eight tokens: half the G statistic of a 2 x E table.
cuts = []
for c in chosen:
    blocks = c.reshape(T // 8, 8, E).sum(axis=1)
    gains = []
    for before in range(1, len(blocks)):
        table = np.array([blocks[:before].sum(axis=0), blocks[before:].sum(axis=0)])
        table = table[:, table.sum(axis=0) > 0]
        gains.append(
            chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic / 2
        )
    cuts.append([int(np.argmax(gains)) + 1, float(np.max(gains))])

# Fingerprints: selection frequency.
points = counts / T
cosine = cosine_similarity(points)
upper = np.triu(np.ones_like(cosine, dtype=bool), 1)
other_group = group[:, None] != group[None, :]
same_label = label[:, None] == label[None, :]
within = cosine[upper & other_group & same_label]
across = cosine[upper & other_group & ~same_label]
pooled = np.sqrt(
    (within.var(ddof=1) * (len(within) - 1) + across.var(ddof=1) * (len(across) - 1))
    / (len(within) + len(across) - 2)
)
separation = {
    "silhouette_all_pairs": float(silhouette_score(points, label, metric="cosine")),
    "within": float(within.mean()),
    "across": float(across.mean()),
    "cohens_d": float((within.mean() - across.mean()) / pooled),
}
# Without documents of the same group, silhouette_score is asked for each document with the others of other groups.
silhouettes = []
for i in range(len(points)):
    keep = other_group[i] | (np.arange(len(points)) == i)
    place = int(keep[:i].sum())
    values = sklearn.metrics.silhouette_samples(points[keep], label[keep], metric="cosine")
    silhouettes.append(float(values[place]))

unit = points / np.linalg.norm(points, axis=1, keepdims=True)
nearest = [
    int(
        np.argmax(
            [
                cosine_similarity(
                    unit[[i]], unit[(label == own) & other_group[i]].mean(axis=0, keepdims=True)
                )[0, 0]
                for own in range(3)
            ]
        )
    )
    for i in range(len(points))
]

# Windows of sixteen tokens against the shares of labels without the document's group.
W = 16
divergence = np.zeros((3, 3, T // W))
losses = []
for i, c in enumerate(chosen):
    for place in range(T // W):
        window = c[place * W : (place + 1) * W].sum(axis=0)
        likelihood = np.zeros(3)
        for own in range(3):
            rest = counts[(label == own) & other_group[i]].sum(axis=0)
            divergence[label[i], own, place] += (
                jensenshannon(window / window.sum(), rest / rest.sum(), base=2) ** 2 / 4
            )
            likelihood[own] = window @ np.log((rest + 0.5) / (rest.sum() + E / 2))
        losses.append(-log_softmax(likelihood)[label[i]] / np.log(2))

# Logistic regression on standardised points, fitted to the end.
x = rng.normal(size=(30, 4)).round(6)
y = rng.integers(0, 3, size=30)
x[:, 0] += y
x[:, 1] *= 40
x = x.round(6)
scaler = StandardScaler().fit(x)
model = LogisticRegression(C=1.0, tol=1e-12, max_iter=10000).fit(scaler.transform(x), y)

print(
    json.dumps(
        {
            "versions": {
                "python": sys.version.split()[0],
                "numpy": np.__version__,
                "scipy": scipy.__version__,
                "scikit-learn": sklearn.__version__,
            },
            "labels": LABELS,
            "documents": documents,
            "lags": rounded(lags),
            "runs": rounded(runs),
            "segments": rounded(segments),
            "drops": rounded(drops),
            "cuts": cuts,
            "separation": separation,
            "silhouettes": silhouettes,
            "nearest": nearest,
            "divergence": rounded(divergence),
            "loss_bits": float(np.mean(losses)),
            "x": x.tolist(),
            "y": y.tolist(),
            "coefficients": rounded(model.coef_),
            "intercepts": rounded(model.intercept_),
            "predicted": model.predict(scaler.transform(x)).tolist(),
        }
    )
)
