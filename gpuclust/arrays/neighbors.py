"""Exact nearest neighbors by brute force."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np

from ..device import threads
from ..errors import InputError
from . import METRICS, accept, gram, parameters
from .distances import check_and_scale, distance_blocks
from .unit import in_unit

# Up to this k the nearest are kept sorted while a row is read; above, a partition is faster.
_MAX_SORTED = 100
# Distances compared with the k-th nearest together; most runs contain none that is nearer.
_RUN = 64


def kneighbors(
    X: Any, k: int, *, metric: str = "euclidean", include_self: bool = False
) -> tuple[Any, Any]:
    """Find the `k` nearest rows of every row of `X`, exactly.

    As ``sklearn.neighbors.NearestNeighbors.kneighbors``, with ties in the order of the indices.

    O(n^2 d) time for the distances and O(n^2) for the selection (O(n^2 log n) on namespaces other
    than NumPy and CuPy, which sort whole rows).  On NumPy all cores select, by a compiled kernel up
    to k = 100 and by partition above.  Memory: two blocks of distances on NumPy, about five on
    other namespaces.

    Parameters
    ----------
    X : array-like of shape (n, d)
        See `gpuclust.arrays.accept.samples`.
    k : int
        Number of neighbors, including the row itself if `include_self`.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}
        Distance.
    include_self : bool
        Count a row as its own neighbor; it then comes first, even before its duplicates.

    Returns
    -------
    distances : array of shape (n, k)
        In the float dtype of `X`, not decreasing along a row; float64 for float32 samples so large
        or so small that float32 squares would overflow or underflow.
    indices : array of int64, shape (n, k)
        Rows of `X`; equally distant rows are in the order of their indices.  Both are in the array
        type and on the device of `X`.

    Raises
    ------
    InputError
        If fewer than `k` rows can be found, `k` is no whole number, or `X` is not a finite matrix.
    UnknownNameError
        If the metric is unknown.

    Examples
    --------
    >>> distances, indices = kneighbors(np.array([[0.0], [1.0], [5.0]]), 1)
    >>> indices.tolist(), distances.tolist()
    ([[1], [0], [1]], [[1.0], [1.0], [4.0]])
    """
    parameters.choice("metric", metric, METRICS)
    parameters.flag("include_self", include_self)
    k = parameters.whole("k", k)
    given, X = X, accept.samples(X)
    xp = array_api_compat.array_namespace(X)
    X, unit = check_and_scale(xp, X, metric)
    blocks = distance_blocks(X, metric=metric)
    _check_k(k, X.shape[0], include_self=include_self)
    nearest = _selection(xp)
    # Smaller than every distance, or larger: the row itself is selected first, or last.
    self_distance = -1.0 if include_self else float("inf")
    distances, indices = [], []
    for start, _, D in blocks:
        found = nearest(xp, gram.fill_diagonal(xp, D, start, value=self_distance), k)
        distances.append(xp.maximum(found[0], xp.zeros_like(found[0])))
        indices.append(found[1])
    found = in_unit(xp, xp.concat(distances), unit), xp.concat(indices)
    return accept.returned(found[0], given), accept.returned(found[1], given)


def _selection(xp: Any) -> Callable:
    if array_api_compat.is_numpy_namespace(xp):
        return functools.partial(_nearest_numpy, each=threads.all_cores())
    return _nearest_topk if array_api_compat.is_cupy_namespace(xp) else _nearest_sorted


def _check_k(k: int, n: int, *, include_self: bool) -> None:
    most = n if include_self else n - 1
    if k > most:
        others = "rows" if include_self else "other rows"
        raise InputError(
            f"k is {k}, but each of the {n} rows has {max(most, 0)} {others} to find. "
            f"Give a k from 1 to {max(most, 0)}, or more samples."
        )


def _nearest_numpy(
    xp: Any, D: np.ndarray, k: int, *, each: Callable
) -> tuple[np.ndarray, np.ndarray]:
    distances, indices = np.empty((len(D), k), D.dtype), np.empty((len(D), k), np.int64)
    select = _kernel() if k <= _MAX_SORTED else _partition
    each(lambda a, b: select(D[a:b], distances[a:b], indices[a:b]), len(D))
    return distances, indices


@functools.cache
def _kernel() -> Callable:
    """Compile ``kernel(D, distances, indices)``: an insertion sort of the k nearest.

    Each row is read once, O(n), with O(k) for each distance inserted.
    """

    @threads.compiled
    def kernel(D, distances, indices):
        k, n = distances.shape[1], D.shape[1]
        for i in range(len(D)):
            best, taken, full = distances[i], indices[i], 0
            for start in range(0, n, _RUN):
                run = D[i, start : start + _RUN]
                below = 0 if full == k else len(run)
                for j in range(len(run)):
                    below += run[j] < best[k - 1]
                # The loop above is vectorized, and skips most runs.
                checked = len(run) if below else 0
                for j in range(checked):
                    if full == k and not run[j] < best[k - 1]:
                        continue
                    full = min(full + 1, k)
                    # Inserted after equal distances, so that ties stay in the order of the index.
                    place = full - 1
                    while place > 0 and run[j] < best[place - 1]:
                        best[place], taken[place] = best[place - 1], taken[place - 1]
                        place -= 1
                    best[place], taken[place] = run[j], start + j

    return kernel


def _partition(D: np.ndarray, distances: np.ndarray, indices: np.ndarray) -> None:
    """Select by partition, O(n) per row; sort rows with a tie at the k-th place as a whole."""
    k = distances.shape[1]
    found = np.argpartition(D, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(D, found, axis=1)
    last = values.max(axis=1, keepdims=True)
    tied = np.flatnonzero(np.count_nonzero(last >= D, axis=1) > k)
    if tied.size:
        found[tied] = np.argsort(D[tied], axis=1, kind="stable")[:, :k]
        values[tied] = np.take_along_axis(D[tied], found[tied], axis=1)
    order = np.lexsort((found, values), axis=1)
    indices[:] = np.take_along_axis(found, order, axis=1)
    distances[:] = np.take_along_axis(values, order, axis=1)


def _nearest_topk(xp: Any, D: Any, k: int) -> tuple[Any, Any]:
    """Select by torch, O(n) per row; sort rows with a tie at the k-th place as a whole.

    For namespaces that exchange arrays with torch without a copy (DLPack): CuPy, whose own
    partition is a full sort, and NumPy in tests without a GPU.
    """
    import torch

    rows = torch.from_dlpack(D)
    distances, indices = torch.topk(rows, k, dim=1, largest=False)
    within = torch.count_nonzero(distances[:, -1:] >= rows, dim=1)
    tied = torch.nonzero(within > k)[:, 0]
    if tied.numel():
        ordered = torch.sort(rows[tied], dim=1, stable=True)
        distances[tied], indices[tied] = ordered.values[:, :k], ordered.indices[:, :k]
    # Sorted by index first, so that the stable sort keeps equal distances in that order.
    indices, order = torch.sort(indices, dim=1)
    distances, by_distance = torch.sort(torch.gather(distances, 1, order), dim=1, stable=True)
    indices = torch.gather(indices, 1, by_distance)
    return xp.from_dlpack(distances), xp.from_dlpack(indices)


def _nearest_sorted(xp: Any, D: Any, k: int) -> tuple[Any, Any]:
    """Sort whole rows, since the array API standard has no partition."""
    indices = xp.argsort(D, axis=1, stable=True)[:, :k]
    return xp.take_along_axis(D, indices, axis=1), xp.astype(indices, xp.int64)
