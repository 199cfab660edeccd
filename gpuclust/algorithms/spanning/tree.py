"""Exact minimum spanning trees of all pairs of samples, without the matrix of their distances.

Boruvka: every component picks its lightest outgoing edge, all picks join at once.  A round over all
distances would cost one pass over the n x n matrix, so one pass serves many rounds: it lists for
each row the nearest rows outside its component, and a component may pick from the lists as long as
no edge that is missing from them can be lighter.  When few components are left, one pass finds the
lightest edge between each two of them and ends the work.

An edge has one weight, evaluated once per unordered pair, and edges are compared by (weight,
smaller id, larger id).  That order is strict and the same for both ends, so picks never close a
cycle and each pass at least halves the components, whatever ties or rounding do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...arrays.transfer import to_host
from ...errors import InputError
from .candidates import OVERFLOW, Candidates, between, nearest_outside

# Neighbours per row and pass: enough that one pass leaves few components, and O(n d) memory.
LISTED = 16


class SpanningTree(NamedTuple):
    """The edges of a spanning tree of n samples, by (weight, i, j).

    Attributes
    ----------
    i, j : ndarray (n - 1,), int64
        The two ends, ``i < j``.
    weight : ndarray (n - 1,), float64
        Length of the edge.
    """

    i: np.ndarray
    j: np.ndarray
    weight: np.ndarray


def minimum_spanning_tree(
    X: Any, *, metric: str = "euclidean", core_distances: Any = None
) -> SpanningTree:
    """Build the minimum spanning tree of the complete graph on the samples.

    Time O(n^2 d) per pass over the distances: one for lists of neighbours, and two or three in all
    on real data; each pass at least halves the components, so log2(n) at most.  Memory O(n d)
    beside a block of `ops.distance_blocks`.

    Parameters
    ----------
    X : array (n, d)
        Samples, on any array namespace; distances are computed there, the tree on the host.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples.
    core_distances : array (n,), optional
        With it, an edge weighs its mutual reachability ``max(core_i, core_j, distance)``.

    Returns
    -------
    SpanningTree
        Weights are float64 evaluations of the chosen pairs.  The choice among nearly equal edges
        has the precision of the blocks, so that the sorted weights are the true ones to about
        1e-9 (relative) for float64 samples, and to 1e-6, at worst 1e-4, for float32.

    Raises
    ------
    InputError
        When X is not 2-D or not finite, or so large that distances overflow its dtype, or when
        `core_distances` does not fit it.
    UnknownNameError
        For another metric.

    References
    ----------
    Boruvka: O jistem problemu minimalnim, 1926.
    """
    n = X.shape[0] if X.ndim else 0
    core = np.zeros(n) if core_distances is None else to_host(core_distances).astype(np.float64)
    if core.shape != (n,) or not np.isfinite(core).all():
        raise InputError(
            f"core_distances has shape {core.shape}; give one finite number for each of the {n} "
            "samples."
        )
    edges = nearest_outside(X, metric, LISTED, core=core)
    return complete(X, metric, core, edges)


def complete(X: Any, metric: str, core: np.ndarray, edges: Candidates) -> SpanningTree:
    """Build the tree from the candidates of a first pass; more passes where they are needed.

    See `minimum_spanning_tree`.
    """
    n = X.shape[0]
    group, chosen = _boruvka(edges, np.arange(n))
    picked = [chosen]
    while n and group.max() > 0:
        # As many pairs of components as the lists have entries.
        if (group.max() + 1) ** 2 <= LISTED * n:
            edges = between(X, metric, core, group)
        else:
            edges = nearest_outside(X, metric, LISTED, core=core, group=group)
        group, chosen = _boruvka(edges, group)
        if not len(chosen.i):
            raise InputError(OVERFLOW)
        picked.append(chosen)
    i, j, weight = (np.concatenate(part) for part in zip(*picked, strict=True))
    order = np.lexsort((j, i, weight))
    return SpanningTree(i[order], j[order], weight[order])


# ---- rounds, on the host ------------------------------------------------------------------------


def _boruvka(edges: Candidates, group: np.ndarray) -> tuple[np.ndarray, SpanningTree]:
    """Join components by candidate edges as long as some component's lightest edge is proven.

    Parameters
    ----------
    edges : Candidates
        Of a pass made for these components or for smaller ones.  Lists by mutual reachability that
        were made for these components prove at least one edge of each.
    group : ndarray (n,), int64
        Component of each row, 0 to c - 1.

    Returns
    -------
    group : ndarray (n,), int64
        Components afterwards.
    chosen : SpanningTree
        The edges that joined them, unordered.  O((n + m) log n) time in all.
    """
    i, j, weight, bound = edges
    chosen = [(i[:0], j[:0], weight[:0])]
    count = int(group.max(initial=-1)) + 1
    while count > 1:
        a, b = group[i], group[j]
        leaves = a != b
        i, j, weight, a, b = (part[leaves] for part in (i, j, weight, a, b))
        lightest = _lightest(a, b, count)
        has = np.flatnonzero(lightest < len(i))
        limit = np.full(count, np.inf)
        np.minimum.at(limit, group, bound)
        has = has[weight[lightest[has]] <= limit[has]]
        pick = np.unique(lightest[has])
        if not len(pick):
            break
        chosen.append((i[pick], j[pick], weight[pick]))
        # One order for both ends: the picks are a forest, which is union-find's promise too.
        graph = coo_array((np.ones(len(pick)), (a[pick], b[pick])), shape=(count, count))
        count, joined = connected_components(graph, directed=False)
        group = joined.astype(np.int64)[group]
    return group, SpanningTree(*(np.concatenate(part) for part in zip(*chosen, strict=True)))


def _lightest(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """Find each component's first edge (count,) in the list; its length where there is none."""
    first = np.full(count, len(a))
    position = np.arange(len(a))
    np.minimum.at(first, a, position)
    np.minimum.at(first, b, position)
    return first
