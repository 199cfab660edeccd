"""Cache for row blocks of a symmetric matrix, to reuse entries computed before.

For NumPy, where computing an entry costs more than copying it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..device.block_size import block_bytes

# Largest size of the cache.  A matrix whose quarter is larger has some entries computed twice.
_MAX_BYTES = 128 << 20


class SymmetricBlockCache:
    """Entries of a symmetric matrix (n, n), kept for later row blocks to copy transposed.

    Holds at most a quarter of the matrix, and at most 128 MiB scaled by `smaller_blocks`.

    Parameters
    ----------
    n : int
        Number of rows.
    dtype : dtype
        Type of the entries.
    each : callable
        Runs copies on all cores, see `gpuclust.device.threads.all_cores`.

    Examples
    --------
    >>> from gpuclust.device.threads import all_cores
    >>> D = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    >>> cache = SymmetricBlockCache(3, D.dtype, all_cores())
    >>> cache.store(0, 1, D[:1])
    >>> block = np.full((1, 3), np.nan)
    >>> cache.fill(1, block), block.tolist()
    (0, [[1.0, nan, nan]])
    """

    def __init__(self, n: int, dtype: np.dtype, each: Callable):
        self._n, self._each = n, each
        entries = block_bytes(np, cached=_MAX_BYTES) // dtype.itemsize
        # The cache holds at most a rectangle of (n / 2)^2 entries, or a triangle where the distance
        # from the diagonal is limited.
        self._max_distance = n if n * n <= 4 * entries else math.isqrt(2 * entries)
        self._pieces: dict[int, list[tuple[int, np.ndarray]]] = {}

    def store(self, start: int, stop: int, block: np.ndarray) -> None:
        """Copy entries of the rows ``start:stop`` in the columns of later blocks.

        Later blocks must have as many rows as this one; others find nothing.
        """
        size = stop - start
        starts = range(stop, min(stop + self._max_distance, self._n), size)

        def copy(a: int, b: int) -> None:
            for first in starts[a:b]:
                piece = block[:, first : first + size].copy()
                self._pieces.setdefault(first, []).append((start, piece))

        self._each(copy, len(starts))

    def fill(self, start: int, block: np.ndarray) -> int:
        """Set the cached columns before `start` in the rows from `start` on.

        Returns
        -------
        int
            First of these columns; `start` if none is cached.
        """
        known, pieces = start, []
        for first, piece in reversed(self._pieces.pop(start, [])):
            if (first + len(piece), piece.shape[1]) == (known, len(block)):
                known = first
                pieces.append((first, piece))

        def copy(a: int, b: int) -> None:
            for first, piece in pieces[a:b]:
                block[:, first : first + len(piece)] = piece.T

        self._each(copy, len(pieces))
        return known
