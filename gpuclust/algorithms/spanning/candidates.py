"""Candidate edges of a minimum spanning tree, from one pass over the distances.

Blocks of distances, in the dtype of the samples, only propose edges.  The weight of a proposed edge
is evaluated from its two samples in float64, once per unordered pair, and edges are ordered by
(weight, smaller id, larger id).
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ...arrays import distances, gram
from ...arrays.indexing import take_rows
from ...arrays.transfer import to_device, to_host
from ...arrays.unit import OVERFLOW
from ...device import block_size
from ...errors import InputError

# Largest number of groups of columns in the search for the smallest entries of a row.
_GROUP = 64
# Bytes of float64 rows of pairs in memory at a time, on NumPy.
_PAIR_BYTES = 32 << 20


class Candidates(NamedTuple):
    """Edges sorted by (weight, i, j), and lower bounds for the missing ones.

    Attributes
    ----------
    i, j : ndarray (m,), int64
        Ends of each edge, ``i < j``, each edge once.
    weight : ndarray (m,), float64
        Weight of each edge.
    bound : ndarray (n,), float64
        Lower bound for the weight of the missing edges from each row to other components.
    """

    i: np.ndarray
    j: np.ndarray
    weight: np.ndarray
    bound: np.ndarray


def nearest_outside(
    X: Any, metric: str, k: int, *, core: np.ndarray, group: np.ndarray | None = None
) -> Candidates:
    """List the edges from each row to the `k` nearest rows outside its component.

    Nearest by mutual reachability distance.  One pass, O(n^2 d) time, O(n k) memory.

    Parameters
    ----------
    X, metric : array (n, d), str
        See `mst.minimum_spanning_tree`.
    k : int
        Length of the lists, at least 1.
    core : ndarray (n,), float64
        Core distances.
    group : ndarray (n,), int64, optional
        Component of each row; by default each row is a component.
    """
    ids = neighbor_ids(X, metric, k, core=core, group=group)
    rows = np.broadcast_to(np.arange(len(ids))[:, None], ids.shape)
    return listed_edges(ids, pair_distances(X, metric, rows, ids), core, by_reach=True)


def neighbor_ids(
    X: Any,
    metric: str,
    k: int,
    *,
    core: np.ndarray | None = None,
    group: np.ndarray | None = None,
) -> np.ndarray:
    """List the `k` rows nearest to each row, except itself and its component.

    One pass over the distances; parameters as in `nearest_outside`, core distances 0 by default.

    Returns
    -------
    ndarray (n, min(k, n - 1)), int64
        Unordered; the row itself fills a list with too few rows outside.

    Raises
    ------
    InputError
        When a distance overflows the dtype of X.
    """
    xp = array_api_compat.array_namespace(X)
    blocks = distances.distance_blocks(X, metric=metric)
    n = X.shape[0]
    k = min(k, max(n - 1, 0))
    ids = np.empty((n, k), dtype=np.int64)
    if not k:
        return ids
    reach: Any = None if core is None or not core.any() else to_device(xp, core, X)
    component = None if group is None else to_device(xp, group, X)
    for start, stop, D in blocks:
        if reach is not None:
            D = xp.maximum(D, xp.astype(reach, D.dtype)[None, :])
        D = _without_own(xp, D, start, component)
        found, value = _smallest(xp, D, k)
        outside = np.isfinite(value)
        if group is None and not outside.all():
            raise InputError(OVERFLOW)
        ids[start:stop] = np.where(outside, found, np.arange(start, stop)[:, None])
    return ids


def _without_own(xp: Any, D: Any, start: int, group: Any) -> Any:
    """Set the distances from a block's rows to their own component to infinity."""
    if group is not None:
        own = group[start : start + D.shape[0]][:, None] == group[None, :]
        return xp.where(own, xp.full_like(D, float("inf")), D)
    return gram.fill_diagonal(xp, D, start, value=float("inf"))


