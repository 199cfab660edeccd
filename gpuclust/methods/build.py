"""Construct the estimator of a method on a backend."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..arrays.shared_neighbors import SharedNeighbors
from ..device.backend import Backend
from ..errors import BackendError
from ..registry import load_target
from .method import Fit
from .table import CLUSTERERS, KNEIGHBORS, REDUCERS


class Built(NamedTuple):
    """Estimator and import path of its class; rows record the path."""

    estimator: Any
    path: str


def build(name: str, params: Mapping[str, Any], fit: Fit, on: Backend) -> Built:
    """Construct the estimator of a reducer or clusterer for a backend.

    Parameters
    ----------
    name : str
        Key of `REDUCERS` or `CLUSTERERS`.
    params : mapping
        All parameters of the entry, as `Spec.params` holds them.
    fit : Fit
        Shape of the data, number of clusters, seed and shared neighbor graph.
    on : Backend
        Backend to run on.

    Raises
    ------
    CellError
        When the method cannot work on data of this shape.
    BackendError
        When the method has no implementation on this backend, or its package is not installed.

    Examples
    --------
    >>> from gpuclust.device import backend
    >>> params = {"n_components": 2, "whiten": False}
    >>> fit = Fit(n=100, d=8, k=None, seed=0, trees={})
    >>> build("pca", params, fit, backend.select("cpu")).path
    'sklearn.decomposition:PCA'
    """
    table = REDUCERS if name in REDUCERS else CLUSTERERS
    method = table[name]
    chosen = method.implementation(on.name, params, fit)
    if chosen is None:
        other = "cpu" if on.name == "gpu" else "gpu"
        offered = ", ".join(key for key, one in table.items() if on.name in one.backends)
        raise BackendError(
            f"{name} has no {on.name} implementation. Run it with --device {other}, or choose "
            f"another method: {offered}."
        )
    estimator = load_target(chosen.target, method.extra)(**chosen.bind(params, fit))
    return Built(estimator, chosen.target)


def neighbors_of(X: Any, on: Backend, most: int = 0) -> SharedNeighbors:
    """Return the neighbor graph of `X` (n, d); the search runs when a method first needs it.

    Parameters
    ----------
    X : array (n, d)
        Samples, on the device of the backend.
    on : Backend
        Backend of the search.
    most : int
        Number of neighbors to search at once, so that smaller requests need no second search.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuclust.device import backend
    >>> X = np.array([[0.0], [1.0], [5.0]], np.float32)
    >>> distances, indices = neighbors_of(X, backend.select("cpu"))(2, "euclidean")
    >>> indices[:, 1].tolist()
    [1, 0, 1]
    """
    search = load_target(KNEIGHBORS[on.name])
    return SharedNeighbors(functools.partial(search, X, include_self=True), X.shape[0], most)
