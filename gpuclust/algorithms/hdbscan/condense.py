"""Flat clusters from a single linkage tree: the steps of HDBSCAN on the host.

Each step of the papers is a pure function: `condensed_tree`, `stability`, `select`, `label`.
Together O(n log n) time and O(n) memory.  Details that the papers leave open follow
`sklearn.cluster.HDBSCAN`.

References
----------
Campello, Moulavi, Sander: Density-based clustering based on hierarchical density estimates, PAKDD
2013.  McInnes, Healy: Accelerated hierarchical density based clustering, ICDM workshops 2017.
Malzer, Baum: A hybrid approach to hierarchical density-based cluster selection, 2020 (epsilon).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SELECTIONS = ("eom", "leaf")


class CondensedTree(NamedTuple):
    """Hierarchy of clusters with at least `min_cluster_size` points; lambda is 1 / height.

    With n points and c clusters it has n + c - 1 rows: the points 0 to n - 1 in order, then the
    clusters n + 1 to n + c - 1 in order.  The root is cluster n and has no row.  A parent has a
    smaller number than its children.

    Attributes
    ----------
    parent : ndarray (n + c - 1,), int64
        Cluster that the child belongs to.
    child : ndarray (n + c - 1,), int64
        Point or cluster that leaves the parent.
    lambda_ : ndarray (n + c - 1,), float64
        Lambda at which the child leaves; infinity for duplicates.
    size : ndarray (n + c - 1,), int64
        Number of points in the child.
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
        """Parent (c,) of each cluster, numbered from the root 0, the parent of itself."""
        return np.concatenate([[0], self.parent[self.n :] - self.n])

    @property
    def birth(self) -> np.ndarray:
        """Lambda (c,) at the birth of each cluster; 0 for the root."""
        return np.concatenate([[0.0], self.lambda_[self.n :]])


def condensed_tree(Z: np.ndarray, min_cluster_size: int) -> CondensedTree:
    """Keep the splits of a linkage matrix into two parts of at least `min_cluster_size` points.

    At any other split, a smaller part leaves its cluster point by point.  Clusters of duplicates do
    not split at height 0.  O(n log n) time.

    Parameters
    ----------
    Z : ndarray (n - 1, 4), float64
        Linkage matrix of single linkage, n at least 2.
    min_cluster_size : int
        2 or more.

    Examples
    --------
    >>> from scipy.cluster.hierarchy import linkage
    >>> tree = condensed_tree(linkage([[0.0], [1.0], [10.0], [12.0]], "single"), 2)
    >>> tree.child.tolist(), tree.parent.tolist()
    ([0, 1, 2, 3, 5, 6], [6, 6, 5, 5, 4, 4])
    """
    n = len(Z) + 1
    root, nodes = 2 * n - 2, np.arange(2 * n - 1)
    children = Z[:, :2].astype(np.int64)
    height = np.concatenate([np.zeros(n), Z[:, 2]])
    size = np.concatenate([np.ones(n, dtype=np.int64), Z[:, 3].astype(np.int64)])
    parent, sibling = nodes.copy(), nodes.copy()
    parent[children] = np.arange(n, 2 * n - 1)[:, None]
    sibling[children] = children[:, ::-1]
    large = (size >= min_cluster_size) & (height[parent] > 0)
    large[root] = True
    cluster = large & large[sibling]
    owner = _nearest(cluster, parent)  # cluster of each node
    leaving = height[_nearest(large, parent)[:n]]  # height at which each point leaves
    clusters = np.flatnonzero(cluster)[::-1]  # parents come before their children
    number = np.empty_like(nodes)
    number[clusters] = np.arange(n, n + len(clusters))
    born = parent[clusters[1:]]
    with np.errstate(divide="ignore", over="ignore"):
        lambda_ = 1.0 / np.concatenate([leaving, height[born]])
    return CondensedTree(
        parent=number[np.concatenate([owner[:n], owner[born]])],
        child=np.concatenate([nodes[:n], number[clusters[1:]]]),
        lambda_=lambda_,
        size=np.concatenate([np.ones(n, dtype=np.int64), size[clusters[1:]]]),
    )


