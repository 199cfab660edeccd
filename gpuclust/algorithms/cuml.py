"""Where cuML's classes lack what a unit needs: shares of the variance, the study's assignment.

Each class here is a thin cover with the surface that the pipeline uses; the work is cuML's.  Input
and output are CuPy arrays.  Nothing of RAPIDS is imported before it is used.
"""

from __future__ import annotations

from typing import Any

import array_api_compat

from ..errors import CellError
from .spectral.assignment import assign


def kneighbors(
    X: Any, k: int, *, metric: str = "euclidean", include_self: bool = False
) -> tuple[Any, Any]:
    """Find the exact `k` nearest rows of every row by cuML's brute force, in float32.

    The surface of `gpuclust.arrays.neighbors.kneighbors`, without its order of ties.

    Parameters
    ----------
    X : CuPy array (n, d)
        Samples.
    k : int
        Number of neighbours, the row itself counted when `include_self`.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}
        The distance.
    include_self : bool
        Count a row as its own neighbour; it then comes first.

    Returns
    -------
    distances, indices : CuPy arrays (n, k), float32 and int64
    """
    from cuml.neighbors import NearestNeighbors

    search = NearestNeighbors(
        n_neighbors=k, metric=metric, algorithm="brute", output_type="cupy"
    ).fit(X)
    # The second pass puts right what the expanded form loses between near-duplicates.
    distances, indices = search.kneighbors(X if include_self else None, two_pass_precision=True)
    xp = array_api_compat.array_namespace(indices)
    indices = xp.astype(indices, xp.int64)
    return itself_first(xp, distances, indices) if include_self else (distances, indices)


def itself_first(xp: Any, distances: Any, indices: Any) -> tuple[Any, Any]:
    """Bring every row itself to the front of its own list, at distance 0.

    Among duplicates a search may find another row first, or not the row itself at all; then the
    last one found gives way.  O(n k log k).
    """
    rows = xp.arange(indices.shape[0], device=array_api_compat.device(indices))[:, None]
    own = indices == xp.astype(rows, indices.dtype)
    last = xp.arange(indices.shape[1], device=array_api_compat.device(indices))[None, :]
    missing = ~xp.any(own, axis=1, keepdims=True) & (last == indices.shape[1] - 1)
    indices = xp.where(missing, xp.astype(rows, indices.dtype), indices)
    own = own | missing
    distances = xp.where(own, xp.zeros_like(distances), distances)
    order = xp.argsort(xp.astype(~own, xp.int8), axis=1, stable=True)
    return (
        xp.take_along_axis(distances, order, axis=1),
        xp.take_along_axis(indices, order, axis=1),
    )


class PCA:
    """Principal components by ``cuml.decomposition.PCA``, also for a share of the variance.

    cuML takes a number of components only.  A share is met as in `sklearn.decomposition.PCA`: by
    the fewest components whose variances reach more than it.  The decomposition is of the (d, d)
    covariance in the dtype of X: components below float32's rounding of the largest are noise.

    Parameters
    ----------
    n_components : int or float
        A number, or a share between 0 and 1.
    whiten : bool
        Scale the components to variance 1.
    """

    def __init__(self, *, n_components: float, whiten: bool = False):
        self.n_components = n_components
        self.whiten = whiten

    def fit_transform(self, X: Any) -> Any:
        """Return the components of `X` (n, d): (n, m), C order, in its dtype."""
        import cupy
        from cuml.decomposition import PCA as Cuml

        share = isinstance(self.n_components, float)
        number = min(X.shape) if share else self.n_components
        pca = Cuml(n_components=number, whiten=self.whiten, svd_solver="full", output_type="cupy")
        Z = pca.fit_transform(X)
        if share:
            xp = array_api_compat.array_namespace(Z)
            Z = Z[:, : components_for(xp, pca.explained_variance_ratio_, self.n_components)]
        # cuML hands on column-major memory, and everything after wants rows: one copy here spares
        # one in every clusterer.
        return cupy.ascontiguousarray(Z)


def components_for(xp: Any, ratios: Any, share: float) -> int:
    """Count the components whose variances together reach more than a share, as scikit-learn."""
    reached = xp.cumulative_sum(xp.astype(ratios, xp.float64))
    return min(int(xp.count_nonzero(reached <= share)) + 1, ratios.shape[0])


class SpectralClustering:
    """Spectral clustering on the device: cuML's eigenvectors, the study's assignment.

    ``cuml.cluster.SpectralClustering`` assigns by k-means only; the study uses ``cluster_qr``.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, below n.
    n_neighbors : int
        Neighbours per sample, the sample itself counted.
    assign_labels : {"cluster_qr", "discretize", "kmeans"}
        How the embedding becomes labels; k-means with ten starts, as in scikit-learn.
    random_state : int
        Seed of the eigensolver and of the assignment.
    neighbors : CuPy array (n, n_neighbors or more), int64
        The nearest neighbours of every sample, itself first.
    """

    def __init__(
        self,
        *,
        n_clusters: int,
        n_neighbors: int,
        assign_labels: str,
        random_state: int,
        neighbors: Any,
    ):
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.assign_labels = assign_labels
        self.random_state = random_state
        self.neighbors = neighbors

    def fit_predict(self, X: Any) -> Any:
        """Return the labels (n,) of `X` (n, d); only the graph of neighbours is looked at.

        Raises
        ------
        CellError
            When the eigensolver did not converge.
        """
        del X
        vectors = self._embed()
        if self.assign_labels != "kmeans":
            return assign(vectors, self.assign_labels, self.random_state)
        from cuml.cluster import KMeans

        how = {"n_clusters": self.n_clusters, "random_state": self.random_state, "n_init": 10}
        return KMeans(**how, init="k-means++", output_type="cupy").fit_predict(vectors)

    def _embed(self) -> Any:
        from cuml.manifold import spectral_embedding

        try:
            vectors = spectral_embedding(
                symmetric_graph(self.neighbors[:, : self.n_neighbors]),
                n_components=self.n_clusters,
                affinity="precomputed",
                random_state=self.random_state,
                drop_first=False,
            )
        except RuntimeError as error:
            if "converge" not in str(error):
                raise
            raise _not_converged(self.n_clusters) from error
        xp = array_api_compat.array_namespace(vectors)
        if not bool(xp.all(xp.isfinite(vectors))):
            raise _not_converged(self.n_clusters)
        return vectors


def _not_converged(k: int) -> CellError:
    return CellError(
        f"spectral: the eigensolver did not converge for {k} clusters. Give a smaller k or more "
        "n_neighbors, or run it with --device cpu."
    )


def symmetric_graph(indices: Any) -> Any:
    """Make the 0/1 graph of neighbours (n, k) symmetric: half of itself and its transpose.

    Returns a ``cupyx.scipy.sparse.coo_matrix`` (n, n), float32, with 2 n k entries or fewer.
    """
    import cupy
    from cupyx.scipy.sparse import coo_matrix

    n, k = indices.shape
    rows = cupy.repeat(cupy.arange(n, dtype=cupy.int32), k)
    columns = indices.reshape(-1).astype(cupy.int32)
    half = cupy.full(n * k, 0.5, dtype=cupy.float32)
    both = (cupy.concatenate([rows, columns]), cupy.concatenate([columns, rows]))
    graph = coo_matrix((cupy.concatenate([half, half]), both), shape=(n, n))
    graph.sum_duplicates()
    return graph
