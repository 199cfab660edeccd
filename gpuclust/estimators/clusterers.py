"""Clusterers with centers or a graph, in scikit-learn's conventions."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace
from sklearn.base import ClusterMixin

from ..arrays import parameters
from ..methods.units import fit_predict, unit_for
from .base import Estimator, input_errors, kept


class KMeans(ClusterMixin, Estimator):
    """K-Means: `sklearn.cluster.KMeans` on the CPU, ``cuml.cluster.KMeans`` on a GPU.

    Parameters, defaults and results on the CPU are scikit-learn's; `tol`, `algorithm`, `verbose`,
    arrays as `init` and sample weights are not offered.  O(n d n_clusters) time per iteration.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, 1 to n.
    init : {"k-means++", "random"}
        Choice of the first centers.
    n_init : int or "auto"
        Number of starts, the best one wins; "auto" is 1 for k-means++ and 10 for random centers.
    max_iter : int
        Largest number of iterations of a start.
    random_state : int, RandomState or None
        Seed; an int gives the same labels in every run.
    device : {"auto", "cpu", "gpu"}
        ``auto`` computes arrays on a GPU there, others on the GPU if there is one with RAPIDS.

    Attributes
    ----------
    labels_ : array (n,), int64
        Cluster of each sample.  This and other arrays are in the array type of X and on its
        device: torch gives torch, CuPy gives CuPy, everything else gives NumPy.
    cluster_centers_ : array (n_clusters, d)
        Centers.
    inertia_ : float
        Sum of the squared distances to the centers.
    n_iter_ : int
        Number of iterations.
    n_features_in_, feature_names_in_ : int, array of str
        Features of the fit; names only for DataFrames.
    backend_, ran_ : str
        Device of the fit, and import path of the class that ran.

    Examples
    --------
    >>> import gpuclust
    >>> X = [[1.0, 2.0], [1.0, 4.0], [9.0, 2.0], [9.0, 4.0]]
    >>> model = gpuclust.KMeans(n_clusters=2, random_state=0, device="cpu").fit(X)
    >>> len(set(model.labels_.tolist())), model.inertia_
    (2, 4.0)
    >>> model.predict([[0.0, 3.0]]) == model.labels_[:1]
    array([ True])
    """

    _entry = "kmeans"

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        random_state: Any = None,
        device: str = "auto",
    ):
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any = None) -> KMeans:
        """Cluster the samples `X` (n, d), see `gpuclust.arrays.accept.samples`; `y` is ignored.

        Raises
        ------
        InputError
            For an X that is not a finite matrix, and for a parameter of another type or out of
            range.
        """
        del y
        k = parameters.whole("n_clusters", self.n_clusters)
        with input_errors():
            Z, model = self._ready(X, k=k)
            unit = unit_for(model, Z)
            labels = model.fit_predict(unit.scaled(Z))
        self.labels_ = kept(labels, X)
        self.cluster_centers_ = kept(unit.points(model.cluster_centers_), X)
        self.inertia_, self.n_iter_ = float(unit.squares(model.inertia_)), int(model.n_iter_)
        self.estimator_, self._unit = model, unit
        return self

    def predict(self, X: Any) -> Any:
        """Return the nearest center of each sample of `X` (n, d): int64 (n,), in the type of X.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            For an X that is not finite or has other features than in the fit.
        """
        Z = self._again(X)
        return kept(self.estimator_.predict(self._unit.scaled(Z)), X)

    def _given(self, n: int, d: int) -> dict[str, Any]:
        given = super()._given(n, d)
        if isinstance(self.n_init, str) and self.n_init == "auto":
            random = isinstance(self.init, str) and self.init == "random"
            given["n_init"] = 10 if random else 1
        return given


class SpectralClustering(ClusterMixin, Estimator):
    """Spectral clustering of the nearest-neighbor graph: scikit-learn's class, or cuML's embedding.

    Different from `sklearn.cluster.SpectralClustering`: the affinity is always that of nearest
    neighbors, and `assign_labels` is "cluster_qr" by default, which needs no random starts.
    O(n^2 d) time for the graph.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, below n.
    n_neighbors : int
        Neighbors per sample, the sample itself counted, below n.
    assign_labels : {"cluster_qr", "discretize", "kmeans"}
        Assignment of clusters to the embedding.
    random_state : int, RandomState or None
        Seed of the eigensolver and of the assignment.
    device : {"auto", "cpu", "gpu"}
        See `KMeans`.

    Attributes
    ----------
    labels_ : array (n,), int64
        In the array type and on the device of X.
    n_features_in_, feature_names_in_, backend_, ran_
        See `KMeans`.

    Examples
    --------
    >>> import gpuclust
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(40, 2)) + [[0, 0], [9, 9]] * 20
    >>> model = gpuclust.SpectralClustering(2, random_state=0, n_neighbors=25, device="cpu")
    >>> labels = model.fit_predict(X)
    >>> bool((labels[::2] == labels[0]).all()), bool((labels[1::2] == labels[1]).all())
    (True, True)
    """

    _entry = "spectral"

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_neighbors: int = 10,
        assign_labels: str = "cluster_qr",
        random_state: Any = None,
        device: str = "auto",
    ):
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.assign_labels = assign_labels
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any = None) -> SpectralClustering:
        """Cluster the samples `X` (n, d); see `KMeans.fit` for input and errors.

        Warns
        -----
        UserWarning
            When the graph is not connected, as in scikit-learn.
        """
        del y
        k = parameters.whole("n_clusters", self.n_clusters)
        with input_errors():
            Z, model = self._ready(X, k=k)
            self.labels_ = kept(fit_predict(model, Z), X)
        return self


class AffinityPropagation(ClusterMixin, Estimator):
    """Affinity propagation by our own class, on the CPU and on a GPU.

    Parameters, defaults and labels are those of `sklearn.cluster.AffinityPropagation`, unless a
    decision depends on float32 rounding; precomputed affinities are not offered.  O(n^2 d) time and
    5.4 n^2 bytes of memory on the CPU, 12 n^2 on a GPU.

    Parameters
    ----------
    damping : float
        Weight of the old message in an update, in [0.5, 1).
    max_iter, convergence_iter : int
        Largest number of iterations, and number without a change that counts as convergence.
    preference : float or array-like (n,) or None
        Similarity of a sample to itself: a larger one gives more clusters.  None is the median.
    random_state : int, RandomState or None
        Seed of the tie-breaking noise.
    device : {"auto", "cpu", "gpu"}
        See `KMeans`.

    Attributes
    ----------
    labels_ : array (n,), int64
        In the array type and on the device of X; all -1 without convergence to any center.
    cluster_centers_indices_ : array (k,), int64
        Sample that is the center of each cluster.
    cluster_centers_ : array (k, d)
        These samples.
    n_iter_ : int
        Number of iterations.
    n_features_in_, feature_names_in_, backend_, ran_
        See `KMeans`.

    Examples
    --------
    >>> import gpuclust
    >>> X = [[1, 2], [1, 4], [1, 0], [4, 2], [4, 4], [4, 0]]
    >>> gpuclust.AffinityPropagation(random_state=5, device="cpu").fit_predict(X)
    array([0, 0, 0, 1, 1, 1])
    """

    _entry = "affinity"

    def __init__(
        self,
        *,
        damping: float = 0.5,
        max_iter: int = 200,
        convergence_iter: int = 15,
        preference: Any = None,
        random_state: Any = None,
        device: str = "auto",
    ):
        self.damping = damping
        self.max_iter = max_iter
        self.convergence_iter = convergence_iter
        self.preference = preference
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any = None) -> AffinityPropagation:
        """Cluster the samples `X` (n, d); see `KMeans.fit` for input and errors.

        Warns
        -----
        ConvergenceWarning
            When the centers still change after `max_iter` iterations, as in scikit-learn.
        """
        del y
        parameters.number("damping", self.damping, low=0.5, high=1, below=True)
        with input_errors():
            Z, model = self._ready(X)
            model.set_params(damping=self.damping, preference=self.preference).fit(Z)
        centers = model.cluster_centers_indices_
        self.labels_ = kept(model.labels_, X)
        self.cluster_centers_indices_ = kept(centers, X)
        self.cluster_centers_ = kept(array_namespace(Z).take(Z, centers, axis=0), X)
        self.n_iter_ = model.n_iter_
        return self

    def _given(self, n: int, d: int) -> dict[str, Any]:
        # The table limits damping to 0.999 and takes one preference for all samples.
        return super()._given(n, d) | {"damping": 0.5, "preference": None}
