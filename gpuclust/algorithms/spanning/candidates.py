"""Candidate edges of a minimum spanning tree: what one pass over the distances tells.

Blocks of distances, in the dtype of the samples, only propose edges.  A proposed edge is weighed
from its two samples in float64, once per unordered pair, and edges are ordered by (weight, smaller
id, larger id).
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from ...arrays import distances, gram
from ...arrays.indexing import take_rows
from ...arrays.transfer import to_device, to_host
from ...device import block_size
from ...errors import InputError

# Most columns per group when looking for the smallest entries of a row.
_GROUP = 64
# Rows of pairs that are in memory at a time on NumPy, in float64.
_PAIR_BYTES = 32 << 20
OVERFLOW = (
    "X holds values so large that distances between samples are not finite numbers in its dtype. "
    "Scale the features, or use float64."
)


class Candidates(NamedTuple):
    """Edges by (weight, i, j), and what is known about those that are missing.

    Attributes
    ----------
    i, j, weight : ndarray (m,)
        The edges, ``i < j``, each once.
    bound : ndarray (n,), float64
        No missing edge of a row, to another component, is lighter than its bound.
    """

    i: np.ndarray
    j: np.ndarray
    weight: np.ndarray
    bound: np.ndarray


def nearest_outside(
    X: Any, metric: str, k: int, *, core: np.ndarray, group: np.ndarray | None = None
) -> Candidates:
    """List the edges from each row to the `k` nearest rows outside its component.

    One pass, O(n^2 d) time, O(n k) memory.  Nearest by mutual reachability.

    Parameters
    ----------
    X, metric : array (n, d), str
        See `mst.minimum_spanning_tree`.
    k : int
        Length of the lists; 1 at least.
    core : ndarray (n,), float64
        Core distances.
    group : ndarray (n,), int64, optional
        Component of each row; each row its own by default.
    """
    ids = neighbour_ids(X, metric, k, core=core, group=group)
    rows = np.broadcast_to(np.arange(len(ids))[:, None], ids.shape)
    return listed_edges(ids, pair_distances(X, metric, rows, ids), core, by_reach=True)


def neighbour_ids(
    X: Any,
    metric: str,
    k: int,
    *,
    core: np.ndarray | None = None,
    group: np.ndarray | None = None,
) -> np.ndarray:
    """List the `k` rows nearest to each row, itself and its component left out.

    One pass over the distances.

    Returns
    -------
    ndarray (n, min(k, n - 1)), int64
        Unordered; where fewer rows are outside, the row itself fills the list.
    """
    xp = array_api_compat.array_namespace(X)
    blocks = distances.distance_blocks(X, metric=metric)
    n = X.shape[0]
    k = min(k, max(n - 1, 0))
    ids = np.empty((n, k), dtype=np.int64)
    if not k:
        return ids
    core = None if core is None or not core.any() else to_device(xp, core, X)
    group = None if group is None else to_device(xp, group, X)
    for start, stop, D in blocks:
        if core is not None:
            D = xp.maximum(D, xp.astype(core, D.dtype)[None, :])
        D = _without_own(xp, D, start, group)
        found, value = _smallest(xp, D, k)
        outside = np.isfinite(value)
        if group is None and not outside.all():
            raise InputError(OVERFLOW)
        ids[start:stop] = np.where(outside, found, np.arange(start, stop)[:, None])
    return ids


def _without_own(xp, D, start: int, group):
    """Set the distances of a block's rows to their own component to infinity."""
    if group is not None:
        own = group[start : start + D.shape[0]][:, None] == group[None, :]
        return xp.where(own, xp.full_like(D, float("inf")), D)
    return gram.fill_diagonal(xp, D, start, value=float("inf"))


