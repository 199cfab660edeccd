"""Hierarchical clustering: one tree per linkage, and flat clusters as cuts of it.

Ward's tree is built in `ward`; average, complete and weighted linkage in `lance_williams`; single
linkage from a minimum spanning tree.  All of them give SciPy's linkage matrix.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from ...arrays import accept, distances, parameters
from ...arrays.unit import KEPT32, in_unit
from ...errors import CellError, InputError
from ..scale import mean_spread
from ..spanning import minimum_spanning_tree, single_linkage_tree
from ..surface import Clusterer
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
            merges = n - parameters.whole("n_clusters", n_clusters, high=n)
        elif n_clusters is None and distance_threshold is not None:
            height = parameters.number("distance_threshold", distance_threshold)
            merges = int(np.searchsorted(self.Z[:, 2], height, side="left"))
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
    X : array-like (n, d)
        Samples, see `gpuclust.arrays.accept.samples`.  Integers are converted to float64, float16
        to float32.
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
        For samples that are not a finite (n, d) array with n at least 1, heights that exceed
        float64, an unsupported dtype, or Ward with a metric other than euclidean.
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
    in_float64 = _checked(method, metric, dtype)
    X = accept.samples(X)
    xp = array_namespace(X)
    limits = None if method == "single" or in_float64 else KEPT32
    X, unit = distances.check_and_scale(xp, X, metric, limits=limits)
    if X.shape[0] == 1:
        return Linkage(np.empty((0, 4)))
    if metric == "cosine" and not bool(xp.all(xp.any(X != 0, axis=1))):
        raise CellError("metric=cosine is undefined for samples that are all zeros.")
    if method == "ward":
        Z = ward(xp, X, in_float64=in_float64)
    elif method == "single":
        Z = _single(X, metric)
    else:
        Z = lance_williams(xp, X, method, metric, in_float64=in_float64)
    Z[:, 2] = in_unit(np, Z[:, 2], unit)
    return Linkage(Z)


def _checked(method: str, metric: str, dtype: Any) -> bool:
    """Check the options of a linkage; return whether its dtype is float64."""
    parameters.choice("linkage", method, ("ward", "single", *METHODS))
    parameters.choice("metric", metric, distances.METRICS)
    if method == "ward" and metric != "euclidean":
        raise InputError(
            f"linkage=ward is defined for metric=euclidean only; got metric={metric}. Use "
            "linkage=average, complete or single with it."
        )
    if dtype is None:
        return False
    # np.float32 and np.dtype("float32"), torch.float32 and "float32" have one last name.
    number = isinstance(dtype, int | float | complex)
    name = parameters.short(dtype) if number else getattr(dtype, "__name__", str(dtype))
    name = name.rpartition(".")[2]
    if name not in ("float32", "float64"):
        raise InputError(f"dtype is {name}; it must be float32 or float64. None means float32.")
    return bool(name == "float64")


def _single(X: Any, metric: str) -> np.ndarray:
    """Build the tree of single linkage from the minimum spanning tree."""
    return single_linkage_tree(minimum_spanning_tree(X, metric=metric), X.shape[0])


class Agglomerative(Clusterer):
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
        Trees by (linkage, metric), each with the `X` that it was built from.  A tree is taken from
        it only for that same object `X`, otherwise built and put there.  By default every fit
        builds its tree.

    Attributes
    ----------
    labels_ : array (n,), int64
        In the array type and on the device of X.
    n_clusters_ : int
        Number of clusters found.
    tree_ : Linkage
        Tree of the last fit.

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
        memory: Any = None,
    ):
        self.n_clusters = n_clusters
        self.distance_threshold = distance_threshold
        self.linkage = linkage
        self.metric = metric
        self.standardize = standardize
        self.memory = memory

    def fit(self, X: Any, y: Any = None) -> Agglomerative:
        """Cluster the samples `X` (n, d); `y` is ignored.

        Raises
        ------
        InputError, UnknownNameError, CellError
            As `linkage`; also for a parameter of another type, out of range, NaN or infinite.
        """
        del y
        threshold, n_clusters = self.distance_threshold, self.n_clusters
        if threshold is not None:
            threshold, n_clusters = parameters.number("distance_threshold", threshold, low=0), None
            if parameters.flag("standardize", self.standardize):
                threshold *= self._unit(X)
        self.tree_ = self._tree(X)
        labels = self.tree_.cut(n_clusters=n_clusters, distance_threshold=threshold)
        self.n_clusters_ = int(labels.max()) + 1
        self.labels_ = accept.returned(labels, X)
        return self

    def _tree(self, X: Any) -> Linkage:
        """Take the tree of `X` from the memory, or build it."""
        if self.memory is None:
            return linkage(X, self.linkage, metric=self.metric)
        _checked(self.linkage, self.metric, None)
        if not isinstance(self.memory, dict):
            given = parameters.short(self.memory)
            raise InputError(f"memory is {given}; it must be a dict for trees, or None.")
        key = (self.linkage, self.metric)
        source, tree = self.memory.get(key, (None, None))
        if tree is None or source is not X:
            tree = linkage(X, self.linkage, metric=self.metric)
            self.memory[key] = X, tree
        return tree

    def _unit(self, X: Any) -> float:
        """Return the unit of the distance threshold."""
        _checked(self.linkage, self.metric, None)
        if self.metric == "cosine":
            return 1.0
        X = accept.samples(X)
        X, unit = distances.check_and_scale(array_namespace(X), X, self.metric)
        d = X.shape[1]
        of_d = {"euclidean": math.sqrt(d), "l1": d, "chebyshev": 1}[self.metric]
        return mean_spread(X) * of_d * unit