def _smallest(xp: Any, D: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the columns and values (b, k) of the `k` smallest entries of each row, on the host.

    The k-th smallest minimum of groups of columns is an upper limit for them: at least k entries
    are within it, and seldom many more.  This is eight times faster than a partition of the row.
    """
    rows, n = D.shape
    width = max(min(_GROUP, n // (4 * k)), 1)
    grouped = xp.reshape(D[:, : n - n % width], (rows, width, n // width))
    limit = xp.sort(xp.min(grouped, axis=1), axis=1)[:, k - 1 : k]
    within = limit >= D
    # With ties (duplicates, a block of infinities) the whole block can be within the limit.
    if int(xp.count_nonzero(within)) > 4 * k * rows:
        tied = limit == D
        rank = xp.cumulative_sum(xp.astype(tied, xp.int32), axis=1, dtype=xp.int32)
        within = (limit > D) | (tied & (rank <= k))
    flat = xp.nonzero(xp.reshape(within, (-1,)))[0]  # several times faster than by row
    row, column = np.divmod(to_host(flat), n)
    return _first_of_each_row(row, column, to_host(D[within]), k)


def _first_of_each_row(
    row: np.ndarray, column: np.ndarray, value: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keep the `k` smallest entries of each row; `row` (m,) is sorted, with k or more of each."""
    order = np.lexsort((value, row))
    starts = np.searchsorted(row, np.arange(row[-1] + 1))
    kept = order[starts[:, None] + np.arange(k)[None, :]]
    return column[kept], value[kept]


def between(X: Any, metric: str, core: np.ndarray, group: np.ndarray) -> Candidates:
    """List the lightest edge between each two components: one pass, O(n^2 d) time.

    Rows are sorted by component first, so that a component is a range of rows and of columns.
    Parameters as in `nearest_outside`.
    """
    xp = array_api_compat.array_namespace(X)
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(group.max() + 2)).tolist()
    ranges = [slice(a, b) for a, b in itertools.pairwise(ends)]
    there = take_rows(xp, X, order)
    reach: Any = to_device(xp, core[order], X)
    pairs = []
    for start, stop, D in distances.distance_blocks(there, metric=metric):
        cores = xp.astype(reach, D.dtype)
        D = xp.maximum(xp.maximum(D, cores[None, :]), cores[start:stop][:, None])
        pairs.append(order[to_host(_lightest_between(xp, D, start, ranges))])
    i, j = np.concatenate(pairs, axis=1)
    i, j = i[group[i] != group[j]], j[group[i] != group[j]]
    bound = np.full(len(group), np.inf)
    return _candidates(i, j, pair_distances(X, metric, i, j), core, bound)


def _lightest_between(xp: Any, D: Any, start: int, ranges: list[slice]) -> Any:
    """List the nearest pair (2, m) between each component in the block and each other component."""
    column = xp.stack([xp.argmin(D[:, g], axis=1) + g.start for g in ranges], axis=1)
    value = xp.take_along_axis(D, column, axis=1)  # (b, c)
    pairs = []
    for g in ranges:
        rows = slice(max(g.start - start, 0), min(g.stop - start, D.shape[0]))
        if rows.start < rows.stop:
            row = xp.argmin(value[rows, :], axis=0)[None, :]  # (1, c)
            to = xp.take_along_axis(column[rows, :], row, axis=0)
            pairs.append(xp.concat([row + (start + rows.start), to]))
    return xp.concat(pairs, axis=1)


# ---- edges --------------------------------------------------------------------------------------


