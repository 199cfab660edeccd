"""Clustering algorithms and scalings of gpuclust, each for all array libraries."""

from .affinity.estimator import AffinityPropagation
from .hdbscan.estimator import HDBSCAN
from .linkage.agglomerative import Agglomerative, Linkage, linkage
from .scale import Identity, UnitLength, ZScore
from .spanning import SpanningTree, minimum_spanning_tree
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
