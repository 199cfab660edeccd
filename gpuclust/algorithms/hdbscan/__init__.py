"""HDBSCAN."""

from .estimator import HDBSCAN

__all__ = ["HDBSCAN"]
