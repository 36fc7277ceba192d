"""Computes the values in oracle.json with numpy, scipy and scikit-learn.

Run: python generate.py > oracle.json
"""

import json
import sys

import numpy as np
import scipy
import sklearn
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, norm, spearmanr
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.manifold import trustworthiness
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

rng = np.random.default_rng(20260101)


def rounded(x):
    return np.asarray(x, dtype=float).round(12).tolist()


# Counts of four labels over eight experts, one expert never chosen by label 1.
counts = rng.integers(1, 400, size=(4, 8))
counts[1, 3] = 0
shares = counts / counts.sum(axis=1, keepdims=True)

pairs = [(a, b) for a in range(4) for b in range(a + 1, 4)]

# scikit-learn takes one label per assignment; equal totals make the token prior the equal prior.
labels = np.repeat(np.arange(4), counts.sum(axis=1))
experts = np.concatenate([np.repeat(np.arange(8), row) for row in counts])
mixture = shares.mean(axis=0)
equal_mi = entropy(mixture, base=2) - np.mean([entropy(s, base=2) for s in shares])
equal_nmi = 2 * equal_mi / (2.0 + entropy(mixture, base=2))

# Points in six dimensions: two labels whose means differ a little, ten groups of three.
n = 30
groups = np.repeat(np.arange(10), 3)
point_labels = np.repeat(np.arange(10) % 2, 3)
points = rng.normal(size=(n, 6)) + 1.0 + 0.7 * point_labels[:, None] * np.eye(6)[0]
points += rng.normal(scale=0.6, size=(10, 6))[groups]
points = points.round(6)
pca = PCA(n_components=2, svd_solver="full").fit(points)
scores = pca.transform(points)
plane = rng.normal(size=(n, 2)).round(6)
classifier = KNeighborsClassifier(n_neighbors=5, metric="cosine", algorithm="brute")
predicted = cross_val_predict(
    classifier, points, point_labels, groups=groups, cv=LeaveOneGroupOut()
)

bags = rng.integers(0, 4, size=(5, 7))
bags[2] = 0
bags[2, 6] = 3
unit = TfidfTransformer(use_idf=False, norm="l2").fit_transform(bags).toarray()

x = rng.normal(size=12).round(3)
y = (x + rng.normal(size=12)).round(1)
y[3] = y[7]

print(
    json.dumps(
        {
            "versions": {
                "python": sys.version.split()[0],
                "numpy": np.__version__,
                "scipy": scipy.__version__,
                "scikit-learn": sklearn.__version__,
            },
            "counts": counts.tolist(),
            "entropy_bits": rounded([entropy(s, base=2) for s in shares]),
            "jsd_pairs": pairs,
            "jsd_bits": rounded(
                [jensenshannon(shares[a], shares[b], base=2) ** 2 for a, b in pairs]
            ),
            "mi_bits_equal_prior": float(equal_mi),
            "nmi_equal_prior": float(equal_nmi),
            "mi_bits_mass_prior": float(mutual_info_score(labels, experts) / np.log(2)),
            "nmi_mass_prior": float(
                normalized_mutual_info_score(labels, experts, average_method="arithmetic")
            ),
            "points": points.tolist(),
            "point_labels": point_labels.tolist(),
            "groups": groups.tolist(),
            "pca_scores": rounded(scores),
            "pca_explained": rounded(pca.explained_variance_ratio_),
            "plane": plane.tolist(),
            "trustworthiness_plane": float(trustworthiness(points, plane, n_neighbors=5)),
            "trustworthiness_pca": float(trustworthiness(points, scores, n_neighbors=5)),
            "knn_is_right": (predicted == point_labels).tolist(),
            "bags": bags.tolist(),
            "bag_cosine_distances": rounded(1 - unit @ unit.T),
            "x": x.tolist(),
            "y": y.tolist(),
            "spearman": float(spearmanr(x, y).statistic),
            "z": [-8.5, -7.2, -4.0, -1.3, 0.0, 0.7, 2.5, 6.0],
            "norm_cdf": [float(norm.cdf(z)) for z in [-8.5, -7.2, -4.0, -1.3, 0.0, 0.7, 2.5, 6.0]],
            "probabilities": [1e-12, 1e-4, 0.02, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9999],
            "norm_ppf": [
                float(norm.ppf(p)) for p in [1e-12, 1e-4, 0.02, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9999]
            ],
            "quantile_at": [0.0, 0.025, 0.37, 0.5, 0.975, 1.0],
            "quantiles_of_x": rounded(np.quantile(x, [0.0, 0.025, 0.37, 0.5, 0.975, 1.0])),
        },
        indent=1,
    )
)
