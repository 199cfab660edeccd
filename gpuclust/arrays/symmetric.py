"""Half of a symmetric matrix that is made row by row, kept until its mirror image is due.

For blocks of rows on NumPy whose entries cost more to make than to copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..device.block_size import block_bytes

# A quarter of the matrix is kept at most.  Where that is more than this, entries far from the
# diagonal are made twice.
_BYTES = 128 << 20


class Mirror:
    """What blocks of rows of a symmetric matrix (n, n) say of the rows to come.

    Parameters
    ----------
    n : int
        Rows.
    dtype : dtype
        Of the blocks.
    each : callable
        See `gpuclust.device.threads.all_cores`.
    """

    def __init__(self, n: int, dtype: np.dtype, each: Callable):
        self._n, self._each = n, each
        room = block_bytes(np, cached=_BYTES) // dtype.itemsize
        # What waits is a rectangle of up to (n / 2)^2, or where it ends earlier, a triangle.
        self._width = n if n * n <= 4 * room else math.isqrt(2 * room)
        self._waiting: dict[int, list[tuple[int, np.ndarray]]] = {}

    def keep(self, start: int, stop: int, block: np.ndarray) -> None:
        """Copy of the rows ``start:stop`` what will be columns of the blocks that follow.

        Those are expected to be as large as this one; what does not fit them is not used.
        """
        ends = range(stop, min(stop + self._width, self._n), stop - start)

        def copy(a: int, b: int) -> None:
            for left in ends[a:b]:
                piece = block[:, left : left + stop - start].copy()
                self._waiting.setdefault(left, []).append((start, piece))

        self._each(copy, len(ends))

    def fill(self, start: int, block: np.ndarray) -> int:
        """Set what is known of the columns before `start` of the rows from `start` on.

        Returns
        -------
        int
            The first of these columns; `start` where nothing is known.
        """
        known, pieces = start, []
        for first, piece in reversed(self._waiting.pop(start, [])):
            if (first + len(piece), piece.shape[1]) == (known, len(block)):
                known = first
                pieces.append((first, piece))

        def copy(a: int, b: int) -> None:
            for first, piece in pieces[a:b]:
                block[:, first : first + len(piece)] = piece.T

        self._each(copy, len(pieces))
        return known
