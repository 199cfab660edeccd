"""UMAP on the exact graph of neighbours that a space shares: umap-learn's steps, and our layout."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from ...errors import InputError

LOG = logging.getLogger("gpuclust")
# umap-learn places the parts of a graph by the eigenvectors of a dense matrix of all parts: it took
# more than 20 minutes of two cores for the ten noisy copies of 10,000 samples.
_MOST_PARTS = 1_000


class UMAP:
    """Uniform manifold approximation and projection (McInnes et al., 2018).

    The weights of the graph, the curve of similarities and the spectral start are umap-learn's own
    functions, with its defaults.  umap-learn searches neighbours approximately above 4,096 samples,
    and again for every instance; here they are given.  The layout, which took most of the time,
    makes the moves of umap-learn in another order, on all cores: see `umap_layout`.  A graph
    of more than 1,000 parts that are not connected starts from principal components, and says so.

    Parameters
    ----------
    neighbors : (distances, indices)
        Exact nearest neighbours, each (n, k) with k >= `n_neighbors`, each row itself first.
    n_components, n_neighbors, min_dist, metric
        As in umap-learn.
    random_state : int or None
        The same layout for the same int, on any number of threads; None draws another every time,
        and is no faster.
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
        """Return the layout (n, n_components) float32 of the samples X (n, d).

        Raises
        ------
        InputError
            When the neighbours given are not those of X, or too few.
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
        # umap-learn's choice: small data takes more epochs.  Weights too small for one are dropped.
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
                f"n_neighbors={self.n_neighbors} needs as many columns of neighbours; "
                f"got {indices.shape[1]}. Give more neighbors or a smaller n_neighbors."
            )
        distances, indices = (part[:, : self.n_neighbors] for part in (distances, indices))
        return np.ascontiguousarray(distances, np.float32), np.ascontiguousarray(indices)

    def _start(self, X: Any, graph: Any, curve: tuple, random: Any) -> np.ndarray:
        """Return where umap-learn starts, each component from 0 to 10: its layout in 0 epochs."""
        from scipy.sparse.csgraph import connected_components
        from umap.umap_ import simplicial_set_embedding

        init = "spectral"
        if (parts := connected_components(graph, directed=False)[0]) > _MOST_PARTS:
            init = "pca" if self.n_components <= min(X.shape) else "random"
            LOG.warning("%d parts of the graph are not connected: UMAP starts by %s", parts, init)
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
