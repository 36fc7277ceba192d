"""Computes the matchings in assignment.json with scipy.

Run: python assignment.py > assignment.json
"""

import json
import sys

import numpy as np
import scipy
from scipy.optimize import linear_sum_assignment

rng = np.random.default_rng(20260102)
cases = []


def case(weights):
    rows, columns = linear_sum_assignment(weights, maximize=True)
    cases.append(
        {
            "weights": weights.tolist(),
            "rows": rows.tolist(),
            "columns": columns.tolist(),
            "total": float(weights[rows, columns].sum()),
        }
    )


for shape in [(1, 1), (4, 4), (12, 12), (5, 9), (9, 5)]:
    case(rng.normal(size=shape).round(6))
# Whole numbers, of which many matchings are best.
case(rng.integers(0, 3, size=(10, 10)).astype(float))
case(rng.integers(0, 2, size=(6, 11)).astype(float))
# Shares as of experts, most of them close to 0.
case((rng.random((16, 16)) ** 8).round(9))

versions = {
    "python": sys.version.split()[0],
    "numpy": np.__version__,
    "scipy": scipy.__version__,
}
print(json.dumps({"versions": versions, "cases": cases}))
