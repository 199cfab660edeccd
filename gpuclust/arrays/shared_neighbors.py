"""One neighbor graph per representation, shared by all methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SharedNeighbors:
    """Nearest neighbors of one representation, searched once per metric.

    Parameters
    ----------
    search : callable (k, metric=) -> (distances, indices)
        Finds the k nearest rows of every row, the row itself first.
    n : int
        Number of rows.
    most : int
        Number of neighbors of the first search, so that later calls with a smaller k reuse it.

    Examples
    --------
    >>> import numpy as np
    >>> from functools import partial
    >>> from gpuclust.arrays.neighbors import kneighbors
    >>> X = np.array([[0.0], [1.0], [5.0]])
    >>> neighbors = SharedNeighbors(partial(kneighbors, X, include_self=True), n=3, most=3)
    >>> distances, indices = neighbors(2, "euclidean")
    >>> indices.tolist()
    [[0, 1], [1, 0], [2, 1]]
    """

    def __init__(self, search: Callable[..., tuple[Any, Any]], n: int, most: int = 0):
        self._search = search
        self.most = min(most, n)
        self._found: dict[str, tuple[Any, Any]] = {}

    def __call__(self, k: int, metric: str) -> tuple[Any, Any]:
        """Return (distances, indices), both (n, k), each row itself first."""
        known = self._found.get(metric)
        if known is None or known[1].shape[1] < k:
            known = self._found[metric] = self._search(max(k, self.most), metric=metric)
        return known[0][:, :k], known[1][:, :k]
