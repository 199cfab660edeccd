"""Squared euclidean distances as a matrix product, with the digits that it loses put back.

``|x - y|^2 = |x|^2 - 2 x.y + |y|^2`` runs at the speed of a matrix product, but cancels for pairs
that are close to each other and far from the origin.  So points are centred first, and what still
cancels is evaluated again from the difference.
"""

from __future__ import annotations

from collections.abc import Callable

import array_api_compat

# Bytes of the differences in one run of pairs that are evaluated again.
_RUN_BYTES = 32 << 20


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

    def block_of(start: int, stop: int):
        D2 = (X[start:stop, :] * -2.0) @ X.T
        D2 += norms[start:stop][:, None]
        D2 += norms[None, :]
        D2 = fill_self(xp, D2, start, value=float("inf"))
        # The row's own norm stands for both: where the pair is close, the two are nearly equal.
        # A negative value is below the limit too, so that nothing negative is left.
        close = (2 * tau) * norms[start:stop][:, None] > D2
        if bool(xp.any(close)):
            D2 = _reevaluate(xp, D2, X, close, start)
        return D2

    return block_of


def fill_self(xp, D, start: int, *, value: float):
    """Set the distance of each row of the block ``start:`` to itself."""
    rows = D.shape[0]
    square = D[:, start : start + rows]
    itself = xp.eye(rows, dtype=xp.bool, device=array_api_compat.device(D))
    D[:, start : start + rows] = xp.where(itself, xp.full_like(square, value), square)
    return D


def _reevaluate(xp, D2, X, close, start: int):
    """Replace the pairs where `close` by the squared norm of their difference."""
    i, j = xp.nonzero(close)
    pairs = max(_RUN_BYTES // (8 * max(X.shape[1], 1)), 1)
    parts = []
    for first in range(0, i.shape[0], pairs):
        run = slice(first, min(first + pairs, i.shape[0]))
        difference = xp.take(X, i[run] + start, axis=0) - xp.take(X, j[run], axis=0)
        parts.append(xp.sum(difference * difference, axis=1))
    # `nonzero` and boolean assignment walk the block in the same order; assignment by integer
    # arrays is not in the standard.
    D2[close] = xp.concat(parts)
    return D2
