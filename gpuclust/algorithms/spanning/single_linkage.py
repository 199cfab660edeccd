"""Single linkage from a minimum spanning tree, on the host."""

from __future__ import annotations

import numpy as np

from .mst import SpanningTree


def single_linkage_tree(tree: SpanningTree, n: int) -> np.ndarray:
    """Merge the ends of each edge of a spanning tree, in the order of the edges.

    The clusters are those of single linkage when the tree is a minimum one (Gower and Ross, 1969).
    Union-find: O(n log n) time, O(n) memory.

    Parameters
    ----------
    tree : SpanningTree
        Edges by ascending weight.
    n : int
        Number of samples, 1 or more.

    Returns
    -------
    ndarray (n - 1, 4), float64
        Linkage matrix in the format of `scipy.cluster.hierarchy.linkage`.

    References
    ----------
    Gower, Ross: Minimum spanning trees and single linkage cluster analysis, Applied Statistics 18,
    1969.

    Examples
    --------
    >>> import numpy as np
    >>> from gpuclust.algorithms import minimum_spanning_tree
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> single_linkage_tree(minimum_spanning_tree(X), 3)
    array([[0., 1., 1., 2.],
           [2., 3., 2., 3.]])
    """
    # Lists, because reading arrays item by item is several times slower.
    parent, size = list(range(2 * n - 1)), [1] * (2 * n - 1)
    smaller, larger = [], []
    for new, ends in enumerate(zip(tree.i.tolist(), tree.j.tolist(), strict=True), n):
        roots = []
        for end in ends:
            while parent[end] != end:
                parent[end] = end = parent[parent[end]]
            roots.append(end)
            parent[end] = new
        smaller.append(min(roots))
        larger.append(max(roots))
        size[new] = size[roots[0]] + size[roots[1]]
    merges = np.column_stack([smaller, larger, tree.weight, size[n:]])
    return merges.reshape(-1, 4).astype(np.float64)
