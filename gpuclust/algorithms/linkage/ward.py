"""Ward's tree in O(n d) memory: clusters are stored as centroids, without an n x n matrix.

Two clusters merge at the height ``sqrt(2 |ca - cb|^2 / (1/na + 1/nb))`` (Ward, 1963).  Each round
merges all reciprocal nearest neighbors.  Then nearest neighbors are searched for the new clusters,
and for clusters whose nearest neighbor has merged.

The search uses blocks of matrix products and is still exact in float64.  A product gives a *lower
bound* of each pair's weight, with rounding errors included.  Pairs whose bound is not above the
smallest weight of their row are evaluated in float64 from the difference of the centroids.
Near-duplicates, which cancel in the product, therefore lose no digits, and float32 products choose
the same neighbors as float64 products.

Each cluster has a list of its few nearest clusters, and a lower bound for the weight of all others.
After its neighbor has merged, the list often contains the next one: by reducibility a merged
cluster is never nearer than the nearer of its parts.  All clusters are searched only when the best
one on the list is beyond that bound.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import array_api_compat
import numpy as np

from ...arrays.indexing import put_rows, set_infinite, take_rows
from ...arrays.transfer import to_device, to_host
from ...device.block_size import block_rows
from ...device.threads import cores, one_blas_thread
from .merge_forest import Forest, reciprocal_pairs

# Blocks on NumPy stay in the cache: 4 MiB took 1.2 ns per entry, 16 MiB 1.5 and 32 MiB 1.7 (two
# cores, n = 10,000, d = 50).
_CACHED = 4 << 20
# With fewer rows, a matrix product spends most of its time on packing the other factor.
_FEWEST_ROWS = 64
# Clusters on each list.
_LISTED = 8
# A row is cut into this many parts.  The third smallest of their minima is the limit of the row.
# One pass over the block then gives three or a few more clusters per row, for any distances.
_PARTS = 8
# Rows with more clusters than this within the rounding error of float32 are searched in float64.
_CROWD = 64


def ward(xp: Any, X: Any, *, in_float64: bool = False) -> np.ndarray:
    """Build Ward's tree.

    Time O(n^2 d), about 2 n^2 distances.  Memory: the centroids in float64 and a few blocks.

    Parameters
    ----------
    xp : namespace
        The namespace of `X`.
    X : array (n, d), float
        Samples, n at least 1.
    in_float64 : bool
        Search in float64 only.  By default the search is in float32, and in float64 for rows with
        many clusters within the rounding error.

    Returns
    -------
    ndarray (n - 1, 4), float64
        Linkage matrix, exact up to a few units of float64 rounding of the centroids, for either
        value of `in_float64`.

    References
    ----------
    Ward: Hierarchical grouping to optimize an objective function, Journal of the American
    Statistical Association 58, 1963.

    Examples
    --------
    >>> ward(np, np.array([[0.0], [2.0]])).tolist()
    [[0.0, 1.0, 2.0, 2.0]]
    """
    forest = Forest(xp, X)
    points, unit = _normalized(xp, take_rows(xp, X, forest.rows))
    neighbors = _Neighbors(xp, points, forest, in_float64=in_float64)
    while forest.active.size > 1:
        a, b = reciprocal_pairs(forest.active, neighbors.near, neighbors.weight)
        height = unit * np.sqrt(2 * neighbors.weight[a])
        neighbors.move_centroids(a, b)
        forest.merge(a, b, height)
        neighbors.update(a, b)
    return forest.matrix()


def _normalized(xp: Any, X: Any) -> tuple[Any, float]:
    """Return the rows in float64, divided by a power of two and centered, and the power.

    The division is exact, and afterwards squares neither overflow nor underflow in float32.
    """
    X = xp.astype(X, xp.float64, copy=True)
    unit = 2.0 ** int(np.frexp(float(xp.max(xp.abs(X))))[1]) if X.shape[1] else 1.0
    X /= unit
    X -= xp.mean(X, axis=0, keepdims=True)
    return X, unit


class _Neighbors:
    """Nearest neighbor of each cluster.

    Attributes
    ----------
    near : ndarray (m,), int64
        Slot of the nearest cluster, by slot; ties go to the smallest (min, max) of the two slots.
    weight : ndarray (m,), float64
        Half the squared height at which the two would merge, by slot; the same number for both
        clusters of a pair.
    """

    def __init__(self, xp: Any, centroids: Any, forest: Forest, *, in_float64: bool):
        m = forest.active.size
        self._xp, self._centroids, self._forest = xp, centroids, forest
        self._in_float64 = in_float64
        # Chosen here, because threads do not inherit the factor of `smaller_blocks`.
        self._pairs = block_rows(xp, 8 * centroids.shape[1], cached=_CACHED)
        self._inverse = 1.0 / forest.size
        self._slot_now = np.arange(m)  # current slot of the cluster that was in each slot
        self._listed = np.zeros((m, _LISTED), dtype=np.int64)
        self._bound = np.zeros(m)  # lower bound of the weights of clusters not on the list
        self.near = np.zeros(m, dtype=np.int64)
        self.weight = np.zeros(m)
        if m > 1:
            self._search(forest.active)

    def move_centroids(self, a: np.ndarray, b: np.ndarray) -> None:
        """Merge the centroids of the slots a and b into the slots `a`."""
        size = self._forest.size
        share = to_device(self._xp, size[b] / (size[a] + size[b]), self._centroids)
        of_a = take_rows(self._xp, self._centroids, a)
        of_b = take_rows(self._xp, self._centroids, b)
        put_rows(self._xp, self._centroids, a, of_a + (of_b - of_a) * share[:, None])

    def update(self, a: np.ndarray, b: np.ndarray) -> None:
        """Find the neighbors of the new clusters `a`, and of clusters without their old one."""
        active = self._forest.active
        self._inverse[a] = 1.0 / self._forest.size[a]
        self._slot_now[b] = a
        self._slot_now = self._slot_now[self._slot_now]
        if active.size == 1:
            return
        new = np.zeros(self.near.size, dtype=bool)
        new[a] = True
        orphans = active[new[self._slot_now[self.near[active]]] & ~new[active]]
        rows = np.concatenate([a, orphans])
        lists = [self._listed[a].ravel(), self._listed[b].ravel(), self._listed[orphans].ravel()]
        owner = np.concatenate([a.repeat(_LISTED), a.repeat(_LISTED), orphans.repeat(_LISTED)])
        limit = np.concatenate([np.minimum(self._bound[a], self._bound[b]), self._bound[orphans]])
        place = np.zeros(self.near.size, dtype=np.int64)
        place[rows] = np.arange(rows.size)
        other = self._slot_now[np.concatenate(lists)]
        apart = other != owner
        pairs = np.unique(place[owner[apart]] * self.near.size + other[apart])
        row, other = np.divmod(pairs, self.near.size)
        self._keep(rows, row, other, self._weights(rows[row], other), limit)
        unsure = rows[~(self.weight[rows] < self._bound[rows])]
        if unsure.size:
            self._search(np.sort(unsure))

    def _weights(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Evaluate pairs of slots in float64; (i, j) and (j, i) give the same bits."""
        xp, C = self._xp, self._centroids
        squared = [np.empty(0)]
        for start in range(0, i.size, self._pairs):
            part = slice(start, start + self._pairs)
            difference = take_rows(xp, C, i[part]) - take_rows(xp, C, j[part])
            squared.append(to_host(xp.sum(difference * difference, axis=1)))
        return np.concatenate(squared) / (self._inverse[i] + self._inverse[j])

    def _keep(
        self,
        rows: np.ndarray,
        row: np.ndarray,
        other: np.ndarray,
        weight: np.ndarray,
        limit: np.ndarray,
    ) -> None:
        """Store the lists of the slots `rows`, given as pairs of a place in `rows` and a slot.

        `limit` is a lower bound of the weights of all clusters without a pair, by place.
        """
        low, high = np.minimum(rows[row], other), np.maximum(rows[row], other)
        order = np.lexsort((high, low, weight, row))
        row, other, weight = row[order], other[order], weight[order]
        start = np.searchsorted(row, np.arange(rows.size))
        rank = np.arange(row.size) - start[row]
        short = rank < _LISTED
        self._listed[rows] = rows[:, None]  # a cluster on its own list is an empty place
        self._listed[rows[row[short]], rank[short]] = other[short]
        self.weight[rows] = np.inf
        best = rank == 0
        self.weight[rows[row[best]]], self.near[rows[row[best]]] = weight[best], other[best]
        first_out = rank == _LISTED
        self._bound[rows] = limit
        cut = rows[row[first_out]]
        self._bound[cut] = np.minimum(self._bound[cut], weight[first_out])

    def _search(self, rows: np.ndarray) -> None:
        """Find the neighbors of `rows`, a sorted part of the active slots, among all clusters."""
        if not self._in_float64:
            rows = self._search_in(self._xp.float32, rows, crowd=_CROWD)
        if rows.size:
            self._search_in(self._xp.float64, rows, crowd=None)

    def _search_in(self, dtype: Any, rows: np.ndarray, *, crowd: int | None) -> np.ndarray:
        """Search in the given precision; return the rows with more than `crowd` candidates."""
        bounds = _LowerBounds(self._xp, self._centroids, self._inverse, self._forest.active, dtype)
        row_bytes = bounds.itemsize * self._forest.active.size
        block = block_rows(self._xp, row_bytes, cached=max(_CACHED, _FEWEST_ROWS * row_bytes))

        def crowded(start: int) -> np.ndarray:
            part = rows[start : start + block]
            return self._search_block(bounds.block(part), part, crowd)

        return np.concatenate(_each(self._xp, crowded, range(0, rows.size, block)))

    def _search_block(self, bounds: Any, rows: np.ndarray, crowd: int | None) -> np.ndarray:
        xp, active = self._xp, self._forest.active
        limit = to_host(_third_smallest(xp, bounds)).astype(np.float64)
        while True:
            below = bounds <= xp.astype(to_device(xp, limit, bounds), bounds.dtype)[:, None]
            row, column = np.divmod(to_host(xp.nonzero(xp.reshape(below, (-1,)))[0]), active.size)
            many = np.bincount(row, minlength=rows.size) > (crowd or active.size)
            row, column = row[~many[row]], column[~many[row]]
            weight = self._weights(rows[row], active[column])
            best = np.full(rows.size, np.inf)
            np.minimum.at(best, row, weight)
            # A pair beyond the limit may still be nearer than this one: raise the limit to it.
            short = (best > limit) & ~many
            if not short.any():
                break
            limit[short] = _rounded_up(best[short], bounds.dtype)
        few = np.flatnonzero(~many)
        place = np.cumsum(~many) - 1
        self._keep(rows[few], place[row], active[column], weight, limit[few])
        return rows[many]


