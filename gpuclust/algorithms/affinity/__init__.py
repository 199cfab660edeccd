"""Affinity propagation: the estimator, its messages, similarities and noise."""

from .estimator import AffinityPropagation

__all__ = ["AffinityPropagation"]
