"""Average, complete and weighted linkage in one n x n matrix of distances, updated in place.

Each round merges all pairs of clusters that are each other's nearest neighbour (`tree`), gives the
new clusters their distances by the formulas of Lance and Williams ("A general theory of
classificatory sorting strategies", 1967) and looks for the neighbours of these and of the clusters
that lost theirs.
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
# Rows and columns of merged clusters are passed over until so few are left, then squeezed out.
_SPARSE = 0.7


def lance_williams(xp: Any, X: Any, method: str, metric: str, *, wide: bool = False) -> np.ndarray:
    """Build the tree of average (UPGMA), complete or weighted (WPGMA) linkage.

    Parameters
    ----------
    xp : namespace
        The namespace of `X`.
    X : array (n, d), float
        Samples, n at least 1.
    method : {"average", "complete", "weighted"}
        The linkage.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples, see `ops.distance_blocks`; evaluated in float64.
    wide : bool
        Keep the distances in float64; the default keeps them in float32.

    Returns
    -------
    ndarray (n - 1, 4), float64
        The linkage matrix.  Time O(n^2 d) for the distances and about 5 n^2 steps for the tree.
        Memory 4 n^2 bytes, 8 n^2 with `wide`, and a few blocks, see `ops.block_bytes`.  In float32
        a distance is rounded when it is stored, and a mean at each merge: complete linkage is
        within 6e-8 of the exact heights, relative, and the other two are near that since each merge
        averages the errors too.  The worst case is a cluster that takes in its samples one by one:
        5e-7 after 3,000 of them, growing as the square root.
    """
    forest = Forest(xp, X)
    distances = _Distances(xp, take_rows(xp, X, forest.rows), metric, wide=wide)
    while forest.active.size > 1:
        a, b = reciprocal_pairs(distances.active, distances.near, distances.weight)
        merged = distances.slots[a], distances.slots[b]
        size_a, size_b = forest.size[merged[0]], forest.size[merged[1]]
        forest.merge(*merged, distances.weight[a])
        distances.merge(a, b, _SHARES[method](size_a, size_b))
    return forest.matrix()


# What share of b the mean of a and b has; None for the larger of the two.
_SHARES: dict[str, Callable] = {
    "average": lambda size_a, size_b: size_b / (size_a + size_b),
    "weighted": lambda size_a, size_b: np.full(size_a.size, 0.5),
    "complete": lambda size_a, size_b: None,
}


class _Distances:
    """The matrix, and the nearest neighbour of each of its rows.

    Attributes
    ----------
    slots : ndarray (m,)
        The slot of the cluster of each row; rows are in the order of slots.
    active : ndarray, int64
        Rows that hold a cluster.
    near, weight : ndarray (m,)
        By row, the nearest other row, the first of equally near ones, and the distance to it.
    """

    # By row, `_bound` is what every other row than the nearest is at least away.  Merged clusters
    # are never nearer than their nearer part, so it holds until the next search.

    def __init__(self, xp: Any, X: Any, metric: str, *, wide: bool):
        m = X.shape[0]
        self._xp = xp
        self._dtype = xp.float64 if wide else xp.float32
        self._D = _symmetric(xp, X, metric, self._dtype)
        self.slots = self.active = np.arange(m)
        self.near = np.zeros(m, dtype=np.int64)
        self.weight, self._bound = np.zeros(m), np.zeros(m)
        if m > 1:
            self._search(self.active)

    def merge(self, a: np.ndarray, b: np.ndarray, share: np.ndarray | None) -> None:
        """Merge the rows `b` into `a`; `share` is the weight of b in their mean, see `_SHARES`."""
        for some in self._runs(a.size):
            self._merge_rows(a, b, share, some)
        for some in self._runs(a.size):
            rows = take_rows(self._xp, self._D, a[some])
            put_columns(self._xp, self._D, a[some], rows.T)
        left = np.zeros(self.slots.size, dtype=bool)
        left[self.active] = True
        left[b] = False
        self.active = np.flatnonzero(left)
        if self.active.size == 1:
            return
        again = self._follow(a, b)
        if self.active.size <= _SPARSE * self.slots.size:
            again = np.searchsorted(self.active, again)
            self._squeeze()
        self._search(again)

    def _follow(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Keep to neighbours that merged but are still the nearest; return the rows to search."""
        now = np.arange(self.slots.size)
        now[b] = a
        new = np.zeros(self.slots.size, dtype=bool)
        new[a] = True
        self.near[self.active] = now[self.near[self.active]]
        orphans = self.active[new[self.near[self.active]] & ~new[self.active]]
        index = (to_device(self._xp, rows, self._D) for rows in (orphans, self.near[orphans]))
        self.weight[orphans] = to_host(self._D[tuple(index)])
        lost = orphans[~(self.weight[orphans] < self._bound[orphans])]
        return np.sort(np.concatenate([a, lost]))

    def _runs(self, count: int) -> Iterator[slice]:
        run = block_size.block_rows(self._xp, 8 * self.slots.size)
        return (slice(start, min(start + run, count)) for start in range(0, count, run))

    def _merge_rows(
        self, a: np.ndarray, b: np.ndarray, share: np.ndarray | None, some: slice
    ) -> None:
        """Set the rows of some new clusters, first over the old columns, then over the new."""
        xp, D = self._xp, self._D
        part = None if share is None else to_device(xp, share[some], D)[:, None]
        rows = _mean(xp, take_rows(xp, D, a[some]), take_rows(xp, D, b[some]), part)
        columns = [xp.take(rows, to_device(xp, index, D), axis=1) for index in (a, b)]
        part = None if share is None else to_device(xp, share, D)[None, :]
        merged = _mean(xp, *columns, part)
        # Two new clusters get one distance, though its two computations may round differently.
        merged[:, some] = _mirrored(xp, merged[:, some])
        put_columns(xp, rows, a, merged)
        put_rows(xp, D, a[some], rows)

    def _search(self, rows: np.ndarray) -> None:
        xp = self._xp
        gone = np.full(self.slots.size, np.inf)
        gone[self.active] = 0.0
        gone = xp.astype(to_device(xp, gone, self._D), self._dtype)[None, :]
        for some in self._runs(rows.size):
            D = take_rows(xp, self._D, rows[some])
            D += gone
            nearest = xp.argmin(D, axis=1)
            self.near[rows[some]] = to_host(nearest)
            self.weight[rows[some]] = to_host(xp.min(D, axis=1))
            D = set_infinite(xp, D, nearest)
            self._bound[rows[some]] = to_host(xp.min(D, axis=1))

    def _squeeze(self) -> None:
        """Move the rows and columns that are left to the top left corner of the same memory."""
        kept, m = self.active, self.active.size
        for some in self._runs(m):
            rows = take_rows(self._xp, self._D, kept[some])
            columns = to_device(self._xp, kept, rows)
            # Rows only move up, to places that were read before.
            self._D[some, :m] = self._xp.take(rows, columns, axis=1)
        self._D = self._D[:m, :m]
        self.near = np.searchsorted(kept, self.near[kept])  # one that merged has a new one in `a`
        self.slots, self.weight = self.slots[kept], self.weight[kept]
        self._bound = self._bound[kept]
        self.active = np.arange(m)


