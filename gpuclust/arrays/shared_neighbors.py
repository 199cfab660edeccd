"""One neighbor graph per representation, shared by all methods that need one."""

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
        Largest k that will be asked for; the first search finds that many.
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
