"""Euclidean and cosine distances as a matrix product, with the digits that it loses put back.

``|x - y|^2 = |x|^2 - 2 x.y + |y|^2`` runs at the speed of a matrix product, but cancels for pairs
that are close to each other and far from the origin.  So points are centred first, and what still
cancels is evaluated again from the difference.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import array_api_compat
import numpy as np

from ..device import threads
from ..device.block_size import block_rows
from .symmetric import Mirror

# Bytes of the differences in one run of pairs that are evaluated again, and on a CPU.
_RUN_BYTES = 32 << 20
# Columns of a product on a CPU, for one thread: the same on every machine, and so are their bits.
_COLUMNS = 512
# Features from which on a product costs more than copying its mirror image.
_MANY = 256
# Bytes of float64 rows that are scaled to unit length at a time, on NumPy.
_UNIT_BYTES = 1 << 20


def euclidean_blocks(xp, X) -> Callable:
    """Return ``block_of(start, stop)``, the euclidean distances from these rows to all rows."""
    squared = squared_blocks(xp, centred(xp, X))

    def block_of(start: int, stop: int):
        D2 = squared(start, stop)
        return np.sqrt(D2, out=D2) if isinstance(D2, np.ndarray) else xp.sqrt(D2)

    return block_of


def cosine_blocks(xp, X) -> Callable:
    """Return ``block_of(start, stop)``, the cosine distances from these rows to all rows."""
    unit, zero = _centred_units(xp, X)
    squared = squared_blocks(xp, unit)
    any_zero = bool(xp.any(zero))

    def block_of(start: int, stop: int):
        D = squared(start, stop)
        D *= 0.5
        if any_zero:
            undefined = zero[start:stop][:, None] | zero[None, :]
            D = xp.where(undefined, xp.ones_like(D), D)
        return D

    return block_of


def _centred_units(xp, X):
    """Return the unit vectors of X about their mean (n, d), and which rows are zero (n,).

    Made in float64, a few rows at a time, and once for the mean: no float64 copy of X is needed.
    """
    n, d = X.shape
    step = block_rows(xp, 8 * d, cached=_UNIT_BYTES)
    runs = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    mean = sum(xp.sum(_units(xp, X[rows, :]), axis=0) for rows in runs) / max(n, 1)
    out = xp.empty((n, d), dtype=X.dtype, device=array_api_compat.device(X))
    for rows in runs:
        # Centred before rounding to float32: embeddings in a narrow cone keep their digits.
        out[rows, :] = xp.astype(_units(xp, X[rows, :]) - mean, X.dtype)
    return out, xp.all(X == 0, axis=1)


def _units(xp, rows):
    """Return the rows scaled to length 1, float64; a row of zeros stays."""
    wide = xp.astype(rows, xp.float64)
    if not rows.shape[1]:
        return wide
    # Scaled by the largest entry first: the squares of 1e200 and of 1e-200 are not finite numbers.
    largest = xp.max(xp.abs(wide), axis=1, keepdims=True)
    wide = wide / xp.where(largest > 0, largest, xp.ones_like(largest))
    norms = xp.sqrt(xp.sum(wide * wide, axis=1, keepdims=True))
    wide /= xp.where(norms > 0, norms, xp.ones_like(norms))
    return wide


def tau(xp, dtype) -> float:
    """Return the share of ``2 |x|^2`` below which a squared distance is evaluated again.

    eps / tau is the error that stays in a pair just above it: the smaller tau, the fewer pairs are
    evaluated twice.
    """
    return 1e-3 if dtype == xp.float32 else 1e-6


def centred(xp, X):
    """Return the rows of X (n, d) about their mean, in the dtype of X."""
    if X.shape[0] == 0:
        return X
    # Any shift leaves distances alone; the float64 sum only makes it a good one for many rows.
    mean = xp.sum(X, axis=0, dtype=xp.float64) / X.shape[0]
    return X - xp.astype(mean, X.dtype)[None, :]


def squared_blocks(xp, X) -> Callable:
    """Return the function that gives a block of squared distances of the centred rows X (n, d).

    ``block_of(start, stop)`` of shape (stop - start, n) is never negative.  Pairs with
    ``D2 < 2 tau |x|^2`` are evaluated from their difference, O(d) each; see
    `gpuclust.arrays.distances.distance_blocks` for the precision.
    """
    least = tau(xp, X.dtype)
    if array_api_compat.is_numpy_namespace(xp):
        return _compiled_blocks(np.ascontiguousarray(X), least)
    norms = xp.sum(X * X, axis=1)  # (n,)
    pairs = block_rows(xp, 8 * X.shape[1], cached=_RUN_BYTES)

    def block_of(start: int, stop: int):
        D2 = (X[start:stop, :] * -2.0) @ X.T
        D2 += norms[start:stop][:, None]
        D2 += norms[None, :]
        D2 = fill_diagonal(xp, D2, start, value=float("inf"))
        # The row's own norm stands for both: where the pair is close, the two are nearly equal.
        # A negative value is below the limit too, so that nothing negative is left.
        close = (2 * least) * norms[start:stop][:, None] > D2
        if bool(xp.any(close)):
            i, j = xp.nonzero(close)
            # `nonzero` and boolean assignment walk the block in the same order; assignment by
            # integer arrays is not in the standard.
            D2[close] = _squared_gaps(xp, X, i + start, j, pairs)
        return D2

    return block_of


def _compiled_blocks(X: np.ndarray, least: float) -> Callable:
    """Return the blocks on NumPy: products of a few columns, finished while the cache has them."""
    n, norms = X.shape[0], np.vecdot(X, X)
    limits = X.dtype.type(2 * least) * norms
    kernel, each = _kernel(), threads.all_cores()
    mirror = Mirror(n, X.dtype, each) if X.shape[1] >= _MANY else None

    def block_of(start: int, stop: int):
        rows, D2 = X[start:stop], np.empty((stop - start, n), dtype=X.dtype)
        known = start if mirror is None else mirror.fill(start, D2)
        strips = [
            (left, min(left + _COLUMNS, end))
            for first, end in ((0, known), (start, n))
            for left in range(first, end, _COLUMNS)
        ]

        def columns(left: int, right: int) -> None:
            np.matmul(rows, X[left:right].T, out=D2[:, left:right])
            kernel(D2, start, (left, right), X, (norms, limits))

        with threads.one_blas_thread():
            each(lambda a, b: [columns(*strip) for strip in strips[a:b]], len(strips), step=1)
        if mirror is not None:
            mirror.keep(start, stop, D2)
        return D2

    return block_of


@functools.cache
def _kernel() -> Callable:
    """Compile ``kernel(D2, first, columns, X, (norms, limits))``: of products squared distances."""

    @threads.compiled
    def kernel(D2, first, columns, X, sizes):
        (left, right), (norms, limits) = columns, sizes
        others = norms[left:right]
        for own in range(first, first + len(D2)):
            row, norm, limit = D2[own - first, left:right], norms[own], limits[own]
            if left <= own < right:
                row[own - left] = -np.inf  # infinitely far: not evaluated again
            far = 0
            for j in range(len(row)):
                # Twice the product, in the dtype of the row.
                row[j] = (norm - (row[j] + row[j])) + others[j]
                far += row[j] >= limit
            for j in range(len(row) if far < len(row) else 0):
                if not row[j] >= limit:  # what has overflowed too
                    total = 0.0
                    for f in range(X.shape[1]):
                        gap = float(X[own, f]) - float(X[left + j, f])
                        total += gap * gap
                    row[j] = total

    return kernel


def fill_diagonal(xp, D, start: int, *, value: float):
    """Set the distance of each row of the block ``start:`` to itself."""
    rows = D.shape[0]
    square = D[:, start : start + rows]
    itself = xp.eye(rows, dtype=xp.bool, device=array_api_compat.device(D))
    D[:, start : start + rows] = xp.where(itself, xp.full_like(square, value), square)
    return D


def _squared_gaps(xp, X, i, j, pairs: int):
    """Give the squared norms of the differences of the rows `i` and `j`, so many at a time."""
    parts = []
    for first in range(0, i.shape[0], pairs):
        run = slice(first, min(first + pairs, i.shape[0]))
        difference = xp.take(X, i[run], axis=0) - xp.take(X, j[run], axis=0)
        parts.append(xp.sum(difference * difference, axis=1))
    return xp.concat(parts)
