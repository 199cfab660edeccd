"""Array verbs that the standard lacks: blocks of pairwise distances and sums per segment.

One body serves NumPy, CuPy and `array_api_strict`: each function asks its input for the namespace
and creates arrays on the input's device.  n x n work always comes in blocks of rows, so that memory
stays bounded whatever n is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import array_api_compat
import numpy as np

from . import angles, gaps, gram
from .blocks import CACHE_BYTES, block_bytes, block_rows, free_bytes, smaller_blocks
from .errors import InputError, unknown

__all__ = [
    "METRICS",
    "PAIR",
    "as_points",
    "block_bytes",
    "block_rows",
    "distance_blocks",
    "free_bytes",
    "segment_summer",
    "smaller_blocks",
    "to_device",
    "to_host",
]

METRICS = ("euclidean", "cosine", "l1", "chebyshev")
PAIR = ("euclidean", "cosine")  # these come from one matrix product
# Fewer rows than these make the matrix product slow on NumPy, whatever the cache holds.
_FEWEST_ROWS = 64
_MOST_BYTES = 32 << 20
# A matrix product of more rows is faster by a quarter; no more than this, or than X itself.
_PRODUCT_BYTES = 16 << 20
# Columns per product: float32 sums stay this short.
_RUN = 4096


def distance_blocks(
    X, *, metric: str | tuple[str, str] = "euclidean", block_bytes: int | None = None
) -> Iterator[tuple[int, int, object]]:
    """Yield ``(start, stop, D)``: distances from the rows ``start:stop`` of `X` to all its rows.

    O(n^2 d) time.  In memory a copy of `X` and two blocks of distances, and from 256 features on up
    to 128 MiB of what `gpuclust.mirror` need not multiply again; elsewhere than on NumPy one block
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
        The distance, or two of them from one matrix product, see `gpuclust.angles`.
    block_bytes : int, optional
        Size of a block, which has at least one row.  By default 4 MiB on NumPy, or 64 rows where
        those take more, up to 32 MiB, cut from products of up to 16 MiB where `X` itself is as
        large; elsewhere as `gpuclust.blocks.block_bytes` says.  Scaled by `smaller_blocks`.

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
    X = as_points(xp, X)
    block_of = _BLOCKS[metric](xp, X)
    rows = _rows_per_block(xp, X, block_bytes)
    together = rows if block_bytes is not None else _rows_together(xp, X, rows)
    # A plain function around a generator: errors come at the call, not at the first block.
    return _blocks(xp, X.shape[0], block_of, (rows, together))


def segment_summer(codes_list: Sequence, *, n_segments: Sequence[int]) -> Callable:
    """Return the function that sums the columns of a block that share a code, for many codings.

    On NumPy a compiled kernel adds up the rows in float64 on all cores: O(b n) time for all codings
    and O(b c) for each, where c columns differ in some code, at most n; 4 n bytes, 4 c per coding,
    and 64 bytes per segment, per column of those, and core.  Other
    namespaces build the one-hot anew for each run of 4096 columns (fewer where a block would not
    hold it), O(b n) times the sum of `n_segments` at the speed of a matrix product.

    Parameters
    ----------
    codes_list : sequence of arrays of int, shape (n,)
        For each coding the segment of each column; a column whose code is not in
        ``0..n_segments - 1`` is left out.  On one namespace and device.
    n_segments : sequence of int
        Numbers of segments, one per coding; an empty segment sums to 0.

    Returns
    -------
    callable
        ``sums(values)`` with values of shape (b, n) on the namespace of the codes returns float64
        of shape (b, sum of `n_segments`), the codings side by side.  On NumPy all sums are made in
        float64; elsewhere float32 columns are summed in these runs, which are added up in
        float64: exact to about 1e-6 relative, whatever n is.
    """
    xp = array_api_compat.array_namespace(*codes_list)
    if array_api_compat.is_numpy_namespace(xp):
        return _compiled_summer(codes_list, n_segments)
    n, device = codes_list[0].shape[0], array_api_compat.device(codes_list[0])
    run = min(_RUN, block_rows(xp, 8 * sum(n_segments)))
    segments = [
        xp.arange(k, dtype=codes.dtype, device=device)[None, :]
        for codes, k in zip(codes_list, n_segments, strict=True)
    ]

    def one_hot(columns: slice):
        pairs = zip(codes_list, segments, strict=True)
        return xp.concat([codes[columns][:, None] == names for codes, names in pairs], axis=1)

    def sums(values):
        total = xp.zeros((values.shape[0], sum(n_segments)), dtype=xp.float64, device=device)
        for start in range(0, n, run):
            columns = slice(start, min(start + run, n))
            part = values[:, columns] @ xp.astype(one_hot(columns), values.dtype)
            total += xp.astype(part, xp.float64)
        return total

    return sums