def _each(xp: Any, work: Callable[[int], np.ndarray], starts: range) -> list[np.ndarray]:
    """Do the work on each block of rows; on NumPy with one thread per core.

    Passes over blocks then use all cores too.  On a busy machine, the threads of a single product
    would spend most of the time waiting for each other.
    """
    if len(starts) < 2 or not array_api_compat.is_numpy_namespace(xp):
        return [work(start) for start in starts]
    with one_blas_thread(), ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(work, starts))


def _third_smallest(xp: Any, bounds: Any) -> Any:
    """Return about the third smallest entry of each row (b,), or the smallest of a short row."""
    columns = bounds.shape[1]
    parts = _PARTS if columns >= 8 * _PARTS else 1
    edges = [columns * part // parts for part in range(parts + 1)]
    minima = [xp.min(bounds[:, i:j], axis=1) for i, j in itertools.pairwise(edges)]
    return xp.sort(xp.stack(minima, axis=1), axis=1)[:, min(2, parts - 1)]


def _rounded_up(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Raise the values enough to stay upper limits after rounding to `dtype`."""
    return values * (1 + (2.0**-22 if "32" in str(dtype) else 2.0**-51))


class _LowerBounds:
    """Blocks of lower bounds of the weights, by matrix products in a given precision.

    ``|a - b|^2`` is the product of the rows ``(-2 a, |a|^2, 1)`` and ``(b, 1, |b|^2)``.  The error
    of a sum of k products is at most ``k u`` times the sum of their absolute values, here
    ``2 (|a|^2 + |b|^2)``, and in practice well below ``8 sqrt(k) u`` times it (Higham and Mary, "A
    new approach to probabilistic rounding error analysis", 2019).  With that error subtracted from
    the squares, the product is a lower bound.
    """

    def __init__(
        self, xp: Any, centroids: Any, inverse: np.ndarray, active: np.ndarray, dtype: Any
    ):
        C = take_rows(xp, centroids, active)
        k = C.shape[1] + 2
        self.itemsize = 4 if dtype == xp.float32 else 8
        error = float(xp.finfo(dtype).eps) * (min(k, 8 * k**0.5) + 16)
        squares = xp.sum(C * C, axis=1, keepdims=True) * (1 - error)
        ones = xp.ones_like(squares)
        self._xp, self._active = xp, active
        self._rows = xp.astype(xp.concat([-2 * C, squares, ones], axis=1), dtype)
        self._columns = xp.astype(xp.concat([C, ones, squares], axis=1), dtype)
        self._inverse = xp.astype(to_device(xp, inverse[active], C), dtype)

    def block(self, rows: np.ndarray) -> Any:
        """Return the bounds from the slots `rows` to all active slots; infinity to itself."""
        xp = self._xp
        place = np.searchsorted(self._active, rows)
        bounds = take_rows(xp, self._rows, place) @ self._columns.T
        bounds /= take_rows(xp, self._inverse, place)[:, None] + self._inverse[None, :]
        return set_infinite(xp, bounds, to_device(xp, place, bounds))