def _smallest(xp, D, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the columns and values (b, k) of the `k` smallest entries of each row, on the host.

    The k-th smallest of the minima of groups of columns is a limit that at least k entries keep to,
    and seldom many more: eight times faster than a partition of the row.
    """
    rows, n = D.shape
    width = max(min(_GROUP, n // (4 * k)), 1)
    grouped = xp.reshape(D[:, : n - n % width], (rows, width, n // width))
    limit = xp.sort(xp.min(grouped, axis=1), axis=1)[:, k - 1 : k]
    within = limit >= D
    # Ties (duplicates, a block of infinities) can let the whole block through.
    if int(xp.count_nonzero(within)) > 4 * k * rows:
        tied = limit == D
        rank = xp.cumulative_sum(xp.astype(tied, xp.int32), axis=1, dtype=xp.int32)
        within = (limit > D) | (tied & (rank <= k))
    flat = xp.nonzero(xp.reshape(within, (-1,)))[0]  # several times faster than by row
    row, column = np.divmod(to_host(flat), n)
    return _first_of_each_row(row, column, to_host(D[within]), k)


def _first_of_each_row(row, column, value, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the `k` smallest entries of each row; `row` (m,) is sorted, with k or more of each."""
    order = np.lexsort((value, row))
    starts = np.searchsorted(row, np.arange(row[-1] + 1))
    kept = order[starts[:, None] + np.arange(k)[None, :]]
    return column[kept], value[kept]


def between(X: Any, metric: str, core: np.ndarray, group: np.ndarray) -> Candidates:
    """List the lightest edge between each two components: one pass, O(n^2 d).

    Rows are sorted by component first, so that a component is a range of rows and of columns.
    """
    xp = array_api_compat.array_namespace(X)
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(group.max() + 2)).tolist()
    ranges = [slice(a, b) for a, b in itertools.pairwise(ends)]
    there = take_rows(xp, X, order)
    reach = to_device(xp, core[order], X)
    pairs = []
    for start, stop, D in distances.distance_blocks(there, metric=metric):
        cores = xp.astype(reach, D.dtype)
        D = xp.maximum(xp.maximum(D, cores[None, :]), cores[start:stop][:, None])
        pairs.append(order[to_host(_lightest_between(xp, D, start, ranges))])
    i, j = np.concatenate(pairs, axis=1)
    i, j = i[group[i] != group[j]], j[group[i] != group[j]]
    bound = np.full(len(group), np.inf)
    return _candidates(i, j, pair_distances(X, metric, i, j), core, bound)


def _lightest_between(xp, D, start: int, ranges: list[slice]):
    """List, for the components of a block's rows, the nearest pair (2, m) to every component."""
    column = xp.stack([xp.argmin(D[:, g], axis=1) + g.start for g in ranges], axis=1)
    value = xp.take_along_axis(D, column, axis=1)  # (b, c)
    pairs = []
    for g in ranges:
        mine = slice(max(g.start - start, 0), min(g.stop - start, D.shape[0]))
        if mine.start < mine.stop:
            row = xp.argmin(value[mine, :], axis=0)[None, :]  # (1, c)
            to = xp.take_along_axis(column[mine, :], row, axis=0)
            pairs.append(xp.concat([row + (start + mine.start), to]))
    return xp.concat(pairs, axis=1)


# ---- edges --------------------------------------------------------------------------------------


def listed_edges(
    ids: np.ndarray, distances: np.ndarray, core: np.ndarray, *, by_reach: bool
) -> Candidates:
    """Turn lists of neighbours into candidates.  O(n k log n).

    Parameters
    ----------
    ids, distances : ndarray (n, k)
        From `neighbour_ids` and `pair_distances`.
    core : ndarray (n,), float64
        Core distances.
    by_reach : bool
        Whether the lists are the nearest by mutual reachability or by distance.
    """
    n, k = ids.shape
    rows = np.arange(n)[:, None]
    rank = np.maximum(distances, core[ids]) if by_reach else distances
    bound = np.maximum(core, rank.max(axis=1, initial=0.0))
    # A list that has room for the row itself, or for all others, misses nothing.
    bound[(ids == rows).any(axis=1) | (k >= n - 1)] = np.inf
    i, j = np.broadcast_to(rows, ids.shape)[ids != rows], ids[ids != rows]
    return _candidates(i, j, distances[ids != rows], core, bound)


def _candidates(i, j, distances, core: np.ndarray, bound: np.ndarray) -> Candidates:
    """Order edges by (weight, smaller id, larger id), each once."""
    (i, j), first, _ = _each_once(i, j, len(core))
    weight = np.maximum(distances[first], np.maximum(core[i], core[j]))
    order = np.argsort(weight, kind="stable")
    return Candidates(i[order], j[order], weight[order], bound)


def _each_once(i, j, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort unordered pairs, each once (2, u), with where each is first and which each one is."""
    keys = np.minimum(i, j) * n + np.maximum(i, j)
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return np.stack(np.divmod(unique, max(n, 1))), first, inverse.reshape(i.shape)


def pair_distances(X: Any, metric: str, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Evaluate distances of pairs of rows directly, in float64, once per unordered pair.

    Parameters
    ----------
    X, metric : array (n, d), str
        See `mst.minimum_spanning_tree`.
    i, j : ndarray of int64, any shape
        The pairs.

    Returns
    -------
    ndarray of float64, the shape of `i`, on the host
        O(d) time each; in memory one block at a time, 32 MiB on NumPy.
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


def _direct_cosine(xp, a, b):
    """Half the squared distance of the unit vectors; 1 where one of them is zero."""
    zero = xp.all(a == 0, axis=1) | xp.all(b == 0, axis=1)
    gap = _unit(xp, a) - _unit(xp, b)
    half = 0.5 * xp.sum(gap * gap, axis=1)
    return xp.where(zero, xp.ones_like(half), half)


def _unit(xp, a):
    # By the largest entry first: the squares of 1e200 and of 1e-200 are not finite numbers.
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
