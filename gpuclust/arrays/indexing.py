"""Selecting, setting and iterating over rows of matrices, on any array namespace.

Row and column numbers are NumPy arrays, because most algorithms do their bookkeeping on the host.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..device import block_size
from ..device.threads import cores
from .transfer import to_device, to_host

OverRows = Callable[[Callable[[int, int], Any]], list[Any]]

# Rows per block of an n x n NumPy matrix, so that one vector per block is 1/128 of the matrix.
_ROWS = 128
# Entries sampled to narrow down the median; smaller matrices are sorted as a whole.
_SAMPLE = 1 << 18


def take_rows(xp: Any, array: Any, index: np.ndarray) -> Any:
    """Return a copy of the rows with the given numbers.

    Examples
    --------
    >>> take_rows(np, np.eye(3), np.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if array_api_compat.is_numpy_namespace(xp):
        return array[index]  # np.take first copies the whole array if it is not contiguous
    return xp.take(array, to_device(xp, index, array), axis=0)


def put_rows(xp: Any, array: Any, index: np.ndarray, values: Any) -> None:
    """Set the rows of `array` with the given numbers to the rows of `values`, in its dtype.

    The array API standard has no assignment by an array of integers, so namespaces other than NumPy
    and CuPy are set row by row.

    Examples
    --------
    >>> array = np.zeros((3, 2))
    >>> put_rows(np, array, np.array([1]), np.array([[5.0, 6.0]]))
    >>> array.tolist()
    [[0.0, 0.0], [5.0, 6.0], [0.0, 0.0]]
    """
    values = xp.astype(values, array.dtype, copy=False)
    if _has_index_assignment(xp):
        array[to_device(xp, index, array)] = values
        return
    for k, i in enumerate(index.tolist()):
        array[i, ...] = values[k, ...]


def put_columns(xp: Any, array: Any, index: np.ndarray, values: Any) -> None:
    """Set the columns of `array` with the given numbers; see `put_rows`.

    Examples
    --------
    >>> array = np.zeros((2, 3))
    >>> put_columns(np, array, np.array([1]), np.array([[5.0], [6.0]]))
    >>> array.tolist()
    [[0.0, 5.0, 0.0], [0.0, 6.0, 0.0]]
    """
    values = xp.astype(values, array.dtype, copy=False)
    if _has_index_assignment(xp):
        array[:, to_device(xp, index, array)] = values
        return
    for k, i in enumerate(index.tolist()):
        array[:, i] = values[:, k]


def set_infinite(xp: Any, block: Any, columns: Any) -> Any:
    """Set one entry per row to infinity and return the block; NumPy and CuPy work in place.

    Parameters
    ----------
    xp : namespace
        Namespace of both arrays.
    block : array of shape (b, n)
        Distances.
    columns : array of int, shape (b,)
        Column of the entry of each row, on the device of `block`.

    Examples
    --------
    >>> set_infinite(np, np.zeros((2, 2)), np.array([1, 0])).tolist()
    [[0.0, inf], [inf, 0.0]]
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
    """Mark the diagonal entries in the rows ``start:stop`` of an n x n matrix.

    Returns an array of bool, shape (stop - start, n), on the device of `D`, an array of n columns.

    Examples
    --------
    >>> diagonal_mask(np, np.zeros((3, 3)), 1, 2).tolist()
    [[False, True, False]]
    """
    device = array_api_compat.device(D)
    rows = xp.arange(start, stop, device=device)
    return rows[:, None] == xp.arange(D.shape[1], device=device)[None, :]


def row_ranges(xp: Any, n: int, *, columns: int | None = None) -> list[tuple[int, int]]:
    """Cut the n rows of a float32 matrix with `columns` columns, n by default, into blocks.

    NumPy blocks have 128 rows on every machine, so that results do not depend on the number of
    threads.  On other namespaces each block launches every kernel once, so blocks are large, see
    `gpuclust.device.block_size.block_rows`.

    Examples
    --------
    >>> row_ranges(np, 300)
    [(0, 128), (128, 256), (256, 300)]
    """
    row_bytes = 4 * (n if columns is None else columns)
    rows = block_size.block_rows(xp, row_bytes, cached=_ROWS * row_bytes)
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]


@contextlib.contextmanager
def row_mapper(xp: Any, n: int) -> Iterator[OverRows]:
    """Provide ``over_rows(function)``, the list of ``function(start, stop)`` over `row_ranges`.

    NumPy blocks run on one thread per core, since NumPy releases the GIL.  Other namespaces run in
    the calling thread, since CUDA libraries keep one stream per thread.

    Examples
    --------
    >>> with row_mapper(np, 200) as over_rows:
    ...     over_rows(lambda start, stop: stop - start)
    [128, 72]
    """
    # Computed once, so that sums over blocks round the same way each time.
    ranges = row_ranges(xp, n)
    if not array_api_compat.is_numpy_namespace(xp):
        yield lambda function: [function(start, stop) for start, stop in ranges]
        return
    with ThreadPoolExecutor(cores()) as pool:
        yield lambda function: list(pool.map(lambda both: function(*both), ranges))


def median(xp: Any, S: Any) -> float:
    """Return the median of a matrix (n, n) of float32 without copying it.

    Two quantiles of a random sample enclose about one percent of the entries and, almost surely,
    the median.  One pass, O(n^2) time; memory 8 bytes per hundred entries.  If the sample does not
    enclose the median, another pass uses quantiles further apart.

    Examples
    --------
    >>> median(np, np.array([[1, 2], [4, 8]], dtype=np.float32))
    3.0
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
            low = float(sample[middle - margin]) if margin < middle else -math.inf
            high = float(sample[middle + margin]) if margin < middle else math.inf
            values = _order_statistics(xp, S, ranks, over_rows, bounds=_Bounds(low, high))
            if values is not None:
                return sum(values) / len(values)
            margin *= 8


class _Bounds(NamedTuple):
    low: float
    high: float


def _order_statistics(
    xp: Any, S: Any, ranks: Sequence[int], over_rows: OverRows, *, bounds: _Bounds
) -> list[float] | None:
    """Return the entries of the given ranks, counted from 0; None if any is out of bounds.

    Entries equal to a bound are only counted, because they may be most of the matrix.
    """
    low, high = bounds

    def count(start: int, stop: int) -> tuple[Any, ...]:
        block = S[start:stop, :]
        inside = block[(block > low) & (block < high)]
        # Sums stay on the device, so that the host waits once and not once per block.
        counts = (xp.count_nonzero(mask) for mask in (block < low, block == low, block == high))
        return inside, *counts

    parts, *counts = zip(*over_rows(count), strict=True)
    below, at_low, at_high = (int(sum(one)) for one in counts)
    at_high = 0 if low == high else at_high  # equal bounds: counted as `at_low` already
    inside = np.sort(to_host(xp.concat(parts)))
    values = []
    for rank in ranks:
        place = rank - below - at_low
        if rank < below or place >= inside.size + at_high:
            return None
        if place < 0:
            values.append(low)
        else:
            values.append(float(inside[place]) if place < inside.size else high)
    return values
