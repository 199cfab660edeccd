"""Scores of a clustering: external (against true classes) and internal (on a representation)."""

from .crosstab import Contingency, contingency
from .dispersion import calinski_harabasz_score, davies_bouldin_score, dispersion_scores
from .expectation import expected_mutual_information
from .external import (
    adjusted_rand_score,
    cluster_accuracy,
    external_scores,
    fowlkes_mallows_score,
    purity_score,
)
from .information import (
    adjusted_mutual_info_score,
    homogeneity_completeness_v_measure,
    mutual_info_score,
    normalized_mutual_info_score,
)
from .internal import silhouette_scores
from .labelset import LabelSet, is_defined, label_set

__all__ = [
    "Contingency",
    "LabelSet",
    "adjusted_mutual_info_score",
    "adjusted_rand_score",
    "calinski_harabasz_score",
    "cluster_accuracy",
    "contingency",
    "davies_bouldin_score",
    "dispersion_scores",
    "expected_mutual_information",
    "external_scores",
    "fowlkes_mallows_score",
    "homogeneity_completeness_v_measure",
    "is_defined",
    "label_set",
    "mutual_info_score",
    "normalized_mutual_info_score",
    "purity_score",
    "silhouette_scores",
]
