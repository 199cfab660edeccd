"""UMAP."""

from .estimator import UMAP

__all__ = ["UMAP"]
