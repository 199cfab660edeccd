"""Compare the results of two implementations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


def agree(a: Arrays, b: Arrays) -> dict[str, float]:
    """Compare the arrays common to two results, by name.

    - Labels (n,): adjusted Rand index, 1 for the same clusters.
    - Scores (m,) float: largest absolute difference.
    - Neighbors (n, k) integer: share of neighbors in common.
    - Reduced embeddings (n, m) float: share of the ten nearest neighbors in common, of 500 samples.
    """
    return {name: _agree(a[name], b[name]) for name in a if name in b}


def _agree(a: np.ndarray, b: np.ndarray) -> float:
    if a.ndim == 1 and a.dtype.kind == "f":
        return float(np.abs(a - b).max())
    if a.ndim == 1:
        from ..metrics import adjusted_rand_score

        return float(adjusted_rand_score(a, b))
    if a.dtype.kind == "f":
        rows = np.random.default_rng(0).permutation(len(a))[:500]
        a, b = _nearest(a, rows), _nearest(b, rows)
    return float(np.mean([len(set(x) & set(y)) / len(x) for x, y in zip(a, b, strict=True)]))


def _nearest(Z: np.ndarray, rows: np.ndarray, k: int = 10) -> np.ndarray:
    from scipy.spatial.distance import cdist

    k = min(k, len(Z) - 1)
    return np.argsort(cdist(Z[rows], Z), axis=1, kind="stable")[:, 1 : k + 1]
