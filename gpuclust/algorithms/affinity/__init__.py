"""Affinity propagation."""

from .propagation import AffinityPropagation

__all__ = ["AffinityPropagation"]
