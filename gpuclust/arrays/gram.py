"""Euclidean and cosine distances from a matrix product, accurate for close pairs too.

``|x - y|^2 = |x|^2 - 2 x.y + |y|^2`` is as fast as a matrix product, but loses digits for pairs
that are close to each other and far from the origin.  Points are therefore centered first, and
pairs that still lose digits are recomputed from their difference.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..device import threads
from ..device.block_size import block_rows
from .symmetric import SymmetricBlockCache

BlockOf = Callable[[int, int], Any]

# Bytes of the differences of pairs that are recomputed together.
_PAIR_BYTES = 32 << 20
# Columns of one matrix product of one thread on NumPy.  Fixed, so that results round alike on
# every machine.
_COLUMNS = 512
# From this number of features on, a product costs more than copying its transpose.
_MIN_FEATURES_TO_CACHE = 256
# Bytes of float64 rows that are normalized together.
_UNIT_BYTES = 1 << 20


def euclidean_blocks(xp: Any, X: Any) -> BlockOf:
    """Return ``block_of(start, stop)``: euclidean distances from these rows to all rows."""
    squared = squared_blocks(xp, centered(xp, X))

    def block_of(start: int, stop: int) -> Any:
        D2 = squared(start, stop)
        return np.sqrt(D2, out=D2) if isinstance(D2, np.ndarray) else xp.sqrt(D2)

    return block_of


def cosine_blocks(xp: Any, X: Any) -> BlockOf:
    """Return ``block_of(start, stop)``: cosine distances from these rows to all rows."""
    unit, zero = _centered_unit_rows(xp, X)
    squared = squared_blocks(xp, unit)
    any_zero = bool(xp.any(zero))

    def block_of(start: int, stop: int) -> Any:
        D = squared(start, stop)
        D *= 0.5
        if any_zero:
            undefined = zero[start:stop][:, None] | zero[None, :]
            D = xp.where(undefined, xp.ones_like(D), D)
        return D

    return block_of


def _centered_unit_rows(xp: Any, X: Any) -> tuple[Any, Any]:
    """Return the unit vectors of the rows minus their mean (n, d), and the zero rows (n,) bool.

    Computed twice in float64, a few rows at a time: this avoids a float64 copy of X.
    """
    n, d = X.shape
    step = block_rows(xp, 8 * d, cached=_UNIT_BYTES)
    parts = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    mean = sum(xp.sum(_normalize(xp, X[rows, :]), axis=0) for rows in parts) / max(n, 1)
    out = xp.empty((n, d), dtype=X.dtype, device=array_api_compat.device(X))
    for rows in parts:
        # Centered before rounding to float32, so that vectors in a narrow cone keep their digits.
        out[rows, :] = xp.astype(_normalize(xp, X[rows, :]) - mean, X.dtype)
    return out, xp.all(X == 0, axis=1)


def _normalize(xp: Any, rows: Any) -> Any:
    """Scale rows to unit length in float64, as ``sklearn.preprocessing.normalize``."""
    rows = xp.astype(rows, xp.float64)
    if not rows.shape[1]:
        return rows
    # Scaled by the largest entry first, because squares of 1e200 and 1e-200 over- and underflow.
    largest = xp.max(xp.abs(rows), axis=1, keepdims=True)
    rows = rows / xp.where(largest > 0, largest, xp.ones_like(largest))
    norms = xp.sqrt(xp.sum(rows * rows, axis=1, keepdims=True))
    rows /= xp.where(norms > 0, norms, xp.ones_like(norms))
    return rows


def tau(xp: Any, dtype: Any) -> float:
    """Return the limit for recomputing a squared distance, as a share of ``2 |x|^2``.

    The relative error just above the limit is eps / tau; a smaller tau recomputes fewer pairs.

    Examples
    --------
    >>> tau(np, np.float32), tau(np, np.float64)
    (0.001, 1e-06)
    """
    return 1e-3 if dtype == xp.float32 else 1e-6


def centered(xp: Any, X: Any) -> Any:
    """Subtract the mean of the rows of X (n, d), in the dtype of X.

    Examples
    --------
    >>> centered(np, np.array([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """
    if X.shape[0] == 0:
        return X
    # Distances are the same after any shift; float64 only makes the mean accurate for many rows.
    mean = xp.sum(X, axis=0, dtype=xp.float64) / X.shape[0]
    return X - xp.astype(mean, X.dtype)[None, :]


def squared_blocks(xp: Any, X: Any) -> BlockOf:
    """Return ``block_of(start, stop)``: squared distances from these rows to all rows.

    Blocks have shape (stop - start, n) and no negative entries.  Pairs with ``D2 < 2 tau |x|^2``
    are recomputed from their difference, in O(d) each; for the precision see
    `gpuclust.arrays.distances.distance_blocks`.  The caller sets the distance of a row to itself
    with `fill_diagonal`.

    Parameters
    ----------
    xp : namespace
        Namespace of X.
    X : array of shape (n, d)
        Rows about their mean, see `centered`; float32 or float64.

    Examples
    --------
    >>> block_of = squared_blocks(np, np.array([[-2.0], [1.0], [1.0]]))
    >>> fill_diagonal(np, block_of(0, 2), 0, value=0.0).tolist()
    [[0.0, 9.0, 9.0], [9.0, 0.0, 0.0]]
    """
    share = tau(xp, X.dtype)
    if array_api_compat.is_numpy_namespace(xp):
        return _compiled_blocks(np.ascontiguousarray(X), share)
    norms = xp.sum(X * X, axis=1)  # (n,)
    pairs = block_rows(xp, 8 * X.shape[1], cached=_PAIR_BYTES)

    def block_of(start: int, stop: int) -> Any:
        D2 = (X[start:stop, :] * -2.0) @ X.T
        D2 += norms[start:stop][:, None]
        D2 += norms[None, :]
        D2 = fill_diagonal(xp, D2, start, value=float("inf"))
        # Two rows of a close pair have nearly equal norms, so the norm of one is enough.  Negative
        # values are below the limit too, hence recomputed.
        close = (2 * share) * norms[start:stop][:, None] > D2
        if bool(xp.any(close)):
            i, j = xp.nonzero(close)
            # Assignment by integer arrays is not in the array API standard.  `nonzero` and boolean
            # assignment use the same order.
            D2[close] = _squared_differences(xp, X, i + start, j, pairs)
        return D2

    return block_of


class _KernelRows(NamedTuple):
    """Rows as the compiled kernel needs them."""

    X: np.ndarray  # (n, d) about their mean
    norms: np.ndarray  # (n,) squared
    limits: np.ndarray  # (n,) smaller squared distances are recomputed


def _compiled_blocks(X: np.ndarray, share: float) -> BlockOf:
    """Return `squared_blocks` for NumPy: products of a few columns, finished while in the cache."""
    n, norms = X.shape[0], np.vecdot(X, X)
    rows = _KernelRows(X, norms, X.dtype.type(2 * share) * norms)
    kernel, each = _kernel(), threads.all_cores()
    cache = SymmetricBlockCache(n, X.dtype, each) if X.shape[1] >= _MIN_FEATURES_TO_CACHE else None

    def block_of(start: int, stop: int) -> np.ndarray:
        D2 = np.empty((stop - start, n), dtype=X.dtype)
        known = start if cache is None else cache.fill(start, D2)
        strips = [
            (first, min(first + _COLUMNS, end))
            for begin, end in ((0, known), (start, n))
            for first in range(begin, end, _COLUMNS)
        ]

        def compute(a: int, b: int) -> None:
            for first, last in strips[a:b]:
                np.matmul(X[start:stop], X[first:last].T, out=D2[:, first:last])
                kernel(D2, start, first, last, rows)

        with threads.one_blas_thread():
            each(compute, len(strips), step=1)
        if cache is not None:
            cache.store(start, stop, D2)
        return D2

    return block_of


@functools.cache
def _kernel() -> Callable:
    """Compile ``kernel(D2, start, first, last, rows)``: products become squared distances.

    D2 is the block of rows from `start` on; the kernel works on its columns ``first:last``.
    """

    @threads.compiled
    def kernel(D2, start, first, last, rows):
        X, others = rows.X, rows.norms[first:last]
        for own in range(start, start + len(D2)):
            row, norm, limit = D2[own - start, first:last], rows.norms[own], rows.limits[own]
            if first <= own < last:
                row[own - first] = -np.inf  # becomes +inf, which is never recomputed
            far = 0
            for j in range(len(row)):
                # The product is doubled by addition, to stay in the dtype of the row.
                row[j] = (norm - (row[j] + row[j])) + others[j]
                far += row[j] >= limit
            checked = len(row) if far < len(row) else 0  # most rows have no close pair
            for j in range(checked):
                if not row[j] >= limit:  # negated to catch NaN from overflow too
                    total = 0.0
                    for f in range(X.shape[1]):
                        difference = float(X[own, f]) - float(X[first + j, f])
                        total += difference * difference
                    row[j] = total

    return kernel


def fill_diagonal(xp: Any, D: Any, start: int, *, value: float) -> Any:
    """Set the entry of each row of the block ``start:`` in its own column.

    Examples
    --------
    >>> fill_diagonal(np, np.zeros((1, 3)), 1, value=7.0).tolist()
    [[0.0, 7.0, 0.0]]
    """
    rows = D.shape[0]
    square = D[:, start : start + rows]
    diagonal = xp.eye(rows, dtype=xp.bool, device=array_api_compat.device(D))
    D[:, start : start + rows] = xp.where(diagonal, xp.full_like(square, value), square)
    return D


def _squared_differences(xp: Any, X: Any, i: Any, j: Any, pairs: int) -> Any:
    """Return the squared norms of the differences of the rows `i` and `j`, `pairs` at a time."""
    parts = []
    for first in range(0, i.shape[0], pairs):
        some = slice(first, min(first + pairs, i.shape[0]))
        difference = xp.take(X, i[some], axis=0) - xp.take(X, j[some], axis=0)
        parts.append(xp.sum(difference * difference, axis=1))
    return xp.concat(parts)
