"""Euclidean and cosine distances as a matrix product, with the digits that it loses put back.

``|x - y|^2 = |x|^2 - 2 x.y + |y|^2`` runs at the speed of a matrix product, but cancels for pairs
that are close to each other and far from the origin.  So points are centred first, and what still
cancels is evaluated again from the difference.
"""

from __future__ import annotations

from collections.abc import Callable

import array_api_compat

from .blocks import block_rows

# Bytes of the differences in one run of pairs that are evaluated again, on NumPy.
_RUN_BYTES = 32 << 20


def euclidean_blocks(xp, X) -> Callable:
    """Return ``block_of(start, stop)``, the euclidean distances from these rows to all rows."""
    squared = squared_blocks(xp, centred(xp, X))

    def block_of(start: int, stop: int):
        return xp.sqrt(squared(start, stop))

    return block_of


def cosine_blocks(xp, X) -> Callable:
    """Return ``block_of(start, stop)``, the cosine distances from these rows to all rows."""
    wide = xp.astype(X, xp.float64)
    # Scaled by the largest entry first: the squares of 1e200 and of 1e-200 are not finite numbers.
    largest = xp.max(xp.abs(wide), axis=1, keepdims=True) if X.shape[1] else wide[:, :0]
    zero = xp.all(wide == 0, axis=1)  # (n,)
    wide = wide / xp.where(largest > 0, largest, xp.ones_like(largest))
    norms = xp.sqrt(xp.sum(wide * wide, axis=1, keepdims=True))
    unit = wide / xp.where(norms > 0, norms, xp.ones_like(norms))
    # Centred before rounding to float32: embeddings in a narrow cone keep their digits.
    squared = squared_blocks(xp, xp.astype(centred(xp, unit), X.dtype))
    any_zero = bool(xp.any(zero))

    def block_of(start: int, stop: int):
        D = squared(start, stop) * 0.5
        if any_zero:
            undefined = zero[start:stop][:, None] | zero[None, :]
            D = xp.where(undefined, xp.ones_like(D), D)
        return D

    return block_of


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
    `gpuclust.ops.distance_blocks` for the precision.
    """
    norms = xp.sum(X * X, axis=1)  # (n,)
    # eps / tau is the error that stays in a pair just above the threshold: the smaller tau, the
    # fewer pairs are evaluated twice.
    tau = 1e-3 if X.dtype == xp.float32 else 1e-6
    pairs = block_rows(xp, 8 * X.shape[1], cached=_RUN_BYTES)

    def block_of(start: int, stop: int):
        D2 = (X[start:stop, :] * -2.0) @ X.T
        D2 += norms[start:stop][:, None]
        D2 += norms[None, :]
        D2 = fill_self(xp, D2, start, value=float("inf"))
        # The row's own norm stands for both: where the pair is close, the two are nearly equal.
        # A negative value is below the limit too, so that nothing negative is left.
        close = (2 * tau) * norms[start:stop][:, None] > D2
        if bool(xp.any(close)):
            i, j = xp.nonzero(close)
            # `nonzero` and boolean assignment walk the block in the same order; assignment by
            # integer arrays is not in the standard.
            D2[close] = _squared_gaps(xp, X, i + start, j, pairs)
        return D2

    return block_of


def fill_self(xp, D, start: int, *, value: float):
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