def _symmetric(xp: Any, X: Any, metric: str, dtype: Any) -> Any:
    """Return the matrix of distances, infinite on the diagonal; each pair is evaluated once."""
    m = X.shape[0]
    D = xp.empty((m, m), dtype=dtype, device=array_api_compat.device(X))
    wide = xp.astype(X, xp.float64)
    for start, stop, block in distances.distance_blocks(wide, metric=metric):
        block[:, start:stop] = _mirrored(xp, block[:, start:stop])
        D[start:stop, :] = xp.astype(block, dtype)
        D[start:stop, :start] = D[:start, start:stop].T
    return D


def _mirrored(xp: Any, square: Any) -> Any:
    """Return the matrix with its upper triangle in both, and infinity on the diagonal."""
    upper = xp.triu(square, k=1)
    itself = xp.eye(square.shape[0], dtype=xp.bool, device=array_api_compat.device(square))
    return xp.where(itself, xp.full_like(square, float("inf")), upper + upper.T)


def _mean(xp: Any, ours: Any, theirs: Any, share: Any | None) -> Any:
    """Return the mean of the two in float64, with `share` of theirs, or their maximum."""
    ours, theirs = xp.astype(ours, xp.float64), xp.astype(theirs, xp.float64)
    if share is None:
        return xp.maximum(ours, theirs)
    return ours * (1 - share) + theirs * share
