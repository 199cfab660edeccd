"""HDBSCAN for all metrics and all array libraries.

Distances are computed in blocks on the device of the samples, trees on the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ...arrays import METRICS, accept, distances, parameters
from ...arrays.unit import in_unit
from ...errors import CellError
from ..spanning import SpanningTree, candidates, mst, single_linkage_tree
from ..surface import Clusterer
from . import condense, sklearn_order


def core_distances(distances: np.ndarray, min_samples: int) -> np.ndarray:
    """Return the core distance of each sample: to its `min_samples`-th neighbor, itself counted.

    Parameters
    ----------
    distances : ndarray (n, k), float64
        Distances to the nearest other samples, ``k >= min_samples - 1``, in any order.
    min_samples : int
        1 or more; 1 gives zeros.

    Returns
    -------
    ndarray (n,), float64

    Examples
    --------
    >>> core_distances(np.array([[3.0, 1.0, 2.0]]), min_samples=3)
    array([2.])
    """
    if min_samples == 1:
        return np.zeros(len(distances))
    return np.partition(distances, min_samples - 2, axis=1)[:, min_samples - 2]


def mutual_reachability_tree(
    X: Any, *, metric: str = "euclidean", min_samples: int = 5
) -> SpanningTree:
    """Build the minimum spanning tree of the mutual reachability distances.

    The first pass over the distances gives core distances and lists of neighbors, so that real data
    needs two passes in all.  Memory O(n d + n min_samples); see `minimum_spanning_tree` for time,
    precision and errors.

    Parameters
    ----------
    X : array-like (n, d)
        Samples, see `gpuclust.arrays.accept.samples`.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples.
    min_samples : int
        1 to n.  A core distance is that to the `min_samples`-th neighbor, the sample itself
        counted.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> mutual_reachability_tree(X, min_samples=3).weight
    array([3., 3.])
    """
    X = accept.samples(X)
    parameters.choice("metric", metric, METRICS)
    parameters.whole("min_samples", min_samples, high=X.shape[0])
    X, unit = distances.check_and_scale(array_namespace(X), X, metric)
    tree = _tree_and_ties(X, metric, min_samples)[0]
    return tree._replace(weight=in_unit(np, tree.weight, unit))


def _tree_and_ties(X: Any, metric: str, min_samples: int) -> tuple[SpanningTree, SpanningTree]:
    """Build the tree, and list the edges from each sample within its core distance."""
    ids = candidates.neighbor_ids(X, metric, max(mst.LISTED, min_samples - 1))
    rows = np.broadcast_to(np.arange(len(ids))[:, None], ids.shape)
    lengths = candidates.pair_distances(X, metric, rows, ids)
    core = core_distances(lengths, min_samples)
    edges = candidates.listed_edges(ids, lengths, core, by_reach=False)
    near = lengths <= core[:, None]
    i, j = rows[near], ids[near]
    ties = SpanningTree(i, j, np.maximum(core[i], core[j]))
    return mst.complete(X, metric, core, edges), ties


class HDBSCAN(Clusterer):
    """Density-based clustering with the interface of `sklearn.cluster.HDBSCAN`.

    Clusters equal scikit-learn's.  For ``min_samples > 1`` mutual reachability distances often tie,
    and clusters then depend on the order of the samples, as they do in scikit-learn; see
    `sklearn_order` for the exceptions.  Time O(n^2 d), memory O(n d + n min_samples).

    Parameters
    ----------
    min_cluster_size : int
        Smallest number of points in a cluster, 2 or more.
    min_samples : int, optional
        See `mutual_reachability_tree`; `min_cluster_size` by default.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples.
    max_cluster_size : int, optional
        With "eom", larger clusters are replaced by their children.
    cluster_selection_method : {"eom", "leaf"}
        Excess of mass: the clusters with the largest total stability.  Or the leaves of the
        condensed tree.
    allow_single_cluster : bool
        A single cluster of all data is allowed.
    cluster_selection_epsilon : float
        Height below which clusters are not split.

    Attributes
    ----------
    labels_ : array (n,), int64
        In the array type and on the device of X; -1 is noise.
    probabilities_ : array (n,), float64
        Strength of membership, 0 for noise; in the array type and on the device of X.

    References
    ----------
    Campello, Moulavi, Sander: Density-based clustering based on hierarchical density estimates,
    PAKDD 2013.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [99.0]])
    >>> HDBSCAN(min_cluster_size=3, min_samples=1).fit_predict(X)
    array([ 1,  1,  1,  0,  0,  0, -1])
    """

    def __init__(
        self,
        *,
        min_cluster_size: int = 5,
        min_samples: int | None = None,
        metric: str = "euclidean",
        max_cluster_size: int | None = None,
        cluster_selection_method: str = "eom",
        allow_single_cluster: bool = False,
        cluster_selection_epsilon: float = 0.0,
    ):
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.metric = metric
        self.max_cluster_size = max_cluster_size
        self.cluster_selection_method = cluster_selection_method
        self.allow_single_cluster = allow_single_cluster
        self.cluster_selection_epsilon = cluster_selection_epsilon

    def fit(self, X: Any, y: Any = None) -> HDBSCAN:
        """Cluster the samples `X` (n, d); `y` is ignored.

        Raises
        ------
        InputError
            For a parameter out of range or of another type, and when X is not a finite matrix.
        UnknownNameError
            For an unknown metric or selection method.
        CellError
            For fewer samples than `min_samples`, or fewer than two.
        """
        del y
        self._check()
        found = self._cluster(accept.samples(X, least=0))
        self.labels_, self.probabilities_ = (accept.returned(part, X) for part in found)
        return self

    def _check(self) -> None:
        parameters.whole("min_cluster_size", self.min_cluster_size, low=2)
        parameters.optional_whole("min_samples", self.min_samples)
        parameters.choice("metric", self.metric, METRICS)
        parameters.optional_whole("max_cluster_size", self.max_cluster_size)
        selection = self.cluster_selection_method
        parameters.choice("cluster_selection_method", selection, condense.SELECTIONS)
        parameters.flag("allow_single_cluster", self.allow_single_cluster)
        parameters.number("cluster_selection_epsilon", self.cluster_selection_epsilon, low=0)

    def _cluster(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels and probabilities (n,) on the host."""
        min_samples = int(self.min_cluster_size if self.min_samples is None else self.min_samples)
        if X.shape[0] < max(min_samples, 2):
            raise CellError(
                f"HDBSCAN needs at least {max(min_samples, 2)} samples for min_samples="
                f"{min_samples}; got {X.shape[0]}. Give more samples, or a smaller min_samples or "
                "min_cluster_size."
            )
        # Clusters do not depend on the unit, and lambda, 1 / height, stays in range.
        X, unit = distances.check_and_scale(array_namespace(X), X, self.metric)
        epsilon = self.cluster_selection_epsilon / unit
        spanning, ties = _tree_and_ties(X, self.metric, min_samples)
        if min_samples > 1:  # core distances are 0 for 1, so they cause no ties
            spanning = sklearn_order.sklearn_tree(spanning, ties, path=self.metric == "cosine")
        hierarchy = single_linkage_tree(spanning, X.shape[0])
        tree = condense.condensed_tree(hierarchy, int(self.min_cluster_size))
        chosen = condense.select(
            tree,
            method=self.cluster_selection_method,
            max_cluster_size=self.max_cluster_size,
            allow_single_cluster=self.allow_single_cluster,
            epsilon=epsilon,
        )
        return condense.label(tree, chosen, epsilon=epsilon)
