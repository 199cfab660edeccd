"""Exact minimum spanning trees of all pairs of samples, without the matrix of their distances.

Boruvka's algorithm: each component picks its lightest outgoing edge, and all picks are added at
once.  A round over all distances would cost one pass over the n x n matrix, so one pass serves many
rounds.  It lists, for each row, the nearest rows in other components.  A component picks from these
lists while no missing edge can be lighter.  Once few components remain, one pass finds the
lightest edge between each two of them and finishes the tree.

The weight of an edge is evaluated once per unordered pair, and edges are ordered by (weight,
smaller id, larger id).  This order is strict and the same at both ends of an edge.  Therefore picks
never close a cycle, and each pass at least halves the number of components, even with ties and
rounding errors.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...arrays import accept, distances, parameters
from ...arrays.transfer import to_host
from ...arrays.unit import OVERFLOW, in_unit
from ...errors import InputError
from .candidates import Candidates, between, nearest_outside

# Neighbors per row and pass: enough that one pass leaves few components, in O(n d) memory.
LISTED = 16


class SpanningTree(NamedTuple):
    """Edges of a spanning tree of n samples, sorted by (weight, i, j).

    Attributes
    ----------
    i, j : ndarray (n - 1,), int64
        Ends of each edge, ``i < j``.
    weight : ndarray (n - 1,), float64
        Length of each edge.

    Examples
    --------
    >>> import numpy as np
    >>> SpanningTree(i=np.array([0]), j=np.array([1]), weight=np.array([2.0])).weight
    array([2.])
    """

    i: np.ndarray
    j: np.ndarray
    weight: np.ndarray


def minimum_spanning_tree(
    X: Any, *, metric: str = "euclidean", core_distances: Any = None
) -> SpanningTree:
    """Build the minimum spanning tree of the complete graph on the samples.

    Time O(n^2 d) per pass over the distances: one pass for lists of neighbors, two or three in all
    on real data, log2(n) in the worst case.  Memory O(n d) and one block of `distance_blocks`.

    Parameters
    ----------
    X : array-like (n, d)
        Samples, see `gpuclust.arrays.accept.samples`.  Distances are computed where they are, the
        tree on the host.
    metric : {"euclidean", "l1", "chebyshev", "cosine"}
        Distance between samples.
    core_distances : array (n,), optional
        If given, the weight of an edge is the mutual reachability distance
        ``max(core_i, core_j, distance)``.

    Returns
    -------
    SpanningTree
        Weights are evaluated in float64 for the chosen pairs.  The choice among nearly equal edges
        has the precision of the blocks.  Sorted weights are therefore exact to about 1e-9
        (relative) for float64 samples, and to 1e-6, at worst 1e-4, for float32 samples.

    Raises
    ------
    InputError
        When X is not 2-D, not finite, or so large that distances overflow its dtype, or when
        `core_distances` is not (n,) and finite.
    UnknownNameError
        For an unknown metric.

    References
    ----------
    Boruvka: O jistem problemu minimalnim, 1926.

    Examples
    --------
    >>> import numpy as np
    >>> tree = minimum_spanning_tree(np.array([[0.0], [3.0], [1.0]]))
    >>> tree.i.tolist(), tree.j.tolist(), tree.weight.tolist()
    ([0, 1], [2, 2], [1.0, 2.0])
    """
    parameters.choice("metric", metric, distances.METRICS)
    X = accept.samples(X, least=0)
    core = _checked_core(core_distances, X.shape[0])
    X, unit = distances.check_and_scale(array_api_compat.array_namespace(X), X, metric)
    core = core / unit
    tree = complete(X, metric, core, nearest_outside(X, metric, LISTED, core=core))
    return tree._replace(weight=in_unit(np, tree.weight, unit))


def _checked_core(core_distances: Any, n: int) -> np.ndarray:
    """Return the core distances (n,) as float64 on the host; zeros for None."""
    if core_distances is None:
        return np.zeros(n)
    core = to_host(accept.labels(core_distances, name="core_distances"))
    if core.shape != (n,) or core.dtype.kind not in "iuf":
        raise InputError(
            f"core_distances has shape {core.shape} and dtype {core.dtype}; give one finite number "
            f"for each of the {n} samples."
        )
    return core.astype(np.float64)


def complete(X: Any, metric: str, core: np.ndarray, edges: Candidates) -> SpanningTree:
    """Build the tree from the candidates of a first pass, with more passes where needed.

    See `minimum_spanning_tree` for parameters, cost and errors.
    """
    n = X.shape[0]
    group, chosen = _boruvka(edges, np.arange(n))
    picked = [chosen]
    while n and group.max() > 0:
        # Not more pairs of components than the lists have entries: one pass can finish.
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
    """Join components by candidate edges, while some component's lightest edge is proven.

    Parameters
    ----------
    edges : Candidates
        From a pass for these components or for smaller ones.  Lists by mutual reachability for
        these components prove at least one edge of each.
    group : ndarray (n,), int64
        Component of each row, 0 to c - 1.

    Returns
    -------
    group : ndarray (n,), int64
        Components afterwards.
    chosen : SpanningTree
        Unsorted edges that joined them.  O((n + m) log n) time in all.
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
        # The order is strict, so the picks are a forest, and components are those of union-find.
        graph = coo_array((np.ones(len(pick)), (a[pick], b[pick])), shape=(count, count))
        count, joined = connected_components(graph, directed=False)
        group = joined.astype(np.int64)[group]
    return group, SpanningTree(*(np.concatenate(part) for part in zip(*chosen, strict=True)))


def _lightest(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """Find the first edge of each component (count,) in the list, or the length of the list."""
    first = np.full(count, len(a))
    position = np.arange(len(a))
    np.minimum.at(first, a, position)
    np.minimum.at(first, b, position)
    return first
