"""Exact nearest neighbours: one graph per space, which several methods share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np

from . import gram, ops
from .errors import InputError


def kneighbors(
    X: Any, k: int, *, metric: str = "euclidean", include_self: bool = False
) -> tuple[Any, Any]:
    """Find the `k` nearest rows of every row of `X`, exactly.

    O(n^2 d) time for the distances and O(n^2) for the selection (O(n^2 log n) on namespaces other
    than NumPy and CuPy, which must sort); one block of distances at a time, about five in memory
    beside the result.  The distances are those of `ops.distance_blocks`.

    Parameters
    ----------
    X : array of shape (n, d)
        On any array namespace.
    k : int
        Number of neighbours, the row itself counted when `include_self`.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}
        The distance.
    include_self : bool
        Count a row as its own neighbour; it then comes first, before its duplicates too.

    Returns
    -------
    distances : array of shape (n, k)
        In the float dtype of `X`, not decreasing along a row.
    indices : array of int64, shape (n, k)
        Rows of `X`; of equally distant ones the lowest indices are taken, in order.

    Raises
    ------
    InputError
        When there are fewer than `k` rows to find, or `X` is not a finite matrix.
    UnknownNameError
        For another metric.
    """
    xp = array_api_compat.array_namespace(X)
    blocks = ops.distance_blocks(X, metric=metric)
    _check_k(k, X.shape[0], include_self=include_self)
    nearest = _selection(xp)
    # Below every distance, or above: the row itself is the first to be taken, or the last.
    self_distance = -1.0 if include_self else float("inf")
    distances, indices = [], []
    for start, _, D in blocks:
        found = nearest(xp, gram.fill_self(xp, D, start, value=self_distance), k)
        distances.append(xp.maximum(found[0], xp.zeros_like(found[0])))
        indices.append(found[1])
    return xp.concat(distances), xp.concat(indices)


def _selection(xp: Any) -> Callable:
    if array_api_compat.is_numpy_namespace(xp):
        return _nearest_numpy
    return _nearest_topk if array_api_compat.is_cupy_namespace(xp) else _nearest_sorted


def _check_k(k: int, n: int, *, include_self: bool) -> None:
    most = n if include_self else n - 1
    if k < 1 or k > most:
        others = "rows" if include_self else "other rows"
        raise InputError(
            f"k is {k}, but each of the {n} rows has {max(most, 0)} {others} to find. "
            f"Give a k from 1 to {max(most, 0)}, or more samples."
        )


def _nearest_numpy(xp: Any, D: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Select by partition, O(n) a row; sort whole rows only where a tie crosses the k-th place."""
    indices = np.argpartition(D, k - 1, axis=1)[:, :k]
    distances = np.take_along_axis(D, indices, axis=1)
    last = distances.max(axis=1, keepdims=True)
    tied = np.flatnonzero(np.count_nonzero(last >= D, axis=1) > k)
    if tied.size:
        indices[tied] = np.argsort(D[tied], axis=1, kind="stable")[:, :k]
        distances[tied] = np.take_along_axis(D[tied], indices[tied], axis=1)
    order = np.lexsort((indices, distances), axis=1)
    indices = np.take_along_axis(indices, order, axis=1).astype(np.int64, copy=False)
    return np.take_along_axis(distances, order, axis=1), indices


def _nearest_topk(xp: Any, D: Any, k: int) -> tuple[Any, Any]:
    """Select by torch, O(n) a row; sort whole rows only where a tie crosses the k-th place.

    CuPy's own partition is a sort.  For any namespace whose arrays torch takes and gives without a
    copy (DLPack): CuPy, and NumPy for a machine without a GPU.
    """
    import torch

    rows = torch.from_dlpack(D)
    distances, indices = torch.topk(rows, k, dim=1, largest=False)
    within = torch.count_nonzero(distances[:, -1:] >= rows, dim=1)
    tied = torch.nonzero(within > k)[:, 0]
    if tied.numel():
        ordered = torch.sort(rows[tied], dim=1, stable=True)
        distances[tied], indices[tied] = ordered.values[:, :k], ordered.indices[:, :k]
    # By index first: then the stable sort leaves equal distances in the order of their indices.
    indices, order = torch.sort(indices, dim=1)
    distances, by_distance = torch.sort(torch.gather(distances, 1, order), dim=1, stable=True)
    indices = torch.gather(indices, 1, by_distance)
    return xp.from_dlpack(distances), xp.from_dlpack(indices)


def _nearest_sorted(xp: Any, D: Any, k: int) -> tuple[Any, Any]:
    """Sort the rows: partitions are not in the standard."""
    indices = xp.argsort(D, axis=1, stable=True)[:, :k]
    return xp.take_along_axis(D, indices, axis=1), xp.astype(indices, xp.int64)
