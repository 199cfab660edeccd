"""Algorithms that gpuclust owns, each one body for every array library."""

from .affinity import AffinityPropagation
from .agglomerative import Agglomerative, Linkage, linkage
from .hdbscan import HDBSCAN
from .mst import SpanningTree, minimum_spanning_tree
from .scale import Identity, UnitLength, ZScore
from .spectral import SpectralClustering, cluster_qr, discretize

__all__ = [
    "HDBSCAN",
    "AffinityPropagation",
    "Agglomerative",
    "Identity",
    "Linkage",
    "SpanningTree",
    "SpectralClustering",
    "UnitLength",
    "ZScore",
    "cluster_qr",
    "discretize",
    "linkage",
    "minimum_spanning_tree",
]
