"""Spectral clustering."""

from .estimator import SpectralClustering, cluster_qr, discretize

__all__ = ["SpectralClustering", "cluster_qr", "discretize"]
