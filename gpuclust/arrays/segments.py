"""Sums of the columns of a matrix by segment, for many labelings of the columns at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat
import numpy as np

from ..device import threads
from ..device.block_size import block_rows

# Columns per matrix product, few enough for a float32 sum to stay accurate.
_COLUMNS = 4096


def segment_summer(
    labels_list: Sequence[Any], *, n_segments: Sequence[int]
) -> Callable[[Any], Any]:
    """Return a function to sum columns with equal labels, for many labelings.

    On NumPy a compiled kernel sums in float64 on all cores.  Time: O(b n) for all labelings, and
    O(b c) for each, where c <= n is the number of distinct tuples of labels.  Memory: 4 n bytes,
    4 c bytes per labeling, and 64 (c + sum of `n_segments`) bytes per core.

    On other namespaces a one-hot matrix is built for each run of 4096 columns (fewer if it would
    exceed a block).  Time: O(b n) times the sum of `n_segments`, at the speed of matrix products.

    Parameters
    ----------
    labels_list : sequence of arrays of int, shape (n,)
        Segment of each column, one array per labeling, all on one namespace and device.  Columns
        with a label outside ``0..n_segments - 1`` are ignored.
    n_segments : sequence of int
        Number of segments of each labeling; empty segments sum to 0.

    Returns
    -------
    callable
        ``sums(values)`` takes values of shape (b, n) on the namespace of the labels, and returns
        float64 of shape (b, sum of `n_segments`), the labelings one after another.  NumPy sums in
        float64.  Other namespaces sum runs of columns in the dtype of the values and the runs in
        float64, accurate to about 1e-6 relative in float32 for every n.

    Examples
    --------
    >>> sums = segment_summer([np.array([0, 1, 0])], n_segments=[2])
    >>> sums(np.array([[1.0, 2.0, 4.0]])).tolist()
    [[5.0, 2.0]]
    """
    xp = array_api_compat.array_namespace(*labels_list)
    if array_api_compat.is_numpy_namespace(xp):
        return _compiled_summer(labels_list, n_segments)
    n, device = labels_list[0].shape[0], array_api_compat.device(labels_list[0])
    step = min(_COLUMNS, block_rows(xp, 8 * sum(n_segments)))
    segments = [
        xp.arange(k, dtype=labels.dtype, device=device)[None, :]
        for labels, k in zip(labels_list, n_segments, strict=True)
    ]

    def one_hot(columns: slice) -> Any:
        pairs = zip(labels_list, segments, strict=True)
        return xp.concat([labels[columns][:, None] == ids for labels, ids in pairs], axis=1)

    def sums(values: Any) -> Any:
        total = xp.zeros((values.shape[0], sum(n_segments)), dtype=xp.float64, device=device)
        for start in range(0, n, step):
            columns = slice(start, min(start + step, n))
            part = values[:, columns] @ xp.astype(one_hot(columns), values.dtype)
            total += xp.astype(part, xp.float64)
        return total

    return sums


def _compiled_summer(
    labels_list: Sequence[np.ndarray], n_segments: Sequence[int]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the summer for NumPy arrays.

    Labelings of the same samples largely agree.  A group is a set of columns with the same label in
    every labeling.  Columns are summed once per group, and the few groups once per labeling.
    """
    total = sum(n_segments)
    # Ignored columns are added to one extra segment, which is dropped.
    segments = np.full((len(labels_list[0]), len(labels_list)), total, dtype=np.uint32)
    offset = 0
    for column, labels, k in zip(segments.T, labels_list, n_segments, strict=True):
        inside = (labels >= 0) & (labels < k)
        column[inside] = labels[inside] + offset
        offset += k
    group, group_segments = _groups(segments)
    kernel, each = _kernel(), threads.all_cores()

    def sums(values: np.ndarray) -> np.ndarray:
        out = np.empty((len(values), total))
        each(lambda a, b: kernel(values[a:b], group, group_segments, out[a:b]), len(values))
        return out

    return sums


def _groups(segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the distinct rows of segments (n, labelings).

    Returns the group of each row, uint32 (n,), and the distinct rows, uint32 (groups, labelings).
    """
    group = np.zeros(len(segments), dtype=np.int64)
    for column in segments.T:
        _, group = np.unique(group * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    # All rows of a group are equal, so any of them represents it.
    rows = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.int64)
    rows[group] = np.arange(len(segments))
    return group.astype(np.uint32), segments[rows]


@functools.cache
def _kernel() -> Callable:
    """Compile ``kernel(values, group, group_segments, out)``: eight rows of values at a time."""

    @threads.compiled
    def kernel(values, group, group_segments, out):
        groups, sums = np.empty((len(group_segments), 8)), np.empty((out.shape[1] + 1, 8))
        last = len(values) - 1
        for first in range(0, len(values), 8):
            # Eight variables are three times as fast as a loop over eight rows.  The last row
            # repeats if fewer than eight remain.
            a, b = values[first], values[min(first + 1, last)]
            c, d = values[min(first + 2, last)], values[min(first + 3, last)]
            e, f = values[min(first + 4, last)], values[min(first + 5, last)]
            g, h = values[min(first + 6, last)], values[min(first + 7, last)]
            groups[:] = 0
            sums[:] = 0
            for j in range(len(group)):
                own = groups[group[j]]
                own[0] += a[j]
                own[1] += b[j]
                own[2] += c[j]
                own[3] += d[j]
                own[4] += e[j]
                own[5] += f[j]
                own[6] += g[j]
                own[7] += h[j]
            for j in range(len(group_segments)):
                more = groups[j]
                for segment in group_segments[j]:
                    own = sums[segment]
                    for i in range(8):
                        own[i] += more[i]
            rows = out[first : first + 8]
            rows[:] = sums[:-1, : len(rows)].T

    return kernel
