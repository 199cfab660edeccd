"""Spectral clustering of the nearest-neighbour graph, and its two assignments without k-means."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from ..errors import InputError, unknown
from ..neighbors import kneighbors
from ..ops import to_host

ASSIGNMENTS = ("cluster_qr", "discretize")
_ROTATIONS = 20


def cluster_qr(vectors: Any) -> Any:
    """Assign samples to clusters by a pivoted QR factorisation of their embedding.

    The pivots are k samples whose embeddings are as orthogonal as can be, one per cluster; the
    polar factor of these rows aligns the axes with them, and each sample takes its largest
    coordinate.  O(n k^2) time, one copy of `vectors` in memory; no randomness and no iteration.

    Parameters
    ----------
    vectors : array of shape (n, k), float
        Spectral embedding, n >= k, on any array namespace.

    Returns
    -------
    labels : array of int64, shape (n,)
        On the device of `vectors`.

    References
    ----------
    Damle, Minden and Ying, "Simple, direct and efficient multi-way spectral clustering",
    Information and Inference 8, 2019.
    """
    xp = array_api_compat.array_namespace(vectors)
    _check_vectors(vectors)
    U, _, Vh = xp.linalg.svd(_pivot_rows(xp, vectors).T, full_matrices=False)
    return xp.astype(xp.argmax(xp.abs(vectors @ (U @ Vh)), axis=1), xp.int64)


def _check_vectors(vectors: Any) -> None:
    if vectors.ndim != 2 or not 1 <= vectors.shape[1] <= vectors.shape[0]:
        raise InputError(
            f"vectors has shape {tuple(vectors.shape)}; it must be (n samples, k clusters) with "
            "1 <= k <= n. Ask for fewer clusters, or give more samples."
        )


def _pivot_rows(xp: Any, vectors: Any) -> Any:
    """Pick k rows (k, k), each the one with the largest part outside the span of the earlier."""
    k = vectors.shape[1]
    if array_api_compat.is_numpy_namespace(xp):
        from scipy.linalg import qr

        return vectors[qr(vectors.T, mode="r", pivoting=True)[1][:k]]
    # No library has a pivoted QR on a device: Gram-Schmidt, O(n k) a pivot.
    rest, rows = xp.asarray(vectors, copy=True), []
    for _ in range(k):
        pivot = int(xp.argmax(xp.sum(rest * rest, axis=1)))
        rows.append(vectors[pivot, :])
        length = xp.linalg.vector_norm(rest[pivot, :])
        unit = rest[pivot, :] / xp.where(length > 0, length, xp.ones_like(length))
        rest -= (rest @ unit)[:, None] * unit[None, :]
        rest[pivot, :] = 0.0
    return xp.stack(rows)


def discretize(vectors: Any, random_state: Any = None) -> Any:
    """Assign samples to clusters by rotating their embedding onto the nearest partition matrix.

    Partition and rotation are fitted in turn, up to 20 times: O(n k^2) time each; four arrays of
    the size of `vectors` in memory.

    Parameters
    ----------
    vectors : array of shape (n, k), float
        Spectral embedding, n >= k, on any array namespace.
    random_state : int, RandomState or None
        Draws the sample that the first rotation starts from.

    Returns
    -------
    labels : array of int64, shape (n,)
        On the device of `vectors`.

    References
    ----------
    Yu and Shi, "Multiclass spectral clustering", ICCV 2003.
    """
    from sklearn.utils import check_random_state

    xp = array_api_compat.array_namespace(vectors)
    _check_vectors(vectors)
    n, k = vectors.shape
    vectors = _on_sphere(xp, vectors)
    rotation = _first_rotation(xp, vectors, check_random_state(random_state).randint(n))
    clusters = xp.arange(k, device=array_api_compat.device(vectors))
    last = 0.0
    for _ in range(_ROTATIONS + 1):
        labels = xp.argmax(vectors @ rotation, axis=1)
        partition = xp.astype(labels[:, None] == clusters[None, :], vectors.dtype)
        U, s, Vh = xp.linalg.svd(partition.T @ vectors)
        cut = 2.0 * (n - float(xp.sum(s)))
        if abs(cut - last) < np.finfo(np.float64).eps:
            break
        last, rotation = cut, Vh.T @ U.T
    return xp.astype(labels, xp.int64)


def _on_sphere(xp: Any, vectors: Any) -> Any:
    """Scale columns to one length, turn the first sample negative, scale rows to length 1."""
    columns = xp.linalg.vector_norm(vectors, axis=0)
    side = xp.where(vectors[0, :] > 0, -xp.ones_like(columns), xp.ones_like(columns))
    vectors = vectors * (side / xp.where(columns > 0, columns, xp.ones_like(columns)))[None, :]
    rows = xp.linalg.vector_norm(vectors, axis=1)
    return vectors / xp.where(rows > 0, rows, xp.ones_like(rows))[:, None]


def _first_rotation(xp: Any, vectors: Any, start: int) -> Any:
    """Stack samples that are as orthogonal to the earlier ones as can be, as columns (k, k)."""
    chosen = [vectors[start, :]]
    overlap = xp.zeros_like(vectors[:, 0])
    for _ in range(1, vectors.shape[1]):
        overlap = overlap + xp.abs(vectors @ chosen[-1])
        chosen.append(vectors[int(xp.argmin(overlap)), :])
    return xp.stack(chosen, axis=1)


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
        if self.assign_labels == "cluster_qr":
            labels = cluster_qr(vectors)
        else:
            labels = discretize(vectors, random)
        xp = array_api_compat.array_namespace(X)
        self.labels_ = xp.asarray(labels, device=array_api_compat.device(X))
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
        """Return the symmetrised 0/1 graph, a sparse (n, n) float64 matrix on the host."""
        from scipy.sparse import csr_array

        n, others = X.shape[0], self.n_neighbors - 1
        if neighbors is None:
            indices = to_host(kneighbors(X, self.n_neighbors, include_self=True)[1])
        else:
            found = to_host(neighbors[1])
            if found.shape[0] != n or found.shape[1] < others:
                raise InputError(
                    f"neighbors has indices of shape {found.shape}; {n} samples and "
                    f"n_neighbors={self.n_neighbors} need ({n}, {others}) or more. "
                    f"Give kneighbors(X, {others})."
                )
            indices = np.concatenate([np.arange(n)[:, None], found[:, :others]], axis=1)
        # scikit-learn's eigensolver takes 32-bit indices only.
        columns = indices.reshape(-1).astype(np.int32)
        starts = (np.arange(n + 1) * self.n_neighbors).astype(np.int32)
        connectivity = csr_array((np.ones(columns.size), columns, starts), shape=(n, n))
        return 0.5 * (connectivity + connectivity.T)


def _embed(graph: Any, n_components: int, random: np.random.RandomState) -> np.ndarray:
    from sklearn.manifold import spectral_embedding

    return spectral_embedding(
        graph, n_components=n_components, random_state=random, drop_first=False
    )
