"""Minimum spanning trees of all pairs of samples, and single linkage from them."""

from .mst import SpanningTree, minimum_spanning_tree
from .single_linkage import single_linkage_tree

__all__ = ["SpanningTree", "minimum_spanning_tree", "single_linkage_tree"]
