"""Rows of matrices: taken, put and mapped over, on any array namespace.

The numbers of rows and columns come from the host, where the bookkeeping of most algorithms is.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import array_api_compat
import numpy as np

from ..device import block_size
from ..device.threads import cores
from .transfer import to_device, to_host

# Rows per block of an n x n matrix of NumPy: a vector per block takes 1/128 of the matrix.
_ROWS = 128
# Entries that are looked at before all are.
_SAMPLE = 1 << 18


def take_rows(xp: Any, array: Any, index: np.ndarray) -> Any:
    """Return a copy of the rows with the given numbers."""
    if array_api_compat.is_numpy_namespace(xp):
        return array[index]  # np.take would copy all of an array that is not contiguous
    return xp.take(array, to_device(xp, index, array), axis=0)


def put_rows(xp: Any, array: Any, index: np.ndarray, values: Any) -> None:
    """Set the rows of `array` with the given numbers to those of `values`, in its dtype.

    The standard has no assignment by an array of integers: other namespaces than NumPy and CuPy go
    row by row.
    """
    values = xp.astype(values, array.dtype, copy=False)
    if _has_index_assignment(xp):
        array[to_device(xp, index, array)] = values
        return
    for k, i in enumerate(index.tolist()):
        array[i, ...] = values[k, ...]


def put_columns(xp: Any, array: Any, index: np.ndarray, values: Any) -> None:
    """Set the columns of `array` with the given numbers; see `put_rows`."""
    values = xp.astype(values, array.dtype, copy=False)
    if _has_index_assignment(xp):
        array[:, to_device(xp, index, array)] = values
        return
    for k, i in enumerate(index.tolist()):
        array[:, i] = values[:, k]


def set_infinite(xp: Any, block: Any, columns: Any) -> Any:
    """Return the block with infinity in one column of each row, in place where that is possible.

    Parameters
    ----------
    block : array of shape (b, n)
        Distances.
    columns : array of int, shape (b,)
        On the device of `block`.
    """
    device = array_api_compat.device(block)
    if _has_index_assignment(xp):
        block[xp.arange(block.shape[0], device=device), columns] = float("inf")
        return block
    every = xp.arange(block.shape[1], dtype=columns.dtype, device=device)
    return xp.where(every[None, :] == columns[:, None], xp.full_like(block, float("inf")), block)


def _has_index_assignment(xp: Any) -> bool:
    return array_api_compat.is_numpy_namespace(xp) or array_api_compat.is_cupy_namespace(xp)


def diagonal_mask(xp: Any, D: Any, start: int, stop: int) -> Any:
    """Mark the entries of the rows ``start:stop`` of an n x n matrix that are on its diagonal.

    Returns an array of bool, shape (stop - start, n), on the device of `D`, which has n columns.
    """
    device = array_api_compat.device(D)
    rows = xp.arange(start, stop, device=device)
    return rows[:, None] == xp.arange(D.shape[1], device=device)[None, :]


def row_ranges(xp: Any, n: int, *, columns: int | None = None) -> list[tuple[int, int]]:
    """Cut the n rows of a float32 matrix of so many columns, n by default, into blocks.

    128 rows on NumPy, whatever the machine: results depend on no thread count.  Elsewhere what
    `ops.block_rows` says, since each block is a launch of every kernel.
    """
    row_bytes = 4 * (n if columns is None else columns)
    rows = block_size.block_rows(xp, row_bytes, cached=_ROWS * row_bytes)
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]


@contextlib.contextmanager
def row_mapper(xp: Any, n: int) -> Iterator[Callable]:
    """Give ``over_rows(function)``, the list of ``function(start, stop)`` over `row_ranges`.

    On NumPy the blocks go to as many threads as there are cores: NumPy releases the GIL.  Elsewhere
    they stay in this thread: the streams of CUDA libraries are one per thread.
    """
    ranges = row_ranges(xp, n)  # once: sums over blocks round the same way each time
    if not array_api_compat.is_numpy_namespace(xp):
        yield lambda function: [function(a, b) for a, b in ranges]
        return
    with ThreadPoolExecutor(cores()) as pool:
        yield lambda function: list(pool.map(lambda ab: function(*ab), ranges))


def median(xp: Any, S: Any) -> float:
    """Find the median of a matrix (n, n) of float32, with no copy of it.

    Between two quantiles of a sample lies a percent of the matrix, and in it the median: one pass,
    O(n^2), and 8 bytes per hundred entries.  A pass more should the sample mislead.
    """
    size = S.shape[0] ** 2
    ranks = (size - 1) // 2, size // 2
    flat = xp.reshape(S, (-1,))
    if size <= _SAMPLE:
        return float(np.median(to_host(flat).astype(np.float64)))
    places = np.random.default_rng(0).integers(size, size=_SAMPLE)
    sample = np.sort(to_host(xp.take(flat, to_device(xp, places, S))))
    middle, margin = _SAMPLE // 2, 4 * math.isqrt(_SAMPLE)  # eight standard deviations
    with row_mapper(xp, S.shape[0]) as over_rows:
        while True:
            low = sample[middle - margin] if margin < middle else -math.inf
            high = sample[middle + margin] if margin < middle else math.inf
            found = _between(xp, S, (float(low), float(high)), ranks, over_rows)
            if found is not None:
                return found
            margin *= 8


def _between(
    xp: Any, S: Any, bounds: tuple[float, float], ranks: tuple[int, int], over_rows: Callable
) -> float | None:
    """Average the entries of these ranks, from 0; None when not both are within the bounds.

    What equals a bound is counted and not kept: it may be most of the matrix.
    """
    low, high = bounds

    def look(a: int, b: int) -> tuple:
        block = S[a:b, :]
        inside = block[(block > low) & (block < high)]
        # Added up where they are: the host waits once, not once per block.
        counts = (xp.count_nonzero(which) for which in (block < low, block == low, block == high))
        return inside, *counts

    inside, below, lowest, highest = zip(*over_rows(look), strict=True)
    below, lowest, highest = (int(sum(counts)) for counts in (below, lowest, highest))
    inside = np.sort(to_host(xp.concat(inside)))
    values = []
    for rank in ranks:
        if not below <= rank < below + lowest + inside.size + highest:
            return None
        k = rank - below - lowest
        values.append(low if k < 0 else float(inside[k]) if k < inside.size else high)
    return sum(values) / 2
