"""Exact nearest neighbours: one graph per space, which several methods share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import array_api_compat
import numpy as np

from . import ops
from .errors import InputError
from .host import cores

# Rows per block of an n x n matrix: a vector per block takes 1/128 of the matrix.
_ROWS = 128
_LARGEST = int(np.finfo(np.float32).max.view(np.int32))


def kneighbors(
    X: Any, k: int, *, metric: str = "euclidean", include_self: bool = False
) -> tuple[Any, Any]:
    """Find the `k` nearest rows of every row of `X`, exactly.

    O(n^2 d) time for the distances and O(n^2) for the selection (O(n^2 log n) on namespaces other
    than NumPy, which must sort); one block of distances at a time, about five blocks of 32 MiB in
    memory beside the result.  The distances are those of `ops.distance_blocks`.

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
    nearest = _nearest_numpy if array_api_compat.is_numpy_namespace(xp) else _nearest_sorted
    # Below every distance, or above: the row itself is the first to be taken, or the last.
    self_distance = -1.0 if include_self else float("inf")
    distances, indices = [], []
    for start, stop, D in blocks:
        own = itself(xp, D, start, stop)
        found = nearest(xp, xp.where(own, xp.full_like(D, self_distance), D), k)
        distances.append(xp.clip(found[0], 0.0, None))
        indices.append(found[1])
    return xp.concat(distances), xp.concat(indices)


def _check_k(k: int, n: int, *, include_self: bool) -> None:
    most = n if include_self else n - 1
    if k < 1 or k > most:
        others = "rows" if include_self else "other rows"
        raise InputError(
            f"k is {k}, but each of the {n} rows has {max(most, 0)} {others} to find. "
            f"Give a k from 1 to {max(most, 0)}, or more samples."
        )


def itself(xp: Any, D: Any, start: int, stop: int) -> Any:
    """Mark the entries of the rows ``start:stop`` of an n x n matrix that are on its diagonal.

    Returns an array of bool, shape (stop - start, n), on the device of `D`, which has n columns.
    """
    device = array_api_compat.device(D)
    rows = xp.arange(start, stop, device=device)
    return rows[:, None] == xp.arange(D.shape[1], device=device)[None, :]


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


def _nearest_sorted(xp: Any, D: Any, k: int) -> tuple[Any, Any]:
    """Sort the rows: partitions are not in the standard."""
    indices = xp.argsort(D, axis=1, stable=True)[:, :k]
    return xp.take_along_axis(D, indices, axis=1), xp.astype(indices, xp.int64)


def row_ranges(n: int) -> Iterator[tuple[int, int]]:
    """Cut n rows into blocks of 128, whatever the machine: results depend on no thread count."""
    return ((start, min(start + _ROWS, n)) for start in range(0, n, _ROWS))


@contextlib.contextmanager
def row_mapper(xp: Any) -> Iterator[Callable]:
    """Give ``over_rows(function, n)``, the list of ``function(start, stop)`` over `row_ranges`.

    On NumPy the blocks go to as many threads as there are cores: NumPy releases the GIL.
    """
    if not array_api_compat.is_numpy_namespace(xp):
        yield lambda function, n: [function(a, b) for a, b in row_ranges(n)]
        return
    with ThreadPoolExecutor(cores()) as pool:
        yield lambda function, n: list(pool.map(lambda ab: function(*ab), row_ranges(n)))


def median(xp: Any, S: Any, over_rows: Callable) -> float:
    """Find the median of a matrix without positive entries, with no copy of it.

    By bisection: the bits of floats that are not negative count up with their values, so halving
    the range of bits reaches the exact value in 31 counting passes, O(n^2) each.

    Parameters
    ----------
    S : array of float32, shape (n, n)
        Similarities; none above 0.
    over_rows : callable
        From `row_mapper`.
    """
    n = S.shape[0]

    def count(bits: int) -> int:
        value = -float(np.int32(bits).view(np.float32))
        return sum(over_rows(lambda a, b: int(xp.count_nonzero(S[a:b, :] >= value)), n))

    rank = (n * n + 1) // 2  # of the upper middle among the similarities, from 1
    low, high = 0, _LARGEST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if count(middle) >= rank else (middle + 1, high)
    upper = -float(np.int32(low).view(np.float32))
    if n % 2 or count(low) > rank:
        return upper

    def next_below(a: int, b: int) -> float:
        block = S[a:b, :]
        return float(xp.max(xp.where(block < upper, block, xp.full_like(block, -xp.inf))))

    return (upper + max(over_rows(next_below, n))) / 2
