"""Algorithms that gpuclust owns, each one body for every array library."""

from .affinity.propagation import AffinityPropagation
from .hdbscan.estimator import HDBSCAN
from .linkage.agglomerative import Agglomerative, Linkage, linkage
from .scale import Identity, UnitLength, ZScore
from .spanning.tree import SpanningTree, minimum_spanning_tree
from .spectral.estimator import SpectralClustering, cluster_qr, discretize

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
