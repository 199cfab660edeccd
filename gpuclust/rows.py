"""Rows of matrices: taken, put and mapped over, on any array namespace.

The numbers of rows and columns come from the host, where the bookkeeping of most algorithms is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import array_api_compat
import numpy as np

from . import ops
from .host import cores
from .ops import to_device

# Rows per block of an n x n matrix of NumPy: a vector per block takes 1/128 of the matrix.
_ROWS = 128
_LARGEST = int(np.finfo(np.float32).max.view(np.int32))


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


def hidden(xp: Any, block: Any, columns: Any) -> Any:
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


def itself(xp: Any, D: Any, start: int, stop: int) -> Any:
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
    rows = ops.block_rows(xp, row_bytes, cached=_ROWS * row_bytes)
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
    """Find the median of a matrix (n, n) of float32, none above 0, with no copy of it.

    By bisection: the bits of floats that are not negative count up with their values, so halving
    the range of bits reaches the exact value in 31 counting passes, O(n^2) each.
    """
    n = S.shape[0]
    with row_mapper(xp, n) as over_rows:

        def count(bits: int) -> int:
            value = -float(np.int32(bits).view(np.float32))
            # Added up where they are: the host waits once per pass, not once per block.
            return int(sum(over_rows(lambda a, b: xp.count_nonzero(S[a:b, :] >= value))))

        rank = (n * n + 1) // 2  # of the upper middle among the similarities, from 1
        low, high = 0, _LARGEST
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if count(middle) >= rank else (middle + 1, high)
        upper = -float(np.int32(low).view(np.float32))
        if n % 2 or count(low) > rank:
            return upper

        def next_below(a: int, b: int) -> Any:
            block = S[a:b, :]
            return xp.max(xp.where(block < upper, block, xp.full_like(block, -float("inf"))))

        return (upper + float(xp.max(xp.stack(over_rows(next_below))))) / 2
