"""From a minimum spanning tree to flat clusters: the host half of HDBSCAN.

The steps are those of the papers, each a pure function: `single_linkage_tree`, `condensed_tree`,
`stability`, `select`, `label`.  O(n log n) time and O(n) memory together.  Where the papers leave a
choice, it is that of `sklearn.cluster.HDBSCAN`.

References
----------
Campello, Moulavi, Sander: Density-based clustering based on hierarchical density estimates, PAKDD
2013.  McInnes, Healy: Accelerated hierarchical density based clustering, ICDM workshops 2017.
Malzer, Baum: A hybrid approach to hierarchical density-based cluster selection, 2020 (epsilon).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..spanning.tree import SpanningTree

SELECTIONS = ("eom", "leaf")


class CondensedTree(NamedTuple):
    """Which point and which cluster leaves which cluster, and when; lambda is 1 / height.

    With n points and c clusters there are n + c - 1 rows: the points 0 to n - 1 in order, then the
    clusters n + 1 to n + c - 1 in order.  The root is cluster n and has no row; a parent's number
    is smaller than those of its children.

    Attributes
    ----------
    parent, child : ndarray (n + c - 1,), int64
        A cluster, and the point or cluster that leaves it.
    lambda_ : ndarray (n + c - 1,), float64
        When it leaves; infinity for duplicates.
    size : ndarray (n + c - 1,), int64
        Number of points that leave.
    """

    parent: np.ndarray
    child: np.ndarray
    lambda_: np.ndarray
    size: np.ndarray

    @property
    def n(self) -> int:
        """Number of points."""
        return int(self.parent.min())  # the root's number

    @property
    def up(self) -> np.ndarray:
        """The parent (c,) of each cluster, counted from the root 0, whose parent is itself."""
        return np.concatenate([[0], self.parent[self.n :] - self.n])

    @property
    def birth(self) -> np.ndarray:
        """The lambda (c,) at which each cluster appears; 0 for the root."""
        return np.concatenate([[0.0], self.lambda_[self.n :]])


def single_linkage_tree(tree: SpanningTree, n: int) -> np.ndarray:
    """Join the edges of a spanning tree of `n` samples in order of their weight.

    Union-find, O(n log n) time.

    Returns
    -------
    ndarray (n - 1, 4), float64
        A linkage matrix as `scipy.cluster.hierarchy.linkage` returns it.
    """
    # Lists: item by item they are several times faster than arrays.
    parent, size = list(range(2 * n - 1)), [1] * (2 * n - 1)
    left, right = [], []
    for new, ends in enumerate(zip(tree.i.tolist(), tree.j.tolist(), strict=True), n):
        roots = []
        for end in ends:
            while parent[end] != end:
                parent[end] = end = parent[parent[end]]
            roots.append(end)
            parent[end] = new
        left.append(min(roots))
        right.append(max(roots))
        size[new] = size[roots[0]] + size[roots[1]]
    return np.column_stack([left, right, tree.weight, size[n:]]).reshape(-1, 4).astype(np.float64)


def condensed_tree(Z: np.ndarray, min_cluster_size: int) -> CondensedTree:
    """Keep the splits of a linkage matrix (n - 1, 4) that leave `min_cluster_size` on both sides.

    At other splits the smaller side leaves its cluster point by point.  Clusters of duplicates do
    not split at height 0.  O(n log n) time.
    """
    n = len(Z) + 1
    root, itself = 2 * n - 2, np.arange(2 * n - 1)
    children = Z[:, :2].astype(np.int64)
    height = np.concatenate([np.zeros(n), Z[:, 2]])
    size = np.concatenate([np.ones(n, dtype=np.int64), Z[:, 3].astype(np.int64)])
    parent, sibling = itself.copy(), itself.copy()
    parent[children] = np.arange(n, 2 * n - 1)[:, None]
    sibling[children] = children[:, ::-1]
    large = (size >= min_cluster_size) & (height[parent] > 0)
    large[root] = True
    cluster = large & large[sibling]
    home = _nearest(cluster, parent)  # every node's cluster
    leaves = height[_nearest(large, parent)[:n]]  # where a point drops out
    nodes = np.flatnonzero(cluster)[::-1]  # a parent comes before its children
    number = np.empty_like(itself)
    number[nodes] = np.arange(n, n + len(nodes))
    born = parent[nodes[1:]]
    with np.errstate(divide="ignore", over="ignore"):
        lambda_ = 1.0 / np.concatenate([leaves, height[born]])
    return CondensedTree(
        parent=number[np.concatenate([home[:n], home[born]])],
        child=np.concatenate([itself[:n], number[nodes[1:]]]),
        lambda_=lambda_,
        size=np.concatenate([np.ones(n, dtype=np.int64), size[nodes[1:]]]),
    )


def _nearest(marked: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Find each node's nearest marked ancestor or self; the root is marked."""
    found = np.where(marked, np.arange(len(parent)), parent)
    while True:
        further = found[found]  # halves every path
        if np.array_equal(further, found):
            return found
        found = further


