"""Array verbs that the standard lacks: blocks of pairwise distances and sums per segment.

One body serves NumPy, CuPy and `array_api_strict`: each function asks its input for the namespace
and creates arrays on the input's device.  n x n work always comes in blocks of rows, so that memory
stays bounded whatever n is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import array_api_compat

from ..device.block_size import CACHE_BYTES, block_rows
from ..errors import InputError, unknown
from . import METRICS, euclidean_cosine, gram, minkowski

__all__ = [
    "METRICS",
    "PAIR",
    "check_array",
    "distance_blocks",
]

PAIR = ("euclidean", "cosine")  # these come from one matrix product
# Fewer rows than these make the matrix product slow on NumPy, whatever the cache holds.
_FEWEST_ROWS = 64
_MOST_BYTES = 32 << 20
# A matrix product of more rows is faster by a quarter; no more than this, or than X itself.
_PRODUCT_BYTES = 16 << 20


def distance_blocks(
    X, *, metric: str | tuple[str, str] = "euclidean", block_bytes: int | None = None
) -> Iterator[tuple[int, int, object]]:
    """Yield ``(start, stop, D)``: distances from the rows ``start:stop`` of `X` to all its rows.

    O(n^2 d) time.  In memory a copy of `X` and two blocks of distances, and from 256 features on up
    to 128 MiB of what `gpuclust.arrays.symmetric` need not multiply again; elsewhere than on NumPy one block
    and a few temporaries of its size.  Answers are those of
    ``sklearn.metrics.pairwise_distances``.

    Euclidean and cosine distances are matrix products (Gram form) of the centred rows; for cosine,
    of the centred unit vectors, since ``1 - cos(u, v) = |u - v|^2 / 2``; a zero vector is at
    distance 1 from every other row, as in scikit-learn.  The Gram form loses the digits of pairs
    that are close to each other and far from the mean, so pairs with ``D2 < 2 tau |x|^2`` are
    evaluated again from their difference, O(d) each: ``tau`` is 1e-3 in float32 and 1e-6 in
    float64, which leaves every squared distance a relative error of a few ``eps / tau``, about 1e-4
    and 1e-9, and the usual ones, ``D2 ~ |x|^2``, one of a few eps.  Distances to itself are
    exactly 0.  l1 and chebyshev are evaluated in the dtype of `X` by compiled kernels for NumPy
    arrays (1e-6 relative in float32), by torch for CuPy ones (1e-5), feature by feature in float64
    elsewhere.  On NumPy all cores take part; results do not depend on how many.

    Parameters
    ----------
    X : array of shape (n, d)
        On any array namespace.  Integers count as float64 and halves as float32.
    metric : {"euclidean", "cosine", "l1", "chebyshev"}, or ("euclidean", "cosine")
        The distance, or two of them from one matrix product, see `gpuclust.arrays.euclidean_cosine`.
    block_bytes : int, optional
        Size of a block, which has at least one row.  By default 4 MiB on NumPy, or 64 rows where
        those take more, up to 32 MiB, cut from products of up to 16 MiB where `X` itself is as
        large; elsewhere as `gpuclust.device.block_size.block_bytes` says.  Scaled by `smaller_blocks`.

    Yields
    ------
    start, stop : int
        Range of the rows.
    D : array of shape (stop - start, n)
        Distances in the float dtype of `X`, yours to change; for two metrics a tuple of two.

    Raises
    ------
    InputError
        When X is not 2-D or not finite, or `block_bytes` is not positive.
    UnknownNameError
        For another metric.
    """
    xp = array_api_compat.array_namespace(X)
    if not isinstance(metric, str | tuple) or metric not in _BLOCKS:
        raise unknown("metric", metric, METRICS)
    if block_bytes is not None and block_bytes <= 0:
        raise InputError(
            f"block_bytes is {block_bytes}; it must be positive. None takes the default size."
        )
    X = check_array(xp, X)
    block_of = _BLOCKS[metric](xp, X)
    rows = _rows_per_block(xp, X, block_bytes)
    together = rows if block_bytes is not None else _rows_together(xp, X, rows)
    # A plain function around a generator: errors come at the call, not at the first block.
    return _blocks(xp, X.shape[0], block_of, (rows, together))


def check_array(xp, X):
    """Return X (n, d) as float32 or float64; integers become float64, halves float32.

    Raises
    ------
    InputError
        When X is not 2-D or not finite.
    """
    if X.ndim != 2:
        raise InputError(
            f"X has shape {tuple(X.shape)}; it must be (n samples, d features). Reshape one "
            "feature to (n, 1), flatten images to (n, d)."
        )
    if not xp.isdtype(X.dtype, "real floating"):
        X = xp.astype(X, xp.float64)
    elif X.dtype not in (xp.float32, xp.float64):
        X = xp.astype(X, xp.float32)
    if not bool(xp.all(xp.isfinite(X))):
        raise InputError(
            "X contains NaN or infinity, for which no distance exists. Drop these samples or "
            "replace the values."
        )
    return X


def _rows_per_block(xp, X, asked: int | None) -> int:
    row_bytes = X.shape[0] * (8 if "64" in str(X.dtype) else 4)
    cached = min(max(CACHE_BYTES, _FEWEST_ROWS * row_bytes), _MOST_BYTES)
    return block_rows(xp, row_bytes, cached=cached, asked=asked)


def _rows_together(xp, X, rows: int) -> int:
    """Give the rows whose distances are made at once on NumPy, a multiple of `rows`."""
    if not array_api_compat.is_numpy_namespace(xp):
        return rows
    cached = min(X.nbytes, _PRODUCT_BYTES)
    return rows * max(block_rows(xp, X.shape[0] * X.itemsize, cached=cached) // rows, 1)


def _blocks(xp, n: int, block_of: Callable, sizes: tuple[int, int]) -> Iterator:
    rows, together = sizes
    for first in range(0, n, together):
        last = min(first + together, n)
        made = block_of(first, last)
        several = made if isinstance(made, tuple) else (made,)
        several = [gram.fill_diagonal(xp, many, first, value=0.0) for many in several]
        for start in range(first, last, rows):
            stop = min(start + rows, last)
            parts = tuple(many[start - first : stop - first, :] for many in several)
            yield start, stop, parts if isinstance(made, tuple) else parts[0]


_BLOCKS: dict[str | tuple[str, str], Callable] = {
    PAIR: euclidean_cosine.euclidean_and_cosine_blocks,
    "euclidean": gram.euclidean_blocks,
    "cosine": gram.cosine_blocks,
    "l1": minkowski.l1_blocks,
    "chebyshev": minkowski.chebyshev_blocks,
}


# ---- between the host and the device ------------------------------------------------------------
