"""Spectral clustering of the nearest-neighbor graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays import accept, parameters
from ...arrays.neighbors import kneighbors
from ...arrays.transfer import to_host
from ...errors import InputError
from ..surface import Clusterer
from .assignment import ASSIGNMENTS, assign, cluster_qr, discretize

__all__ = [
    "ASSIGNMENTS",
    "SpectralClustering",
    "assign",
    "cluster_qr",
    "connectivity",
    "discretize",
]


def connectivity(indices: Any, n_neighbors: int) -> Any:
    """Build the symmetric nearest-neighbor graph, the affinity matrix of spectral clustering.

    O(n n_neighbors) time and memory.

    Parameters
    ----------
    indices : array of int, shape (n, >= n_neighbors - 1)
        Nearest neighbors from `kneighbors`, without the samples themselves, on any array namespace.
    n_neighbors : int
        Neighbors per sample, the sample itself counted, as in scikit-learn.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (n, n)
        On the host: 1 on the diagonal and between mutual neighbors, 0.5 if only one of two samples
        is a neighbor of the other.

    Raises
    ------
    InputError
        For fewer than ``n_neighbors - 1`` columns.

    Examples
    --------
    >>> connectivity(np.array([[1], [0], [1]]), n_neighbors=2).toarray().tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.5], [0.0, 0.5, 1.0]]
    """
    from scipy.sparse import csr_array

    n_neighbors = parameters.whole("n_neighbors", n_neighbors)
    indices = accept.as_array(indices, "indices", "(n, n_neighbors - 1)")
    n, found, others = indices.shape[0], indices.shape[1], n_neighbors - 1
    if found < others:
        raise InputError(
            f"neighbors has indices of shape {tuple(indices.shape)}; n_neighbors={n_neighbors} "
            f"needs ({n}, {others}) or more. Give kneighbors(X, {others})."
        )
    own = np.arange(n)[:, None]
    # scikit-learn's eigensolver accepts only 32-bit indices.
    columns = np.concatenate([own, to_host(indices[:, :others])], axis=1).ravel().astype(np.int32)
    starts = (np.arange(n + 1) * n_neighbors).astype(np.int32)
    graph = csr_array((np.ones(columns.size), columns, starts), shape=(n, n))
    return 0.5 * (graph + graph.T)


class SpectralClustering(Clusterer):
    """Spectral clustering of the symmetric nearest-neighbor graph.

    Labels equal those of ``sklearn.cluster.SpectralClustering(affinity="nearest_neighbors")`` up to
    their order, unless neighbors tie.  The embedding is computed by scikit-learn, on the host.
    Time O(n^2 d) for the graph, plus the sparse eigensolver.  Memory O(n (n_neighbors +
    n_clusters)), some blocks of distances, and the factors of the graph Laplacian.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, below n.
    n_neighbors : int
        Neighbors per sample, the sample itself counted, as in scikit-learn.
    assign_labels : {"cluster_qr", "discretize"}
        Assignment of clusters to the embedding, see the functions of these names.
    random_state : int, RandomState or None
        Seed of the eigensolver's starting vector and of `discretize`.

    Attributes
    ----------
    labels_ : array (n,), int64
        In the array type and on the device of X.

    References
    ----------
    Shi and Malik, "Normalized cuts and image segmentation", IEEE TPAMI 22, 2000.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 2))
    >>> labels = SpectralClustering(2, random_state=0).fit_predict(X)
    >>> labels.shape, len(set(labels.tolist()))
    ((40,), 2)
    """

    def __init__(
        self,
        n_clusters: int = 8,
        n_neighbors: int = 10,
        assign_labels: str = "cluster_qr",
        random_state: Any = None,
    ):
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.assign_labels = assign_labels
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any = None, *, neighbors: tuple[Any, Any] | None = None
    ) -> SpectralClustering:
        """Cluster the samples `X` (n, d); `y` is ignored.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Samples, see `gpuclust.arrays.accept.samples`.
        y : object
            Ignored; pipelines pass it.
        neighbors : (distances, indices), optional
            Result of `kneighbors(X, k)`, without the samples themselves, for any
            ``k >= n_neighbors - 1``; it can be shared between methods.

        Raises
        ------
        InputError
            For more clusters or neighbors than samples, `neighbors` of another shape, or a
            parameter of another type.

        Warns
        -----
        UserWarning
            When the graph is not connected, as in scikit-learn.
        """
        from sklearn.utils import check_random_state

        del y
        samples = accept.samples(X)
        self._check(samples.shape[0])
        random = check_random_state(parameters.seed(self.random_state))
        graph = self._graph(samples, neighbors)
        # On the host, where the eigenvectors are; n k values are few.
        vectors = _embed(graph, int(self.n_clusters), random)
        labels = assign(vectors, self.assign_labels, random)
        self.labels_ = accept.returned(labels, X)
        return self

    def _check(self, n: int) -> None:
        parameters.choice("assign_labels", self.assign_labels, ASSIGNMENTS)
        parameters.whole("n_clusters", self.n_clusters, high=n - 1)
        parameters.whole("n_neighbors", self.n_neighbors, high=n)

    def _graph(self, X: Any, neighbors: tuple[Any, Any] | None) -> Any:
        """Return the symmetric graph, a sparse (n, n) float64 matrix on the host."""
        if neighbors is None:
            indices = kneighbors(X, self.n_neighbors, include_self=True)[1][:, 1:]
        elif neighbors[1].shape[0] == X.shape[0]:
            indices = neighbors[1]
        else:
            others = self.n_neighbors - 1
            raise InputError(
                f"neighbors has indices of shape {tuple(neighbors[1].shape)} for {X.shape[0]} "
                f"samples. Give kneighbors(X, {others})."
            )
        return connectivity(indices, self.n_neighbors)


def _embed(graph: Any, n_components: int, random: np.random.RandomState) -> np.ndarray:
    from sklearn.manifold import spectral_embedding

    return spectral_embedding(
        graph, n_components=n_components, random_state=random, drop_first=False
    )
