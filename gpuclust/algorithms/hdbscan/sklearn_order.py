"""Which of the spanning trees of equal weight scikit-learn's HDBSCAN finds, and in which order.

Mutual reachability distances tie: a core distance is the weight of several edges.  Then the tree is
not unique, nor is the order in which its edges join clusters, and the clusters that are found
depend on both.  scikit-learn runs Prim's algorithm from the first sample and sorts what it finds.
That walk is repeated here, on the few edges that it can take.

Left to chance is what rounding makes of distances that are equal by themselves, and, where more
samples than are listed lie at one core distance, which of them are known.
"""

from __future__ import annotations

import heapq

import numpy as np

from ..spanning.tree import SpanningTree


def walked(tree: SpanningTree, near: SpanningTree, *, path: bool = False) -> SpanningTree:
    """Return the tree of Prim's algorithm, edges in the order of scikit-learn.

    An edge that ties has the weight of a core distance, so it leads from a sample to one that is
    within it; any other edge of a smallest tree is in all of them.

    Parameters
    ----------
    tree : SpanningTree
        Any smallest spanning tree of n samples.
    near : SpanningTree
        The m edges from each sample to those within its core distance, in any order.
    path : bool
        Join each sample to the one before it, at the weight of its edge: the same hierarchy but for
        ties.  scikit-learn's brute force does so, which takes the cosine distance.

    Returns
    -------
    SpanningTree
        Edges lead from the sample that was there first.  O((n + m) log n) time and O(n + m)
        memory, on the host.
    """
    n = len(tree.i) + 1
    starts, ends, lengths = _both_ways(n, tree, near)
    inside, order = [False] * n, []
    heap: list[tuple[float, int, int, int]] = []
    node = 0
    for tick in range(n - 1):
        last = node
        inside[node] = True
        for place in range(starts[node], starts[node + 1]):
            if not inside[ends[place]]:
                # The smaller sample first, and of its sources the one that was there first.
                heapq.heappush(heap, (lengths[place], ends[place], tick, node))
        weight, node, _, source = heapq.heappop(heap)
        while inside[node]:
            weight, node, _, source = heapq.heappop(heap)
        order.append((last if path else source, node, weight))
    i, j, weights = (np.array(part) for part in zip(*order, strict=True))
    ranked = np.argsort(weights)  # not stable, and so is scikit-learn's
    return SpanningTree(*(part[ranked] for part in (i, j, weights)))


def _both_ways(n: int, *trees: SpanningTree) -> tuple[list, ...]:
    """List the edges of every sample: where its own start, where they end, what they weigh."""
    i = np.concatenate([end for tree in trees for end in (tree.i, tree.j)])
    j = np.concatenate([end for tree in trees for end in (tree.j, tree.i)])
    weight = np.concatenate([tree.weight for tree in trees for _ in range(2)])
    order = np.argsort(i, kind="stable")
    starts = np.searchsorted(i[order], np.arange(n + 1))
    return starts.tolist(), j[order].tolist(), weight[order].tolist()
