"""UMAP by umap-learn, on the exact graph of neighbours that a space shares."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np


class UMAP:
    """Uniform manifold approximation and projection (McInnes et al., 2018) by `umap.UMAP`.

    umap-learn searches neighbours approximately above 4,096 samples, and again for every instance;
    here they are given.  The layout of 10,000 samples then takes most of the time.

    Parameters
    ----------
    neighbors : (distances, indices)
        Exact nearest neighbours, each (n, k) with k >= `n_neighbors`, each row itself first.
    n_components, n_neighbors, min_dist, metric
        As in umap-learn.
    random_state : int or None
        None lets all cores work on the layout at once: faster, and no two runs are the same.
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
        """Return the layout (n, n_components) float32 of the samples X (n, d)."""
        import umap

        distances, indices = (part[:, : self.n_neighbors] for part in self.neighbors)
        knn = (np.ascontiguousarray(indices), np.ascontiguousarray(distances, dtype=np.float32))
        layout = umap.UMAP(
            n_components=self.n_components,
            n_neighbors=self.n_neighbors,
            min_dist=self.min_dist,
            metric=self.metric,
            random_state=self.random_state,
            # One is what a seed forces anyway; saying so keeps umap-learn from warning about it.
            n_jobs=1 if self.random_state is not None else -1,
            precomputed_knn=(*knn, None),
        )
        with warnings.catch_warnings():
            # New samples are never transformed, so no index to search them with is missed.
            warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]")
            return layout.fit_transform(X)