def _compiled_summer(codes_list: Sequence, n_segments: Sequence[int]) -> Callable:
    """Return the summer for NumPy arrays.

    Codings of the same samples agree widely: columns are added up where all codes are the same,
    and these sums, mostly far fewer than columns, once per coding.
    """
    total = sum(n_segments)
    # What is in no segment is added to one more that nobody looks at.
    codes = np.full((len(codes_list[0]), len(codes_list)), total, dtype=np.uint32)
    offset = 0
    for column, ours, k in zip(codes.T, codes_list, n_segments, strict=True):
        inside = (ours >= 0) & (ours < k)
        column[inside] = ours[inside] + offset
        offset += k
    cell, segments = _cells(codes)
    kernel, each = _kernel(), gaps.all_cores()

    def sums(values):
        out = np.empty((len(values), total))
        each(lambda a, b: kernel(values[a:b], cell, segments, out[a:b]), len(values))
        return out

    return sums


def _cells(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the different rows of codes (n, codings); give that of each row, and them, uint32."""
    cell = np.zeros(len(codes), dtype=np.int64)
    for column in codes.T:
        _, cell = np.unique(cell * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    # Any row of a cell stands for it: they are the same.
    rows = np.zeros(int(cell.max(initial=-1)) + 1, dtype=np.int64)
    rows[cell] = np.arange(len(codes))
    return cell.astype(np.uint32), codes[rows]


@functools.cache
def _kernel() -> Callable:
    """Compile ``kernel(values, cell, segments, out)``: eight rows side by side in a register."""

    @gaps.compiled
    def kernel(values, cell, segments, out):
        cells, sums = np.empty((len(segments), 8)), np.empty((out.shape[1] + 1, 8))
        last = len(values) - 1
        for first in range(0, len(values), 8):
            # One by one, as that is three times as fast as a loop over them; the last one again
            # where there are fewer than eight.
            a, b = values[first], values[min(first + 1, last)]
            c, d = values[min(first + 2, last)], values[min(first + 3, last)]
            e, f = values[min(first + 4, last)], values[min(first + 5, last)]
            g, h = values[min(first + 6, last)], values[min(first + 7, last)]
            cells[:] = 0
            sums[:] = 0
            for j in range(len(cell)):
                own = cells[cell[j]]
                own[0] += a[j]
                own[1] += b[j]
                own[2] += c[j]
                own[3] += d[j]
                own[4] += e[j]
                own[5] += f[j]
                own[6] += g[j]
                own[7] += h[j]
            for j in range(len(segments)):
                more = cells[j]
                for segment in segments[j]:
                    own = sums[segment]
                    for i in range(8):
                        own[i] += more[i]
            rows = out[first : first + 8]
            rows[:] = sums[:-1, : len(rows)].T

    return kernel


def as_points(xp, X):
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
        several = [gram.fill_self(xp, many, first, value=0.0) for many in several]
        for start in range(first, last, rows):
            stop = min(start + rows, last)
            parts = tuple(many[start - first : stop - first, :] for many in several)
            yield start, stop, parts if isinstance(made, tuple) else parts[0]


_BLOCKS: dict[str | tuple[str, str], Callable] = {
    PAIR: angles.euclidean_and_cosine_blocks,
    "euclidean": gram.euclidean_blocks,
    "cosine": gram.cosine_blocks,
    "l1": gaps.l1_blocks,
    "chebyshev": gaps.chebyshev_blocks,
}


# ---- between the host and the device ------------------------------------------------------------


def to_device(xp, values: np.ndarray, like):
    """Return the NumPy array on the device of `like`, an array of the namespace `xp`."""
    return xp.asarray(values, device=array_api_compat.device(like))


def to_host(values) -> np.ndarray:
    """Copy an array of any namespace and device to NumPy; a NumPy array is handed on as it is."""
    if isinstance(values, np.ndarray):
        return values
    if array_api_compat.is_cupy_array(values):
        return values.get()
    return np.from_dlpack(values, device="cpu")
