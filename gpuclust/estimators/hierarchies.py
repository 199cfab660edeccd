"""Clusterers by a tree of merges, in scikit-learn's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClusterMixin

from ..arrays import parameters
from ..methods.units import fit_predict
from .base import Estimator, input_errors, kept


class Agglomerative(ClusterMixin, Estimator):
    """Hierarchical clustering, cut at a number of clusters or at a height, by our own trees.

    Clusters are those of `sklearn.cluster.AgglomerativeClustering`, for the same `linkage` and
    without a `connectivity`.  O(n^2 d) time; memory O(n d) for Ward and single linkage, 4 n^2 bytes
    for the others.

    Parameters
    ----------
    n_clusters : int or None
        Number of clusters, 1 to n; not used when `distance_threshold` is given.
    linkage : {"ward", "average", "complete", "weighted", "single"}
        Ward needs the euclidean metric.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}
        Distance between samples.
    distance_threshold : float or None
        Clusters are not merged at this height or above.
    device : {"auto", "cpu", "gpu"}
        See `KMeans`.

    Attributes
    ----------
    labels_ : array (n,), int64
        In the array type and on the device of X, as `children_` and `distances_`.
    n_clusters_, n_leaves_ : int
        Number of clusters found, and of samples.
    children_ : array (n - 1, 2), int64
        The two nodes of each merge; node n + i is the i-th merge.
    distances_ : array (n - 1,), float64
        Heights of the merges.
    n_features_in_, feature_names_in_, backend_, ran_
        See `KMeans`.

    Examples
    --------
    >>> import gpuclust
    >>> model = gpuclust.Agglomerative(n_clusters=2, device="cpu")
    >>> model.fit_predict([[0.0], [1.0], [9.0], [10.0]])
    array([0, 0, 1, 1])
    """

    _entry = "agglomerative"

    def __init__(
        self,
        n_clusters: int | None = 2,
        *,
        linkage: str = "ward",
        metric: str = "euclidean",
        distance_threshold: float | None = None,
        device: str = "auto",
    ):
        self.n_clusters = n_clusters
        self.linkage = linkage
        self.metric = metric
        self.distance_threshold = distance_threshold
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Agglomerative:
        """Cluster the samples `X` (n, d); see `KMeans.fit` for input and errors."""
        del y
        k = None
        if self.distance_threshold is None:
            k = parameters.whole("n_clusters", self.n_clusters)
        with input_errors():
            Z, model = self._ready(X, k=k)
            self.labels_ = kept(fit_predict(model, Z), X)
        merges = model.tree_.Z
        self.n_clusters_, self.n_leaves_ = model.n_clusters_, len(merges) + 1
        self.children_ = kept(merges[:, :2].astype(np.int64), X)
        self.distances_ = kept(merges[:, 2].copy(), X)
        return self


class HDBSCAN(ClusterMixin, Estimator):
    """HDBSCAN: scikit-learn's class up to 20 dimensions, otherwise ours; cuML's on a GPU.

    Parameters, defaults and clusters are those of `sklearn.cluster.HDBSCAN`; `algorithm`, `alpha`,
    `leaf_size`, `store_centers`, `allow_single_cluster`, `cluster_selection_epsilon` and
    precomputed distances are not offered.  O(n^2 d) time.

    Parameters
    ----------
    min_cluster_size : int
        Smallest number of samples in a cluster, 2 or more.
    min_samples : int or None
        Neighbors that decide on the density around a sample, itself counted; None is
        `min_cluster_size`.
    max_cluster_size : int or None
        Larger clusters are replaced by their children; None sets no limit.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}
        Distance between samples.
    cluster_selection_method : {"eom", "leaf"}
        Clusters with the largest excess of mass, or the leaves of the tree.
    device : {"auto", "cpu", "gpu"}
        See `KMeans`.

    Attributes
    ----------
    labels_ : array (n,), int64
        In the array type and on the device of X; -1 is noise.
    probabilities_ : array (n,), float64
        Strength of membership, 0 for noise.
    n_features_in_, feature_names_in_, backend_, ran_
        See `KMeans`.

    Examples
    --------
    >>> import gpuclust
    >>> X = [[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [99.0]]
    >>> model = gpuclust.HDBSCAN(min_cluster_size=3, min_samples=1, device="cpu")
    >>> model.fit_predict(X)[-1] == -1
    np.True_
    """

    _entry = "hdbscan"

    def __init__(
        self,
        min_cluster_size: int = 5,
        *,
        min_samples: int | None = None,
        max_cluster_size: int | None = None,
        metric: str = "euclidean",
        cluster_selection_method: str = "eom",
        device: str = "auto",
    ):
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.max_cluster_size = max_cluster_size
        self.metric = metric
        self.cluster_selection_method = cluster_selection_method
        self.device = device

    def fit(self, X: Any, y: Any = None) -> HDBSCAN:
        """Cluster the samples `X` (n, d); see `KMeans.fit` for input and errors."""
        del y
        with input_errors():
            Z, model = self._ready(X)
            self.labels_ = kept(fit_predict(model, Z), X)
        self.probabilities_ = kept(model.probabilities_, X)
        return self

    def _given(self, n: int, d: int) -> dict[str, Any]:
        most = parameters.optional_whole("max_cluster_size", self.max_cluster_size)
        # The table holds a share of the samples.
        share = None if most is None else min(most / n, 1.0)
        return super()._given(n, d) | {"max_cluster_size": share}
