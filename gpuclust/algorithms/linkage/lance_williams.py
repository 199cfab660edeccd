"""Average, complete and weighted linkage in one n x n matrix of distances, updated in place.

Each round merges all reciprocal nearest neighbors, see `merge_forest`.  The distances of the new
clusters follow from the formulas of Lance and Williams ("A general theory of classificatory sorting
strategies", 1967).  Nearest neighbors are then searched for the new clusters, and for clusters
whose nearest neighbor has merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import array_api_compat
import numpy as np

from ...arrays import distances
from ...arrays.indexing import put_columns, put_rows, set_infinite, take_rows
from ...arrays.transfer import to_device, to_host
from ...device import block_size
from .merge_forest import Forest, reciprocal_pairs

METHODS = ("average", "complete", "weighted")
# Rows and columns of merged clusters are removed once this share of the matrix remains in use.
_SPARSE = 0.7


def lance_williams(
    xp: Any, X: Any, method: str, metric: str, *, in_float64: bool = False
) -> np.ndarray:
    """Build the tree of average (UPGMA), complete or weighted (WPGMA) linkage.

    Parameters
    ----------
    xp : namespace
        The namespace of `X`.
    X : array (n, d), float
        Samples, n at least 1.
    method : {"average", "complete", "weighted"}
        Linkage.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples, evaluated in float64.
    in_float64 : bool
        Store the distances in float64 instead of float32.

    Returns
    -------
    ndarray (n - 1, 4), float64
        Linkage matrix.

    Notes
    -----
    Time O(n^2 d) for the distances and about 5 n^2 steps for the tree.  Memory 4 n^2 bytes, or
    8 n^2 in float64, and a few blocks.

    In float32, distances are rounded when they are stored, and means at each merge.  Heights of
    complete linkage have a relative error of at most 6e-8.  The other two are close to that, since
    each merge also averages the errors.  In the worst case samples join a cluster one by one: 5e-7
    after 3,000 samples, growing with the square root.

    Examples
    --------
    >>> lance_williams(np, np.array([[0.0], [1.0], [5.0]]), "complete", "l1")[:, 2].tolist()
    [1.0, 5.0]
    """
    forest = Forest(xp, X)
    distances = _Distances(xp, take_rows(xp, X, forest.rows), metric, in_float64=in_float64)
    while forest.active.size > 1:
        a, b = reciprocal_pairs(distances.active, distances.near, distances.weight)
        merged = distances.slots[a], distances.slots[b]
        size_a, size_b = forest.size[merged[0]], forest.size[merged[1]]
        forest.merge(*merged, distances.weight[a])
        distances.merge(a, b, _SHARES[method](size_a, size_b))
    return forest.matrix()


# Weight of b in the mean of the distances to a and b; None takes the larger distance.
_SHARES: dict[str, Callable] = {
    "average": lambda size_a, size_b: size_b / (size_a + size_b),
    "weighted": lambda size_a, size_b: np.full(size_a.size, 0.5),
    "complete": lambda size_a, size_b: None,
}


class _Distances:
    """Matrix of distances, and the nearest neighbor of each row.

    Attributes
    ----------
    slots : ndarray (m,), int64
        Slot of each row's cluster, ascending.
    active : ndarray, int64
        Rows in use.
    near : ndarray (m,), int64
        Nearest other row of each row, the first one if distances tie.
    weight : ndarray (m,), float64
        Distance to it.
    """

    # `_bound` (m,) is a lower bound of the distances to all rows except the nearest.  It holds
    # until the next search, because a merged cluster is never nearer than the nearer of its parts.

    def __init__(self, xp: Any, X: Any, metric: str, *, in_float64: bool):
        m = X.shape[0]
        self._xp = xp
        self._dtype = xp.float64 if in_float64 else xp.float32
        self._D = _distance_matrix(xp, X, metric, self._dtype)
        self.slots = self.active = np.arange(m)
        self.near = np.zeros(m, dtype=np.int64)
        self.weight, self._bound = np.zeros(m), np.zeros(m)
        if m > 1:
            self._search(self.active)

    def merge(self, a: np.ndarray, b: np.ndarray, share: np.ndarray | None) -> None:
        """Merge the rows `b` into `a`; `share` is the weight of b in their mean, see `_SHARES`."""
        for part in self._parts(a.size):
            self._merge_rows(a, b, share, part)
        for part in self._parts(a.size):
            rows = take_rows(self._xp, self._D, a[part])
            put_columns(self._xp, self._D, a[part], rows.T)
        remaining = np.zeros(self.slots.size, dtype=bool)
        remaining[self.active] = True
        remaining[b] = False
        self.active = np.flatnonzero(remaining)
        if self.active.size == 1:
            return
        again = self._redirect(a, b)
        if self.active.size <= _SPARSE * self.slots.size:
            again = np.searchsorted(self.active, again)
            self._compact()
        self._search(again)

    def _redirect(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Point `near` to merged neighbors if still nearest; return the rows to search."""
        row_now = np.arange(self.slots.size)
        row_now[b] = a
        new = np.zeros(self.slots.size, dtype=bool)
        new[a] = True
        self.near[self.active] = row_now[self.near[self.active]]
        orphans = self.active[new[self.near[self.active]] & ~new[self.active]]
        index = (to_device(self._xp, rows, self._D) for rows in (orphans, self.near[orphans]))
        self.weight[orphans] = to_host(self._D[tuple(index)])
        lost = orphans[~(self.weight[orphans] < self._bound[orphans])]
        return np.sort(np.concatenate([a, lost]))

    def _parts(self, count: int) -> Iterator[slice]:
        """Cut `count` rows of the matrix into parts of the size of a block."""
        size = block_size.block_rows(self._xp, 8 * self.slots.size)
        return (slice(start, min(start + size, count)) for start in range(0, count, size))

    def _merge_rows(
        self, a: np.ndarray, b: np.ndarray, share: np.ndarray | None, part: slice
    ) -> None:
        """Set the rows of some new clusters, first over the old columns, then over the new."""
        xp, D = self._xp, self._D
        by_row = None if share is None else to_device(xp, share[part], D)[:, None]
        rows = _mean(xp, take_rows(xp, D, a[part]), take_rows(xp, D, b[part]), by_row)
        to_a, to_b = (xp.take(rows, to_device(xp, index, D), axis=1) for index in (a, b))
        by_column = None if share is None else to_device(xp, share, D)[None, :]
        merged = _mean(xp, to_a, to_b, by_column)
        # Two new clusters get one distance, although its two computations may round differently.
        merged[:, part] = _symmetrized(xp, merged[:, part])
        put_columns(xp, rows, a, merged)
        put_rows(xp, D, a[part], rows)

    def _search(self, rows: np.ndarray) -> None:
        """Find the nearest neighbors of these rows, and the bounds of all others."""
        xp = self._xp
        unused = np.full(self.slots.size, np.inf)
        unused[self.active] = 0.0
        penalty: Any = xp.astype(to_device(xp, unused, self._D), self._dtype)[None, :]
        for part in self._parts(rows.size):
            D = take_rows(xp, self._D, rows[part])
            D += penalty
            nearest = xp.argmin(D, axis=1)
            self.near[rows[part]] = to_host(nearest)
            self.weight[rows[part]] = to_host(xp.min(D, axis=1))
            D = set_infinite(xp, D, nearest)
            self._bound[rows[part]] = to_host(xp.min(D, axis=1))

    def _compact(self) -> None:
        """Move the active rows and columns to the start of the same memory."""
        kept, m = self.active, self.active.size
        for part in self._parts(m):
            rows = take_rows(self._xp, self._D, kept[part])
            columns = to_device(self._xp, kept, rows)
            # Rows only move up, to places that were read before.
            self._D[part, :m] = self._xp.take(rows, columns, axis=1)
        self._D = self._D[:m, :m]
        # `_redirect` has replaced neighbors that merged, so all of these rows are kept.
        self.near = np.searchsorted(kept, self.near[kept])
        self.slots, self.weight = self.slots[kept], self.weight[kept]
        self._bound = self._bound[kept]
        self.active = np.arange(m)


