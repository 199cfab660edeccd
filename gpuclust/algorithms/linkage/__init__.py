"""Agglomerative clustering and its trees."""

from .agglomerative import Agglomerative, Linkage, linkage

__all__ = ["Agglomerative", "Linkage", "linkage"]
