"""Agglomerative clustering: linkage trees and their cuts."""

from .agglomerative import Agglomerative, Linkage, linkage

__all__ = ["Agglomerative", "Linkage", "linkage"]