def _distance_matrix(xp: Any, X: Any, metric: str, dtype: Any) -> Any:
    """Return the symmetric matrix of distances, infinite on the diagonal."""
    m = X.shape[0]
    D = xp.empty((m, m), dtype=dtype, device=array_api_compat.device(X))
    blocks: Any = distances.distance_blocks(xp.astype(X, xp.float64), metric=metric)
    for start, stop, block in blocks:
        block[:, start:stop] = _symmetrized(xp, block[:, start:stop])
        D[start:stop, :] = xp.astype(block, dtype)
        D[start:stop, :start] = D[:start, start:stop].T
    return D


def _symmetrized(xp: Any, square: Any) -> Any:
    """Copy the upper triangle of a square matrix to the lower; set the diagonal to infinity."""
    upper = xp.triu(square, k=1)
    diagonal = xp.eye(square.shape[0], dtype=xp.bool, device=array_api_compat.device(square))
    return xp.where(diagonal, xp.full_like(square, float("inf")), upper + upper.T)


def _mean(xp: Any, to_a: Any, to_b: Any, share: Any | None) -> Any:
    """Return the mean of two distances in float64, with weight `share` of the second.

    The larger distance if `share` is None.
    """
    to_a, to_b = xp.astype(to_a, xp.float64), xp.astype(to_b, xp.float64)
    if share is None:
        return xp.maximum(to_a, to_b)
    return to_a * (1 - share) + to_b * share
