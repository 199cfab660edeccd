"""Euclidean and cosine distances of the same rows from one matrix product.

``|x - y|^2 = (|x| - |y|)^2 + 2 |x| |y| (1 - cos(x, y))``: subtracting the difference of the norms
from the squared euclidean distance gives the cosine distance.  If this loses too many digits, the
cosine distance of the pair is recomputed from the two unit vectors, as `gpuclust.arrays.gram` does
for its own close pairs.
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

# Bytes of float64 rows processed together.
_ROWS_BYTES = 4 << 20
# Least average share of angles, as opposed to norms, in the squared distances.  Below it so many
# pairs are recomputed that two products are faster than one.
_MIN_ANGLE_SHARE = 0.05
# With fewer features a second product costs less than computing one distance from the other.
_MIN_FEATURES = 128


class _RowNorms(NamedTuple):
    """Norms of the rows, to convert squared distances to cosine distances."""

    shifted: Any  # (n,) norms minus their mean, dtype of X
    inverse: Any  # (n,) float64, 1 / norm; 0 for a zero row
    limit: Any  # (n,) dtype of X; smaller remainders of a squared distance lack digits


def euclidean_and_cosine_blocks(xp: Any, X: Any) -> Callable[[int, int], tuple[Any, Any]]:
    """Return ``block_of(start, stop)``: both distances from these rows to all rows.

    As accurate as `gram.euclidean_blocks` and `gram.cosine_blocks`, for little more than the time
    of one.  Falls back to these two for fewer than 128 features, for norms whose products overflow,
    and for rows that differ mostly in their norms.

    Parameters
    ----------
    xp : namespace
        Namespace of X.
    X : array of shape (n, d)
        float32 or float64.

    Examples
    --------
    >>> block_of = euclidean_and_cosine_blocks(np, np.array([[1.0, 0.0], [0.0, 1.0]]))
    >>> D, C = block_of(0, 1)
    >>> round(float(D[0, 1]), 3), round(float(C[0, 1]), 3)
    (1.414, 1.0)
    """
    norms = _row_norms(xp, X)
    if norms is None:
        euclidean, cosine = gram.euclidean_blocks(xp, X), gram.cosine_blocks(xp, X)
        return lambda start, stop: (euclidean(start, stop), cosine(start, stop))
    squared = gram.squared_blocks(xp, gram.centered(xp, X))
    on_numpy = array_api_compat.is_numpy_namespace(xp)
    both = _compiled_both(X, norms) if on_numpy else functools.partial(_both, xp, X, norms)
    zero = norms.inverse == 0
    any_zero = bool(xp.any(zero))

    def block_of(start: int, stop: int) -> tuple[Any, Any]:
        D, C = both(squared(start, stop), start)
        if any_zero:
            undefined = zero[start:stop][:, None] | zero[None, :]
            C = xp.where(undefined, xp.ones_like(C), C)
        return D, C

    return block_of


def _row_norms(xp: Any, X: Any) -> _RowNorms | None:
    """Compute the norms of the rows; None if two products are faster or a norm could overflow."""
    n, d = X.shape
    if n == 0 or d < _MIN_FEATURES:
        return None
    step = block_rows(xp, 8 * d, cached=_ROWS_BYTES)
    # A sixth of the range of exponents, so that products of four norms neither over- nor underflow.
    largest_norm = float(xp.finfo(X.dtype).max) ** (1 / 6)
    norms, around, direction = [], [], 0.0
    mean = xp.sum(X, axis=0, dtype=xp.float64) / n
    for start in range(0, n, step):
        rows = xp.astype(X[start : min(start + step, n), :], xp.float64)
        largest = xp.max(xp.abs(rows), axis=1)
        too_small = (largest < 1 / largest_norm) & (largest > 0)
        if bool(xp.any((largest > largest_norm) | too_small)):
            return None
        norms.append(xp.sqrt(xp.sum(rows * rows, axis=1)))
        direction = direction + xp.sum(rows * _inverse(xp, norms[-1])[:, None], axis=0) / n
        around.append(xp.sum((rows - mean) ** 2, axis=1))
    norm, variance = xp.concat(norms), xp.concat(around)
    angles = (1 - xp.sum(direction**2)) * xp.mean(norm**2)
    if not bool(angles >= _MIN_ANGLE_SHARE * xp.mean(variance)):
        return None
    return _RowNorms(
        shifted=xp.astype(norm - xp.mean(norm), X.dtype),
        inverse=_inverse(xp, norm),
        limit=xp.astype(2 * gram.tau(xp, X.dtype) * variance, X.dtype),
    )


def _inverse(xp: Any, norm: Any) -> Any:
    positive = norm > 0
    safe = xp.where(positive, norm, xp.ones_like(norm))
    return xp.where(positive, 1 / safe, xp.zeros_like(norm))


def _both(xp: Any, X: Any, norms: _RowNorms, D2: Any, start: int) -> tuple[Any, Any]:
    """Return euclidean and cosine distances, both (b, n), from squared distances.

    D2 is the block of rows from `start` on.
    """
    own = slice(start, start + D2.shape[0])
    difference = norms.shifted[own][:, None] - norms.shifted[None, :]
    C = D2 - difference * difference
    # Negated to include NaN.
    close = ~(xp.maximum(norms.limit[own][:, None], norms.limit[None, :]) < C)
    C = gram.fill_diagonal(xp, C, start, value=0.0)  # is infinite until here
    half = xp.astype(0.5 * norms.inverse, X.dtype)
    C = C * half[own][:, None] * xp.astype(norms.inverse, X.dtype)[None, :]
    if bool(xp.any(close)):
        i, j = xp.nonzero(close)
        C[close] = xp.astype(_paired_cosine(xp, X, norms.inverse, i + start, j), X.dtype)
    return xp.sqrt(D2), C


def _paired_cosine(xp: Any, X: Any, inverse: Any, i: Any, j: Any) -> Any:
    """Return the cosine distances of the rows `i` and `j` from differences of unit vectors."""
    pairs, parts = block_rows(xp, 16 * X.shape[1], cached=_ROWS_BYTES), []

    def unit(rows: Any) -> Any:
        return xp.astype(xp.take(X, rows, axis=0), xp.float64) * xp.take(inverse, rows)[:, None]

    for first in range(0, i.shape[0], pairs):
        some = slice(first, min(first + pairs, i.shape[0]))
        parts.append(0.5 * xp.sum((unit(i[some]) - unit(j[some])) ** 2, axis=1))
    return xp.concat(parts)


class _KernelRows(NamedTuple):
    """Rows and their norms as the compiled kernel needs them."""

    X: np.ndarray  # (n, d)
    shifted: np.ndarray  # (n,) norms minus their mean, dtype of X
    scale: np.ndarray  # (n,) 1 / norm, dtype of X
    half_scale: np.ndarray  # (n,) dtype of X
    limit: np.ndarray  # (n,) dtype of X
    inverse: np.ndarray  # (n,) 1 / norm, float64


def _compiled_both(X: np.ndarray, norms: _RowNorms) -> Callable:
    """Return `_both` for NumPy: in place, on all cores."""
    kernel, each = _kernel(), threads.all_cores()
    scale = norms.inverse.astype(X.dtype)
    half_scale = X.dtype.type(0.5) * scale
    X = np.ascontiguousarray(X)
    rows = _KernelRows(X, norms.shifted, scale, half_scale, norms.limit, norms.inverse)

    def both(D2: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
        C = np.empty_like(D2)
        each(lambda a, b: kernel(D2[a:b], C[a:b], start + a, rows), len(D2))
        return D2, C

    return both


@functools.cache
def _kernel() -> Callable:
    """Compile ``kernel(D2, C, first, rows)``: D2 becomes its root, C the cosine distances.

    D2 and C are blocks of the rows from `first` on.
    """

    @threads.compiled
    def kernel(D2, C, first, rows):
        X, inverse = rows.X, rows.inverse
        shifted, scale, limits = rows.shifted, rows.scale, rows.limit
        for own in range(first, first + len(D2)):
            row, out = D2[own - first], C[own - first]
            norm, factor, limit = shifted[own], rows.half_scale[own], limits[own]
            far = 0
            for j in range(len(row)):
                difference = norm - shifted[j]
                angular = row[j] - difference * difference
                far += angular > max(limit, limits[j])
                out[j] = angular * (factor * scale[j])
            checked = len(row) if far < len(row) else 0  # most rows have no close pair
            for j in range(checked):
                difference = norm - shifted[j]
                if not row[j] - difference * difference > max(limit, limits[j]):
                    total, mine, other = 0.0, inverse[own], inverse[j]
                    for f in range(X.shape[1]):
                        part = X[own, f] * mine - X[j, f] * other
                        total += part * part
                    out[j] = 0.5 * total if row[j] else 0.0  # exactly 0 for duplicates
            for j in range(len(row)):
                row[j] = np.sqrt(row[j])

    return kernel
