"""Record of merges, and reciprocal nearest neighbors; shared by the linkage algorithms.

A cluster is identified by its *slot*, a row of the algorithm's arrays.  When two clusters merge,
the new one takes the smaller slot.  Slots are assigned in a fixed random order, because ties are
broken by the smallest slots: in the order of the rows of a regular grid, a round would merge one
pair only.

All of this is O(n) bookkeeping on the host; distances are computed by the algorithms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays.indexing import take_rows
from ...arrays.transfer import to_device, to_host


class Forest:
    """Current clusters and the merges so far.

    Equal rows are merged at the start, at height 0, as any reducible linkage does.  The algorithms
    then need not break up to n^2 exact ties.

    Parameters
    ----------
    xp : namespace
        The namespace of `X`.
    X : array (n, d)
        Samples.

    Attributes
    ----------
    rows : ndarray (m,), int64
        Row of `X` that represents each slot: one of each set of equal rows.
    size : ndarray (m,), int64
        Number of samples in the cluster of each slot.
    active : ndarray (<= m,), int64
        Slots that hold a cluster, ascending.

    Examples
    --------
    >>> forest = Forest(np, np.array([[0.0], [1.0]]))
    >>> forest.merge(np.array([0]), np.array([1]), np.array([0.5]))
    >>> forest.matrix().tolist()
    [[0.0, 1.0, 0.5, 2.0]]
    """

    def __init__(self, xp: Any, X: Any):
        n = X.shape[0]
        order, same = _equal_rows(xp, X)
        k = np.flatnonzero(same)
        merge = n + np.arange(k.size)
        start = np.maximum.accumulate(np.where(same, 0, np.arange(n)))
        first = np.where(same[k - 1], merge - 1, order[k - 1])
        self._merges = [(first, order[k], np.zeros(k.size), k - start[k] + 1)]
        self._next = n + k.size
        end = np.flatnonzero(~np.append(same[1:], False))  # last of equal rows
        end = end[np.random.default_rng(0).permutation(end.size)]
        self._node = np.where(same[end], n + np.cumsum(same)[end] - 1, order[end])
        self._height = np.zeros(end.size)
        self.rows = order[start[end]]
        self.size = end - start[end] + 1
        self.active = np.arange(end.size)

    def merge(self, a: np.ndarray, b: np.ndarray, height: np.ndarray) -> None:
        """Merge the clusters in the slots `b` into the slots `a`; all slots are different.

        A height (m,) below that of a part is raised to it.
        """
        # Merges are sorted by height in the end, so rounding must not put one below its own parts.
        height = np.maximum(height, np.maximum(self._height[a], self._height[b]))
        size = self.size[a] + self.size[b]
        self._merges.append((self._node[a], self._node[b], height, size))
        self._node[a] = self._next + np.arange(a.size)
        self._next += a.size
        self._height[a], self.size[a] = height, size
        remaining = np.zeros(self.size.size, dtype=bool)
        remaining[self.active] = True
        remaining[b] = False
        self.active = np.flatnonzero(remaining)

    def matrix(self) -> np.ndarray:
        """Return SciPy's linkage matrix (n - 1, 4), by height; ties in the order of the merges."""
        first, second, height, size = (
            np.concatenate(part) for part in zip(*self._merges, strict=True)
        )
        n = height.size + 1
        order = np.argsort(height, kind="stable")
        name = np.arange(2 * n - 1)
        name[n + order] = np.arange(n, 2 * n - 1)
        pair = name[np.stack([first[order], second[order]], axis=1)]
        return np.column_stack([np.sort(pair, axis=1), height[order], size[order]])


def _equal_rows(xp: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sort the rows, with equal ones adjacent.

    Rows are sorted by a random projection.  If different rows have the same projection, an equality
    may be missed, which costs time, not exactness.

    Returns
    -------
    order : ndarray (n,), int64
        Sorted rows.
    same : ndarray (n,), bool
        Row ``order[k]`` equals row ``order[k - 1]``.
    """
    direction = np.random.default_rng(1).normal(size=X.shape[1])
    on_device: Any = xp.astype(to_device(xp, direction, X), X.dtype)
    projection = to_host(xp.sum(X * on_device[None, :], axis=1))
    order = np.argsort(projection, kind="stable")
    same = np.zeros(order.size, dtype=bool)
    same[1:] = projection[order[1:]] == projection[order[:-1]]
    k = np.flatnonzero(same)
    if k.size:
        pairs = take_rows(xp, X, order[k]) == take_rows(xp, X, order[k - 1])
        same[k] = to_host(xp.all(pairs, axis=1))
    return order, same


def reciprocal_pairs(
    active: np.ndarray, near: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs (a, b), a < b, of reciprocal nearest neighbors.

    For reducible linkages all of these pairs belong to the tree, in any order of merges.  In exact
    arithmetic the two nearest clusters are always such a pair.  If rounding hides it, that pair is
    returned alone, so that each round merges at least one.

    Parameters
    ----------
    active : ndarray (m,), int64
        Slots of the clusters.
    near : ndarray, int64
        Slot of the nearest neighbor, by slot.
    weight : ndarray
        Distance to it, or an increasing function of it, by slot.

    Returns
    -------
    a, b : ndarray, int64
        Slots of each pair.

    References
    ----------
    Murtagh: A survey of recent advances in hierarchical clustering algorithms, Computer Journal 26,
    1983.  Sumengen et al.: Scaling hierarchical agglomerative clustering to billion-sized datasets,
    arXiv:2105.11653, 2021.

    Examples
    --------
    >>> near, weight = np.array([1, 0, 1]), np.array([1.0, 1.0, 2.0])
    >>> reciprocal_pairs(np.arange(3), near, weight)
    (array([0]), array([1]))
    """
    mate = near[active]
    a = active[(near[mate] == active) & (active < mate)]
    if a.size == 0:
        nearest = active[np.argmin(weight[active])]
        a = np.asarray([min(nearest, near[nearest])])
        return a, np.asarray([max(nearest, near[nearest])])
    return a, near[a]
