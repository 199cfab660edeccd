"""What the builders of trees share: the record of merges, and the pairs that merge in a round.

A cluster is known by its *slot*, a row of the builder's arrays; when two clusters merge, the new
one takes the smaller slot.  Slots are given out in a random order that does not change from run to
run: where distances tie, the pair with the smallest slots merges first, and in the order of a
grid's rows that would be one pair per round.

All of this is O(n) bookkeeping on the host; the distances are the builder's business.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays.indexing import take_rows
from ...arrays.transfer import to_device, to_host


class Forest:
    """The clusters that are left, and the merges that made them.

    Equal rows are merged from the start, at height 0: that is what any reducible linkage does, and
    it spares the builders n x n exact ties.

    Parameters
    ----------
    xp : namespace
        The namespace of `X`.
    X : array (n, d)
        The samples.

    Attributes
    ----------
    rows : ndarray (m,)
        The row of `X` that stands for each slot: one of each set of equal rows.
    size : ndarray (m,), int64
        Samples in the cluster of each slot.
    active : ndarray (<= m,), int64
        The slots that hold a cluster, in ascending order.
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
        end = np.flatnonzero(~np.append(same[1:], False))  # where each run of equal rows ends
        end = end[np.random.default_rng(0).permutation(end.size)]
        self._node = np.where(same[end], n + np.cumsum(same)[end] - 1, order[end])
        self._height = np.zeros(end.size)
        self.rows = order[start[end]]
        self.size = end - start[end] + 1
        self.active = np.arange(end.size)

    def merge(self, a: np.ndarray, b: np.ndarray, height: np.ndarray) -> None:
        """Merge the clusters in the slots `b` into those in `a`, all slots being different."""
        # Rounding must not put a cluster below its own parts: the order of heights is the tree's.
        height = np.maximum(height, np.maximum(self._height[a], self._height[b]))
        size = self.size[a] + self.size[b]
        self._merges.append((self._node[a], self._node[b], height, size))
        self._node[a] = self._next + np.arange(a.size)
        self._next += a.size
        self._height[a], self.size[a] = height, size
        left = np.zeros(self.size.size, dtype=bool)
        left[self.active] = True
        left[b] = False
        self.active = np.flatnonzero(left)

    def matrix(self) -> np.ndarray:
        """Give SciPy's linkage matrix (n - 1, 4): by height, at equal ones as they were made."""
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
    """Order the rows such that equal ones follow each other, and tell which equal the one before.

    Rows are ordered by one number each; should two different rows share it, an equality may go
    unnoticed, which costs the builder time and no exactness.
    """
    mark = np.random.default_rng(1).normal(size=X.shape[1])
    mark = xp.astype(to_device(xp, mark, X), X.dtype)
    marks = to_host(xp.sum(X * mark[None, :], axis=1))
    order = np.argsort(marks, kind="stable")
    same = np.zeros(order.size, dtype=bool)
    same[1:] = marks[order[1:]] == marks[order[:-1]]
    k = np.flatnonzero(same)
    if k.size:
        pairs = take_rows(xp, X, order[k]) == take_rows(xp, X, order[k - 1])
        same[k] = to_host(xp.all(pairs, axis=1))
    return order, same


def reciprocal_pairs(
    active: np.ndarray, near: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pick the pairs (a, b), a < b, of clusters that are each other's nearest neighbour.

    For reducible linkages all of them belong to the tree, whatever else merges first (Sumengen et
    al., "Scaling Hierarchical Agglomerative Clustering to Billion-sized Datasets", 2021; Murtagh,
    "A survey of recent advances in hierarchical clustering algorithms", 1983).  There is always
    such a pair, the nearest of all; should rounding have hidden it, it is taken by itself, so that
    each round merges something.

    Parameters
    ----------
    active : ndarray (m,), int64
        Slots of the clusters.
    near : ndarray, int64
        By slot, the slot of the nearest neighbour.
    weight : ndarray
        By slot, the distance to it or anything that grows with it.
    """
    mate = near[active]
    a = active[(near[mate] == active) & (active < mate)]
    if a.size == 0:
        nearest = active[np.argmin(weight[active])]
        a = np.asarray([min(nearest, near[nearest])])
        return a, np.asarray([max(nearest, near[nearest])])
    return a, near[a]