def listed_edges(
    ids: np.ndarray, distances: np.ndarray, core: np.ndarray, *, by_reach: bool
) -> Candidates:
    """Turn lists of neighbors into candidates.  O(n k log n) time.

    Parameters
    ----------
    ids, distances : ndarray (n, k)
        From `neighbor_ids` and `pair_distances`.
    core : ndarray (n,), float64
        Core distances.
    by_reach : bool
        Lists are the nearest rows by mutual reachability distance, or else by distance.
    """
    n, k = ids.shape
    rows = np.arange(n)[:, None]
    rank = np.maximum(distances, core[ids]) if by_reach else distances
    bound = np.maximum(core, rank.max(axis=1, initial=0.0))
    # A list that contains the row itself, or all other rows, misses no edge.
    bound[(ids == rows).any(axis=1) | (k >= n - 1)] = np.inf
    i, j = np.broadcast_to(rows, ids.shape)[ids != rows], ids[ids != rows]
    return _candidates(i, j, distances[ids != rows], core, bound)


def _candidates(
    i: np.ndarray, j: np.ndarray, distances: np.ndarray, core: np.ndarray, bound: np.ndarray
) -> Candidates:
    """Sort edges by (weight, smaller id, larger id), each edge once."""
    (i, j), first, _ = _each_once(i, j, len(core))
    weight = np.maximum(distances[first], np.maximum(core[i], core[j]))
    order = np.argsort(weight, kind="stable")
    return Candidates(i[order], j[order], weight[order], bound)


def _each_once(i: np.ndarray, j: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unique unordered pairs (2, u), and their first and inverse indices (`np.unique`)."""
    keys = np.minimum(i, j) * n + np.maximum(i, j)
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return np.stack(np.divmod(unique, max(n, 1))), first, inverse.reshape(i.shape)


def pair_distances(X: Any, metric: str, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Evaluate the distances of pairs of rows from their features, in float64.

    Each unordered pair is evaluated once, so (i, j) and (j, i) get the same bits.  O(d) time per
    pair; memory one block, 32 MiB on NumPy.

    Parameters
    ----------
    X, metric : array (n, d), str
        See `mst.minimum_spanning_tree`.
    i, j : ndarray, int64, any shape
        Pairs of rows.

    Returns
    -------
    ndarray, float64, of the shape of `i`, on the host

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [3.0, 4.0]])
    >>> pair_distances(X, "euclidean", np.array([0, 1]), np.array([1, 1]))
    array([5., 0.])
    """
    xp = array_api_compat.array_namespace(X)
    pairs, _, inverse = _each_once(i, j, X.shape[0])
    distance = np.empty(pairs.shape[1])
    step = block_size.block_rows(xp, 8 * X.shape[1], cached=_PAIR_BYTES)
    for start in range(0, len(distance), step):
        ends = (end[start : start + step] for end in pairs)
        a, b = (xp.astype(take_rows(xp, X, end), xp.float64) for end in ends)
        distance[start : start + step] = to_host(_DIRECT[metric](xp, a, b))
    return distance[inverse]


def _direct_cosine(xp: Any, a: Any, b: Any) -> Any:
    """Halve the squared distance of the unit vectors; 1 where one of the rows is zero."""
    zero = xp.all(a == 0, axis=1) | xp.all(b == 0, axis=1)
    difference = _unit(xp, a) - _unit(xp, b)
    half = 0.5 * xp.sum(difference * difference, axis=1)
    return xp.where(zero, xp.ones_like(half), half)


def _unit(xp: Any, a: Any) -> Any:
    # Divided by the largest entry first: the square of 1e200 overflows, that of 1e-200 is 0.
    for norm in (lambda v: xp.max(xp.abs(v), axis=1), lambda v: xp.sqrt(xp.sum(v * v, axis=1))):
        size = norm(a)[:, None]
        a = a / xp.where(size > 0, size, xp.ones_like(size))
    return a


_DIRECT = {
    "euclidean": lambda xp, a, b: xp.sqrt(xp.sum((a - b) ** 2, axis=1)),
    "l1": lambda xp, a, b: xp.sum(xp.abs(a - b), axis=1),
    "chebyshev": lambda xp, a, b: xp.max(xp.abs(a - b), axis=1),
    "cosine": _direct_cosine,
}
