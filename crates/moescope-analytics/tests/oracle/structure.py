"""Writes structure.json: a small random trace, and what numpy, scipy and scikit-learn say of its structure.

Run with Python 3 and numpy, scipy, scikit-learn installed; the file is checked in, so tests need none of them.
"""

import itertools
import json
import pathlib
from collections import Counter

import numpy as np
import scipy
import sklearn
from scipy.optimize import root
from scipy.stats import entropy, false_discovery_control, hypergeom
from sklearn.metrics import (
    confusion_matrix,
    matthews_corrcoef,
    mutual_info_score,
    normalized_mutual_info_score,
)
from sklearn.metrics.pairwise import cosine_similarity

EXPERTS, TOP_K, LAYERS, DOCUMENTS, TOKENS, WORDS = 6, 3, 3, 4, 80, 12
rng = np.random.default_rng(7)

words = 1 / np.arange(1, WORDS + 1)
documents = []
tastes = rng.normal(size=(LAYERS, WORDS, EXPERTS))
for _ in range(DOCUMENTS):
    ids = rng.choice(WORDS, size=TOKENS, p=words / words.sum())
    scores = tastes[:, ids, :] + rng.normal(size=(LAYERS, TOKENS, EXPERTS)) + 0.4 * np.arange(EXPERTS)
    # What is chosen at one layer makes the same number likelier at the next.
    for layer in range(1, LAYERS):
        first = scores[layer - 1].argmax(-1)
        scores[layer, np.arange(TOKENS), first] += 1.0
    chosen = np.argsort(-scores, axis=-1)[:, :, :TOP_K]
    predicted = rng.permutation(ids)
    documents.append((ids, predicted, chosen))

ids = np.concatenate([d[0] for d in documents])
predicted = np.concatenate([d[1] for d in documents])
chosen = np.concatenate([d[2] for d in documents], axis=1)  # [layers, tokens, k]
following = np.concatenate([np.append(d[0][1:], -1) for d in documents])
positions = np.tile(np.arange(TOKENS), DOCUMENTS)
tokens = len(ids)
member = np.zeros((LAYERS, tokens, EXPERTS), dtype=int)
np.put_along_axis(member, chosen, 1, axis=2)


def bits(nats):
    return nats / np.log(2)


def listed(array):
    """Nested lists in which None stands for an undefined number."""
    return [listed(x) if isinstance(x, np.ndarray) else (None if np.isnan(x) else float(x)) for x in array]


def co_activation(layer):
    both = member[layer].T @ member[layer]
    found = both / both.diagonal()[:, None]
    np.fill_diagonal(found, np.nan)
    return found


def rank_adjacent(layer):
    counter, single = Counter(), Counter()
    for row in chosen[layer].tolist():
        single.update(row)
        for a, b in itertools.pairwise(row):
            counter[a, b] += 1
            counter[b, a] += 1
    found = np.full((EXPERTS, EXPERTS), np.nan)
    for a, b in itertools.permutations(range(EXPERTS), 2):
        found[a, b] = counter[a, b] / single[a]
    return found


def pairs_given_k(layer):
    """P(i and j) in the distribution of largest entropy over k-sets with these inclusions, by enumeration."""
    inclusion = member[layer].mean(0)
    sets = np.array(list(itertools.combinations(range(EXPERTS), TOP_K)))
    is_in = np.zeros((len(sets), EXPERTS))
    np.put_along_axis(is_in, sets, 1, axis=1)

    def probabilities(log_odds):
        p = np.exp(is_in @ np.append(log_odds, 0.0))
        return p / p.sum()

    fitted = root(lambda x: (probabilities(x) @ is_in - inclusion)[:-1], np.zeros(EXPERTS - 1), tol=1e-13)
    assert fitted.success
    p = probabilities(fitted.x)
    return is_in.T @ (p[:, None] * is_in)


