"""Euclidean and cosine distances of the same rows from one matrix product.

``|x - y|^2 = (|x| - |y|)^2 + 2 |x| |y| (1 - cos(x, y))``: the cosine distance is what the lengths
leave of the squared distance.  Where they leave too few digits it is evaluated from the two unit
vectors, as `gpuclust.arrays.gram` evaluates its own close pairs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ..device import threads
from ..device.block_size import block_rows
from . import gram

# Bytes of float64 rows at a time.
_RUN_BYTES = 4 << 20
# The least share of the squared distances that angles make up on average.  With less, too many
# pairs would have to be evaluated again, and two products are faster than one.
_SHARE = 0.05
# Fewer features than these make products that cost less than taking distances apart.
_FEWEST = 128


class _Rows(NamedTuple):
    """What the block needs to know of every row."""

    length: Any  # (n,) about their mean, dtype of X
    inverse: Any  # (n,) float64, of the length; 0 for a row of zeros
    limit: Any  # (n,) dtype of X; what lengths leave of a squared distance has digits above it


def euclidean_and_cosine_blocks(xp, X) -> Callable:
    """Return ``block_of(start, stop)``: euclidean and cosine distances from these rows to all rows.

    Both are as precise as `gram.euclidean_blocks` and `gram.cosine_blocks` have them, for little
    more than the time of one.  Rows of few features, or whose distances come from their lengths
    rather than from their angles, take both of these.
    """
    rows = _rows_of(xp, X)
    if rows is None:
        apart = gram.euclidean_blocks(xp, X), gram.cosine_blocks(xp, X)
        return lambda start, stop: tuple(block_of(start, stop) for block_of in apart)
    squared = gram.squared_blocks(xp, gram.centred(xp, X))
    on_numpy = array_api_compat.is_numpy_namespace(xp)
    split = _compiled_split(X, rows) if on_numpy else functools.partial(_split, xp, X, rows)
    zero = rows.inverse == 0
    any_zero = bool(xp.any(zero))

    def block_of(start: int, stop: int) -> tuple:
        D, C = split(squared(start, stop), start)
        if any_zero:
            undefined = zero[start:stop][:, None] | zero[None, :]
            C = xp.where(undefined, xp.ones_like(C), C)
        return D, C

    return block_of


def _rows_of(xp, X) -> _Rows | None:
    """Measure the rows; None where two products are faster, or where a length would overflow."""
    n, d = X.shape
    if n == 0 or d < _FEWEST:
        return None
    step = block_rows(xp, 8 * d, cached=_RUN_BYTES)
    # A sixth of the exponents: products of four lengths stay finite, and above 0.
    far = float(xp.finfo(X.dtype).max) ** (1 / 6)
    lengths, around, direction = [], [], 0.0
    mean = xp.sum(X, axis=0, dtype=xp.float64) / n
    for start in range(0, n, step):
        wide = xp.astype(X[start : min(start + step, n), :], xp.float64)
        largest = xp.max(xp.abs(wide), axis=1)
        if bool(xp.any((largest > far) | ((largest < 1 / far) & (largest > 0)))):
            return None
        lengths.append(xp.sqrt(xp.sum(wide * wide, axis=1)))
        direction = direction + xp.sum(wide * _inverse(xp, lengths[-1])[:, None], axis=0) / n
        around.append(xp.sum((wide - mean) ** 2, axis=1))
    length, around = xp.concat(lengths), xp.concat(around)
    inverse = _inverse(xp, length)
    angles = (1 - xp.sum(direction**2)) * xp.mean(length**2)
    if not bool(angles >= _SHARE * xp.mean(around)):
        return None
    return _Rows(
        xp.astype(length - xp.mean(length), X.dtype),
        inverse,
        xp.astype(2 * gram.tau(xp, X.dtype) * around, X.dtype),
    )


def _inverse(xp, length):
    some = length > 0
    return xp.where(some, 1 / xp.where(some, length, xp.ones_like(length)), xp.zeros_like(length))


def _split(xp, X, rows: _Rows, D2, start: int) -> tuple:
    """Return distances and cosine distances, both (b, n), of the squared distances from `start`."""
    own = slice(start, start + D2.shape[0])
    gap = rows.length[own][:, None] - rows.length[None, :]
    C = D2 - gap * gap
    # Not above: also what is not a number.
    close = ~(xp.maximum(rows.limit[own][:, None], rows.limit[None, :]) < C)
    C = gram.fill_diagonal(xp, C, start, value=0.0)  # infinity until here
    half = xp.astype(0.5 * rows.inverse, X.dtype)
    C = C * half[own][:, None] * xp.astype(rows.inverse, X.dtype)[None, :]
    if bool(xp.any(close)):
        i, j = xp.nonzero(close)
        C[close] = xp.astype(_apart(xp, X, rows.inverse, i + start, j), X.dtype)
    return xp.sqrt(D2), C


def _apart(xp, X, inverse, i, j):
    """Return half the squared distances between the unit vectors of the rows `i` and `j`."""
    pairs, parts = block_rows(xp, 16 * X.shape[1], cached=_RUN_BYTES), []

    def unit(some):
        return xp.astype(xp.take(X, some, axis=0), xp.float64) * xp.take(inverse, some)[:, None]

    for first in range(0, i.shape[0], pairs):
        run = slice(first, min(first + pairs, i.shape[0]))
        parts.append(0.5 * xp.sum((unit(i[run]) - unit(j[run])) ** 2, axis=1))
    return xp.concat(parts)


def _compiled_split(X: np.ndarray, rows: _Rows) -> Callable:
    """Return what `_split` does, on NumPy: in place, on all cores."""
    kernel, each = _kernel(), threads.all_cores()
    scale = rows.inverse.astype(X.dtype)
    sizes = rows.length, scale, X.dtype.type(0.5) * scale, rows.limit
    X = np.ascontiguousarray(X)

    def split(D2: np.ndarray, start: int) -> tuple:
        C = np.empty_like(D2)
        each(lambda a, b: kernel(D2[a:b], C[a:b], start + a, X, (sizes, rows.inverse)), len(D2))
        return D2, C

    return split


@functools.cache
def _kernel() -> Callable:
    """Compile ``kernel(D2, C, first, X, (sizes, inverse))``: D2 becomes its root, C the cosines."""

    @threads.compiled
    def kernel(D2, C, first, X, parts):
        (lengths, scale, half, limits), inverse = parts
        for own in range(first, first + len(D2)):
            row, out = D2[own - first], C[own - first]
            length, factor, limit = lengths[own], half[own], limits[own]
            far = 0
            for j in range(len(row)):
                gap = length - lengths[j]
                left = row[j] - gap * gap
                far += left > max(limit, limits[j])
                out[j] = left * (factor * scale[j])
            for j in range(len(row) if far < len(row) else 0):
                gap = length - lengths[j]
                if not row[j] - gap * gap > max(limit, limits[j]):
                    total, mine, other = 0.0, inverse[own], inverse[j]
                    for f in range(X.shape[1]):
                        apart = X[own, f] * mine - X[j, f] * other
                        total += apart * apart
                    out[j] = 0.5 * total if row[j] else 0.0  # of duplicates exactly
            for j in range(len(row)):
                row[j] = np.sqrt(row[j])

    return kernel
