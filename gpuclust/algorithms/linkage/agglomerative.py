"""Hierarchical clustering: one tree per linkage, and flat clusters as cuts of it.

Ward's tree is built in `ward`; average, complete and weighted linkage in `lance_williams`; single
linkage from a minimum spanning tree.  All of them give SciPy's linkage matrix.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from ...arrays import distances, transfer
from ...errors import CellError, InputError, unknown
from ..scale import mean_spread
from ..spanning import minimum_spanning_tree, single_linkage_tree
from .lance_williams import METHODS, lance_williams
from .ward import ward


class Linkage(NamedTuple):
    """Tree of merges.

    Attributes
    ----------
    Z : ndarray (n - 1, 4), float64
        Linkage matrix in the format of `scipy.cluster.hierarchy.linkage`: the two clusters that
        merge, the height, and the size of the new cluster.  Heights do not decrease.

    Examples
    --------
    >>> linkage(np.array([[0.0], [1.0], [5.0]]), "single").Z.tolist()
    [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 4.0, 3.0]]
    """

    Z: np.ndarray

    def cut(
        self, *, n_clusters: int | None = None, distance_threshold: float | None = None
    ) -> np.ndarray:
        """Cut the tree into flat clusters.  O(n log n) time.

        Parameters
        ----------
        n_clusters : int, optional
            Number of clusters, 1 to n.
        distance_threshold : float, optional
            Keep the merges below this height, as in `sklearn.cluster.AgglomerativeClustering`.

        Returns
        -------
        labels : ndarray (n,), int64, on the host
            0 for the cluster of the first sample, 1 for the next new cluster, and so on.

        Raises
        ------
        InputError
            Unless exactly one parameter is given, and for a number of clusters out of range.

        Examples
        --------
        >>> linkage(np.array([[5.0], [0.0], [1.0]])).cut(n_clusters=2)
        array([0, 1, 1])
        """
        n = self.Z.shape[0] + 1
        if n_clusters is not None and distance_threshold is None:
            if not 1 <= n_clusters <= n:
                raise InputError(f"n_clusters must be from 1 to the {n} samples; got {n_clusters}.")
            merges = n - n_clusters
        elif n_clusters is None and distance_threshold is not None:
            merges = int(np.searchsorted(self.Z[:, 2], distance_threshold, side="left"))
        else:
            raise InputError("cut a tree by either n_clusters or distance_threshold; give one.")
        return _labels(self.Z[:merges, :2].astype(np.int64), n)


def _labels(merges: np.ndarray, n: int) -> np.ndarray:
    """Label the samples after the given merges (m, 2) of a linkage matrix."""
    parent = np.arange(n + len(merges))
    parent[merges] = np.arange(n, n + len(merges))[:, None]
    root = parent[parent]
    while not np.array_equal(root, parent):  # halves all paths: O(n log depth)
        parent, root = root, root[root]
    _, first, inverse = np.unique(root[:n], return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[inverse]


def linkage(
    X: Any, method: str = "ward", *, metric: str = "euclidean", dtype: Any = None
) -> Linkage:
    """Build the tree of hierarchical clustering.

    Time O(n^2 d).  Memory O(n d) for Ward and single linkage, 4 n^2 bytes for average, complete and
    weighted linkage (8 n^2 with ``dtype=float64``).

    Parameters
    ----------
    X : array (n, d)
        Samples, on any array namespace.  Integers are converted to float64, float16 to float32.
    method : {"ward", "average", "complete", "weighted", "single"}
        Ward is defined for the euclidean metric only.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples.
    dtype : dtype, optional
        float32, the default, or float64: the precision of comparisons between clusters and, except
        for Ward, of stored distances.

    Returns
    -------
    Linkage
        Heights equal those of `scipy.cluster.hierarchy.linkage` on the samples in float64 within
        1e-6 of the largest height, or 1e-12 with ``dtype=float64``; flat clusters are the same.
        If distances tie, it is one of the valid trees, the same in every run.

    Raises
    ------
    InputError
        For samples that are not a finite (n, d) array with n at least 1, an unsupported dtype, or
        Ward with a metric other than euclidean.
    UnknownNameError
        For an unknown method or metric.
    CellError
        For the cosine distance of a sample of zeros.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [5.0]])
    >>> linkage(X, "average").Z[:, 2].tolist()
    [1.0, 4.5]
    """
    xp = array_namespace(X)
    in_float64 = _checked(method, metric, dtype)
    X = distances.check_array(xp, X)
    if X.shape[0] == 0:
        raise InputError(f"X has shape {tuple(X.shape)}; a tree needs at least one sample.")
    if X.shape[0] == 1:
        return Linkage(np.empty((0, 4)))
    if metric == "cosine" and not bool(xp.all(xp.any(X != 0, axis=1))):
        raise CellError("metric=cosine is undefined for samples that are all zeros.")
    if method == "ward":
        return Linkage(ward(xp, X, in_float64=in_float64))
    if method == "single":
        return Linkage(_single(X, metric))
    return Linkage(lance_williams(xp, X, method, metric, in_float64=in_float64))


def _checked(method: str, metric: str, dtype: Any) -> bool:
    """Check the options of a linkage; return whether its dtype is float64."""
    if method not in ("ward", "single", *METHODS):
        raise unknown("linkage", method, ("ward", "single", *METHODS))
    if metric not in distances.METRICS:
        raise unknown("metric", metric, distances.METRICS)
    if method == "ward" and metric != "euclidean":
        raise InputError(
            f"linkage=ward is defined for metric=euclidean only; got metric={metric}. Use "
            "linkage=average, complete or single with it."
        )
    name = "float32" if dtype is None else str(dtype)
    if "float32" not in name and "float64" not in name:
        raise InputError(f"dtype is {dtype}; it must be float32 or float64. None means float32.")
    return "float64" in name


def _single(X: Any, metric: str) -> np.ndarray:
    """Build the tree of single linkage from the minimum spanning tree."""
    return single_linkage_tree(minimum_spanning_tree(X, metric=metric), X.shape[0])


class Agglomerative:
    """Hierarchical clustering with the interface of `sklearn.cluster.AgglomerativeClustering`.

    Parameters
    ----------
    n_clusters : int, optional
        Number of clusters; ignored if `distance_threshold` is given.
    distance_threshold : float, optional
        Height of the cut.
    linkage, metric : str
        Method and metric of `linkage`, which also states cost and precision.
    standardize : bool
        Scale the threshold by the mean standard deviation of the dimensions times sqrt(d)
        (euclidean), d (l1) or 1 (chebyshev), as in the study.  No effect on the cosine distance and
        on a cut by number.
    memory : dict, optional
        Trees of the same `X` by (linkage, metric).  A missing tree is built and added.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [9.0], [10.0]])
    >>> Agglomerative(n_clusters=2).fit_predict(X)
    array([0, 0, 1, 1])
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

    def fit_predict(self, X: Any) -> Any:
        """Cluster `X` (n, d) and return the labels (n,), int64 on the device of X."""
        key = (self.linkage, self.metric)
        if key not in self.memory:
            self.memory[key] = linkage(X, self.linkage, metric=self.metric)
        tree = self.memory[key]
        if self.distance_threshold is None:
            labels = tree.cut(n_clusters=self.n_clusters)
        else:
            labels = tree.cut(distance_threshold=self.distance_threshold * self._unit(X))
        return transfer.to_device(array_namespace(X), labels, X)

    def _unit(self, X: Any) -> float:
        """Return the unit of the distance threshold."""
        if not self.standardize or self.metric == "cosine":
            return 1.0
        d = X.shape[1]
        return mean_spread(X) * {"euclidean": math.sqrt(d), "l1": d, "chebyshev": 1}[self.metric]
