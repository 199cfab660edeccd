"""Estimators in scikit-learn's conventions, on the CPU or on a GPU.

They check their input, choose the device, and let the class run that `gpuclust.methods` names for
it.  Parameters have the names and defaults of scikit-learn (UMAP: of umap-learn); the docstrings
list the exceptions.  Importing this package imports scikit-learn.
"""

from .clusterers import AffinityPropagation, KMeans, SpectralClustering
from .hierarchies import HDBSCAN, Agglomerative
from .reducers import PCA, UMAP

__all__ = [
    "HDBSCAN",
    "PCA",
    "UMAP",
    "AffinityPropagation",
    "Agglomerative",
    "KMeans",
    "SpectralClustering",
]
