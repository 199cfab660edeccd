"""Algorithms that gpuclust owns: hierarchical clustering and the scalings of the study."""

from .agglomerative import Agglomerative, Linkage, linkage
from .scale import Identity, UnitLength, ZScore

__all__ = ["Agglomerative", "Identity", "Linkage", "UnitLength", "ZScore", "linkage"]
