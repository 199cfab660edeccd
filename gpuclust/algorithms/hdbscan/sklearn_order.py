"""Break ties between minimum spanning trees the way scikit-learn's HDBSCAN does.

Mutual reachability distances tie, because one core distance is often the weight of several edges.
The minimum spanning tree is then not unique, nor is the order in which its edges merge clusters,
and the clusters depend on both.  scikit-learn runs Prim's algorithm from the first sample, then
sorts the edges.  This module runs it on the few edges that such a tree can contain.

Results can still differ from scikit-learn's in three cases: distances equal in exact arithmetic
that round differently, samples with more equidistant neighbors than the lists hold, and equal
distances that are larger than the core distances at both ends, as on a regular grid.
"""

from __future__ import annotations

import heapq

import numpy as np

from ..spanning import SpanningTree


def sklearn_tree(tree: SpanningTree, near: SpanningTree, *, path: bool = False) -> SpanningTree:
    """Return the minimum spanning tree of scikit-learn's HDBSCAN, edges in its order.

    Edges that tie usually have the weight of a core distance, so they lead from a sample to one
    within its core distance.  If no others tie, all minimum spanning trees share the other edges.

    Parameters
    ----------
    tree : SpanningTree
        Any minimum spanning tree of n samples.
    near : SpanningTree
        The m edges from each sample to those within its core distance, in any order.
    path : bool
        Join each sample to the one visited before it, with the weight of its edge.  Only ties
        change the hierarchy.  scikit-learn's brute-force algorithm, used for the cosine distance,
        does so.

    Returns
    -------
    SpanningTree
        Edges lead from the sample visited first.  O((n + m) log n) time and O(n + m) memory, on the
        host.

    References
    ----------
    Prim: Shortest connection networks and some generalizations, Bell System Technical Journal 36,
    1957.

    Examples
    --------
    >>> one, two = np.array([0, 1]), np.array([1, 2])
    >>> tree = SpanningTree(one, two, np.array([1.0, 1.0]))
    >>> ties = SpanningTree(np.array([0]), np.array([2]), np.array([1.0]))
    >>> found = sklearn_tree(tree, ties)
    >>> found.i.tolist(), found.j.tolist()
    ([0, 0], [1, 2])
    """
    n = len(tree.i) + 1
    starts, ends, lengths = _adjacency(n, tree, near)
    visited, order = [False] * n, []
    heap: list[tuple[float, int, int, int]] = []
    node = 0
    for tick in range(n - 1):
        last = node
        visited[node] = True
        for place in range(starts[node], starts[node + 1]):
            if not visited[ends[place]]:
                # Ties: the smaller sample first, and from the source that was visited first.
                heapq.heappush(heap, (lengths[place], ends[place], tick, node))
        weight, node, _, source = heapq.heappop(heap)
        while visited[node]:
            weight, node, _, source = heapq.heappop(heap)
        order.append((last if path else source, node, weight))
    i, j, weights = (np.array(part) for part in zip(*order, strict=True))
    ranked = np.argsort(weights)  # not a stable sort, as in scikit-learn
    return SpanningTree(i[ranked], j[ranked], weights[ranked])


def _adjacency(n: int, *trees: SpanningTree) -> tuple[list[int], list[int], list[float]]:
    """List the edges of each sample, in both directions: first place (n + 1,), ends, weights."""
    i = np.concatenate([end for tree in trees for end in (tree.i, tree.j)])
    j = np.concatenate([end for tree in trees for end in (tree.j, tree.i)])
    weight = np.concatenate([tree.weight for tree in trees for _ in range(2)])
    order = np.argsort(i, kind="stable")
    starts = np.searchsorted(i[order], np.arange(n + 1))
    return starts.tolist(), j[order].tolist(), weight[order].tolist()