def _nearest(marked: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Find the nearest marked ancestor of each node, the node included; the root is marked."""
    found = np.where(marked, np.arange(len(parent)), parent)
    while True:
        further = found[found]  # halves all paths
        if np.array_equal(further, found):
            return found
        found = further


def stability(tree: CondensedTree) -> np.ndarray:
    """Compute the stability of each cluster: the sum of its points' ranges of lambda.

    A cluster that appears at infinity (duplicates) has stability 0.  O(n) time.

    Returns
    -------
    ndarray (c,), float64
        The root first.

    Examples
    --------
    >>> from scipy.cluster.hierarchy import linkage
    >>> tree = condensed_tree(linkage([[0.0], [1.0], [10.0], [12.0]], "single"), 2)
    >>> stability(tree).round(3).tolist()
    [0.444, 0.778, 1.778]
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
    """Select the clusters of a flat clustering.  O(c) time.

    Parameters
    ----------
    tree : CondensedTree
        Hierarchy of c clusters.
    method : {"eom", "leaf"}
        Excess of mass: the clusters with the largest total stability.  Or the leaves of the tree.
    max_cluster_size : int, optional
        With "eom", clusters with more points are replaced by their children.
    allow_single_cluster : bool
        The root may be selected.
    epsilon : float
        Clusters that appear below this height are replaced by an ancestor that appears above it
        (Malzer and Baum).

    Returns
    -------
    ndarray (c,), bool
        Mask of the selected clusters, the root first.

    Examples
    --------
    >>> from scipy.cluster.hierarchy import linkage
    >>> tree = condensed_tree(linkage([[0.0], [1.0], [10.0], [12.0]], "single"), 2)
    >>> select(tree).tolist()
    [False, True, True]
    """
    if method == "leaf":
        chosen = np.ones(len(tree.up), dtype=bool)
        chosen[tree.up] = False  # the root is its own parent
    else:
        chosen = _excess_of_mass(tree, max_cluster_size, single=allow_single_cluster)
    if epsilon > 0:
        chosen = _above_epsilon(tree, chosen, epsilon, single=allow_single_cluster)
    return chosen


def _excess_of_mass(tree: CondensedTree, most: int | None, *, single: bool) -> np.ndarray:
    """Compare clusters with their descendants, bottom-up; then drop clusters below a chosen one."""
    up, mass = tree.up.tolist(), stability(tree).tolist()
    sizes = tree.size[tree.n :]
    # As in scikit-learn, the size of the root counts only the clusters that split off from it.
    size = [int(sizes[tree.parent[tree.n :] == tree.n].sum()), *sizes.tolist()]
    most = tree.n if most is None else most
    below, chosen = [0.0] * len(up), [single] + [True] * (len(up) - 1)
    for cluster in range(len(up) - 1, -1, -1):
        if below[cluster] > mass[cluster] or size[cluster] > most:
            mass[cluster], chosen[cluster] = below[cluster], False
        below[up[cluster]] += mass[cluster]
    within = chosen[:1]  # the cluster or an ancestor of it is chosen
    for cluster in range(1, len(up)):
        within.append(within[up[cluster]] or chosen[cluster])
        chosen[cluster] = chosen[cluster] and not within[up[cluster]]
    return np.array(chosen)


def _above_epsilon(
    tree: CondensedTree, chosen: np.ndarray, epsilon: float, *, single: bool
) -> np.ndarray:
    """Replace clusters born below the height `epsilon` by ancestors."""
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
    """Label each point with its selected cluster.  O(n + c) time.

    If only the root is selected, its members are the points that stay until lambda reaches
    ``1 / epsilon``; without epsilon, until the largest lambda of the root.

    Returns
    -------
    labels : ndarray (n,), int64
        0 to the number of selected clusters - 1; -1 is noise.
    probabilities : ndarray (n,), float64
        Lambda at which the point leaves, divided by the largest one of its cluster; 0 for noise.

    Examples
    --------
    >>> from scipy.cluster.hierarchy import linkage
    >>> tree = condensed_tree(linkage([[0.0], [1.0], [10.0], [12.0]], "single"), 2)
    >>> label(tree, select(tree))[0].tolist()
    [1, 1, 0, 0]
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
