"""UMAP on given exact neighbors: the steps of umap-learn, with a layout on all cores."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays.unit import unit_scaled
from ...device import caches
from ...errors import InputError

# Largest distances of this size are used unchanged.
_LEAST, _MOST = 2.0**-20, 2.0**50


class UMAP:
    """Uniform manifold approximation and projection (McInnes et al., 2018).

    Graph weights, similarity curve and spectral initialization are functions of umap-learn, with
    its defaults.  umap-learn searches neighbors itself, approximately above 4,096 samples; here
    they are given, and can be shared.  All random numbers come from the seed, see `start`; in
    umap-learn those of the eigensolver do not.  The layout makes the moves of umap-learn in another
    order, on all cores, see `layout`.

    Parameters
    ----------
    neighbors : (distances, indices)
        Exact nearest neighbors, each (n, k) with k >= `n_neighbors`, each row itself first.
    n_components : int
        Dimension of the result.
    n_neighbors : int
        Neighbors per sample, the sample itself counted.
    min_dist : float
        Minimum distance in the layout, as in umap-learn.
    metric : str
        Metric of `neighbors`, as umap-learn names it.
    random_state : int or None
        An int gives the same layout on any number of threads.  None draws a new seed each time,
        and is not faster.

    References
    ----------
    McInnes, Healy, Melville: UMAP: Uniform manifold approximation and projection for dimension
    reduction, arXiv:1802.03426, 2018.

    Examples
    --------
    >>> from gpuclust.arrays.neighbors import kneighbors
    >>> X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    >>> reducer = UMAP(
    ...     neighbors=kneighbors(X, 15, include_self=True),
    ...     n_components=2,
    ...     n_neighbors=15,
    ...     min_dist=0.1,
    ...     metric="euclidean",
    ...     random_state=0,
    ... )
    >>> reducer.fit_transform(X).shape
    (50, 2)
    """

    def __init__(
        self,
        *,
        neighbors: tuple[Any, Any],
        n_components: int,
        n_neighbors: int,
        min_dist: float,
        metric: str,
        random_state: int | None,
    ):
        self.neighbors = neighbors
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.min_dist = min_dist
        self.metric = metric
        self.random_state = random_state

    def fit_transform(self, X: Any) -> np.ndarray:
        """Return the layout (n, n_components), float32, of the samples X (n, d).

        Raises
        ------
        InputError
            When `neighbors` does not have n rows, or fewer than `n_neighbors` columns.
        """
        caches.numba_folder()
        from umap.umap_ import find_ab_params, fuzzy_simplicial_set

        from .layout import lay_out
        from .start import initial_positions

        n = X.shape[0]
        distances, indices = self._nearest(n)
        if n == 1:
            return np.zeros((1, self.n_components), np.float32)
        random = np.random.RandomState(self.random_state)
        found = {"knn_indices": indices, "knn_dists": distances}
        graph, _, _ = fuzzy_simplicial_set(X, self.n_neighbors, random, self.metric, **found)
        # As in umap-learn: more epochs for small datasets, and no edges due in less than one epoch.
        n_epochs = 500 if n <= 10000 else 200
        graph.data[graph.data < graph.data.max() / n_epochs] = 0
        graph.eliminate_zeros()
        curve = find_ab_params(1.0, self.min_dist)
        start = initial_positions(
            # Means of connected components are compared at a size of about 1.
            unit_scaled(np, np.asarray(X))[0],
            graph,
            self.n_components,
            metric=self.metric,
            random=random,
        )
        seed = int(random.randint(2**63, dtype=np.uint64))
        return lay_out(start, graph, curve=curve, n_epochs=n_epochs, seed=seed)

    def _nearest(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        distances, indices = self.neighbors
        if distances.shape != indices.shape or len(indices) != n:
            raise InputError(
                f"neighbors must be distances and indices of {n} samples, of one shape; "
                f"got {distances.shape} and {indices.shape}."
            )
        if indices.shape[1] < self.n_neighbors:
            raise InputError(
                f"n_neighbors={self.n_neighbors} needs as many columns of neighbors; "
                f"got {indices.shape[1]}. Give more neighbors or a smaller n_neighbors."
            )
        distances, indices = (part[:, : self.n_neighbors] for part in (distances, indices))
        # Weights depend on ratios of distances; umap-learn's search for them starts from 1.
        if not _LEAST <= distances.max(initial=0.0) <= _MOST:
            distances = distances / 2.0 ** np.frexp(distances.max(initial=0.0))[1]
        return np.ascontiguousarray(distances, np.float32), np.ascontiguousarray(indices)
