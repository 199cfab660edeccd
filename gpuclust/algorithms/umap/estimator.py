"""UMAP on given exact neighbors: the steps of umap-learn, with a layout on all cores."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from ...errors import InputError

LOG = logging.getLogger("gpuclust")
# umap-learn places connected components by the eigenvectors of a dense matrix of all components.
# For ten noisy copies of 10,000 samples that took more than 20 minutes on two cores.
_MOST_COMPONENTS = 1_000


class UMAP:
    """Uniform manifold approximation and projection (McInnes et al., 2018).

    Graph weights, similarity curve and spectral initialization are functions of umap-learn, with
    its defaults.  umap-learn searches neighbors itself, approximately above 4,096 samples; here
    they are given, and can be shared.  The layout makes the moves of umap-learn in another order,
    on all cores, see `layout`.  A graph of more than 1,000 connected components starts from
    principal components instead, with a warning in the log.

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
        from umap.umap_ import find_ab_params, fuzzy_simplicial_set

        from .layout import lay_out

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
        start = self._start(X, graph, curve, random)
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
        return np.ascontiguousarray(distances, np.float32), np.ascontiguousarray(indices)

    def _start(self, X: Any, graph: Any, curve: tuple, random: Any) -> np.ndarray:
        """Return umap-learn's initial positions, from 0 to 10: its layout after 0 epochs."""
        from scipy.sparse.csgraph import connected_components
        from umap.umap_ import simplicial_set_embedding

        init = "spectral"
        components = connected_components(graph, directed=False)[0]
        if components > _MOST_COMPONENTS:
            init = "pca" if self.n_components <= min(X.shape) else "random"
            LOG.warning("graph of %d connected components: UMAP starts from %s", components, init)
        start, _ = simplicial_set_embedding(
            X,
            graph,
            n_components=self.n_components,
            initial_alpha=1.0,
            a=curve[0],
            b=curve[1],
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=0,
            init=init,
            random_state=random,
            metric=self.metric,
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
        )
        return start
