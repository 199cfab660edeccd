"""Spectral clustering of the nearest-neighbour graph."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from ...arrays.neighbors import kneighbors
from ...arrays.transfer import to_device, to_host
from ...errors import InputError, unknown
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
    """Build the symmetrised graph of nearest neighbours that spectral clustering cuts.

    O(n n_neighbors) time and memory.

    Parameters
    ----------
    indices : array of int, shape (n, >= n_neighbors - 1)
        What `kneighbors` found, without the samples themselves, on any array namespace.
    n_neighbors : int
        Neighbours per sample, the sample itself counted, as in scikit-learn.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (n, n)
        On the host: 1 between samples that are neighbours of each other, and for each sample with
        itself, 0.5 where only one is the other's.

    Raises
    ------
    InputError
        For fewer neighbours.
    """
    from scipy.sparse import csr_array

    n, found, others = indices.shape[0], indices.shape[1], n_neighbors - 1
    if found < others:
        raise InputError(
            f"neighbors has indices of shape {tuple(indices.shape)}; n_neighbors={n_neighbors} "
            f"needs ({n}, {others}) or more. Give kneighbors(X, {others})."
        )
    own = np.arange(n)[:, None]
    # scikit-learn's eigensolver takes 32-bit indices only.
    columns = np.concatenate([own, to_host(indices[:, :others])], axis=1).ravel().astype(np.int32)
    starts = (np.arange(n + 1) * n_neighbors).astype(np.int32)
    graph = csr_array((np.ones(columns.size), columns, starts), shape=(n, n))
    return 0.5 * (graph + graph.T)


class SpectralClustering:
    """Spectral clustering of the symmetrised graph of nearest neighbours.

    Labels are those of ``sklearn.cluster.SpectralClustering(affinity="nearest_neighbors")`` up to
    their order, where no neighbours tie.  O(n^2 d) time for the graph and what the sparse
    eigensolver takes; memory O(n (n_neighbors + n_clusters)), some blocks of distances and the
    factors of the graph's Laplacian.  The embedding is scikit-learn's, on the host.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, below n.
    n_neighbors : int
        Neighbours per sample, the sample itself counted, as in scikit-learn.
    assign_labels : {"cluster_qr", "discretize"}
        How the embedding becomes labels.
    random_state : int, RandomState or None
        Seed of the eigensolver's start and of `discretize`.

    Attributes
    ----------
    labels_ : array (n,), int64
        On the device of X.
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

    def fit(self, X: Any, neighbors: tuple[Any, Any] | None = None) -> SpectralClustering:
        """Cluster `X` (n, d); see `fit_predict`."""
        from sklearn.utils import check_random_state

        self._check(X)
        random = check_random_state(self.random_state)
        graph = self._graph(X, neighbors)
        # On the host: the eigenvectors come from there, and n k values are few.
        vectors = _embed(graph, self.n_clusters, random)
        labels = assign(vectors, self.assign_labels, random)
        self.labels_ = to_device(array_api_compat.array_namespace(X), labels, X)
        return self

    def fit_predict(self, X: Any, neighbors: tuple[Any, Any] | None = None) -> Any:
        """Cluster `X` and return the labels.

        Parameters
        ----------
        X : array of shape (n, d)
            Samples, on any array namespace.
        neighbors : (distances, indices), optional
            What `kneighbors(X, k)` returned, without the samples themselves, for any
            ``k >= n_neighbors - 1``: one graph serves several methods.

        Returns
        -------
        labels : array of int64, shape (n,)

        Raises
        ------
        InputError
            For more clusters or neighbours than samples, or a graph that does not fit.

        Warns
        -----
        UserWarning
            When the graph is not connected, as scikit-learn does.
        """
        return self.fit(X, neighbors).labels_

    def _check(self, X: Any) -> None:
        if self.assign_labels not in ASSIGNMENTS:
            raise unknown("assign_labels", self.assign_labels, ASSIGNMENTS)
        if X.ndim != 2:
            raise InputError(f"X has shape {tuple(X.shape)}; it must be (n samples, d features).")
        for name, most in (("n_clusters", X.shape[0] - 1), ("n_neighbors", X.shape[0])):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(
                    f"{name} must be from 1 to {most} for {X.shape[0]} samples; got "
                    f"{getattr(self, name)}."
                )

    def _graph(self, X: Any, neighbors: tuple[Any, Any] | None) -> Any:
        """Return the symmetrised graph, a sparse (n, n) float64 matrix on the host."""
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
