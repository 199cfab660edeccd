"""Minimum spanning trees."""

from .tree import SpanningTree, minimum_spanning_tree

__all__ = ["SpanningTree", "minimum_spanning_tree"]
