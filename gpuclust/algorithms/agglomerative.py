"""Hierarchical clustering: one tree per linkage, every number of clusters and every height a cut.

The tree is SciPy's linkage matrix.  It is built by SciPy here, which holds the n (n - 1) / 2
distances in float64: 400 MB at n = 10,000 and 10 GB at n = 50,000.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.cluster import hierarchy

from .. import ops
from ..errors import CellError, InputError
from .scale import mean_spread


class Linkage(NamedTuple):
    """A tree of merges.

    Attributes
    ----------
    Z : ndarray (n - 1, 4), float64
        As `scipy.cluster.hierarchy.linkage` returns it: the two clusters that merge, the height,
        the size of the new cluster; heights do not decrease.
    """

    Z: np.ndarray

    def cut(
        self, *, n_clusters: int | None = None, distance_threshold: float | None = None
    ) -> np.ndarray:
        """Cut the tree into flat clusters.

        Give exactly one of `n_clusters` and `distance_threshold`; merges at or above the threshold
        are not made, as in `sklearn.cluster.AgglomerativeClustering`.

        Returns
        -------
        labels : ndarray (n,), int64
            0 for the cluster of the first sample, 1 for the next new cluster, and so on.  O(n).
        """
        n = self.Z.shape[0] + 1
        if (n_clusters is None) == (distance_threshold is None):
            raise InputError("cut a tree by either n_clusters or distance_threshold; give one.")
        if distance_threshold is not None:
            merges = int(np.searchsorted(self.Z[:, 2], distance_threshold, side="left"))
        elif 1 <= n_clusters <= n:
            merges = n - n_clusters
        else:
            raise InputError(f"n_clusters must be from 1 to the {n} samples; got {n_clusters}.")
        return _labels(self.Z[:merges, :2].astype(np.int64), n)


def _labels(merges: np.ndarray, n: int) -> np.ndarray:
    """Label the samples after the given merges (m, 2) of a linkage matrix."""
    parent = np.arange(n + len(merges))
    parent[merges] = np.arange(n, n + len(merges))[:, None]
    root = parent[parent]
    while not np.array_equal(root, parent):  # halves every path: O(n log depth)
        parent, root = root, root[root]
    _, first, inverse = np.unique(root[:n], return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[inverse]


def linkage(X: Any, method: str = "ward", *, metric: str = "euclidean") -> Linkage:
    """Build the tree of a linkage.

    Parameters
    ----------
    X : ndarray (n, d)
        Samples; computed in float64.
    method : {"ward", "average", "complete", "single"}
        Ward is defined for the euclidean metric only.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples.

    Returns
    -------
    Linkage
        Time O(n^2 d), memory 4 n^2 bytes.  Heights are those of
        `scipy.cluster.hierarchy.linkage` to 1e-9; where heights tie, its choice.

    Raises
    ------
    CellError
        For the cosine of a sample that is all zeros.
    """
    if X.shape[0] == 1:
        return Linkage(np.empty((0, 4)))
    X = np.asarray(X, np.float64)
    if metric == "cosine" and not X.any(axis=1).all():
        raise CellError("metric=cosine is undefined for samples that are all zeros.")
    return Linkage(hierarchy.linkage(_condensed(X, metric), method))


def _condensed(X: np.ndarray, metric: str) -> np.ndarray:
    """List the distances (n (n - 1) / 2,) in SciPy's order.

    SciPy's own `pdist` works pair by pair: 30 s of the 32 s that a tree takes at 10,000 x 1,280,
    where blocks of matrix products take three.
    """
    n = X.shape[0]
    distances = np.empty(n * (n - 1) // 2)
    done = 0
    for start, _, D in ops.distance_blocks(X, metric=metric):
        for i, row in enumerate(D, start):
            distances[done : done + n - 1 - i] = row[i + 1 :]
            done += n - 1 - i
    return distances


class Agglomerative:
    """Hierarchical clustering with the surface of `sklearn.cluster.AgglomerativeClustering`.

    Parameters
    ----------
    n_clusters, distance_threshold : int, float
        Where to cut; the threshold wins when both are given.
    linkage, metric : str
        See `linkage`.
    standardize : bool
        Measure the threshold as the study does: in units of the mean standard deviation of the
        dimensions times sqrt(d) (euclidean), d (l1) or 1 (chebyshev).  No effect on cosine, and
        none on a cut by number.
    memory : dict, optional
        Trees already built on this very `X`, by (linkage, metric); a new tree is added to it.
    """

    def __init__(
        self,
        *,
        n_clusters: int | None = 2,
        distance_threshold: float | None = None,
        linkage: str = "ward",
        metric: str = "euclidean",
        standardize: bool = False,
        memory: dict[tuple[str, str], Linkage] | None = None,
    ):
        self.n_clusters = n_clusters
        self.distance_threshold = distance_threshold
        self.linkage = linkage
        self.metric = metric
        self.standardize = standardize
        self.memory = {} if memory is None else memory

    def fit_predict(self, X: Any) -> np.ndarray:
        """Cluster `X` (n, d) and return the labels (n,), int64."""
        key = (self.linkage, self.metric)
        if key not in self.memory:
            self.memory[key] = linkage(X, self.linkage, metric=self.metric)
        tree = self.memory[key]
        if self.distance_threshold is None:
            return tree.cut(n_clusters=self.n_clusters)
        return tree.cut(distance_threshold=self.distance_threshold * self._unit(X))

    def _unit(self, X: Any) -> float:
        if not self.standardize or self.metric == "cosine":
            return 1.0
        d = X.shape[1]
        return mean_spread(X) * {"euclidean": math.sqrt(d), "l1": d, "chebyshev": 1}[self.metric]
