"""Wrappers of cuML with additional options: variance shares, `cluster_qr`, exact neighbors.

Each wrapper has the interface that the pipeline uses; cuML does the work.  Input and output are
CuPy arrays.  RAPIDS is imported on first use.  Examples need a GPU.
"""

from __future__ import annotations

from typing import Any

import array_api_compat

from ..arrays.distances import check_and_scale
from ..arrays.unit import SQUARES32, in_unit
from ..errors import CellError
from .spectral.assignment import assign


def kneighbors(
    X: Any, k: int, *, metric: str = "euclidean", include_self: bool = False
) -> tuple[Any, Any]:
    """Find the exact `k` nearest rows of every row by cuML's brute force, in float32.

    Same interface as `gpuclust.arrays.neighbors.kneighbors`, but ties are in any order.  O(n^2 d)
    time.

    Parameters
    ----------
    X : CuPy array (n, d)
        Samples.
    k : int
        Number of neighbors, the row itself counted if `include_self`.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}
        Distance.
    include_self : bool
        Count a row as its own neighbor; it then comes first.

    Returns
    -------
    distances, indices : CuPy arrays (n, k), float32 and int64
        Distances are float64 for samples so large or so small that float32 squares of their
        differences would overflow or underflow.

    Examples
    --------
    >>> import cupy  # doctest: +SKIP
    >>> kneighbors(cupy.asarray([[0.0], [1.0], [3.0]]), 1)[1]  # doctest: +SKIP
    array([[1], [0], [1]])
    """
    from cuml.neighbors import NearestNeighbors

    xp = array_api_compat.array_namespace(X)
    scaled, unit = check_and_scale(xp, X, metric, limits=SQUARES32)
    if unit != 1.0:
        X = scaled
    search = NearestNeighbors(
        n_neighbors=k, metric=metric, algorithm="brute", output_type="cupy"
    ).fit(X)
    # The second pass restores digits that the matrix product loses between near-duplicates.
    distances, indices = search.kneighbors(X if include_self else None, two_pass_precision=True)
    indices = xp.astype(indices, xp.int64)
    if unit != 1.0:
        distances = in_unit(xp, xp.astype(distances, xp.float64), unit)
    return itself_first(xp, distances, indices) if include_self else (distances, indices)


def itself_first(xp: Any, distances: Any, indices: Any) -> tuple[Any, Any]:
    """Move every row to the front of its own list, at distance 0.

    Among duplicates, a search may list another row first, or miss the row itself, which then
    replaces the last one listed.  O(n k log k) time.

    Examples
    --------
    >>> import numpy as np
    >>> distances, indices = np.array([[0.0, 0.0]]), np.array([[7, 0]])
    >>> itself_first(np, distances, indices)[1].tolist()
    [[0, 7]]
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

    cuML accepts only a number of components.  As in `sklearn.decomposition.PCA`, a share gives the
    smallest number of components whose variances exceed it.  The (d, d) covariance is decomposed in
    the dtype of X, so components below the rounding error of the largest one are noise.

    Parameters
    ----------
    n_components : int or float
        Number of components, or share of the variance between 0 and 1.
    whiten : bool
        Scale the components to variance 1.

    Attributes
    ----------
    fitted_ : cuml.decomposition.PCA
        Fitted class of cuML; for a share of the variance it holds all min(n, d) components.

    Examples
    --------
    >>> import cupy  # doctest: +SKIP
    >>> PCA(n_components=2).fit_transform(cupy.random.rand(100, 5)).shape  # doctest: +SKIP
    (100, 2)
    """

    def __init__(self, *, n_components: float, whiten: bool = False):
        self.n_components = n_components
        self.whiten = whiten

    def fit_transform(self, X: Any) -> Any:
        """Return the components (n, m) of `X` (n, d), in C order and its dtype."""
        import cupy
        from cuml.decomposition import PCA as Cuml

        share = isinstance(self.n_components, float)
        number = min(X.shape) if share else self.n_components
        pca = Cuml(n_components=number, whiten=self.whiten, svd_solver="full", output_type="cupy")
        Z = pca.fit_transform(X)
        self.fitted_ = pca
        if share:
            xp = array_api_compat.array_namespace(Z)
            Z = Z[:, : components_for(xp, pca.explained_variance_ratio_, self.n_components)]
        # cuML returns column-major memory, and clusterers need rows: one copy here instead of one
        # in each clusterer.
        return cupy.ascontiguousarray(Z)


def components_for(xp: Any, ratios: Any, share: float) -> int:
    """Count the components needed to exceed a share of the variance, as in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> components_for(np, np.array([0.7, 0.2, 0.1]), 0.8)
    2
    """
    reached = xp.cumulative_sum(xp.astype(ratios, xp.float64))
    return min(int(xp.count_nonzero(reached <= share)) + 1, ratios.shape[0])


class SpectralClustering:
    """Spectral clustering on the device: eigenvectors by cuML, assignment by `assign`.

    ``cuml.cluster.SpectralClustering`` offers only k-means; the study uses ``cluster_qr``.

    Parameters
    ----------
    n_clusters : int
        Number of clusters, below n.
    n_neighbors : int
        Neighbors per sample, the sample itself counted.
    assign_labels : {"cluster_qr", "discretize", "kmeans"}
        Assignment of clusters to the embedding; k-means with ten starts, as in scikit-learn.
    random_state : int
        Seed of the eigensolver and of the assignment.
    neighbors : CuPy array (n, n_neighbors or more), int64
        Nearest neighbors of every sample, itself first.

    Examples
    --------
    >>> import cupy  # doctest: +SKIP
    >>> X = cupy.random.rand(100, 5)  # doctest: +SKIP
    >>> _, neighbors = kneighbors(X, 10, include_self=True)  # doctest: +SKIP
    >>> options = {"n_clusters": 2, "n_neighbors": 10, "assign_labels": "cluster_qr"}
    >>> model = SpectralClustering(  # doctest: +SKIP
    ...     **options, random_state=0, neighbors=neighbors
    ... )
    >>> model.fit_predict(X).shape  # doctest: +SKIP
    (100,)
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
        """Return the labels (n,) of `X` (n, d); only `neighbors` is used, not `X`.

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
    """Build the symmetric neighbor graph: half the sum of the 0/1 graph and its transpose.

    Parameters
    ----------
    indices : CuPy array (n, k), int64
        Nearest neighbors of every sample, itself first.

    Returns
    -------
    ``cupyx.scipy.sparse.coo_matrix`` (n, n), float32, with at most 2 n k entries.

    Examples
    --------
    >>> import cupy  # doctest: +SKIP
    >>> symmetric_graph(cupy.asarray([[0, 1], [1, 0]])).shape  # doctest: +SKIP
    (2, 2)
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