def stability(tree: CondensedTree) -> np.ndarray:
    """Sum over each cluster's points how long they stay, in lambda: (c,) float64, the root first.

    A cluster that appears at infinity (duplicates) has stability 0.
    """
    birth = tree.birth[tree.parent - tree.n]
    stay = np.zeros_like(birth)
    np.subtract(tree.lambda_, birth, out=stay, where=np.isfinite(birth))
    return np.bincount(tree.parent - tree.n, weights=stay * tree.size)


def select(
    tree: CondensedTree,
    *,
    method: str = "eom",
    max_cluster_size: int | None = None,
    allow_single_cluster: bool = False,
    epsilon: float = 0.0,
) -> np.ndarray:
    """Choose the clusters of a flat clustering.  O(c) time.

    Parameters
    ----------
    tree : CondensedTree
        The hierarchy.
    method : {"eom", "leaf"}
        Clusters of the greatest total stability, or the leaves of the tree.
    max_cluster_size : int, optional
        With "eom", larger clusters give way to their children.
    allow_single_cluster : bool
        Whether the root may be chosen.
    epsilon : float
        Clusters that appear at a height under it give way to the ancestor that does not.

    Returns
    -------
    ndarray (c,), bool
        The chosen ones, the root first.
    """
    if method == "leaf":
        chosen = np.ones(len(tree.up), dtype=bool)
        chosen[tree.up] = False  # the root is its own parent
    else:
        chosen = _excess_of_mass(tree, max_cluster_size, single=allow_single_cluster)
    return _no_finer(tree, chosen, epsilon, single=allow_single_cluster) if epsilon > 0 else chosen


def _excess_of_mass(tree: CondensedTree, most: int | None, *, single: bool) -> np.ndarray:
    """Choose bottom-up what beats its descendants, then top-down what has no better ancestor."""
    up, mass = tree.up.tolist(), stability(tree).tolist()
    sizes = tree.size[tree.n :]
    # scikit-learn counts as the root's size what splits off from it as clusters.
    size = [int(sizes[tree.parent[tree.n :] == tree.n].sum()), *sizes.tolist()]
    most = tree.n if most is None else most
    below, chosen = [0.0] * len(up), [single] + [True] * (len(up) - 1)
    for cluster in range(len(up) - 1, -1, -1):
        if below[cluster] > mass[cluster] or size[cluster] > most:
            mass[cluster], chosen[cluster] = below[cluster], False
        below[up[cluster]] += mass[cluster]
    covered = chosen[:1]
    for cluster in range(1, len(up)):
        covered.append(covered[up[cluster]] or chosen[cluster])
        chosen[cluster] = chosen[cluster] and not covered[up[cluster]]
    return np.array(chosen)


def _no_finer(
    tree: CondensedTree, chosen: np.ndarray, epsilon: float, *, single: bool
) -> np.ndarray:
    """Replace clusters that appear under the height `epsilon` by their ancestors."""
    up, birth = tree.up, tree.birth
    kept = np.zeros_like(chosen)
    for cluster in np.flatnonzero(chosen):
        while cluster > 0 and birth[cluster] * epsilon > 1 and (single or up[cluster] > 0):
            cluster = up[cluster]
        kept[cluster] = True
    return kept


def label(
    tree: CondensedTree, chosen: np.ndarray, *, epsilon: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Give each point its chosen cluster.  O(n + c) time.

    Where the root is the only cluster, its points are those that stay until ``1 / epsilon``, or
    without epsilon until its end.

    Returns
    -------
    labels : ndarray (n,), int64
        0 to the number of chosen clusters - 1; -1 is noise.
    probabilities : ndarray (n,), float64
        When the point leaves, as a share of its cluster's end; 0 for noise.
    """
    n, parent, lambda_ = tree.n, tree.parent - tree.n, tree.lambda_[: tree.n]
    owner = _nearest(np.concatenate([[True], chosen[1:]]), tree.up)[parent[:n]]
    end = np.zeros(len(chosen))
    np.maximum.at(end, parent, tree.lambda_)
    member = owner > 0
    if chosen[0] and chosen.sum() == 1:
        member = lambda_ >= (1 / epsilon if epsilon > 0 else end[0])
    labels = np.where(member, np.cumsum(chosen)[owner] - 1, -1)
    share = np.ones(n)
    finite = np.isfinite(lambda_) & (end[owner] > 0)
    np.divide(np.minimum(lambda_, end[owner]), end[owner], out=share, where=finite)
    return labels, np.where(member, share, 0.0)