def lift(layer):
    both = member[layer].T @ member[layer]
    single = both.diagonal()
    chance = pairs_given_k(layer) * tokens
    found = np.full((4, EXPERTS, EXPERTS), np.nan)
    for a, b in itertools.permutations(range(EXPERTS), 2):
        null = hypergeom(tokens, single[a], single[b])
        found[0, a, b] = both[a, b] / null.mean()
        found[1, a, b] = both[a, b] / chance[a, b]
        found[2, a, b] = (both[a, b] - null.mean()) / null.std()
        found[3, a, b] = matthews_corrcoef(member[layer, :, a], member[layer, :, b])
    return found


def transition(layer, slots):
    counts = sum(
        confusion_matrix(chosen[layer, :, r], chosen[layer + 1, :, r], labels=range(EXPERTS)) for r in range(slots)
    )
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(1, keepdims=True)


first = chosen[:, :, 0]
information = np.array([[bits(mutual_info_score(first[a], first[b])) for b in range(LAYERS)] for a in range(LAYERS)])
normalized = np.array([[normalized_mutual_info_score(first[a], first[b]) for b in range(LAYERS)] for a in range(LAYERS)])

paths = Counter(map(tuple, first.T.tolist()))
path_bits = entropy(list(paths.values()), base=2)
marginals = [entropy(np.bincount(f), base=2) for f in first]
joint = [
    entropy(confusion_matrix(first[l], first[l + 1], labels=range(EXPERTS)).ravel(), base=2) for l in range(LAYERS - 1)
]
markov = marginals[0] + sum(j - m for j, m in zip(joint, marginals))


def specialization(values, layer):
    shares, counts = [], []
    for value in np.unique(values[values >= 0]):
        rows = chosen[layer][values == value]
        counts.append(len(rows))
        shares.append(np.bincount(rows.ravel()).max() / len(rows))
    shares, counts = np.array(shares), np.array(counts)
    return [shares[counts >= 10].mean(), shares.mean(), (shares * counts).sum() / counts.sum()]


def dependence(values, layer):
    experts = chosen[layer].ravel()
    return mutual_info_score(np.repeat(values, TOP_K), experts) / entropy(np.bincount(experts))


def purity(clusters):
    groups = {}
    for cluster, value in zip(clusters, ids):
        groups.setdefault(cluster, []).append(value)
    repeated = [g for g in groups.values() if len(g) > 1]
    size = sum(map(len, repeated))
    return sum(max(Counter(g).values()) for g in repeated) / size, size / tokens


rows = rng.normal(size=(5, 16)).astype(np.float32)
p_values = rng.uniform(size=12) ** 3

out = {
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
    "experts": EXPERTS,
    "top_k": TOP_K,
    "layers": LAYERS,
    "documents": [
        {"ids": i.tolist(), "predicted": p.tolist(), "chosen": c.transpose(1, 0, 2).tolist()} for i, p, c in documents
    ],
    "co_activation": [listed(co_activation(l)) for l in range(LAYERS)],
    "co_activation_rank_adjacent": [listed(rank_adjacent(l)) for l in range(LAYERS)],
    "co_activation_lift": [listed(lift(l)) for l in range(LAYERS)],
    "layer_transition": [listed(transition(l, 1)) for l in range(LAYERS - 1)],
    "layer_transition_slotwise": [listed(transition(l, TOP_K)) for l in range(LAYERS - 1)],
    "layer_information": information.tolist(),
    "layer_nmi": normalized.tolist(),
    "path_bits": path_bits,
    "path_distinct": len(paths),
    "path_independent": sum(marginals),
    "path_markov": markov,
    "path_purity": purity(list(map(tuple, first.T.tolist()))),
    "expert_purity": float(np.mean([purity(f.tolist())[0] for f in first])),
    "specialization": [
        [specialization(v, l) for v in (ids, predicted, following)] for l in range(LAYERS)
    ],
    "dependence": [[dependence(ids, l), dependence(positions, l)] for l in range(LAYERS)],
    "router": rows.tolist(),
    "router_cosines": cosine_similarity(rows.astype(np.float64)).tolist(),
    "p": p_values.tolist(),
    "q": false_discovery_control(p_values, method="bh").tolist(),
}
path = pathlib.Path(__file__).with_name("structure.json")
path.write_text(json.dumps(out) + "\n")
print(path.stat().st_size, "bytes")
