"""Initial positions of UMAP, as in umap-learn, with all random numbers drawn from the seed.

The positions are eigenvectors of the normalized Laplacian of the graph.  Where samples repeat, the
eigensolver (ARPACK) meets an invariant subspace and restarts from a random vector; umap-learn lets
it draw that vector anew in every call, so one seed gave several layouts (lmcinnes/umap#1277).
Without such restarts the positions are umap-learn's, bit for bit.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np

LOG = logging.getLogger("gpuclust")
# Connected components are placed by the eigenvectors of a dense matrix of all components.  For ten
# noisy copies of 10,000 samples that took more than 20 minutes on two cores.
_MOST_COMPONENTS = 1_000
_EXTENT = 10.0


def initial_positions(
    X: np.ndarray, graph: Any, n_components: int, *, metric: str, random: np.random.RandomState
) -> np.ndarray:
    """Place the samples, with coordinates from 0 to 10.

    Parameters
    ----------
    X : ndarray (n, d)
        Samples; only their means in each connected component are used.
    graph : sparse array (n, n)
        Symmetric weights above 0.  With more than 1,000 connected components the positions are
        principal components, with a warning in the log.
    n_components : int
        Dimension of the positions.
    metric : str
        Distance between the means of components, as scikit-learn names it.
    random : RandomState
        Source of all random numbers.

    Returns
    -------
    ndarray (n, n_components), float32

    Warns
    -----
    UserWarning
        When the eigensolver fails, and positions are random.

    References
    ----------
    `umap.umap_.simplicial_set_embedding` and `umap.spectral` of umap-learn 0.5.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> ring = np.roll(np.eye(12), 1, axis=1)
    >>> random = np.random.RandomState(0)
    >>> placed = initial_positions(
    ...     np.eye(12), csr_array(ring + ring.T), 2, metric="euclidean", random=random
    ... )
    >>> placed.shape, float(placed.min()), float(placed.max())
    ((12, 2), 0.0, 10.0)
    """
    from scipy.sparse.csgraph import connected_components

    graph = graph.tocoo()
    graph.sum_duplicates()
    count, component = connected_components(graph)
    # Numbers for restarts come from a generator of their own: they change no other number.
    restarts = np.random.default_rng(random.get_state(legacy=False)["state"]["key"][:8])
    if count > _MOST_COMPONENTS:
        placed = _without_spectrum(X, n_components, count, random)
    else:
        if count == 1:
            found = _spectral(graph, n_components, random, restarts)
        else:
            centers = _centers(X, component, n_components, metric, (random, restarts))
            found = _around(centers, graph, component, (random, restarts))
        placed = _with_noise(found, random)
    random.randint(np.iinfo(np.int32).min, np.iinfo(np.int32).max, 3)  # drawn by umap-learn here
    low, high = np.min(placed, 0), np.max(placed, 0)
    return (_EXTENT * (placed - low) / (high - low)).astype(np.float32, order="C")


def _without_spectrum(
    X: np.ndarray, n_components: int, count: int, random: np.random.RandomState
) -> np.ndarray:
    """Place the samples by principal components, or at random in more dimensions than X has."""
    from sklearn.decomposition import PCA

    init = "pca" if n_components <= min(X.shape) else "random"
    LOG.warning("graph of %d connected components: UMAP starts from %s", count, init)
    if init == "random":
        return _uniform(random, (X.shape[0], n_components)).astype(np.float32)
    projected = PCA(n_components=n_components, random_state=random).fit_transform(X)
    return _with_noise(projected.astype(np.float32), random)


def _uniform(random: np.random.RandomState, shape: tuple[int, int]) -> np.ndarray:
    return random.uniform(low=-_EXTENT, high=_EXTENT, size=shape)


def _with_noise(placed: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Scale the positions to at most 10 and add a little noise to separate equal ones."""
    placed = (placed * (_EXTENT / np.abs(placed).max())).astype(np.float32)
    return placed + random.normal(scale=0.0001, size=placed.shape).astype(np.float32)


