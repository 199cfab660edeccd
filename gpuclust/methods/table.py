"""Registry of methods: one entry per reducer and clusterer, see `reducers` and `clusterers`.

Classes are named as text and imported when an estimator is built.  Listing and checking methods
therefore needs neither scikit-learn nor cuML.
"""

from __future__ import annotations

from ..arrays import METRICS
from .clusterers import CLUSTERERS, LINKAGES
from .method import Fit, Implementation, Method
from .param import Param
from .reducers import REDUCERS

__all__ = [
    "CLUSTERERS",
    "KNEIGHBORS",
    "LINKAGES",
    "METRICS",
    "REDUCERS",
    "STUDY_CLUSTERERS",
    "Fit",
    "Implementation",
    "Method",
    "Param",
]

# All clusterers with the settings of the study.
STUDY_CLUSTERERS = tuple(
    "hdbscan(max_cluster_size=0.2)" if name == "hdbscan" else name for name in CLUSTERERS
)

# Backend -> function (X, k, metric=, include_self=True) -> (distances, indices) that searches the
# neighbor graph shared by all methods of a representation.
KNEIGHBORS = {
    "cpu": "gpuclust.arrays.neighbors:kneighbors",
    "gpu": "gpuclust.algorithms.cuml:kneighbors",
}
