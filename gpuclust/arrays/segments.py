"""Sums of the columns of a block by segment, for many codings at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import array_api_compat
import numpy as np

from ..device import threads
from ..device.block_size import block_rows

# Columns per product: float32 sums stay this short.
_RUN = 4096


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
    kernel, each = _kernel(), threads.all_cores()

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

    @threads.compiled
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
