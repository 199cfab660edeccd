"""Cluster images by pretrained encoders, and score every encoder, reducer and clusterer.

Importing the package imports none of its heavy dependencies; the names below are imported when
they are first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_FACE = {
    "embed": "gpuclust.api.embedding",
    "run": "gpuclust.api.clustering",
    "run_grid": "gpuclust.api.tables",
    "results": "gpuclust.api.tables",
    "Embeddings": "gpuclust.api.embeddings",
    "Result": "gpuclust.api.result",
    "GpuclustError": "gpuclust.errors",
    "GpuclustNote": "gpuclust.errors",
    "AffinityPropagation": "gpuclust.estimators",
    "Agglomerative": "gpuclust.estimators",
    "HDBSCAN": "gpuclust.estimators",
    "KMeans": "gpuclust.estimators",
    "PCA": "gpuclust.estimators",
    "SpectralClustering": "gpuclust.estimators",
    "UMAP": "gpuclust.estimators",
}
__all__ = ["__version__", *_FACE]


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module 'gpuclust' has no attribute {name!r}")
    return getattr(import_module(_FACE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FACE})
