"""HDBSCAN for every metric and every array library.

Distances are computed where the samples are, in blocks; the trees are made on the host.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from ...arrays.transfer import to_device
from ...errors import CellError, InputError, unknown
from ..spanning import candidates, tree
from . import condense, sklearn_order


def core_distances(distances: np.ndarray, min_samples: int) -> np.ndarray:
    """Pick each sample's distance to its `min_samples`-th nearest, itself counted.

    Parameters
    ----------
    distances : ndarray (n, k), float64
        Distances to the nearest others, ``k >= min_samples - 1``, in any order.
    min_samples : int
        1 or more; 1 gives zeros.

    Returns
    -------
    ndarray (n,), float64
    """
    if min_samples == 1:
        return np.zeros(len(distances))
    return np.partition(distances, min_samples - 2, axis=1)[:, min_samples - 2]


def mutual_reachability_tree(
    X: Any, *, metric: str = "euclidean", min_samples: int = 5
) -> tree.SpanningTree:
    """Build the minimum spanning tree of the mutual reachability distances.

    The first pass over the distances gives core distances and the lists for the first rounds, so
    that real data need two passes in all; see `minimum_spanning_tree` for time, precision and
    errors.  Memory O(n d + n min_samples).

    Parameters
    ----------
    X : array (n, d)
        Samples, on any array namespace.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples.
    min_samples : int
        1 to n: core distances are those to the `min_samples`-th nearest, itself counted.
    """
    return _tree_and_ties(X, metric, min_samples)[0]


def _tree_and_ties(
    X: Any, metric: str, min_samples: int
) -> tuple[tree.SpanningTree, tree.SpanningTree]:
    """Build the tree, and list the edges from each sample to those within its core distance."""
    ids = candidates.neighbour_ids(X, metric, max(tree.LISTED, min_samples - 1))
    rows = np.broadcast_to(np.arange(len(ids))[:, None], ids.shape)
    distances = candidates.pair_distances(X, metric, rows, ids)
    core = core_distances(distances, min_samples)
    edges = candidates.listed_edges(ids, distances, core, by_reach=False)
    near = distances <= core[:, None]
    i, j = rows[near], ids[near]
    ties = tree.SpanningTree(i, j, np.maximum(core[i], core[j]))
    return tree.complete(X, metric, core, edges), ties


class HDBSCAN:
    """Density-based clustering with the surface of `sklearn.cluster.HDBSCAN`.

    The clustering is scikit-learn's.  Mutual reachability distances often tie for
    ``min_samples > 1``, and then it depends on the order of the samples, in the same way as
    scikit-learn's; see `prim` for what is left to chance.

    Parameters
    ----------
    min_cluster_size : int
        Fewest points of a cluster, 2 or more.
    min_samples : int, optional
        See `mutual_reachability_tree`; `min_cluster_size` by default.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples.
    max_cluster_size : int, optional
        With "eom", larger clusters give way to their children.
    cluster_selection_method : {"eom", "leaf"}
        Clusters of the greatest total stability, or the leaves of the condensed tree.
    allow_single_cluster : bool
        Whether all the data may be one cluster.
    cluster_selection_epsilon : float
        Height under which clusters are not split further.

    Attributes
    ----------
    labels_ : array (n,), int64
        On the device of X; -1 is noise.
    probabilities_ : array (n,), float64
        On the device of X; strength of the membership, 0 for noise.

    Raises
    ------
    InputError
        For a parameter out of its range.
    UnknownNameError
        For another selection method, or when fitted for another metric.

    References
    ----------
    Campello, Moulavi, Sander: Density-based clustering based on hierarchical density estimates,
    PAKDD 2013.
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
        """Give the labels and probabilities (n,) on the host."""
        min_samples = self.min_cluster_size if self.min_samples is None else self.min_samples
        n = X.shape[0] if X.ndim == 2 else None
        if n is not None and n < max(min_samples, 2):
            raise CellError(
                f"HDBSCAN needs two samples and min_samples={min_samples} of them; got {n}. Give "
                "more samples, or a smaller min_samples or min_cluster_size."
            )
        spanning, ties = _tree_and_ties(X, self.metric, min_samples)
        if min_samples > 1:  # with 1 there is no other tree
            spanning = sklearn_order.walked(spanning, ties, path=self.metric == "cosine")
        hierarchy = condense.single_linkage_tree(spanning, n)
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
    """Hand on a value that is None or not under `least`."""
    if value is not None and not value >= least:
        raise InputError(f"{name} is {value}; it must be {least} or more.")
    return value
