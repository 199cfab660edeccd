"""Import umap-learn and compile the layout before the first fit is timed."""

from __future__ import annotations

import functools
import warnings

import numpy as np

from ...device import caches


@functools.cache
def prepare() -> None:
    """Import umap-learn and fit 40 samples, once per process.

    Takes 2 s where numba has its compiled code on disk, else some 20 s.  What umap-learn says while
    it is imported, such as that TensorFlow is missing, concerns nothing that is used here.
    """
    caches.numba_folder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap.umap_ import find_ab_params, fuzzy_simplicial_set

        from ...arrays.neighbors import kneighbors
        from .layout import lay_out
        from .start import initial_positions

        random = np.random.RandomState(0)
        X = random.normal(size=(40, 3)).astype(np.float32)
        distances, indices = kneighbors(X, 10, include_self=True)
        found = {"knn_indices": indices, "knn_dists": np.asarray(distances, np.float32)}
        graph, _, _ = fuzzy_simplicial_set(X, 10, random, "euclidean", **found)
        start = initial_positions(X, graph, 2, metric="euclidean", random=random)
        lay_out(start, graph, curve=find_ab_params(1.0, 0.0), n_epochs=3, seed=0)