def _spectral(
    graph: Any, dim: int, random: np.random.RandomState, restarts: np.random.Generator
) -> np.ndarray:
    """Return the eigenvectors (n, dim) of the normalized Laplacian after the first one."""
    import scipy.sparse
    from scipy.sparse.linalg import ArpackError, eigsh

    n, k = graph.shape[0], dim + 1
    root = np.sqrt(np.asarray(graph.sum(axis=0)).squeeze())
    scale = scipy.sparse.spdiags(1.0 / root, 0, n, n)
    laplacian = scipy.sparse.identity(n, dtype=np.float64) - scale @ graph @ scale
    random.normal(size=(n, k))  # drawn by umap-learn for another solver
    try:
        values, vectors = eigsh(
            laplacian,
            k,
            which="SM",
            ncv=max(2 * k + 1, int(np.sqrt(n))),
            tol=1e-4,
            v0=np.ones(n),
            maxiter=5 * n,
            rng=restarts,
        )
    except ArpackError as error:
        warnings.warn(
            f"UMAP starts from random positions, since the eigensolver failed ({error}).",
            stacklevel=2,
        )
        return _uniform(random, (n, dim))
    return vectors[:, np.argsort(values)[1:k]]


def _around(
    centers: np.ndarray,
    graph: Any,
    component: np.ndarray,
    sources: tuple[np.random.RandomState, np.random.Generator],
) -> np.ndarray:
    """Place each connected component around its center, within half the way to the next one."""
    from sklearn.metrics import pairwise_distances

    dim, rows = centers.shape[1], graph.tocsr()
    placed = np.empty((graph.shape[0], dim), dtype=np.float32)
    for label, center in enumerate(centers):
        member = component == label
        own = rows[member, :].tocsc()[:, member].tocoo()
        apart = pairwise_distances([center], centers)
        apart = apart[apart > 0.0]
        reach = apart.min() / 2.0 if apart.size else 0.5
        if own.shape[0] < 2 * dim or own.shape[0] <= dim + 1:
            spread = sources[0].uniform(low=-reach, high=reach, size=(own.shape[0], dim))
        else:
            spread = _spectral(own, dim, *sources)
            spread *= reach / np.max(np.abs(spread))
        placed[member] = spread + center
    return placed


def _centers(
    X: np.ndarray,
    component: np.ndarray,
    dim: int,
    metric: str,
    sources: tuple[np.random.RandomState, np.random.Generator],
) -> np.ndarray:
    """Return positions (components, dim) of the connected components."""
    from sklearn.metrics import pairwise_distances

    count = int(component.max()) + 1
    if count <= 2 * dim:
        half = int(np.ceil(count / 2.0))
        base = np.hstack([np.eye(half), np.zeros((half, dim - half))])
        return np.vstack([base, -base])[:count]
    means = np.empty((count, X.shape[1]), dtype=np.float64)
    for label in range(count):
        means[label] = X[component == label].mean(axis=0)
    affinity = np.exp(-(pairwise_distances(means, metric=metric) ** 2))
    centers = _dense_spectral(affinity, dim, sources)
    return centers / centers.max()


def _dense_spectral(
    affinity: np.ndarray, dim: int, sources: tuple[np.random.RandomState, np.random.Generator]
) -> np.ndarray:
    """Return `sklearn.manifold.SpectralEmbedding` (n, dim) of a dense matrix of affinities."""
    from scipy.sparse.csgraph import laplacian as laplacian_of
    from scipy.sparse.linalg import ArpackError, eigsh

    n, (random, restarts) = len(affinity), sources
    laplacian, root = laplacian_of(affinity, normed=True, return_diag=True)
    laplacian.flat[:: n + 1] = 1
    first = random.uniform(-1, 1, n)
    try:
        vectors = eigsh(
            laplacian, k=dim + 1, sigma=-1e-5, which="LM", tol=0, v0=first, rng=restarts
        )[1]
    except ArpackError:
        vectors = np.linalg.eigh(laplacian)[1]
    vectors = vectors[:, : dim + 1] / root[:, None]
    largest = np.argmax(np.abs(vectors), axis=0)
    vectors *= np.sign(vectors[largest, np.arange(dim + 1)])
    return vectors[:, 1:]
