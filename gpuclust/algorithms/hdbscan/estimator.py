"""HDBSCAN for all metrics and all array libraries.

Distances are computed in blocks on the device of the samples, trees on the host.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from ...arrays.transfer import to_device
from ...errors import CellError, InputError, unknown
from ..spanning import SpanningTree, candidates, mst, single_linkage_tree
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
    X : array (n, d)
        Samples, on any array namespace.
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
    return _tree_and_ties(X, metric, min_samples)[0]


def _tree_and_ties(X: Any, metric: str, min_samples: int) -> tuple[SpanningTree, SpanningTree]:
    """Build the tree, and list the edges from each sample within its core distance."""
    ids = candidates.neighbor_ids(X, metric, max(mst.LISTED, min_samples - 1))
    rows = np.broadcast_to(np.arange(len(ids))[:, None], ids.shape)
    distances = candidates.pair_distances(X, metric, rows, ids)
    core = core_distances(distances, min_samples)
    edges = candidates.listed_edges(ids, distances, core, by_reach=False)
    near = distances <= core[:, None]
    i, j = rows[near], ids[near]
    ties = SpanningTree(i, j, np.maximum(core[i], core[j]))
    return mst.complete(X, metric, core, edges), ties


class HDBSCAN:
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
        On the device of X; -1 is noise.
    probabilities_ : array (n,), float64
        On the device of X; strength of membership, 0 for noise.

    Raises
    ------
    InputError
        For a parameter out of range.
    UnknownNameError
        For an unknown selection method; in `fit_predict` for an unknown metric.

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
        if cluster_selection_method not in condense.SELECTIONS:
            raise unknown("cluster_selection_method", cluster_selection_method, condense.SELECTIONS)
        self.min_cluster_size = _at_least("min_cluster_size", min_cluster_size, 2)
        self.min_samples = _at_least("min_samples", min_samples, 1)
        self.metric = metric
        self.max_cluster_size = _at_least("max_cluster_size", max_cluster_size, 1)
        self.cluster_selection_method = cluster_selection_method
        self.allow_single_cluster = allow_single_cluster
        epsilon = _at_least("cluster_selection_epsilon", cluster_selection_epsilon, 0.0)
        self.cluster_selection_epsilon = epsilon

    def fit_predict(self, X: Any) -> Any:
        """Cluster `X` (n, d) and return the labels (n,), int64 on the device of X.

        Raises
        ------
        InputError
            When X is not 2-D or not finite.
        CellError
            For fewer samples than `min_samples`, or fewer than two.
        """
        xp = array_api_compat.array_namespace(X)
        self.labels_, self.probabilities_ = (to_device(xp, part, X) for part in self._cluster(X))
        return self.labels_

    def _cluster(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels and probabilities (n,) on the host."""
        min_samples = self.min_cluster_size if self.min_samples is None else self.min_samples
        if X.ndim == 2 and X.shape[0] < max(min_samples, 2):
            raise CellError(
                f"HDBSCAN needs at least {max(min_samples, 2)} samples for min_samples="
                f"{min_samples}; got {X.shape[0]}. Give more samples, or a smaller min_samples or "
                "min_cluster_size."
            )
        spanning, ties = _tree_and_ties(X, self.metric, min_samples)
        if min_samples > 1:  # core distances are 0 for 1, so they cause no ties
            spanning = sklearn_order.sklearn_tree(spanning, ties, path=self.metric == "cosine")
        hierarchy = single_linkage_tree(spanning, X.shape[0])
        tree = condense.condensed_tree(hierarchy, self.min_cluster_size)
        chosen = condense.select(
            tree,
            method=self.cluster_selection_method,
            max_cluster_size=self.max_cluster_size,
            allow_single_cluster=self.allow_single_cluster,
            epsilon=self.cluster_selection_epsilon,
        )
        return condense.label(tree, chosen, epsilon=self.cluster_selection_epsilon)


def _at_least(name: str, value: Any, least: float) -> Any:
    """Return the value; raise InputError if it is below `least`."""
    if value is not None and not value >= least:
        raise InputError(f"{name} is {value}; it must be {least} or more.")
    return value
